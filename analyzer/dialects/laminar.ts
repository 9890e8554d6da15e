import type { AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Reading, RelativeReason, SpanSource } from './index.ts';
import { responseBody } from './response-body.ts';
import { isFields, listOf, structureIn } from './structured.ts';
import { traceloop } from './traceloop.ts';
import { text } from './values.ts';

/**
 * Laminar (`lmnr`, Python and JS) writes as OpenLLMetry does, from which it came; but every span says what it is (`lmnr.span.type`), and messages
 * are those of the provider: OpenAI's choices, Anthropic's message, OpenAI's output items, from which the finish reason is taken.
 */
export const laminar: Dialect = {
  name: 'laminar',
  matches: ({ scope, span }) => span.attributes.has(TYPE) || scope.name.startsWith('lmnr') || scope.name.startsWith('@lmnr-ai/'),
  read,
};

const TYPE = 'lmnr.span.type';
const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['TOOL', 'tool'],
  ['EVALUATOR', 'evaluator'],
  ['HUMAN_EVALUATOR', 'evaluator'],
]);
/** The whole of an offline evaluation; its executor has the calls that are evaluated. */
const EXPERIMENT: ReadonlySet<string> = new Set(['EVALUATION', 'EXECUTOR']);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const type = text(span.attributes.get(TYPE), flags)?.toUpperCase() ?? '';
  const other = OTHERS.get(type);
  if (other !== undefined) return { kind: 'relative', reason: other };
  const reading = traceloop.read(source);
  if (reading.kind === 'relative') return type === 'LLM' || type === '' ? reading : { ...reading, reason: EXPERIMENT.has(type) || type === 'DEFAULT' ? 'wrapper' : reading.reason };
  const body = answered(span.attributes.get('gen_ai.output.messages'), flags);
  return { kind: 'inference', inference: { ...reading.inference, finish_reason: reading.inference.finish_reason ?? body?.finish_reason ?? null, output: body?.messages ?? reading.inference.output } };
}

/** The list of what the provider sent, as the body that it stood in. */
function answered(value: AttributeValue | undefined, flags: Set<string>): ReturnType<typeof responseBody> | null {
  const [first, ...more] = listOf(structureIn(value, flags)).filter(isFields);
  if (first === undefined) return null;
  if (first.has('message')) return responseBody(new Map([['choices', [first, ...more]]]), flags);
  if (first.has('stop_reason')) return responseBody(first, flags);
  return first.get('type') === undefined ? null : responseBody(new Map<string, AttributeValue>([['output', [first, ...more]], ['status', first.get('status') ?? null]]), flags);
}
