import { answerOfBlocks, conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { responseBody } from './response-body.ts';
import { fieldsAt, fieldsOf } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstCount, text } from './values.ts';

/** Firebase Genkit (`genkit:*`): every action is a span, and `genkit:metadata:subtype` says which kind. Input and output are JSON. */
export const genkit: Dialect = { name: 'genkit', matches: ({ scope, span }) => scope.name === 'genkit-tracer' || span.attributes.has('genkit:type'), read };

const SUBTYPE = 'genkit:metadata:subtype';
const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([['tool', 'tool'], ['retriever', 'retrieval'], ['reranker', 'retrieval'], ['indexer', 'retrieval'], ['evaluator', 'evaluator']]);
const OPERATIONS: ReadonlyMap<string, string> = new Map([['model', 'chat'], ['embedder', 'embeddings']]);
/** The plugin's name stands before the model's. */
const PROVIDERS: ReadonlyMap<string, string> = new Map([['googleai', 'gcp.gemini'], ['vertexai', 'gcp.vertex_ai']]);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const subtype = text(span.attributes.get(SUBTYPE), flags) ?? '';
  const operation = OPERATIONS.get(subtype);
  if (operation !== undefined) return { kind: 'inference', inference: inferenceIn(source, operation) };
  return { kind: 'relative', reason: OTHERS.get(subtype) ?? 'wrapper' };
}

function inferenceIn(source: SpanSource, operation: string): Inference {
  const { span, flags } = source;
  const said = inferenceOf(source, operation);
  const name = text(span.attributes.get('genkit:name'), flags);
  const slash = name?.indexOf('/') ?? -1;
  const plugin = name === null || slash < 0 ? null : name.slice(0, slash);
  const output = fieldsOf(span.attributes.get('genkit:output'), flags);
  const usage = fieldsAt(output, 'usage') ?? new Map();
  const raw = fieldsAt(output, 'raw');
  const body = raw === null ? null : responseBody(raw, flags);
  const thoughts = firstCount(usage, ['thoughtsTokens']);
  const candidates = firstCount(usage, ['outputTokens']);
  return {
    ...said,
    provider: plugin === null ? said.provider : (PROVIDERS.get(plugin) ?? plugin),
    request_model: said.request_model ?? (name === null ? null : name.slice(slash + 1)),
    response_model: said.response_model ?? body?.model ?? null,
    response_id: said.response_id ?? body?.id ?? null,
    finish_reason: said.finish_reason ?? body?.finish_reason ?? text(output?.get('finishReason'), flags),
    error: said.error ?? (span.attributes.get('genkit:state') === 'error' ? { type: null, message: null } : null),
    // As with Gemini itself, thoughts are counted beside the output.
    usage: {
      ...said.usage,
      input: firstCount(usage, ['inputTokens']) ?? said.usage.input,
      output: candidates === null ? said.usage.output : candidates + (thoughts ?? 0),
      cache_read: firstCount(usage, ['cachedContentTokens']) ?? body?.usage?.cache_read ?? said.usage.cache_read,
      cache_write: body?.usage?.cache_write ?? said.usage.cache_write,
      reasoning: thoughts ?? body?.usage?.reasoning ?? said.usage.reasoning,
    },
    output: said.output ?? answerOfBlocks(fieldsAt(output, 'message')?.get('content')),
    prompt_text: { template: undefined, system: conversation(fieldsOf(span.attributes.get('genkit:input'), flags)?.get('messages')) },
  };
}

/** A prompt is an action of its own, named `prompt` or `prompt.variant`; the model's span is below it. It has no version. Where it is called as a function its type says so, and it has no subtype. */
export const genkitPrompt: PromptReader = (attributes, flags) => {
  const subtype = attributes.get(SUBTYPE);
  if (subtype !== 'executable-prompt' && subtype !== 'prompt' && attributes.get('genkit:type') !== 'dotprompt') return null;
  const name = text(attributes.get('genkit:name'), flags);
  return name === null ? null : { prompt_name: name, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'direct' };
};
