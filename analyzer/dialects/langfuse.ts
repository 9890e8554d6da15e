import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource, WireUsage } from './index.ts';
import { errorOf, inferenceOf } from './otel-genai.ts';
import { NO_USAGE, providerUsage } from './provider-usage.ts';
import { type Fields, fieldsOf, isFields, noteCut, structureIn, structureOf } from './structured.ts';
import { promptAt } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { amount, count, firstCount, firstOf, text, truth } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * Langfuse SDKs (Python 3 to 5, JS 4 and 5). `langfuse.observation.type` alone says what a span is: the prompt, session and
 * user keys stand on every span below `propagate_attributes`. Structures are JSON in text, sometimes quoted twice.
 */
export const langfuse: Dialect = {
  name: 'langfuse',
  matches: ({ scope }) => scope.name.startsWith('langfuse'),
  read,
};

/** Spans of other scopes that carry Langfuse's own words for an observation, set by hand or by an exporter. */
export const langfuseByKeys: Dialect = {
  name: 'langfuse',
  matches: ({ span }) => span.attributes.has('langfuse.observation.type') || span.attributes.has('langfuse.observation.model.name'),
  read,
};

export const langfusePrompt: PromptReader = (attributes, flags) =>
  promptAt(attributes, { name: 'langfuse.observation.prompt.name', version: 'langfuse.observation.prompt.version' }, flags) ??
  promptAt(attributes, { name: 'langfuse.prompt.name', version: 'langfuse.prompt.version' }, flags) ??
  // As the SDKs put it into baggage, which span processors copy onto spans of any library.
  promptAt(attributes, { name: 'langfuse_prompt_name', version: 'langfuse_prompt_version' }, flags);

const TYPE = 'langfuse.observation.type';
const MODEL = 'langfuse.observation.model.name';
const USAGE = 'langfuse.observation.usage_details';

const CALLS: ReadonlyMap<string, string> = new Map([
  ['generation', 'chat'],
  ['embedding', 'embeddings'],
]);

const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['span', 'wrapper'],
  ['agent', 'agent'],
  ['chain', 'wrapper'],
  ['tool', 'tool'],
  ['retriever', 'retrieval'],
  ['evaluator', 'evaluator'],
]);

function read(source: SpanSource): Reading {
  const { attributes } = source.span;
  const says = attributes.has(MODEL) || attributes.has(USAGE);
  const type = text(attributes.get(TYPE), source.flags)?.toLowerCase() ?? (says ? 'generation' : 'span');
  const operation = CALLS.get(type);
  // The JS wrapper of OpenAI calls an embedding a generation, with an empty answer.
  if (operation !== undefined) return { kind: 'inference', inference: inference(source, embeds(attributes) ? 'embeddings' : operation) };
  const reason = OTHERS.get(type) ?? 'not_an_llm_call';
  if (!says && type === 'span') return { kind: 'relative', reason: 'not_an_llm_call' };
  return isWrapper(reason) ? wrapper(reason, inference(source, 'chat')) : { kind: 'relative', reason };
}

function embeds(attributes: Attributes): boolean {
  const model = attributes.get(MODEL);
  return typeof model === 'string' && model.slice(0, 256).includes('embedding');
}

