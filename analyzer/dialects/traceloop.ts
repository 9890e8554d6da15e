import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { firstToken } from './first-token.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { classify, isOnlyCreated } from './operations.ts';
import { errorOf, inferenceOf } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import { answer } from './response-body.ts';
import type { PromptReader } from './tags.ts';
import { firstCount, firstText, firstTruth, text, truth } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * OpenLLMetry (Traceloop; Python, JavaScript, Ruby, Go), every generation: `llm.*` until 2024, then `gen_ai.*` beside `llm.request.type`,
 * then the conventions alone. Messages were flattened into numbered attributes until 2025 (`gen_ai.prompt.0.content` is a message,
 * no prompt). The SDK stamps its workflow and prompt on every span that starts below, whoever writes it.
 */
export const traceloop: Dialect = {
  name: 'traceloop',
  matches: ({ scope, span: { attributes } }) => SCOPE.test(scope.name) || MARKERS.some((key) => attributes.has(key)),
  read,
};

/** Its instrumentations share their first words with those of OpenTelemetry itself: only names that are Traceloop's alone. */
const SCOPE = /^(?:@traceloop\/|traceloop\.|opentelemetry\.instrumentation\.(?:openai\.v|openai_agents|anthropic|google_generativeai|ollama|mistralai|groq|cohere|bedrock|crewai|llamaindex))/;
const MARKERS = [
  'traceloop.span.kind',
  'traceloop.workflow.name',
  'traceloop.entity.name',
  'traceloop.entity.path',
  'traceloop.prompt.managed',
  'traceloop.prompt.key',
  'traceloop.prompt.version',
  'llm.request.type',
  'llm.vendor',
  'llm.usage.total_tokens',
];

/** "unknown" is a kind too, and says nothing. */
const SPAN_KINDS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['workflow', 'wrapper'],
  ['task', 'wrapper'],
  ['agent', 'agent'],
  ['tool', 'tool'],
]);
/** Operations beside those of the conventions. */
const OWN_OPERATIONS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['execute_task', 'wrapper'],
  ['vector_db_retrieve', 'retrieval'],
]);
const REQUEST_TYPES: ReadonlyMap<string, string> = new Map([
  ['chat', 'chat'],
  ['completion', 'text_completion'],
  ['embedding', 'embeddings'],
]);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const { attributes } = span;
  const stated = text(attributes.get('gen_ai.operation.name'), flags)?.toLowerCase() ?? null;
  const kind = SPAN_KINDS.get(text(attributes.get('traceloop.span.kind'), flags)?.toLowerCase() ?? '') ?? OWN_OPERATIONS.get(stated ?? '');
  if (kind !== undefined) return isWrapper(kind) ? wrapper(kind, inference(source, 'invoke_agent')) : { kind: 'relative', reason: kind };

  const type = text(attributes.get('llm.request.type'), flags)?.toLowerCase();
  if (type === 'rerank') return { kind: 'relative', reason: 'retrieval' };
  const operation = classify(span, flags);
  const known = requestType(type, span.name) ?? (isOldCall(attributes) ? 'chat' : undefined);
  if (operation.kind === 'call') return { kind: 'inference', inference: inference(source, (stated === null ? known : undefined) ?? operation.name) };
  // The type of the request tells a call that failed before it had a model, and one whose span is named like a wrapper.
  const isStatedOtherwise = attributes.has('mcp.method.name') || (stated !== null && operation.reason !== 'not_an_llm_call');
  if (known !== undefined && !isStatedOtherwise) return { kind: 'inference', inference: inference(source, known) };
  return isWrapper(operation.reason) && !isOnlyCreated(span) ? wrapper(operation.reason, inference(source, 'invoke_agent')) : operation;
}

/** Anthropic's messages were of the type "completion" until 2025; the span's name tells them from its text completions. */
function requestType(type: string | undefined, name: string): string | undefined {
  return type === 'completion' && name.endsWith('.chat') ? 'chat' : REQUEST_TYPES.get(type ?? '');
}

/** Before there were conventions: the vendor, and the model that was asked. */
function isOldCall(attributes: Attributes): boolean {
  return attributes.has('llm.request.model') && (attributes.has('llm.vendor') || attributes.has('llm.usage.prompt_tokens') || attributes.has('llm.usage.total_tokens'));
}

