import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { firstToken } from './first-token.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource, WireUsage } from './index.ts';
import { classify } from './operations.ts';
import { errorOf, inferenceOf } from './otel-genai.ts';
import { providerUsage } from './provider-usage.ts';
import { promptAt } from './prompt-pair.ts';
import { answer, responseBody } from './response-body.ts';
import { type Fields, fieldsAt, isFields, listOf, structureOf, UNREADABLE } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { amount, firstText, text, truth } from './values.ts';
import { wrapper } from './wrapper.ts';

/** MLflow writes every attribute as JSON text, also the shortest: `"\"gpt-4o\""`. Inputs and outputs are those of the function it traced. */
export const mlflow: Dialect = {
  name: 'mlflow',
  matches: ({ scope, span: { attributes } }) => scope.name.startsWith('mlflow') || MARKERS.some((key) => attributes.has(key)),
  read,
};

const MARKERS = ['mlflow.spanType', 'mlflow.traceRequestId', 'mlflow.spanInputs', 'mlflow.spanOutputs', 'mlflow.chat.tokenUsage'];

const CALLS: ReadonlyMap<string, string> = new Map([
  ['LLM', 'chat'],
  ['CHAT_MODEL', 'chat'],
  ['EMBEDDING', 'embeddings'],
]);
const RELATIVES: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['TOOL', 'tool'],
  ['RETRIEVER', 'retrieval'],
  ['RERANKER', 'retrieval'],
  ['MEMORY', 'memory'],
  ['EVALUATOR', 'evaluator'],
  ['GUARDRAIL', 'not_an_llm_call'],
  ['PARSER', 'not_an_llm_call'],
]);

function read(source: SpanSource): Reading {
  const type = unquoted(source.span.attributes.get('mlflow.spanType'), source.flags)?.toUpperCase() ?? 'UNKNOWN';
  const operation = CALLS.get(type);
  if (operation !== undefined) return { kind: 'inference', inference: own(source, operation) };
  const reason = RELATIVES.get(type);
  if (reason !== undefined) return { kind: 'relative', reason };
  // MLflow marks the spans of other libraries as its own without knowing what they are.
  const other = type === 'UNKNOWN' ? classify(source.span, source.flags) : null;
  if (other?.kind === 'call') return { kind: 'inference', inference: own(source, other.name) };
  // Anything else is a function that may have a call below it: AGENT, CHAIN, WORKFLOW, TASK, and types of the application's own.
  return wrapper(type === 'AGENT' ? 'agent' : 'wrapper', spoken(source, { operation: 'chat', inputs: null, outputs: undefined }));
}

/** A value as it was before it became JSON text. */
function unquoted(value: AttributeValue | undefined, flags: Set<string>): string | null {
  if (typeof value !== 'string' || !value.startsWith('"') || value.length > MAX_QUOTED_CHARACTERS) return text(value, flags);
  try {
    // JSON text that begins with a quote is a text.
    return text(JSON.parse(value) as string, flags);
  } catch {
    return text(value, flags);
  }
}

/** What is quoted and longer is no name. */
const MAX_QUOTED_CHARACTERS = 1024;

function own(source: SpanSource, operation: string): Inference {
  const { attributes } = source.span;
  const inputs = structureOf(attributes.get('mlflow.spanInputs'), source.flags);
  const outputs = operation === 'embeddings' ? undefined : (quotedAnswer(attributes.get('mlflow.spanOutputs'), source.flags) ?? structureOf(attributes.get('mlflow.spanOutputs'), source.flags));
  return spoken(source, { operation, inputs: isFields(inputs) ? inputs : null, outputs });
}

/** An answer that is text only, even where that text is JSON. */
function quotedAnswer(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  if (typeof value !== 'string' || !value.startsWith('"') || value.length > MAX_ANSWER_CHARACTERS) return undefined;
  try {
    return [answer(JSON.parse(value) as string)]; // JSON text that begins with a quote is a text.
  } catch {
    flags.add(UNREADABLE);
    return undefined;
  }
}

const MAX_ANSWER_CHARACTERS = 256 * 1024;

type Read = { readonly operation: string; readonly inputs: Fields | null; readonly outputs: AttributeValue | undefined };

