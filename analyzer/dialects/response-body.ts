import type { AttributeValue } from '../../schemas/otlp.ts';
import type { WireUsage } from './index.ts';
import { providerUsage } from './provider-usage.ts';
import { type Fields, fieldsAt, isFields, listOf } from './structured.ts';
import { firstText, text } from './values.ts';

/**
 * A provider's response as a whole, which some libraries keep in one attribute: OpenAI Chat Completions (`choices`), OpenAI
 * Responses (`output` items), Anthropic Messages (`content`, `stop_reason`), Gemini (`candidates`), Bedrock Converse
 * (`output.message`), and what LangChain (`generations`), the AI SDK (`finishReason`) and AutoGen (`content`, `finish_reason`) make of them.
 */
export type ResponseBody = {
  readonly id: string | null;
  readonly model: string | null;
  /** Of the first choice. */
  readonly finish_reason: string | null;
  /** It came in chunks, which were put together. Null where nothing tells. */
  readonly is_stream: true | null;
  readonly usage: WireUsage | null;
  /** In a shape of `signals/answer.ts`. Undefined: nothing of this kind. */
  readonly messages: AttributeValue | undefined;
};

export function responseBody(body: Fields, flags: Set<string>): ResponseBody {
  const usage = firstFields(body, ['usage', 'usage_metadata', 'usageMetadata']);
  const came = choices(body, flags) ?? generations(body, flags) ?? responseItems(body, flags) ?? candidates(body, flags) ?? converse(body, flags) ?? modelResult(body, flags) ?? message(body, flags);
  return {
    id: came?.id ?? firstText(body, ['id', 'response_id', 'responseId'], flags),
    model: firstText(body, ['model', 'model_version', 'modelVersion'], flags) ?? came?.model ?? null,
    finish_reason: came?.finish_reason ?? null,
    is_stream: came?.is_stream ?? null,
    usage: usage === null ? (came?.usage ?? null) : providerUsage(usage),
    messages: came?.messages,
  };
}

/** `id`, `model` and `usage` where they stand deeper than in the body itself. */
type Came = { readonly messages: AttributeValue; readonly finish_reason: string | null; readonly id?: string | null; readonly model?: string | null; readonly is_stream?: true | null; readonly usage?: WireUsage | null };

function choices(body: Fields, flags: Set<string>): Came | null {
  const list = listOf(body.get('choices')).filter(isFields);
  if (list.length === 0) return null;
  return {
    messages: list.map((choice) => choice.get('message') ?? choice.get('delta') ?? answer(choice.get('text') ?? null)),
    finish_reason: text(list[0]?.get('finish_reason'), flags),
  };
}

/**
 * LangChain: a list of choices for each prompt. Messages are serialised objects, with what they hold under `kwargs`. Its own id of
 * the message names nothing elsewhere: the provider's is in the metadata.
 */
function generations(body: Fields, flags: Set<string>): Came | null {
  const list = listOf(body.get('generations')).flatMap((entry) => (Array.isArray(entry) ? listOf(entry) : [entry])).filter(isFields);
  const [first] = list;
  if (first === undefined) return null;
  const sent = (generation: Fields) => fieldsAt(generation, 'message', 'kwargs') ?? fieldsAt(generation, 'message');
  const metadata = [fieldsAt(first, 'generation_info'), fieldsAt(first, 'generationInfo'), fieldsAt(sent(first), 'response_metadata'), fieldsAt(body, 'llm_output')];
  const usage = fieldsAt(sent(first), 'usage_metadata');
  const stated = (keys: readonly string[]) => metadata.reduce<string | null>((found, fields) => found ?? (fields === null ? null : firstText(fields, keys, flags)), null);
  return {
    messages: list.map((generation) => sent(generation) ?? answer(generation.get('text') ?? null)),
    // OpenAI's Responses have a status instead.
    finish_reason: stated(['finish_reason', 'stop_reason']) ?? stated(['status']),
    id: stated(['id']),
    model: stated(['model_name', 'model']),
    is_stream: text(first.get('type'), flags)?.endsWith('Chunk') === true ? true : null,
    usage: usage === null ? null : providerUsage(usage),
  };
}

/**
 * One answer in several items (reasoning, tool calls, messages). A response that was cut has no finish reason but
 * `incomplete_details`; what was completed says so in its status.
 */
function responseItems(body: Fields, flags: Set<string>): Came | null {
  const items = listOf(body.get('output'));
  if (items.length === 0) return null;
  const parts = items.flatMap((item) => (isFields(item) && item.get('type') === 'message' ? listOf(item.get('content')) : [item]));
  return { messages: [answer(parts)], finish_reason: text(fieldsAt(body, 'incomplete_details')?.get('reason'), flags) ?? text(body.get('status'), flags) };
}

function candidates(body: Fields, flags: Set<string>): Came | null {
  const list = listOf(body.get('candidates')).filter(isFields);
  const [first] = list;
  if (first === undefined) return null;
  return {
    messages: list.map((candidate) => answer(untypedParts(fieldsAt(candidate, 'content')?.get('parts')))),
    finish_reason: firstText(first, ['finish_reason', 'finishReason'], flags),
  };
}

function converse(body: Fields, flags: Set<string>): Came | null {
  const content = fieldsAt(body, 'output', 'message')?.get('content');
  return content === undefined ? null : { messages: [answer(untypedParts(content))], finish_reason: text(body.get('stopReason'), flags) };
}

/** What a model of the AI SDK hands back. Version 6 says the reason in its own word and in the provider's; of a stream LangSmith puts text and tool calls together. */
function modelResult(body: Fields, flags: Set<string>): Came | null {
  const reason = body.get('finishReason');
  if (reason === undefined) return null;
  const response = fieldsAt(body, 'response');
  return {
    messages: [body],
    finish_reason: text(isFields(reason) ? reason.get('unified') : reason, flags),
    id: text(response?.get('id') ?? fieldsAt(body, 'providerMetadata', 'openai')?.get('responseId'), flags),
    model: text(response?.get('modelId'), flags),
  };
}

function message(body: Fields, flags: Set<string>): Came | null {
  if (!body.has('content') || !(body.has('stop_reason') || body.has('role') || body.has('finish_reason'))) return null;
  return { messages: [body], finish_reason: firstText(body, ['stop_reason', 'finish_reason'], flags) };
}

/** A message of the model, from its text or its parts. */
export function answer(content: AttributeValue): Fields {
  return new Map<string, AttributeValue>([['role', 'assistant'], ['content', content]]);
}

/** Google's and Amazon's parts say what they are by the member that they have. */
function untypedParts(parts: AttributeValue | undefined): readonly AttributeValue[] {
  return listOf(parts).map((part) => (isFields(part) && typeof part.get('text') === 'string' && part.get('thought') !== true ? part : new Map([['type', 'other']])));
}

function firstFields(fields: Fields, keys: readonly string[]): Fields | null {
  for (const key of keys) {
    const found = fieldsAt(fields, key);
    if (found !== null) return found;
  }
  return null;
}