const FINISH_REASON = ['llm.response.finish_reason', 'llm.response.stop_reason', 'gen_ai.response.stop_reason', 'llm.completions.0.finish_reason'];

/** The JavaScript one copies Anthropic's own, exclusive, count, and makes a total of it that seems to say otherwise; the Python one adds the cached tokens. */
const COPIES_ANTHROPIC = '@traceloop/instrumentation-anthropic';

function inference(source: SpanSource, operation: string): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const told = inferenceOf(source, operation);
  const usage = {
    ...told.usage,
    input: told.usage.input ?? firstCount(attributes, ['llm.usage.prompt_tokens']),
    output: told.usage.output ?? firstCount(attributes, ['llm.usage.completion_tokens']),
    reasoning: told.usage.reasoning ?? firstCount(attributes, ['llm.usage.reasoning_tokens']),
    total: told.usage.total ?? firstCount(attributes, ['llm.usage.total_tokens']),
    cache_counting: source.scope.name === COPIES_ANTHROPIC ? ('exclusive' as const) : told.usage.cache_counting,
  };
  const finish_reason = told.finish_reason ?? firstText(attributes, FINISH_REASON, flags);
  const ttft = firstToken(span) ?? told.ttft;
  return {
    ...told,
    provider: told.provider ?? text(attributes.get('llm.vendor'), flags),
    request_model: told.request_model ?? text(attributes.get('llm.request.model'), flags),
    response_model: told.response_model ?? text(attributes.get('llm.response.model'), flags),
    finish_reason,
    is_stream: told.is_stream ?? firstTruth(attributes, ['llm.is_streaming']) ?? (ttft === null ? null : true),
    error: errorOf(span, flags, told.response_id !== null || finish_reason !== null || usage.output !== null),
    ttft,
    usage,
    output: told.output ?? flattened(attributes, 'gen_ai.completion.') ?? flattened(attributes, 'llm.completions.'),
    asks_json: told.asks_json || attributes.has('gen_ai.request.structured_output_schema') || attributes.has('llm.request.structured_output_schema'),
    prompt_text: { template: attributes.get('traceloop.prompt.template'), system: told.prompt_text.system ?? systemPrompt(attributes) },
  };
}

const MAX_CHOICES = 8;

/** The choices of a generation that wrote each into attributes of its own. Undefined where there are none. */
function flattened(attributes: Attributes, prefix: string): AttributeValue | undefined {
  const messages: AttributeValue[] = [];
  for (let index = 0; index < MAX_CHOICES; index++) {
    const content = attributes.get(`${prefix}${index}.content`);
    const callsTool = attributes.has(`${prefix}${index}.tool_calls.0.name`) || attributes.has(`${prefix}${index}.function_call.name`);
    // Python writes no empty text: beside a role it is missing, where content is captured at all.
    if (content === undefined && !callsTool && !attributes.has(`${prefix}${index}.role`)) break;
    messages.push(callsTool ? new Map<string, AttributeValue>([['content', content ?? null], ['tool_calls', [true]]]) : answer(content ?? null));
  }
  return messages.length === 0 ? undefined : messages;
}

function systemPrompt(attributes: Attributes): AttributeValue | undefined {
  for (const prefix of ['gen_ai.prompt.0.', 'llm.prompts.0.']) {
    if (attributes.get(`${prefix}role`) === 'system') return attributes.get(`${prefix}content`);
  }
  return undefined;
}

/**
 * Prompts of Traceloop's registry have a key; one that the application sets itself has a version only. The SDK never takes the
 * last one back: after a registered prompt, an external one stands beside the old key, name and hash. `managed` tells.
 */
export const traceloopPrompt: PromptReader = (attributes, flags) => {
  const version = attributes.get('traceloop.prompt.version');
  if (truth(attributes.get('traceloop.prompt.managed')) === false) return promptOf(undefined, version, flags);
  const pair = promptOf(attributes.get('traceloop.prompt.key'), version, flags);
  const label = text(attributes.get('traceloop.prompt.version_name'), flags);
  if (pair !== null && pair.prompt_version !== null) return { ...pair, prompt_label: label };
  const hashed = promptOf(attributes.get('traceloop.prompt.key'), attributes.get('traceloop.prompt.version_hash'), flags);
  if (hashed === null) return null;
  return { ...hashed, prompt_version_source: hashed.prompt_version === null ? 'none' : 'hash', prompt_label: label };
};
