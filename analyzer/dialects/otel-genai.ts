import type { Attributes, AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
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

/** Operations that are one inference each. The second name is what is recorded; the first is also seen in the wild. */
const INFERENCE_OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['chat', 'chat'],
  ['generate_content', 'generate_content'],
  ['text_completion', 'text_completion'],
  ['completion', 'text_completion'],
  ['embeddings', 'embeddings'],
  ['embedding', 'embeddings'],
  ['embed', 'embeddings'],
  ['llm_call', 'chat'],
  ['realtime_inference', 'realtime_inference'],
]);

const OTHER_OPERATIONS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['invoke_agent', 'agent'],
  ['create_agent', 'agent'],
  ['invoke_workflow', 'wrapper'],
  ['handle_conversation_turn', 'wrapper'],
  ['agent_step', 'wrapper'],
  ['plan', 'wrapper'],
  ['agent', 'agent'],
  ['chain', 'wrapper'],
  ['workflow', 'wrapper'],
  ['task', 'wrapper'],
  ['execute_tool', 'tool'],
  ['tool', 'tool'],
  ['retrieval', 'retrieval'],
  ['retriever', 'retrieval'],
  ['rerank', 'retrieval'],
  ['fetch_response', 'fetch_response'],
  ['search_memory', 'memory'],
  ['create_memory', 'memory'],
  ['update_memory', 'memory'],
  ['upsert_memory', 'memory'],
  ['delete_memory', 'memory'],
  ['create_memory_store', 'memory'],
  ['delete_memory_store', 'memory'],
  ['evaluate', 'evaluator'],
  ['evaluation', 'evaluator'],
]);

/** `gen_ai.span.kind`, which takes the place of the operation in traceAI and in Alibaba's instrumentations. */
const KIND = 'gen_ai.span.kind';
const INFERENCE_KINDS: ReadonlyMap<string, string> = new Map([
  ['LLM', 'chat'],
  ['EMBEDDING', 'embeddings'],
]);
const OTHER_KINDS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['CHAIN', 'wrapper'],
  ['TASK', 'wrapper'],
  ['STEP', 'wrapper'],
  ['ENTRY', 'wrapper'],
  ['CONVERSATION', 'wrapper'],
  ['AGENT', 'agent'],
  ['TOOL', 'tool'],
  ['RETRIEVER', 'retrieval'],
  ['RERANKER', 'retrieval'],
  ['VECTOR_DB', 'retrieval'],
  ['EVALUATOR', 'evaluator'],
]);

/** The method of a provider's client, by which some name the operation: `openai.responses.create`. */
const API_METHOD = /(?:^|\.)(?:chat\.completions|completions|responses|messages)\.[a-z_]{1,32}$/;

export function readGenAi(source: SpanSource): Reading {
  const operation = classify(source.span, source.flags);
  if (operation.kind === 'call') return { kind: 'inference', inference: inferenceOf(source, operation.name) };
  const { reason } = operation;
  return isWrapper(reason) && showsInference(source.span) ? { kind: 'relative', reason, aggregate: inferenceOf(source, CHAT) } : { kind: 'relative', reason };
}

/** What stands below a wrapper is not on its span: most of it is chat. */
const CHAT = 'chat';

