import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Inference, Reading, SpanSource, WireUsage } from './index.ts';
import { openInference } from './openinference.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import { providerUsage } from './provider-usage.ts';
import { responseBody } from './response-body.ts';
import { type Fields, fieldsAt, fieldsOf, structureOf } from './structured.ts';
import type { PromptReader, PromptTags } from './tags.ts';
import { firstAmount, firstTruth, text } from './values.ts';

/**
 * LiteLLM, its SDK and its proxy. The first generation tells one call up to three times, each in the other: on the proxy's
 * server span (since 1.81, there alone by default), in `litellm_request`, and in the provider's words in `raw_gen_ai_request`,
 * which is all that is left inside of an application's span and says nothing of a stream. Each may be the only one, so each is
 * read as the call; that the innermost stands for all is seen where spans meet. Everything that is no scalar is `str()` of a Python object. Its
 * callbacks for Arize, Phoenix, Langfuse and Weave write the same spans in the words of OpenInference, with all metadata as JSON in one attribute. The
 * second generation (`LITELLM_OTEL_V2`) has one span for each call, in the conventions' words beside `litellm.*`.
 */
export const litellm: Dialect = {
  name: 'litellm',
  matches: ({ scope, span }) => scope.name.startsWith('litellm') || span.name === 'litellm_request' || span.name === RAW_REQUEST || span.attributes.has('litellm.call_id'),
  read,
};

const RAW_REQUEST = 'raw_gen_ai_request';

/** Metadata of the caller survives only inside of these. A prompt of LiteLLM's own management has an id and loses its version. */
export const litellmPrompt: PromptReader = (attributes, flags) => {
  for (const key of CALLERS_METADATA) {
    const metadata = attributes.get(key);
    if (typeof metadata === 'string' && !metadata.includes('prompt')) continue;
    const found = namedIn(fieldsOf(metadata, flags), flags);
    if (found !== null) return found;
  }
  const whole = wholeMetadata(attributes, flags);
  for (const key of CALLERS_METADATA_IN_WHOLE) {
    const found = namedIn(fieldsAt(whole, key), flags);
    if (found !== null) return found;
  }
  for (const key of PROMPT_MANAGEMENT) {
    const managed = fieldsOf(attributes.get(key), flags);
    const found = managed === null ? null : promptOf(managed.get('prompt_id'), managed.get('prompt_version'), flags);
    if (found !== null) return { ...found, name_is_id: true };
  }
  return null;
};

const CALLERS_METADATA = ['metadata.spend_logs_metadata', 'metadata.requester_metadata', 'litellm.metadata.spend_logs_metadata', 'litellm.metadata.requester_metadata'];
const CALLERS_METADATA_IN_WHOLE = ['spend_logs_metadata', 'requester_metadata'];
const CALLERS_METADATA_IN_TEXT = /"(?:spend_logs|requester)_metadata": ?\{/;

/** All of the metadata as JSON, under a name that others use too: parsed where the caller's own is in it. */
function wholeMetadata(attributes: Attributes, flags: Set<string>): Fields | null {
  const metadata = attributes.get('metadata');
  return typeof metadata === 'string' && metadata.length <= MAX_CHARACTERS && CALLERS_METADATA_IN_TEXT.test(metadata) ? fieldsOf(metadata, flags) : null;
}

const PROMPT_MANAGEMENT = ['metadata.prompt_management_metadata', 'litellm.metadata.prompt_management_metadata'];

/** The proxy takes `spend_logs_metadata` out of the metadata of some requests, and of others (Responses) leaves it there. */
function namedIn(metadata: Fields | null, flags: Set<string>): PromptTags | null {
  if (metadata === null) return null;
  const found = promptOf(metadata.get('prompt_name') ?? metadata.get('promptName'), metadata.get('prompt_version') ?? metadata.get('promptVersion'), flags);
  return found ?? namedIn(fieldsAt(metadata, 'spend_logs_metadata'), flags);
}

/** The session that the caller of the proxy named in the metadata of its request. */
export function litellmSession(attributes: Attributes, flags: Set<string>): string | null {
  for (const key of CALLERS_METADATA) {
    const metadata = attributes.get(key);
    if (typeof metadata !== 'string' || !metadata.includes('session_id')) continue;
    const session = text(fieldsOf(metadata, flags)?.get('session_id'), flags);
    if (session !== null) return session;
  }
  return null;
}

/** Call types of the first generation, with an `a` in front where they are asynchronous; the proxy has them for operations. */
const OPERATIONS: readonly (readonly [RegExp, string])[] = [
  [/^a?text_completion$/, 'text_completion'],
  [/embedding$/, 'embeddings'],
  [/^(?:a?completion|a?responses|anthropic_messages)$/, 'chat'],
];

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const { attributes } = span;
  if (span.name === RAW_REQUEST) return readRaw(source);
  const stated = text(attributes.get('gen_ai.operation.name'), flags);
  // Moderation, vector stores and the like are LiteLLM's own operations, whatever ids and models they carry.
  if (stated?.startsWith('litellm.') === true || attributes.has('litellm.guardrail.name')) return { kind: 'relative', reason: 'not_an_llm_call' };
  const reading = attributes.has(OPENINFERENCE_KIND) ? openInference.read(source) : readGenAi(source);
  const known = operationOf(stated ?? attributes.get('llm.request.type'));
  if (reading.kind === 'inference') return { kind: 'inference', inference: { ...detailed(source, reading.inference), operation: known ?? reading.inference.operation } };
  // A call that failed under an operation of LiteLLM's own shows nothing that a model would have said.
  const isCall = stated !== null && known !== null && reading.reason === 'not_an_llm_call' && attributes.has('gen_ai.request.model');
  return isCall ? { kind: 'inference', inference: detailed(source, inferenceOf(source, known)) } : reading;
}

