import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { firstToken } from './first-token.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource, WireUsage } from './index.ts';
import { annotationsOf } from './openinference-annotations.ts';
import { classify } from './operations.ts';
import { errorOf, inferenceOf } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import { answer, responseBody, type ResponseBody } from './response-body.ts';
import { type Fields, fieldsAt, fieldsOf, isFields, structureIn, structureOf } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstAmount, firstCount, firstText, text, truth } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * OpenInference (Arize, Phoenix; Python, JavaScript, Java, Go). The kind of a span is always stated. Messages are flattened into
 * numbered attributes, the provider's response is kept whole in `output.value`. In its GenAI mode a span has the words of the
 * conventions beside its own.
 */
export const openInference: Dialect = {
  name: 'openinference',
  matches: ({ scope, span }) => span.attributes.has(KIND) || SCOPES.some((prefix) => scope.name.startsWith(prefix)),
  read,
  scores: ({ span, flags }) => annotationsOf(span.attributes, flags),
};

const KIND = 'openinference.span.kind';
const SCOPES = ['openinference.instrumentation.', '@arizeai/openinference-'];

const RELATIVES: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['CHAIN', 'wrapper'],
  ['AGENT', 'agent'],
  ['TOOL', 'tool'],
  ['RETRIEVER', 'retrieval'],
  ['RERANKER', 'retrieval'],
  ['EVALUATOR', 'evaluator'],
  ['GUARDRAIL', 'not_an_llm_call'],
  ['PROMPT', 'not_an_llm_call'],
  ['DECISION', 'not_an_llm_call'],
]);

function read(source: SpanSource): Reading {
  const kind = kindOf(source.span.attributes, source.flags);
  if (kind === 'LLM' && PREPARES.test(source.span.name)) return { kind: 'relative', reason: 'not_an_llm_call' };
  if (kind === 'LLM') return { kind: 'inference', inference: llm(source) };
  if (kind === 'EMBEDDING') return { kind: 'inference', inference: embedding(source) };
  const reason = RELATIVES.get(kind);
  if (reason !== undefined && !isWrapper(reason)) return { kind: 'relative', reason };
  if (reason === undefined) {
    const operation = classify(source.span, source.flags);
    if (operation.kind === 'call') return { kind: 'inference', inference: llm(source) };
  }
  return wrapper(reason ?? 'wrapper', spoken(source, { operation: 'chat', body: null, parameters: null }));
}

/** LlamaIndex traces every method of a model's class as a model, also one that only puts a request together. */
const PREPARES = /^\w{1,64}\._prepare_/;

/** Stated, else what an older version's attributes show. */
function kindOf(attributes: Attributes, flags: Set<string>): string {
  const stated = text(attributes.get(KIND), flags)?.toUpperCase();
  if (stated !== undefined) return stated;
  if (attributes.has('embedding.model_name')) return 'EMBEDDING';
  return firstText(attributes, MODEL, flags) === null ? 'UNKNOWN' : 'LLM';
}

const MODEL = ['llm.response.model_name', 'llm.model_name', 'llm.request.model_name'];

function llm(source: SpanSource): Inference {
  const { attributes } = source.span;
  const told = responseOf(attributes, source.flags);
  const parameters = fieldsOf(attributes.get('llm.invocation_parameters'), source.flags);
  const stated = text(attributes.get('gen_ai.operation.name'), source.flags)?.toLowerCase();
  const completes = attributes.has('llm.prompts') || attributes.has('llm.prompts.0.prompt.text');
  const operation = stated === 'generate_content' || stated === 'text_completion' ? stated : completes ? 'text_completion' : 'chat';
  return spoken(source, { operation, body: told, parameters });
}

function embedding(source: SpanSource): Inference {
  const { attributes } = source.span;
  const model = text(attributes.get('embedding.model_name'), source.flags);
  const said = spoken(source, { operation: 'embeddings', body: null, parameters: fieldsOf(attributes.get('embedding.invocation_parameters'), source.flags) });
  return { ...said, response_model: said.error === null ? (said.response_model ?? model) : said.response_model, request_model: said.request_model ?? model };
}

/** `body`: the provider's response; `parameters`: what was asked of it. Null where they are not on the wire, or not looked at. */
type Read = { readonly operation: string; readonly body: ResponseBody | null; readonly parameters: Fields | null };

