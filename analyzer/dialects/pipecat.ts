import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { answer } from './response-body.ts';
import { firstAmount, firstTruth } from './values.ts';

/** Pipecat (scope `pipecat`): the conventions, and beside them in its own words whether it streams, the time to the first byte in seconds, and the answer. */
export const pipecat: Dialect = { name: 'pipecat', matches: ({ scope }) => scope.name === 'pipecat' || scope.name.startsWith('pipecat.'), read };

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  return reading.kind === 'inference' ? { kind: 'inference', inference: completed(source, reading.inference) } : reading;
}

function completed({ span: { attributes } }: SpanSource, said: Inference): Inference {
  const ttfb_s = firstAmount(attributes, ['metrics.ttfb']);
  const output = attributes.get('output');
  return {
    ...said,
    is_stream: said.is_stream ?? firstTruth(attributes, ['stream']),
    // A failed call has one, too: how long it took to fail.
    ttft: said.ttft ?? (ttfb_s === null || said.error !== null ? null : { value: ttfb_s, unit: 's' }),
    output: said.output ?? (typeof output === 'string' ? [answer(output)] : undefined),
  };
}