/** Keys of the GenAI conventions are read where Langfuse's own are absent. */
function inference(source: SpanSource, operation: string): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const standard = inferenceOf(source, operation);
  const output = outputOf(attributes.get('langfuse.observation.output'), flags) ?? standard.output;
  const error = failureOf(source, output !== undefined);
  const usage = fieldsOf(attributes.get(USAGE), flags);
  const parameters = parametersOf(attributes, flags);
  // One field for the model that was asked for and, once there is an answer, for the one that gave it.
  const model = text(attributes.get(MODEL), flags);
  return {
    ...standard,
    request_model: askedModel(attributes, flags) ?? model ?? standard.request_model,
    response_model: (error === null ? model : null) ?? standard.response_model,
    finish_reason: finishReasonOf(attributes, flags) ?? standard.finish_reason,
    is_stream: truth(parameters?.get('stream')) ?? standard.is_stream,
    error,
    ttft: ttftOf(attributes.get('langfuse.observation.completion_start_time')) ?? standard.ttft,
    usage: usage === null ? standard.usage : usageOf(usage),
    cost_usd: costOf(fieldsOf(attributes.get('langfuse.observation.cost_details'), flags)) ?? standard.cost_usd,
    output,
    asks_json: standard.asks_json || asksJson(attributes.get('langfuse.observation.metadata.response_format')),
    prompt_text: { template: undefined, system: conversation(inputMessages(attributes.get('langfuse.observation.input'))) ?? standard.prompt_text.system },
    is_experiment: isExperiment(attributes),
  };
}

/** LangChain's handler keeps what was asked for, as JSON text. */
function askedModel(attributes: Attributes, flags: Set<string>): string | null {
  return text(attributes.get('langfuse.observation.metadata.ls_model_name'), flags)?.replace(/^"(.*)"$/, '$1') ?? null;
}

const MAX_MESSAGE_CHARACTERS = 1024;

/** JS clients leave the span's status alone and only raise the level. */
function failureOf({ span, flags }: SpanSource, hasAnswer: boolean): Inference['error'] {
  const error = errorOf(span, flags, hasAnswer);
  if (error === null && text(span.attributes.get('langfuse.observation.level'), flags) !== 'ERROR') return null;
  return { type: error?.type ?? null, message: error?.message ?? text(span.attributes.get('langfuse.observation.status_message'), flags, MAX_MESSAGE_CHARACTERS) };
}

/**
 * Three shapes. Langfuse's buckets (`input`, `input_cached_tokens`, `output`, …) exclude one another, so input is the sum of
 * all `input…`, output of all `output…`; buckets by modality or service tier overlap with these. The Python wrapper of OpenAI
 * copies OpenAI's own, inclusive, object. What people type themselves may mix both: a `cache_read_input_tokens` beside
 * `input` is then taken as part of it, unless the numbers say otherwise.
 */
function usageOf(usage: Fields): WireUsage {
  if (!usage.has('input') && !usage.has('output')) return providerUsage(usage);
  const input = bucketSum(usage, 'input');
  const output = bucketSum(usage, 'output');
  const isSplit = input.parts > 1;
  return {
    ...NO_USAGE,
    input: input.sum,
    output: output.sum,
    cache_read: firstCount(usage, CACHE_READ),
    cache_write: firstCount(usage, CACHE_WRITE) ?? byLifetime(usage),
    reasoning: firstCount(usage, REASONING),
    total: count(usage.get('total')),
    // The sum is inclusive already; where nothing was summed the numbers decide.
    cache_counting: isSplit ? 'inclusive' : 'unstated',
  };
}

const CACHE_READ = ['input_cached_tokens', 'input_cache_read', 'input_cache_read_tokens', 'cache_read_input_tokens', 'input_cache_read_input_tokens', 'input_cached'];
const CACHE_WRITE = ['input_cache_creation', 'input_cache_creation_tokens', 'input_cache_write', 'input_cache_write_tokens', 'cache_creation_input_tokens', 'input_cache_creation_input_tokens'];
const CACHE_WRITE_BY_LIFETIME = ['input_cache_creation_5m', 'input_cache_creation_1h'];
const REASONING = ['output_reasoning_tokens', 'output_reasoning', 'reasoning_tokens', 'output_reasoning_output_tokens'];
const OVERLAPS = /modality|priority|flex/;

function bucketSum(usage: Fields, side: 'input' | 'output'): { sum: number | null; parts: number } {
  let sum: number | null = count(usage.get(side));
  let parts = sum === null ? 0 : 1;
  for (const [key, value] of usage) {
    if (!key.startsWith(side) || key[side.length] !== '_' || OVERLAPS.test(key)) continue;
    const bucket = count(value);
    if (bucket === null) continue;
    sum = (sum ?? 0) + bucket;
    parts++;
  }
  return { sum, parts };
}