function spoken(source: SpanSource, { operation, body, parameters }: Read): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const told = inferenceOf(source, operation);
  const usage = usageOf(attributes, told.usage, body);
  const finish_reason = text(attributes.get('llm.finish_reason'), flags) ?? told.finish_reason ?? body?.finish_reason ?? null;
  const error = errorOf(span, flags, body !== null || finish_reason !== null || usage.output !== null);
  // Until an answer comes, `llm.model_name` is the model that was asked for.
  const model = text(attributes.get('llm.model_name'), flags);
  const asked = told.request_model ?? text(attributes.get('llm.request.model_name'), flags) ?? (parameters === null ? null : firstText(parameters, ['model', 'model_name', 'modelId', 'model_id'], flags));
  // LangChain's instrumentation leaves it at that for a stream, whose chunks know better.
  const answered = model !== null && model === asked ? (body?.model ?? model) : model;
  const served = text(attributes.get('llm.response.model_name'), flags) ?? (error === null ? answered : null) ?? told.response_model ?? body?.model ?? null;
  const ttft = firstToken(span) ?? told.ttft;
  return {
    ...told,
    provider: firstText(attributes, ['llm.provider', 'llm.system'], flags) ?? told.provider,
    // Where only one model is named, failed and successful calls must agree on what was asked: they are compared by it.
    request_model: asked ?? model,
    response_model: served,
    response_id: told.response_id ?? body?.id ?? null,
    finish_reason,
    is_stream: body?.is_stream ?? told.is_stream ?? truth(parameters?.get('stream')) ?? (ttft === null ? null : true),
    error,
    ttft,
    usage,
    cost_usd: costOf(attributes) ?? told.cost_usd,
    output: body?.messages ?? outputMessages(attributes) ?? told.output ?? plainOutput(attributes, operation),
    asks_json: told.asks_json || (parameters !== null && asksJson(parameters)),
    prompt_text: { template: attributes.get('llm.prompt_template.template'), system: systemPrompt(attributes) ?? told.prompt_text.system },
  };
}

function usageOf(attributes: Attributes, told: WireUsage, body: ResponseBody | null): WireUsage {
  const input = firstCount(attributes, ['llm.token_count.prompt']) ?? told.input;
  const output = firstCount(attributes, ['llm.token_count.completion']) ?? told.output;
  if (input === null && output === null && body !== null && body.usage !== null) return body.usage;
  return {
    input,
    output,
    cache_read: firstCount(attributes, ['llm.token_count.prompt_details.cache_read', 'llm.token_count.prompt_details.cache_input']) ?? told.cache_read ?? some(body?.usage?.cache_read),
    cache_write: firstCount(attributes, ['llm.token_count.prompt_details.cache_write']) ?? told.cache_write ?? some(body?.usage?.cache_write),
    reasoning: firstCount(attributes, ['llm.token_count.completion_details.reasoning']) ?? told.reasoning ?? some(body?.usage?.reasoning),
    total: firstCount(attributes, ['llm.token_count.total']) ?? told.total,
    cache_counting: isExclusive(input, body?.usage ?? null) ? 'exclusive' : 'unstated',
  };
}

/** Inclusive by the convention; instrumentations of before 2025 copied Anthropic's exclusive count, as the response beside it shows: it has the same, or (LangChain) the sum. */
function isExclusive(input: number | null, answered: WireUsage | null): boolean {
  if (input === null || answered === null || answered.input === null) return false;
  if (answered.cache_counting === 'exclusive') return answered.input === input;
  const cached = (answered.cache_read ?? 0) + (answered.cache_write ?? 0);
  return cached > 0 && answered.input === input + cached;
}

/** From the response, where the instrumentation leaves a part out: one of which there is none it leaves out as well. */
function some(count: number | null | undefined): number | null {
  return count === undefined || count === 0 ? null : count;
}

function costOf(attributes: Attributes): number | null {
  const total = firstAmount(attributes, ['llm.cost.total']);
  if (total !== null) return total;
  const parts = [firstAmount(attributes, ['llm.cost.prompt']), firstAmount(attributes, ['llm.cost.completion'])].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.reduce((sum, part) => sum + part, 0);
}

/** What hides content writes this in its place. */
const REDACTED = '__REDACTED__';

/** The response as the provider sent it. An answer that is itself JSON has an id of its own kind, so it must look like a response. */
function responseOf(attributes: Attributes, flags: Set<string>): ResponseBody | null {
  if (attributes.get('output.mime_type') === 'text/plain') return null;
  const output = (attributes.get('output.mime_type') === 'application/json' ? structureOf : structureIn)(attributes.get('output.value'), flags);
  if (!isFields(output)) return null;
  // Mistral's client hands out each chunk as an event, with the chunk as its data.
  const body = responseBody(fieldsAt(output, 'data') ?? output, flags);
  return body.messages === undefined ? null : body;
}

