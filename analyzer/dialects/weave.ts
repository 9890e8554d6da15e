import type { AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';

/** W&B Weave (weave/trace_server/agents/semconv.py): the conventions' keys with `weave.` in front; where both are there, Weave's own counts. */
export const weave: Dialect = {
  name: 'weave',
  matches: ({ span }) => span.attributes.has('weave.operation.name') || span.attributes.has('weave.request.model'),
  read,
};

const OWN = 'weave.';
/** A turn that is one row of an evaluation. */
const EXPERIMENT = ['weave.eval.run_id', 'weave.eval.predict_and_score_call_id'];

function read(source: SpanSource): Reading {
  const { span } = source;
  const attributes = new Map<string, AttributeValue>(span.attributes);
  for (const [key, value] of span.attributes) {
    if (key.startsWith(OWN)) attributes.set(key === 'weave.error.type' ? 'error.type' : `gen_ai.${key.slice(OWN.length)}`, value);
  }
  const reading = readGenAi({ ...source, span: { ...span, attributes } });
  const is_experiment = EXPERIMENT.some((key) => attributes.has(key));
  if (reading.kind === 'inference') return { kind: 'inference', inference: { ...reading.inference, is_experiment } };
  return reading.aggregate === undefined ? reading : { ...reading, aggregate: { ...reading.aggregate, is_experiment } };
}
