import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, SpanSource, WireUsage } from './index.ts';
import { errorOf, inferenceOf } from './otel-genai.ts';
import { type Fields, fieldsAt, fieldsOf, listOf, noteCut } from './structured.ts';
import { promptOf } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { count, firstAmount, firstCount, firstText, text, truth } from './values.ts';

/**
 * Vercel AI SDK 3 to 6, and 7 with `LegacyOpenTelemetry`. `ai.operationId` says what a span is: `….doGenerate`, `….doStream`
 * and `….doEmbed` are one request each (a retry is another), the span above repeats model, tags and the sum of the usage.
 */
export const vercelAiLegacy: Dialect = {
  name: 'ai_sdk_legacy',
  matches: ({ scope, span }) => scope.name === 'ai' || span.attributes.has('ai.operationId'),
  read,
};

/** Langfuse's prompt, handed over as metadata: JSON of the whole prompt object. A fallback is no version of it. */
export const vercelAiLangfusePrompt: PromptReader = (attributes, flags) => {
  const value = attributes.get('ai.telemetry.metadata.langfusePrompt') ?? attributes.get('ai.settings.context.langfusePrompt');
  const prompt = fieldsOf(value, flags);
  if (prompt === null || truth(prompt.get('isFallback')) === true) return null;
  return promptOf(prompt.get('name'), prompt.get('version'), flags);
};

function read(source: SpanSource): Reading {
  const { attributes, name } = source.span;
  const id = text(attributes.get('ai.operationId'), source.flags) ?? name;
  const step = /^ai\.(\w+)\.do(Generate|Stream|Embed)/.exec(id);
  if (step !== null) return { kind: 'inference', inference: inference(source, { method: step[1] ?? '', operation: step[2] === 'Embed' ? 'embeddings' : 'chat' }) };
  if (id.startsWith('ai.toolCall')) return { kind: 'relative', reason: 'tool' };
  if (id.startsWith('ai.rerank')) return { kind: 'relative', reason: 'retrieval' };
  const outer = /^ai\.((?:generate|stream|embed)\w*)/.exec(id);
  if (outer === null) return { kind: 'relative', reason: 'not_an_llm_call' };
  const method = outer[1] ?? '';
  if (!attributes.has('ai.model.id')) return { kind: 'relative', reason: 'wrapper' };
  return { kind: 'relative', reason: 'wrapper', aggregate: inference(source, { method, operation: method.startsWith('embed') ? 'embeddings' : 'chat' }) };
}

/** `method`: generateText, streamObject, embedMany, … */
function inference(source: SpanSource, { method, operation }: { method: string; operation: string }): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const standard = inferenceOf(source, operation);
  const output = outputOf(attributes) ?? standard.output;
  const usage = usageOf(attributes, standard, flags);
  const finish_reason = firstText(attributes, FINISH_REASON, flags) ?? standard.finish_reason;
  for (const key of TOOL_CALLS) noteCut(attributes.get(key), flags);
  return {
    ...standard,
    provider: standard.provider ?? text(attributes.get('ai.model.provider'), flags),
    request_model: standard.request_model ?? text(attributes.get('ai.model.id'), flags),
    response_model: standard.response_model ?? text(attributes.get('ai.response.model'), flags),
    response_id: standard.response_id ?? text(attributes.get('ai.response.id'), flags),
    finish_reason,
    is_stream: method.startsWith('stream'),
    error: errorOf(span, flags, finish_reason !== null || usage.output !== null),
    ttft: ttftOf(source) ?? standard.ttft,
    usage,
    output,
    asks_json: standard.asks_json || method.endsWith('Object') || attributes.has('ai.schema'),
    prompt_text: { template: undefined, system: conversation(attributes.get('ai.prompt.messages') ?? attributes.get('ai.prompt')) ?? standard.prompt_text.system },
  };
}

const FINISH_REASON = ['ai.response.finishReason', 'ai.finishReason'];
const TEXT = ['ai.response.text', 'ai.response.object', 'ai.result.text', 'ai.result.object'];
const TOOL_CALLS = ['ai.response.toolCalls', 'ai.result.toolCalls'];

/** Text and tool calls stand in attributes of their own: one message with both. */
function outputOf(attributes: Attributes): AttributeValue | undefined {
  const parts: AttributeValue[] = [];
  for (const key of TEXT) {
    const content = attributes.get(key);
    if (typeof content !== 'string') continue;
    parts.push(new Map([['type', 'text'], ['content', content]]));
    break;
  }
  if (TOOL_CALLS.some((key) => hasMembers(attributes.get(key)))) parts.push(new Map([['type', 'tool_call']]));
  return parts.length === 0 ? undefined : [new Map<string, AttributeValue>([['role', 'assistant'], ['parts', parts]])];
}

