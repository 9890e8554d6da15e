import type { AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import { answer } from './response-body.ts';
import { fieldsOf, isFields, listOf, structureOf } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { amount, firstAmount, firstCount, text, truth } from './values.ts';
import { wrapper } from './wrapper.ts';

/**
 * LangWatch (`langwatch.*`; Python, TypeScript, Go): spans have a type of their own, and models, times and usage beside the conventions'. What was sent
 * and came back is wrapped: `{type, value}`. Its span processor may put its keys on spans of other libraries.
 */
export const langWatch: Dialect = { name: 'langwatch', matches: ({ span }) => span.attributes.has(TYPE), read };

const TYPE = 'langwatch.span.type';
const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['tool', 'tool'],
  ['rag', 'retrieval'],
  ['evaluation', 'evaluator'],
  ['guardrail', 'not_an_llm_call'],
  ['prompt', 'not_an_llm_call'],
]);

function read(source: SpanSource): Reading {
  const type = text(source.span.attributes.get(TYPE), source.flags);
  if (type === 'llm') return { kind: 'inference', inference: inferenceIn(source) };
  const other = OTHERS.get(type ?? '');
  if (other !== undefined) return { kind: 'relative', reason: other };
  const reading = readGenAi(source);
  return reading.kind === 'relative' && reading.reason === 'not_an_llm_call' ? wrapper(type === 'agent' ? 'agent' : 'wrapper', inferenceOf(source, 'chat')) : reading;
}

function inferenceIn(source: SpanSource): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const said = inferenceOf(source, 'chat');
  const metrics = fieldsOf(attributes.get('langwatch.metrics'), flags) ?? new Map<string, AttributeValue>();
  const times = fieldsOf(attributes.get('langwatch.timestamps'), flags);
  const parameters = fieldsOf(attributes.get('langwatch.params'), flags);
  const first = amount(times?.get('first_token_at'));
  // The client's wrapper writes "openai/gpt-4o".
  const [provider, model] = vendorAndModel(said.request_model);
  return {
    ...said,
    provider: said.provider ?? provider,
    request_model: model,
    is_stream: said.is_stream ?? truth(parameters?.get('stream')) ?? (first === null ? null : true),
    ttft: first === null ? said.ttft : { at_ns: BigInt(Math.round(first)) * 1_000_000n },
    usage: {
      ...said.usage,
      input: said.usage.input ?? firstCount(metrics, ['prompt_tokens', 'promptTokens']),
      output: said.usage.output ?? firstCount(metrics, ['completion_tokens', 'completionTokens']),
      reasoning: said.usage.reasoning ?? firstCount(metrics, ['reasoning_tokens', 'reasoningTokens']),
    },
    cost_usd: said.cost_usd ?? firstAmount(metrics, ['cost']),
    output: said.output ?? wrapped(attributes.get('langwatch.output'), flags),
    prompt_text: { template: undefined, system: said.prompt_text.system ?? conversationIn(attributes.get('langwatch.input'), flags) },
  };
}

function vendorAndModel(model: string | null): readonly [string | null, string | null] {
  const slash = model?.indexOf('/') ?? -1;
  return model === null || slash <= 0 ? [null, model] : [model.slice(0, slash), model.slice(slash + 1)];
}

function wrapped(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  const output = structureOf(value, flags);
  const inner = isFields(output) ? output.get('value') : undefined;
  return typeof inner === 'string' ? [answer(inner)] : (inner ?? undefined);
}

function conversationIn(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  const input = structureOf(value, flags);
  const messages = isFields(input) ? input.get('value') : undefined;
  return listOf(messages).length === 0 ? undefined : new Map([['messages', messages ?? null]]);
}

/** Of a trace's first span: session and user as the application gave them to the decorator, in JSON. */
export function langWatchMetadata(attributes: SpanSource['span']['attributes'], key: 'thread_id' | 'user_id', flags: Set<string>): string | null {
  const metadata = attributes.has(TYPE) ? attributes.get('metadata') : undefined;
  const fields = metadata === undefined ? null : fieldsOf(metadata, flags);
  return fields === null ? null : text(fields.get(key), flags);
}

/** Of its prompt registry: a handle that people gave, else an id; versions are numbered. */
export const langWatchPrompt: PromptReader = (attributes, flags) => {
  const handle = text(attributes.get('langwatch.prompt.handle'), flags);
  const id = attributes.get('langwatch.prompt.id');
  const prompt = promptOf(handle ?? id, attributes.get('langwatch.prompt.version.number') ?? attributes.get('langwatch.prompt.version.id'), flags);
  return prompt === null ? null : { ...prompt, name_is_id: handle === null };
};
