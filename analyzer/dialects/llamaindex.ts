import type { Attributes, AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { providerUsage } from './provider-usage.ts';
import { responseBody } from './response-body.ts';
import { structured, structureOf } from './structured.ts';
import { firstText, text } from './values.ts';

/**
 * LlamaIndex's own integration (llama-index-observability-otel): every method is a span without attributes, and what a model was asked and
 * answered are events on it, their fields joined by dots (`response.raw.usage.prompt_tokens`). A method that only calls another of the model's has other events.
 */
export const llamaIndex: Dialect = { name: 'llama_index', matches: ({ scope }) => scope.name.startsWith('llamaindex.opentelemetry'), read };

const CALLS: ReadonlyMap<string, string> = new Map([
  ['LLMChatStartEvent', 'chat'],
  ['LLMCompletionStartEvent', 'text_completion'],
  ['EmbeddingStartEvent', 'embeddings'],
]);
const ENDS: ReadonlySet<string> = new Set(['LLMChatEndEvent', 'LLMCompletionEndEvent', 'EmbeddingEndEvent']);
/** How their classes are called, and who they are of. */
const PROVIDER_OF_CLASS: readonly (readonly [RegExp, string])[] = [[/^azure/i, 'azure.ai.openai'], [/^openai/i, 'openai'], [/^anthropic/i, 'anthropic'], [/^(?:gemini|google)/i, 'gcp.gemini'], [/^vertex/i, 'gcp.vertex_ai'], [/^bedrock/i, 'aws.bedrock'], [/^mistral/i, 'mistral_ai'], [/^cohere/i, 'cohere'], [/^groq/i, 'groq'], [/^ollama/i, 'ollama']];

function read(source: SpanSource): Reading {
  const { events, name } = source.span;
  const started = events.find((event) => CALLS.has(event.name));
  if (started === undefined) return { kind: 'relative', reason: events.some((event) => event.name === 'RetrievalStartEvent') ? 'retrieval' : 'wrapper' };
  const operation = CALLS.get(started.name) ?? 'chat';
  return { kind: 'inference', inference: inferenceIn(source, { operation, asked: started.attributes, isStream: /\.a?stream_/.test(name) }) };
}

type Asked = { readonly operation: string; readonly asked: Attributes; readonly isStream: boolean };

function inferenceIn(source: SpanSource, { operation, asked, isStream }: Asked): Inference {
  const { span, flags } = source;
  const said = inferenceOf(source, operation);
  const response = nested(answered(span), 'response.raw.');
  const body = response.size === 0 ? null : responseBody(response, flags);
  const usage = body?.usage ?? (response.size === 0 ? null : providerUsage(nested(answered(span), 'response.additional_kwargs.')));
  const model = firstText(asked, ['model_dict.model_name', 'model_dict.model'], flags);
  const className = text(asked.get('model_dict.class_name'), flags) ?? '';
  return {
    ...said,
    provider: said.provider ?? PROVIDER_OF_CLASS.find(([pattern]) => pattern.test(className))?.[1] ?? null,
    request_model: said.request_model ?? model,
    response_model: said.response_model ?? body?.model ?? (operation === 'embeddings' && said.error === null ? model : null),
    response_id: said.response_id ?? body?.id ?? null,
    finish_reason: said.finish_reason ?? body?.finish_reason ?? null,
    is_stream: operation === 'embeddings' ? said.is_stream : isStream,
    usage: usage ?? said.usage,
    output: said.output ?? body?.messages,
    prompt_text: { template: undefined, system: said.prompt_text.system ?? conversation(structureOf(asked.get('messages'), flags)) },
  };
}

function answered({ events }: OtlpSpan): Attributes {
  return events.find((event) => ENDS.has(event.name))?.attributes ?? new Map();
}

/** The fields below a prefix, put back into maps. Lists of maps are JSON text already. */
function nested(attributes: Attributes, prefix: string): Map<string, AttributeValue> {
  const root = new Map<string, AttributeValue>();
  for (const [key, value] of attributes) {
    if (!key.startsWith(prefix) || value === 'null') continue;
    const path = key.slice(prefix.length).split('.', MAX_DEPTH);
    const last = path.pop() ?? '';
    let at = root;
    for (const step of path) {
      const below = at.get(step);
      // Only this function has put maps there.
      const next = below instanceof Map ? (below as Map<string, AttributeValue>) : new Map<string, AttributeValue>();
      at.set(step, next);
      at = next;
    }
    at.set(last, structured(value) ?? value);
  }
  return root;
}

const MAX_DEPTH = 8;
