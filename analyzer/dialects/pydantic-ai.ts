import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Inference, Reading, SpanSource, WireScore, WireUsage } from './index.ts';
import { classify } from './operations.ts';
import { inferenceOf } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import { NO_USAGE, providerUsage } from './provider-usage.ts';
import { fieldsAt, fieldsOf, isFields, listOf, structureOf } from './structured.ts';
import type { PromptReader, PromptTags } from './tags.ts';
import { amount, firstCount, firstText, text, truth } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * pydantic-ai follows the conventions on the span of the model; the span of the agent repeats the sum, under keys of its own since 2.0
 * (`gen_ai.aggregated_usage.*`). Logfire, its usual exporter, adds the severity, instruments providers itself (scopes `logfire.openai`,
 * `logfire.anthropic`), and writes feedback as a span below what it is about.
 */
export const pydanticAi: Dialect = {
  name: 'pydantic_ai',
  matches: ({ scope }) => scope.name === 'pydantic-ai' || scope.name === 'pydantic_ai' || scope.name.startsWith('logfire.'),
  read,
  scores,
};

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  if (span.attributes.has(FEEDBACK_NAME)) return { kind: 'relative', reason: 'evaluator' };
  const type = span.attributes.get('logfire.span_type');
  if (type === 'log' && isStreamEnd(source)) return { kind: 'inference', inference: streamed(source) };
  // A pending span foretells one.
  if (type === 'log' || type === 'pending_span' || isStreamBegin(source)) return { kind: 'relative', reason: 'not_an_llm_call' };
  const operation = providerCall(source) ?? classify(span, flags);
  if (operation.kind === 'call') return { kind: 'inference', inference: inference(source, operation.name) };
  const isRun = isWrapper(operation.reason) || span.attributes.has('model_name') || span.name === 'agent run';
  if (!isRun) return operation;
  const said = inference(source, 'invoke_agent');
  return wrapper('agent', { ...said, request_model: said.request_model ?? text(span.attributes.get('model_name'), flags), usage: aggregatedUsage(span.attributes) ?? said.usage });
}

/** Logfire's own spans of a provider state neither provider nor operation until it has answered. */
function providerCall({ scope, span }: SpanSource): { kind: 'call'; name: string } | null {
  if (!PROVIDERS.has(scope.name) || !span.attributes.has('request_data') || span.attributes.has('gen_ai.operation.name')) return null;
  return { kind: 'call', name: span.name.startsWith('Embedding') ? 'embeddings' : span.name.startsWith('Completion') ? 'text_completion' : 'chat' };
}

const PROVIDERS: ReadonlyMap<string, string> = new Map([
  ['logfire.openai', 'openai'],
  ['logfire.anthropic', 'anthropic'],
]);

/**
 * Of a stream that Logfire instruments itself, the span ends with the response's head. What came of it is in a log of its own: a span
 * without a length, which says how long the stream took.
 */
function isStreamEnd({ scope, span: { attributes } }: SpanSource): boolean {
  return PROVIDERS.has(scope.name) && attributes.has('request_data') && amount(attributes.get('duration')) !== null;
}

function isStreamBegin({ scope, span: { attributes, status_code } }: SpanSource): boolean {
  const isDone = PROVIDERS.has(scope.name) && attributes.has('request_data') && status_code !== 2 && !isLoggedAsError(attributes);
  return isDone && !ANSWERS.some((key) => attributes.has(key));
}

const ANSWERS = ['response_data', 'gen_ai.response.id', 'gen_ai.output.messages', 'gen_ai.usage.input_tokens', 'events'];

function streamed(source: SpanSource): Inference {
  const { attributes } = source.span;
  const operation = classify(source.span, source.flags);
  const took_s = amount(attributes.get('duration'));
  return { ...inference(source, operation.kind === 'call' ? operation.name : 'chat'), is_stream: true, ...(took_s !== null && took_s >= 0 && { took_ms: took_s * 1000 }) };
}

