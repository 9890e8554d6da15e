import type { AttributeValue } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { providerUsage } from './provider-usage.ts';
import { answer } from './response-body.ts';
import { type Fields, fieldsAt, isFields, listOf, structureOf } from './structured.ts';
import { text } from './values.ts';

/**
 * Haystack's own tracer (`haystack.*`), under whatever scope the application gave it: a component is a span, and its class tells the call. Model and usage
 * are in its output, which is on the wire only where content is traced (`HAYSTACK_CONTENT_TRACING_ENABLED`). An agent's steps call the model without a component.
 */
export const haystack: Dialect = { name: 'haystack', matches: ({ span }) => span.name.startsWith('haystack.') && (span.attributes.has(TYPE) || OTHER_SPAN.test(span.name)), read };

const TYPE = 'haystack.component.type';
const OTHER_SPAN = /^haystack\.(?:pipeline|async_pipeline|agent|component)\./;
const STEP = 'haystack.agent.step.llm';
const OPERATIONS: readonly (readonly [RegExp, string])[] = [[/Generator$/, 'chat'], [/Embedder$/, 'embeddings']];
const OTHERS: readonly (readonly [RegExp, RelativeReason])[] = [[/(?:Retriever|Ranker)$/, 'retrieval'], [/^Agent$/, 'agent'], [/(?:ToolInvoker|Tool)$/, 'tool'], [/Evaluator$/, 'evaluator']];
const PROVIDERS: readonly (readonly [RegExp, string])[] = [[/^Azure/, 'azure.ai.openai'], [/^OpenAI/, 'openai'], [/^Anthropic/, 'anthropic'], [/^Google/, 'gcp.gemini'], [/^Vertex/, 'gcp.vertex_ai'], [/^AmazonBedrock/, 'aws.bedrock'], [/^Mistral/, 'mistral_ai'], [/^Cohere/, 'cohere'], [/^Ollama/, 'ollama'], [/^HuggingFace/, 'huggingface']];

function read(source: SpanSource): Reading {
  const { name, attributes } = source.span;
  if (name === STEP) return { kind: 'inference', inference: inferenceIn(source, { operation: 'chat', component: '', prefix: `${STEP}.` }) };
  if (name.startsWith('haystack.agent.step.tool')) return { kind: 'relative', reason: 'tool' };
  const component = text(attributes.get(TYPE), source.flags) ?? '';
  const operation = OPERATIONS.find(([pattern]) => pattern.test(component))?.[1];
  if (operation !== undefined) return { kind: 'inference', inference: inferenceIn(source, { operation, component, prefix: 'haystack.component.' }) };
  return { kind: 'relative', reason: OTHERS.find(([pattern]) => pattern.test(component))?.[1] ?? (name === 'haystack.agent.run' ? 'agent' : 'wrapper') };
}

/** `prefix`: what stands before `input` and `output`. */
type Step = { readonly operation: string; readonly component: string; readonly prefix: string };

function inferenceIn(source: SpanSource, { operation, component, prefix }: Step): Inference {
  const { span, flags } = source;
  const said = inferenceOf(source, operation);
  const output = structureOf(span.attributes.get(`${prefix}output`), flags);
  const replies = isFields(output) ? listOf(output.get('replies')) : [];
  const meta = metaOf(isFields(output) ? output : null, replies);
  const usage = fieldsAt(meta, 'usage');
  const input = structureOf(span.attributes.get(`${prefix}input`), flags);
  const messages = isFields(input) ? input.get('messages') : undefined;
  return {
    ...said,
    provider: said.provider ?? PROVIDERS.find(([pattern]) => pattern.test(component))?.[1] ?? null,
    response_model: said.response_model ?? text(meta?.get('model'), flags),
    response_id: said.response_id ?? text(meta?.get('id'), flags),
    finish_reason: said.finish_reason ?? text(meta?.get('finish_reason'), flags),
    is_stream: said.is_stream ?? (meta?.has('completion_start_time') === true ? true : null),
    usage: usage === null ? said.usage : providerUsage(usage),
    output: said.output ?? (replies.length === 0 ? undefined : replies.map((reply) => (typeof reply === 'string' ? answer(reply) : reply))),
    prompt_text: { template: undefined, system: said.prompt_text.system ?? (messages === undefined ? undefined : conversation(messages)) },
  };
}

/** Of the first reply; of a generator without chat, and of an embedder, it stands beside. */
function metaOf(output: Fields | null, replies: readonly AttributeValue[]): Fields | null {
  const [first] = replies;
  if (isFields(first)) return fieldsAt(first, 'meta');
  const beside = output?.get('meta');
  const [listed] = listOf(beside);
  return isFields(beside) ? beside : isFields(listed) ? listed : null;
}