export function classify(span: OtlpSpan, flags: Set<string>): { kind: 'call'; name: string } | { kind: 'relative'; reason: RelativeReason } {
  const { attributes } = span;
  const method = text(attributes.get('mcp.method.name'), flags);
  if (method !== null) return { kind: 'relative', reason: method === 'prompts/get' ? 'mcp_prompt_fetch' : method === 'tools/call' ? 'tool' : 'mcp' };
  if (attributes.has('gen_ai.evaluation.name')) return { kind: 'relative', reason: 'evaluator' };

  const stated = text(attributes.get('gen_ai.operation.name'), flags)?.toLowerCase() ?? null;
  // Span names are "{operation} {model or agent}" in every generation; before 1.27 there is no attribute for the operation.
  const named = span.name.slice(0, 64).split(' ', 1)[0]?.toLowerCase() ?? '';
  const other = OTHER_OPERATIONS.get(stated ?? named);
  if (other !== undefined) return { kind: 'relative', reason: other };

  const hasProvider = attributes.has('gen_ai.provider.name') || attributes.has('gen_ai.system');
  const hasModel = attributes.has('gen_ai.request.model') || attributes.has('gen_ai.response.model');
  if (stated !== null) {
    const known = INFERENCE_OPERATIONS.get(stated) ?? (API_METHOD.test(stated) ? 'chat' : undefined);
    if (known !== undefined && (hasProvider || hasModel)) return { kind: 'call', name: known };
    // An operation of the emitter's own counts when it shows that a model answered.
    if (hasProvider && hasModel && showsAnswer(attributes)) return { kind: 'call', name: stated };
    return { kind: 'relative', reason: 'not_an_llm_call' };
  }
  const kind = text(attributes.get(KIND), flags)?.toUpperCase() ?? '';
  const inference = INFERENCE_KINDS.get(kind);
  if (inference !== undefined) return { kind: 'call', name: inference };
  const reason = OTHER_KINDS.get(kind);
  if (reason !== undefined) return { kind: 'relative', reason };
  const isHttp = attributes.has('http.request.method') || attributes.has('http.method');
  if (!hasProvider || !hasModel || (isHttp && !showsAnswer(attributes))) return { kind: 'relative', reason: 'not_an_llm_call' };
  return { kind: 'call', name: INFERENCE_OPERATIONS.get(named) ?? (embeds(attributes) ? 'embeddings' : 'chat') };
}

function showsAnswer(attributes: Attributes): boolean {
  return (
    attributes.has('gen_ai.response.id') ||
    attributes.has('gen_ai.response.finish_reasons') ||
    firstCount(attributes, INPUT_TOKENS) !== null ||
    firstCount(attributes, OUTPUT_TOKENS) !== null
  );
}

/** A wrapper that says which model answered, or what it used, can stand for an inference that left no span of its own. */
function showsInference(span: OtlpSpan): boolean {
  const { attributes } = span;
  return showsAnswer(attributes) || (!isOnlyCreated(span) && (attributes.has('gen_ai.request.model') || attributes.has('gen_ai.response.model')));
}

/** Who only creates an agent names its model, and asks it nothing. */
export function isOnlyCreated({ attributes, name }: OtlpSpan): boolean {
  return (attributes.get('gen_ai.operation.name') ?? name.slice(0, 64).split(' ', 1)[0]) === 'create_agent' && !showsAnswer(attributes);
}

function embeds(attributes: Attributes): boolean {
  const model = attributes.get('gen_ai.request.model') ?? attributes.get('gen_ai.response.model');
  return attributes.has('gen_ai.embeddings.dimension.count') || (typeof model === 'string' && model.slice(0, 256).includes('embedding'));
}

const PROVIDER = ['gen_ai.provider.name', 'gen_ai.system'];
const RESPONSE_ID = ['gen_ai.response.id', 'gen_ai.response_id'];
const FINISH_REASON = ['gen_ai.response.finish_reasons', 'gen_ai.response.finish_reason', 'gen_ai.completion.0.finish_reason'];
const STREAM = ['gen_ai.request.stream', 'gen_ai.request.is_stream', 'gen_ai.is_streaming'];
/** Seconds in every generation. */
const TTFT_S = [
  'gen_ai.response.time_to_first_chunk',
  'gen_ai.client.operation.time_to_first_chunk',
  'gen_ai.client.inference.time_to_first_chunk',
  'gen_ai.server.time_to_first_token',
  'gen_ai.server.ttft',
];
const INPUT_TOKENS = ['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens'];
const OUTPUT_TOKENS = ['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens'];
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