/** Which tells the callbacks that write in its words. */
const OPENINFERENCE_KIND = 'openinference.span.kind';

function operationOf(type: AttributeValue | undefined): string | null {
  if (typeof type !== 'string' || type.length > 64) return null;
  return OPERATIONS.find(([pattern]) => pattern.test(type))?.[1] ?? null;
}

function detailed({ span, flags }: SpanSource, standard: Inference): Inference {
  const { attributes } = span;
  const { error } = standard;
  return {
    ...standard,
    response_model: servedModel(standard, attributes, flags),
    response_id: standard.response_id ?? text(attributes.get('llm.response.id'), flags),
    is_stream: firstTruth(attributes, ['litellm.request.streaming', 'llm.is_streaming']) ?? standard.is_stream,
    error: error === null ? null : { type: error.type, message: error.message ?? text(attributes.get('error.message'), flags, MAX_MESSAGE_CHARACTERS) },
    usage: withDetails(standard.usage, attributes, flags),
    cost_usd: firstAmount(attributes, ['litellm.cost.total', 'gen_ai.cost.total_cost']) ?? standard.cost_usd,
    is_cache_hit: firstTruth(attributes, ['litellm.cache_hit', 'metadata.cache_hit', 'cache_hit']) === true,
  };
}

/** Callers of the proxy are told the name under which they asked for a group of models, and so is the span where nothing else is known. */
function servedModel({ request_model, response_model }: Inference, attributes: Attributes, flags: Set<string>): string | null {
  const served = (attributes.has(OPENINFERENCE_KIND) ? text(attributes.get('llm.response.model'), flags) : null) ?? response_model;
  return served === attributes.get('litellm.model_group') && served !== request_model ? null : served;
}

const MAX_MESSAGE_CHARACTERS = 1024;

/** The first generation tells cached and reasoning tokens only in its copy of the usage, in which every count is inclusive. */
function withDetails(standard: WireUsage, attributes: Attributes, flags: Set<string>): WireUsage {
  const copy = attributes.get('metadata.usage_object');
  if (copy === undefined || standard.cache_read !== null) return standard;
  const fields = fieldsOf(copy, flags);
  if (fields === null) return standard;
  const { cache_read, cache_write, reasoning } = providerUsage(fields);
  return { ...standard, cache_read, cache_write: standard.cache_write ?? cache_write, reasoning: standard.reasoning ?? reasoning, cache_counting: 'inclusive' };
}

/** The provider's exchange, `llm.<provider>.<field>`. It does not name the model that was asked for. */
function readRaw(source: SpanSource): Reading {
  const { span, flags } = source;
  const provider = providerOf(span.attributes);
  if (provider === null) return { kind: 'relative', reason: 'wrapper' };
  const field = (name: string): AttributeValue | undefined => structureOrText(span.attributes.get(`llm.${provider}.${name}`), flags);
  const members = new Map<string, AttributeValue>();
  for (const name of BODY) {
    const value = field(name);
    if (value !== undefined) members.set(name, value);
  }
  const body = responseBody(members, flags);
  // What was sent is there too, and of some calls alone.
  if (body.messages === undefined && body.usage === null) return { kind: 'relative', reason: 'wrapper' };
  const standard = inferenceOf(source, members.get('object') === 'list' ? 'embeddings' : 'chat');
  const inference: Inference = {
    ...standard,
    provider: provider === NO_PROVIDER ? null : provider,
    response_model: body.model,
    // LiteLLM hands on the id of a completion in OpenAI's shape, and gives any other answer one of its own, by which everybody else knows it.
    response_id: members.has('choices') ? body.id : null,
    finish_reason: body.finish_reason,
    usage: body.usage ?? standard.usage,
    output: body.messages,
    prompt_text: { template: undefined, system: field('system') ?? field('messages') },
  };
  return { kind: 'inference', inference };
}

/** Python's None, as text: LiteLLM does not know it where the model is asked through another of its methods (Responses, embeddings). */
const NO_PROVIDER = 'None';

const BODY = ['id', 'model', 'object', 'choices', 'output', 'content', 'stop_reason', 'incomplete_details', 'usage'];

function providerOf(attributes: Attributes): string | null {
  for (const key of attributes.keys()) {
    const end = key.startsWith('llm.') ? key.indexOf('.', 4) : -1;
    if (end > 4 && end < 64) return key.slice(4, end);
  }
  return null;
}

const MAX_CHARACTERS = 256 * 1024;

function structureOrText(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  return typeof value !== 'string' || (!value.startsWith('{') && !value.startsWith('[')) ? value : structureOf(value, flags);
}