function byLifetime(usage: Fields): number | null {
  const parts = CACHE_WRITE_BY_LIFETIME.map((key) => count(usage.get(key))).filter((part) => part !== null);
  return parts.length === 0 ? null : parts.reduce((sum, part) => sum + part, 0);
}

function costOf(cost: Fields | null): number | null {
  if (cost === null) return null;
  const total = amount(cost.get('total'));
  if (total !== null) return total;
  const parts = [...cost.values()].map(amount).filter((part) => part !== null);
  return parts.length === 0 ? null : parts.reduce((sum, part) => sum + part, 0);
}

function finishReasonOf(attributes: Attributes, flags: Set<string>): string | null {
  const own = attributes.get('langfuse.observation.metadata.finish_reason');
  if (own !== undefined) return firstOf(own, flags);
  const metadata = attributes.get('langfuse.observation.metadata');
  if (metadata === undefined) return null;
  const fields = structureOf(metadata, flags);
  return isFields(fields) ? text(fields.get('finish_reason'), flags) : null;
}

/** Parsed only where they say something that is asked for. */
function parametersOf(attributes: Attributes, flags: Set<string>): Fields | null {
  const parameters = attributes.get('langfuse.observation.model.parameters');
  if (typeof parameters === 'string' && !parameters.includes('"stream"')) {
    noteCut(parameters, flags);
    return null;
  }
  const fields = structureOf(parameters, flags);
  return isFields(fields) ? fields : null;
}

function asksJson(format: AttributeValue | undefined): boolean {
  const type = isFields(format) ? format.get('type') : format;
  if (typeof type !== 'string') return false;
  const head = type.slice(0, 1024);
  return head.includes('json_object') || head.includes('json_schema');
}

const MESSAGE_KEYS = ['role', 'content', 'parts', 'tool_calls', 'type'];

/** Texts are written without quotes, so an answer that is itself JSON looks like a structure: only messages are one. */
function outputOf(output: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  if (output === undefined || output === null || output === 'null') return undefined;
  const read = structureIn(output, flags);
  if (read === undefined) return output;
  const [first] = Array.isArray(read) ? read : [read];
  const isMessage = isFields(first) && MESSAGE_KEYS.some((key) => first.has(key));
  return isMessage ? read : new Map([['content', typeof output === 'string' ? output : null]]);
}

/** A lone text is what the user wrote, and no system prompt. */
function inputMessages(input: AttributeValue | undefined): AttributeValue | undefined {
  if (typeof input !== 'string') return input ?? undefined;
  return input.startsWith('[') || input.startsWith('{') ? input : undefined;
}

function isExperiment(attributes: Attributes): boolean {
  if (attributes.get('langfuse.environment') === 'sdk-experiment') return true;
  for (const key of attributes.keys()) if (key.startsWith('langfuse.experiment.')) return true;
  return false;
}

const ISO = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?$/;

function ttftOf(value: AttributeValue | undefined): Inference['ttft'] {
  const at_ns = momentOf(value);
  return at_ns === null ? null : { at_ns };
}

/** Nanoseconds since the epoch, of a moment in ISO 8601, in up to two pairs of quotes, without a zone UTC; its microseconds matter for short calls. */
export function momentOf(value: AttributeValue | undefined): bigint | null {
  if (typeof value !== 'string' || value.length > 64) return null;
  const match = ISO.exec(value.replace(/[\\"]/g, '').trim());
  if (match === null) return null;
  const [, date = '', time = '', fraction = '', zone = 'Z'] = match;
  const second_ms = Date.parse(`${date}T${time}${zone}`);
  return Number.isNaN(second_ms) ? null : BigInt(second_ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}