function hasMembers(list: AttributeValue | undefined): boolean {
  return typeof list === 'string' ? list.length > 2 : listOf(list).length > 0;
}

const INPUT = ['ai.usage.inputTokens', 'ai.usage.promptTokens', 'ai.usage.tokens'];
const OUTPUT = ['ai.usage.outputTokens', 'ai.usage.completionTokens'];
const CACHE_READ = ['ai.usage.inputTokenDetails.cacheReadTokens', 'ai.usage.cachedInputTokens'];
const REASONING = ['ai.usage.outputTokenDetails.reasoningTokens', 'ai.usage.reasoningTokens'];

function usageOf(attributes: Attributes, { usage: standard, provider }: Inference, flags: Set<string>): WireUsage {
  const input = standard.input ?? firstCount(attributes, INPUT);
  const own = {
    cache_read: standard.cache_read ?? firstCount(attributes, CACHE_READ),
    cache_write: standard.cache_write ?? count(attributes.get('ai.usage.inputTokenDetails.cacheWriteTokens')),
    reasoning: standard.reasoning ?? firstCount(attributes, REASONING),
  };
  const provided = providerDetails(attributes.get('ai.response.providerMetadata'), flags);
  const cache_read = own.cache_read ?? provided?.cache_read ?? null;
  const cache_write = own.cache_write ?? provided?.cache_write ?? null;
  return {
    input,
    output: standard.output ?? firstCount(attributes, OUTPUT),
    cache_read,
    cache_write,
    reasoning: own.reasoning ?? provided?.reasoning ?? null,
    total: standard.total ?? count(attributes.get('ai.usage.totalTokens')),
    cache_counting: cacheCounting(attributes, input, (cache_read ?? 0) + (cache_write ?? 0), provider),
  };
}

/** From 6 on the SDK makes every provider's count inclusive and says how much was not cached; before, it copied it. */
function cacheCounting(attributes: Attributes, input: number | null, cached: number, provider: string | null): WireUsage['cache_counting'] {
  const uncached = count(attributes.get('ai.usage.inputTokenDetails.noCacheTokens'));
  if (uncached !== null && cached > 0) return uncached === input ? 'exclusive' : 'inclusive';
  if (uncached !== null) return 'inclusive';
  return /anthropic|bedrock/i.test(provider ?? text(attributes.get('ai.model.provider'), new Set()) ?? '') ? 'exclusive' : 'unstated';
}

/** Older versions tell cached and reasoning tokens only in the provider's own metadata, which is parsed only if it has any. */
function providerDetails(metadata: AttributeValue | undefined, flags: Set<string>): Pick<WireUsage, 'cache_read' | 'cache_write' | 'reasoning'> | null {
  if (typeof metadata === 'string' && !/cache|reasoning/i.test(metadata.slice(0, 64 * 1024))) {
    noteCut(metadata, flags);
    return null;
  }
  const fields = fieldsOf(metadata, flags);
  if (fields === null) return null;
  const members: (Fields | null)[] = [];
  for (const provider of ['openai', 'azure', 'anthropic', 'bedrock']) members.push(fieldsAt(fields, provider), fieldsAt(fields, provider, 'usage'));
  const firstOfAll = (keys: readonly string[]) => members.reduce<number | null>((found, member) => found ?? (member === null ? null : firstCount(member, keys)), null);
  return {
    cache_read: firstOfAll(['cachedPromptTokens', 'cacheReadInputTokens', 'cache_read_input_tokens']),
    cache_write: firstOfAll(['cacheCreationInputTokens', 'cacheWriteInputTokens', 'cache_creation_input_tokens']),
    reasoning: firstOfAll(['reasoningTokens']),
  };
}

const TTFT_MS = ['ai.response.msToFirstChunk', 'ai.stream.msToFirstChunk'];

/** Milliseconds; on the span, or on the event of the first chunk, whose own time is the last resort. */
function ttftOf({ span }: SpanSource): Inference['ttft'] {
  const value = firstAmount(span.attributes, TTFT_MS);
  if (value !== null) return { value, unit: 'ms' };
  const event = span.events.find(({ name }) => name === 'ai.stream.firstChunk');
  if (event === undefined) return null;
  const told = firstAmount(event.attributes, TTFT_MS);
  return told === null ? { at_ns: event.time_ns } : { value: told, unit: 'ms' };
}