function inference(source: SpanSource, operation: string): Inference {
  const { attributes } = source.span;
  const told = inferenceOf(source, operation);
  const response = fieldsOf(attributes.get('response_data'), source.flags);
  const usage = fieldsAt(response, 'usage');
  const logged = loggedMessages(attributes, source.flags);
  return {
    ...told,
    provider: told.provider ?? PROVIDERS.get(source.scope.name) ?? null,
    // The time to the first chunk is set on streams only.
    is_stream: told.is_stream ?? (told.ttft === null ? truth(fieldsOf(attributes.get('request_data'), source.flags)?.get('stream')) : true),
    usage:
      told.usage.input === null && told.usage.output === null && usage !== null
        ? providerUsage(usage)
        : {
            ...told.usage,
            cache_read: told.usage.cache_read ?? countOfSome(attributes, 'gen_ai.usage.details.cache_read_input_tokens'),
            cache_write: told.usage.cache_write ?? countOfSome(attributes, 'gen_ai.usage.details.cache_creation_input_tokens'),
            reasoning: told.usage.reasoning ?? firstCount(attributes, ['gen_ai.usage.details.reasoning_tokens']),
          },
    output: told.output ?? response?.get('message') ?? logged?.choice,
    prompt_text: { ...told.prompt_text, system: told.prompt_text.system ?? logged?.system },
    error: told.error ?? (isLoggedAsError(attributes) ? { type: null, message: null } : null),
    cost_usd: told.cost_usd ?? amount(attributes.get('operation.cost')),
  };
}

/** In Anthropic's own words, which until 1.0 is all that there is of it, beside an inclusive input. Without a cache it says 0, later nothing: both are nothing. */
function countOfSome(attributes: Attributes, key: string): number | null {
  const count = firstCount(attributes, [key]);
  return count === 0 ? null : count;
}

/** Until 2025 the messages stood in one attribute, as the events that the conventions had for them. */
function loggedMessages(attributes: Attributes, flags: Set<string>): { readonly choice: AttributeValue | undefined; readonly system: AttributeValue | undefined } | null {
  if (!attributes.has('events')) return null;
  const events = listOf(structureOf(attributes.get('events'), flags)).filter(isFields);
  const named = (name: string) => events.find((event) => event.get('event.name') === name);
  return { choice: named('gen_ai.choice')?.get('message'), system: named('gen_ai.system.message')?.get('content') };
}

/** Logfire's severities are those of OpenTelemetry: 17 and above are errors. */
function isLoggedAsError(attributes: Attributes): boolean {
  const level = amount(attributes.get('logfire.level_num'));
  return level !== null && level >= 17;
}

/** Null where the run says nothing under these keys: before 2.0 it used those of a call. */
function aggregatedUsage(attributes: Attributes): WireUsage | null {
  const input = firstCount(attributes, ['gen_ai.aggregated_usage.input_tokens']);
  const output = firstCount(attributes, ['gen_ai.aggregated_usage.output_tokens']);
  if (input === null && output === null) return null;
  return {
    ...NO_USAGE,
    input,
    output,
    cache_read: firstCount(attributes, ['gen_ai.aggregated_usage.cache_read.input_tokens', 'gen_ai.aggregated_usage.details.cache_read_tokens']),
    cache_write: firstCount(attributes, ['gen_ai.aggregated_usage.cache_creation.input_tokens', 'gen_ai.aggregated_usage.details.cache_write_tokens']),
    reasoning: firstCount(attributes, ['gen_ai.aggregated_usage.details.reasoning_tokens']),
  };
}

const FEEDBACK_NAME = 'logfire.feedback.name';

/** The attribute that holds the value is named like the score. */
function scores({ span, flags }: SpanSource): readonly WireScore[] {
  const name = text(span.attributes.get(FEEDBACK_NAME), flags);
  if (name === null) return [];
  const value = span.attributes.get(name);
  return [
    {
      name,
      value,
      label: typeof value === 'string' ? text(value, flags) : null,
      explanation: firstText(span.attributes, ['logfire.feedback.comment'], flags),
      evaluator: null,
      target: 'span',
    },
  ];
}

const VARIABLE = 'logfire.variables.prompt__';
const VERSION = '.version';

/**
 * Managed prompts of Logfire: a variable for each, with the label it was asked for and, where a stored version answered, that.
 * Baggage copies all that are open onto every span, so nothing says which of several belongs to a call.
 */
export const logfirePrompt: PromptReader = (attributes, flags) => {
  let found: PromptTags | null = null;
  for (const key of attributes.keys()) {
    if (!key.startsWith(VARIABLE) || key.endsWith(VERSION)) continue;
    const pair = promptOf(key.slice(VARIABLE.length), attributes.get(key + VERSION), flags);
    if (pair === null || pair.prompt_name === null) continue;
    if (found !== null) return { ...found, prompt_attribution: 'ambiguous' };
    found = { ...pair, prompt_label: text(attributes.get(key), flags) };
  }
  return found;
};