/** Choices that are looked at: signals need the first, and whether all are well formed. */
const MAX_CHOICES = 8;
const MAX_PARTS = 16;

/** Undefined where no message is on the wire. */
function outputMessages(attributes: Attributes): AttributeValue | undefined {
  const messages: AttributeValue[] = [];
  for (let index = 0; index < MAX_CHOICES; index++) {
    const found = messageAt(attributes, `llm.output_messages.${index}.message.`) ?? completionAt(attributes, `llm.choices.${index}.completion.text`);
    if (found === undefined) break;
    messages.push(found);
  }
  return messages.length === 0 ? undefined : messages;
}

function messageAt(attributes: Attributes, prefix: string): AttributeValue | undefined {
  const content = attributes.get(`${prefix}content`) ?? partsAt(attributes, `${prefix}contents.`);
  const callsTool = attributes.has(`${prefix}tool_calls.0.tool_call.function.name`) || attributes.has(`${prefix}function_call_name`);
  if (content === undefined && !callsTool && !attributes.has(`${prefix}role`)) return undefined;
  const message = new Map<string, AttributeValue>();
  if (content !== undefined && content !== REDACTED) message.set('content', content);
  if (callsTool) message.set('tool_calls', [true]);
  return message;
}

function partsAt(attributes: Attributes, prefix: string): AttributeValue | undefined {
  const parts: AttributeValue[] = [];
  for (let index = 0; index < MAX_PARTS; index++) {
    const type = attributes.get(`${prefix}${index}.message_content.type`);
    const content = attributes.get(`${prefix}${index}.message_content.text`);
    if (type === undefined && content === undefined) break;
    const part = new Map<string, AttributeValue>([['type', type ?? 'text']]);
    if (content !== undefined && content !== REDACTED) part.set('text', content);
    parts.push(part);
  }
  return parts.length === 0 ? undefined : parts;
}

function completionAt(attributes: Attributes, key: string): AttributeValue | undefined {
  const completion = attributes.get(key);
  return typeof completion === 'string' && completion !== REDACTED ? answer(completion) : undefined;
}

/** A stream that nobody put together, as Python writes an object of which it knows no more. */
const REPRESENTED = /^<[\w.]{1,128} object at 0x[0-9a-f]{1,16}>$/;

/** The answer as text, where that is all there is (streams in JavaScript; LlamaIndex states no type). */
function plainOutput(attributes: Attributes, operation: string): AttributeValue | undefined {
  const output = attributes.get('output.value');
  if (operation === 'embeddings' || attributes.get('output.mime_type') === 'application/json' || typeof output !== 'string' || output === REDACTED || REPRESENTED.test(output)) return undefined;
  return [answer(output)];
}

function systemPrompt(attributes: Attributes): AttributeValue | undefined {
  const role = attributes.get('llm.input_messages.0.message.role');
  if (role !== 'system' && role !== 'developer') return undefined;
  const content = attributes.get('llm.input_messages.0.message.content') ?? attributes.get('llm.input_messages.0.message.contents.0.message_content.text');
  return content === REDACTED ? undefined : content;
}

/** OpenAI's two APIs, Gemini's. */
function asksJson(parameters: Fields): boolean {
  const formats = [fieldsAt(parameters, 'response_format')?.get('type'), fieldsAt(parameters, 'text', 'format')?.get('type'), parameters.get('response_mime_type'), parameters.get('responseMimeType')];
  return formats.some((format) => format === 'json_object' || format === 'json_schema' || format === 'application/json');
}

/**
 * A version, and the id of a prompt where the application says one: there is no key for its name, which people put into
 * `metadata`. LangChain's instrumentation writes "unknown" as the version of every template.
 */
export const openInferencePrompt: PromptReader = (attributes, flags) => {
  const stated = text(attributes.get('llm.prompt_template.version'), flags);
  const version = stated?.toLowerCase() === 'unknown' ? null : stated;
  // Other software counts its users' inputs under `prompt.id`.
  const isOwnId = version !== null || attributes.has(KIND) || attributes.has('prompt.vendor') || attributes.has('prompt.url');
  const prompt = promptOf(isOwnId ? attributes.get('prompt.id') : undefined, version ?? undefined, flags);
  return prompt === null ? null : { ...prompt, name_is_id: true };
};