function spoken(source: SpanSource, { operation, inputs, outputs }: Read): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const quoted = (key: string) => unquoted(attributes.get(key), flags);
  const told = inferenceOf(source, operation);
  const response = isFields(outputs) ? responseBody(outputs, flags) : null;
  const body = response !== null && (response.messages !== undefined || response.usage !== null) ? response : null;
  const usage = tokenUsage(attributes, flags) ?? body?.usage ?? told.usage;
  const finish_reason = body?.finish_reason ?? told.finish_reason;
  const error = errorOf(span, flags, outputs !== undefined || finish_reason !== null || usage.output !== null);
  const asked = quoted('model') ?? (inputs === null ? null : firstText(inputs, ['model', 'model_name', 'modelId'], flags)) ?? told.request_model;
  const named = quoted('mlflow.llm.model');
  const ttft = firstToken(span) ?? told.ttft;
  return {
    ...told,
    operation: isFields(outputs) && isCompletion(outputs) ? 'text_completion' : operation,
    provider: quoted('mlflow.llm.provider') ?? told.provider,
    // Where only one model is named, failed and successful calls must agree on what was asked: they are compared by it.
    request_model: asked ?? named,
    response_model: (error === null ? (body?.model ?? named) : null) ?? told.response_model,
    response_id: body?.id ?? told.response_id ?? responseId(quoted('id')),
    finish_reason,
    is_stream: truth(quoted('stream')) ?? truth(inputs?.get('stream')) ?? told.is_stream ?? (ttft === null ? null : true),
    error,
    ttft,
    usage,
    cost_usd: costOf(attributes, flags) ?? told.cost_usd,
    output: body?.messages ?? (Array.isArray(outputs) ? outputs : told.output),
    asks_json: told.asks_json || (inputs !== null && asksJson(inputs)),
    prompt_text: { template: undefined, system: (inputs === null ? undefined : systemPrompt(inputs)) ?? told.prompt_text.system },
  };
}

function isCompletion(outputs: Fields): boolean {
  return outputs.get('object') === 'text_completion';
}

/** OpenAI's agents keep the response's other members as attributes; an `id` of anything else is not the provider's. */
function responseId(id: string | null): string | null {
  return id !== null && id.startsWith('resp_') ? id : null;
}

/** MLflow adds Anthropic's cached tokens to the input itself; what it copies from Bedrock is left to the numbers. */
function tokenUsage(attributes: Attributes, flags: Set<string>): WireUsage | null {
  const usage = structureOf(attributes.get('mlflow.chat.tokenUsage'), flags);
  return isFields(usage) ? { ...providerUsage(usage), cache_counting: 'unstated' } : null;
}

function costOf(attributes: Attributes, flags: Set<string>): number | null {
  const cost = structureOf(attributes.get('mlflow.llm.cost'), flags);
  return isFields(cost) ? amount(cost.get('total_cost')) : null;
}

/** OpenAI's messages, Anthropic's and Gemini's own parameter. */
function systemPrompt(inputs: Fields): AttributeValue | undefined {
  const stated = inputs.get('system') ?? inputs.get('instructions') ?? fieldsAt(inputs, 'config')?.get('system_instruction');
  if (typeof stated === 'string' || Array.isArray(stated)) return stated;
  const [first] = listOf(inputs.get('messages'));
  return isFields(first) && (first.get('role') === 'system' || first.get('role') === 'developer') ? first.get('content') : undefined;
}

function asksJson(inputs: Fields): boolean {
  const formats = [fieldsAt(inputs, 'response_format')?.get('type'), fieldsAt(inputs, 'text', 'format')?.get('type'), fieldsAt(inputs, 'config')?.get('response_mime_type')];
  return formats.some((format) => format === 'json_object' || format === 'json_schema' || format === 'application/json');
}

/**
 * The prompts that were loaded while the span was open: JSON text of JSON text, usually on the function around the call. With
 * several there is no telling which one the call was made from.
 */
export const mlflowPrompt: PromptReader = (attributes, flags) => {
  const linked = attributes.get('mlflow.linkedPrompts');
  if (linked === undefined) return null;
  const prompts = listOf(structureOf(linked, flags)).filter(isFields);
  const [first, ...others] = prompts.map((prompt) => promptAt(prompt, { name: 'name', version: 'version' }, flags)).filter((pair) => pair !== null && pair.prompt_name !== null);
  if (first === undefined || first === null) return null;
  const isOne = others.every((other) => other?.prompt_name === first.prompt_name && other?.prompt_version === first.prompt_version);
  return isOne ? first : { ...first, prompt_attribution: 'ambiguous' };
};
