import type { Attributes, AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { classify, INPUT_TOKENS, OUTPUT_TOKENS, showsInference } from './operations.ts';
import { type Fields, fieldsOf } from './structured.ts';
import { firstAmount, firstCount, firstOf, firstText, firstTruth, text } from './values.ts';
import { isWrapper } from './wrapper.ts';

/**
 * OpenTelemetry GenAI semantic conventions, every generation: up to 1.36 (`gen_ai.system`), 1.37 to 1.41
 * (`gen_ai.provider.name`) and the repository semantic-conventions-genai (prompt version, cache_write). Most emitters leave
 * the schema URL empty or stale, so the keys themselves tell the generation, and old and new names are read on any span.
 */
export const otelGenAi: Dialect = {
  name: 'otel_genai',
  matches: ({ span }) =>
    span.attributes.has('gen_ai.provider.name') &&
    (span.attributes.has('gen_ai.usage.cache_write.input_tokens') || span.attributes.has('gen_ai.prompt.version')),
  read: readGenAi,
};

export const otel137: Dialect = {
  name: 'otel_1_37',
  matches: ({ span }) => span.attributes.has('gen_ai.provider.name') || span.attributes.has('mcp.method.name'),
  read: readGenAi,
};

export const otel136: Dialect = {
  name: 'otel_1_36',
  matches: ({ span }) =>
    span.attributes.has('gen_ai.system') || span.attributes.has('gen_ai.operation.name') || span.attributes.has('gen_ai.request.model'),
  read: readGenAi,
};

export function readGenAi(source: SpanSource): Reading {
  const operation = classify(source.span, source.flags);
  if (operation.kind === 'call') return { kind: 'inference', inference: inferenceOf(source, operation.name) };
  const { reason } = operation;
  return isWrapper(reason) && showsInference(source.span) ? { kind: 'relative', reason, aggregate: inferenceOf(source, CHAT) } : { kind: 'relative', reason };
}

/** What stands below a wrapper is not on its span: most of it is chat. */
const CHAT = 'chat';

const PROVIDER = ['gen_ai.provider.name', 'gen_ai.system'];
const RESPONSE_ID = ['gen_ai.response.id', 'gen_ai.response_id'];
const FINISH_REASON = ['gen_ai.response.finish_reasons', 'gen_ai.response.finish_reason', 'gen_ai.completion.0.finish_reason'];
const STREAM = ['gen_ai.request.stream', 'gen_ai.request.is_stream', 'gen_ai.request.streaming', 'gen_ai.is_streaming'];
/** Seconds in every generation. */
const TTFT_S = [
  'gen_ai.response.time_to_first_chunk',
  'gen_ai.client.operation.time_to_first_chunk',
  'gen_ai.client.inference.time_to_first_chunk',
  'gen_ai.server.time_to_first_token',
  'gen_ai.server.ttft',
  'gen_ai.streaming.time_to_first_token', // AgentOps
];
const CACHE_READ_TOKENS = [
  'gen_ai.usage.cache_read.input_tokens',
  'gen_ai.usage.cache_read_input_tokens',
  'gen_ai.usage.input_tokens.cached',
  'gen_ai.usage.input_tokens.cache_read',
  'gen_ai.usage.cache_read_tokens',
  'gen_ai.usage.cached_tokens',
  'gen_ai.usage.prompt_tokens_details.cached_tokens',
  'gen_ai.usage.details.cache_read_tokens',
  'gen_ai.usage.details.cached_tokens',
];
const CACHE_WRITE_TOKENS = [
  'gen_ai.usage.cache_write.input_tokens',
  'gen_ai.usage.cache_creation.input_tokens',
  'gen_ai.usage.cache_write_input_tokens',
  'gen_ai.usage.cache_creation_input_tokens',
  'gen_ai.usage.cache_write_tokens',
  'gen_ai.usage.details.cache_write_tokens',
  'gen_ai.usage.input_tokens.cache_write',
  'gen_ai.usage.prompt_tokens_details.cache_creation_tokens',
];
const REASONING_TOKENS = [
  'gen_ai.usage.reasoning.output_tokens',
  'gen_ai.usage.reasoning_tokens',
  'gen_ai.usage.reasoning_output_tokens',
  'gen_ai.usage.output_tokens.reasoning',
  'gen_ai.usage.thinking_tokens',
  'gen_ai.usage.experimental.reasoning_tokens',
  'gen_ai.usage.completion_tokens_details.reasoning_tokens',
];
const TOTAL_TOKENS = ['gen_ai.usage.total_tokens', 'gen_ai.usage.total'];
const COST = ['gen_ai.usage.cost', 'gen_ai.cost.total_cost'];

/** Instrumentations of Amazon's SDK, which copy Bedrock's count of tokens as it is: without the cached ones. */
const OF_BEDROCK = /bedrock|botocore|aws-sdk/;

export function inferenceOf({ scope, span, flags }: SpanSource, operation: string): Inference {
  const { attributes } = span;
  const choice = choiceOf(span, flags);
  const ttft_s = firstAmount(attributes, TTFT_S);
  const response_id = firstText(attributes, RESPONSE_ID, flags);
  const finish_reason = finishReasonOf(attributes, flags) ?? text(choice?.get('finish_reason'), flags);
  const provider = firstText(attributes, PROVIDER, flags);
  const request_model = text(attributes.get('gen_ai.request.model'), flags);
  const usage = {
    input: firstCount(attributes, INPUT_TOKENS),
    output: firstCount(attributes, OUTPUT_TOKENS),
    cache_read: firstCount(attributes, CACHE_READ_TOKENS),
    cache_write: firstCount(attributes, CACHE_WRITE_TOKENS),
    reasoning: firstCount(attributes, REASONING_TOKENS),
    total: firstCount(attributes, TOTAL_TOKENS),
    // The conventions say inclusive, but instrumentations of Anthropic copy the provider's own, exclusive, count.
    cache_counting: OF_BEDROCK.test(scope.name) ? ('exclusive' as const) : ('unstated' as const),
  };
  return {
    operation,
    provider,
    // Azure's client says "chat" where the model was not named with the call but before.
    request_model: request_model === operation ? null : request_model,
    response_model: text(attributes.get('gen_ai.response.model'), flags),
    response_id,
    finish_reason,
    is_stream: firstTruth(attributes, STREAM),
    error: errorOf(span, flags, response_id !== null || finish_reason !== null || usage.output !== null),
    ttft: ttft_s === null ? null : { value: ttft_s, unit: 's' },
    usage,
    cost_usd: firstAmount(attributes, COST),
    input: attributes.get('gen_ai.input.messages') ?? undefined,
    output: outputOf(span) ?? choice?.get('message'),
    asks_json: asksJson(attributes),
    prompt_text: { template: undefined, system: systemOf(span, flags) },
    is_cache_hit: false,
    is_experiment: false,
  };
}

function finishReasonOf(attributes: Attributes, flags: Set<string>): string | null {
  for (const key of FINISH_REASON) {
    const value = attributes.get(key);
    if (value === undefined) continue;
    const found = firstOf(value, flags);
    if (found !== null) return found;
  }
  return null;
}

/** 1.28 to 1.36, where messages are span events (Azure) and not log records: `{message, finish_reason}` of the first choice. */
function choiceOf({ events }: OtlpSpan, flags: Set<string>): Fields | null {
  return messageEvent(events, 'gen_ai.choice', flags);
}

function messageEvent(events: OtlpSpan['events'], name: string, flags: Set<string>): Fields | null {
  if (events.length === 0) return null;
  const content = events.find((event) => event.name === name)?.attributes.get('gen_ai.event.content');
  return content === undefined ? null : fieldsOf(content, flags);
}

const MAX_MESSAGE_CHARACTERS = 1024;

/**
 * In order: span status 2, `error.type`, an `exception` event, `gen_ai.response.status` = failed. An exception beside an
 * answer was handled (a retry that worked) and is no failure unless the status says so.
 */
export function errorOf(span: OtlpSpan, flags: Set<string>, hasAnswer: boolean): Inference['error'] {
  const { attributes } = span;
  const type = text(attributes.get('error.type'), flags);
  const exception = span.events.find((event) => event.name === 'exception');
  const failed = attributes.get('gen_ai.response.status') === 'failed';
  if (span.status_code !== 2 && type === null && !failed && (exception === undefined || hasAnswer)) return null;
  return {
    type: type ?? text(exception?.attributes.get('exception.type'), flags),
    message: text(span.status_message, flags, MAX_MESSAGE_CHARACTERS) ?? text(exception?.attributes.get('exception.message'), flags, MAX_MESSAGE_CHARACTERS),
  };
}

/** 1.37 and later on the span; up to 1.27 as `gen_ai.completion`, on the span or on a span event. */
function outputOf(span: OtlpSpan): AttributeValue | undefined {
  return (
    span.attributes.get('gen_ai.output.messages') ??
    span.attributes.get('gen_ai.completion') ??
    span.events.find((event) => event.name === 'gen_ai.content.completion')?.attributes.get('gen_ai.completion') ??
    undefined
  );
}

/** 1.37 and later; flattened messages (OpenLLMetry's); up to 1.27 all messages as JSON, on the span or on a span event. Those of 1.28 to 1.36 are mostly log records, which nobody joins. */
function systemOf({ attributes, events }: OtlpSpan, flags: Set<string>): AttributeValue | undefined {
  const instructions = attributes.get('gen_ai.system_instructions');
  if (instructions !== undefined) return instructions;
  const role = attributes.get('gen_ai.prompt.0.role');
  if (role === 'system' || role === 'developer') return attributes.get('gen_ai.prompt.0.content');
  const messages = attributes.get('gen_ai.input.messages') ?? attributes.get('gen_ai.prompt') ?? events.find((event) => event.name === 'gen_ai.content.prompt')?.attributes.get('gen_ai.prompt');
  return messages === undefined ? (messageEvent(events, 'gen_ai.system.message', flags)?.get('content') ?? undefined) : new Map([['messages', messages]]);
}

const RESPONSE_FORMAT = ['openai.request.response_format', 'gen_ai.openai.request.response_format'];

function asksJson(attributes: Attributes): boolean {
  if (attributes.get('gen_ai.output.type') === 'json') return true;
  for (const key of RESPONSE_FORMAT) {
    const format = attributes.get(key);
    if (format === 'json_object' || format === 'json_schema') return true;
  }
  return false;
}
