import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource, WireScore } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { fieldsOf, isFields, listOf, structureIn, structureOf } from './structured.ts';
import { firstAmount, firstCount, firstText, text } from './values.ts';

/**
 * Braintrust's SDKs for Go, Java, Ruby, Python and TypeScript on OpenTelemetry: `braintrust.metadata` (model, provider, prompt),
 * `braintrust.metrics`, `braintrust.span_attributes` (type), `braintrust.input_json` and `output_json`, `braintrust.scores`; each as JSON or flattened.
 * `braintrust.parent` stands on every span that goes to Braintrust, whoever wrote it, so it makes no span Braintrust's unless
 * it says that the span is an experiment's.
 */
export const braintrust: Dialect = {
  name: 'braintrust',
  matches: ({ span: { attributes } }) => MARKERS.some((key) => attributes.has(key)) || isExperiment(attributes),
  read,
  scores: ({ span, flags }) => scoresIn(fieldsOf(span.attributes.get('braintrust.scores'), flags)),
};

const MARKERS = ['braintrust.span_attributes', 'braintrust.metadata', 'braintrust.metrics', 'braintrust.span_attributes.type', 'braintrust.metrics.prompt_tokens', 'braintrust.scores'];

const TYPES: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['score', 'evaluator'],
  ['tool', 'tool'],
  ['task', 'wrapper'],
  ['function', 'wrapper'],
  ['eval', 'wrapper'],
]);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const kind = gathered(span.attributes, 'braintrust.span_attributes', flags);
  const type = text(kind.get('type'), flags);
  const other = kind.get('purpose') === 'scorer' ? 'evaluator' : TYPES.get(type ?? '');
  const inference = inferenceIn(source);
  const says = inference.request_model !== null || inference.usage.input !== null;
  if (other !== undefined) return other === 'wrapper' && says ? { kind: 'relative', reason: other, aggregate: inference } : { kind: 'relative', reason: other };
  // Some of its tracers say no type; and spans of the conventions may only be on their way to Braintrust.
  if (type === 'llm' || (type === null && says && !span.attributes.has('gen_ai.operation.name'))) return { kind: 'inference', inference };
  const reading = readGenAi(source);
  return reading.kind === 'inference' ? { kind: 'inference', inference: { ...reading.inference, is_experiment: inference.is_experiment } } : reading;
}

function inferenceIn(source: SpanSource): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const metadata = gathered(attributes, 'braintrust.metadata', flags);
  const metrics = gathered(attributes, 'braintrust.metrics', flags);
  const said = inferenceOf(source, span.name.slice(0, 64).toLowerCase().includes('embed') ? 'embeddings' : 'chat');
  const ttft_s = firstAmount(metrics, ['time_to_first_token']);
  const output = attributes.has('braintrust.output_json') ? structureOf(attributes.get('braintrust.output_json'), flags) : structureIn(attributes.get('braintrust.output'), flags);
  const choice = listOf(output)[0] ?? output;
  const message = isFields(choice) ? choice.get('message') : undefined;
  return {
    ...said,
    provider: text(metadata.get('provider'), flags) ?? said.provider,
    request_model: text(metadata.get('model'), flags) ?? said.request_model,
    finish_reason: said.finish_reason ?? (isFields(choice) ? firstText(choice, ['finish_reason', 'stop_reason'], flags) : null),
    ttft: ttft_s === null ? said.ttft : { value: ttft_s, unit: 's' },
    usage: {
      input: firstCount(metrics, ['prompt_tokens']) ?? said.usage.input,
      output: firstCount(metrics, ['completion_tokens']) ?? said.usage.output,
      cache_read: firstCount(metrics, ['prompt_cached_tokens']) ?? said.usage.cache_read,
      cache_write: firstCount(metrics, ['prompt_cache_creation_tokens']) ?? said.usage.cache_write,
      reasoning: firstCount(metrics, ['completion_reasoning_tokens']) ?? said.usage.reasoning,
      total: firstCount(metrics, ['tokens']) ?? said.usage.total,
      cache_counting: 'unstated',
    },
    cost_usd: firstAmount(metrics, ['cost', 'estimated_cost']) ?? said.cost_usd,
    output: message ?? output ?? said.output,
    prompt_text: { template: undefined, system: conversation(attributes.get('braintrust.input_json') ?? attributes.get('braintrust.input')) ?? said.prompt_text.system },
    is_experiment: isExperiment(attributes),
  };
}

/** `experiment_id:…`, `experiment_name:…` in front of which other spans have `project_…`. */
function isExperiment(attributes: Attributes): boolean {
  const parent = attributes.get('braintrust.parent');
  return typeof parent === 'string' && parent.startsWith('experiment_');
}

/** JSON under the key itself, and what stands flattened below it. */
function gathered(attributes: Attributes, key: string, flags: Set<string>): Attributes {
  const fields = new Map<string, AttributeValue>(fieldsOf(attributes.get(key), flags) ?? []);
  const prefix = `${key}.`;
  for (const [name, value] of attributes) if (name.startsWith(prefix)) fields.set(name.slice(prefix.length), value);
  return fields;
}

/** Null: the scorer had nothing to say. */
function scoresIn(scores: Attributes | null): WireScore[] {
  return [...(scores ?? [])].flatMap(([name, value]) => (value === null ? [] : [{ name, value, label: null, explanation: null, evaluator: null, target: 'span' as const }]));
}
