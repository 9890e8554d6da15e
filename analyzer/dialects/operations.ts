import type { Attributes, OtlpSpan } from '../../schemas/otlp.ts';
import type { RelativeReason } from './index.ts';
import { firstCount, text } from './values.ts';

/** What a span of the GenAI conventions is: a call, or what else stands around calls. */

/** Operations that are one inference each. The second name is what is recorded; the first is also seen in the wild. */
const INFERENCE_OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['chat', 'chat'],
  ['generate_content', 'generate_content'],
  ['text_completion', 'text_completion'],
  ['completion', 'text_completion'],
  ['embeddings', 'embeddings'],
  ['embedding', 'embeddings'],
  ['embed', 'embeddings'],
  ['llm_call', 'chat'],
  ['realtime_inference', 'realtime_inference'],
]);

const OTHER_OPERATIONS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['invoke_agent', 'agent'],
  ['create_agent', 'agent'],
  ['invoke_workflow', 'wrapper'],
  ['handle_conversation_turn', 'wrapper'],
  ['agent_step', 'wrapper'],
  ['plan', 'wrapper'],
  ['agent', 'agent'],
  ['chain', 'wrapper'],
  ['workflow', 'wrapper'],
  ['task', 'wrapper'],
  ['execute_tool', 'tool'],
  ['tool', 'tool'],
  ['retrieval', 'retrieval'],
  ['retriever', 'retrieval'],
  ['rerank', 'retrieval'],
  ['fetch_response', 'fetch_response'],
  ['search_memory', 'memory'],
  ['create_memory', 'memory'],
  ['update_memory', 'memory'],
  ['upsert_memory', 'memory'],
  ['delete_memory', 'memory'],
  ['create_memory_store', 'memory'],
  ['delete_memory_store', 'memory'],
  ['evaluate', 'evaluator'],
  ['evaluation', 'evaluator'],
]);

/** `gen_ai.span.kind`, which takes the place of the operation in traceAI and in Alibaba's instrumentations. */
const KIND = 'gen_ai.span.kind';
const INFERENCE_KINDS: ReadonlyMap<string, string> = new Map([
  ['LLM', 'chat'],
  ['EMBEDDING', 'embeddings'],
]);
const OTHER_KINDS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['CHAIN', 'wrapper'],
  ['TASK', 'wrapper'],
  ['STEP', 'wrapper'],
  ['ENTRY', 'wrapper'],
  ['CONVERSATION', 'wrapper'],
  ['AGENT', 'agent'],
  ['TOOL', 'tool'],
  ['RETRIEVER', 'retrieval'],
  ['RERANKER', 'retrieval'],
  ['VECTOR_DB', 'retrieval'],
  ['EVALUATOR', 'evaluator'],
]);

/** The method of a provider's client, by which some name the operation: `openai.responses.create`. */
const API_METHOD = /(?:^|\.)(?:chat\.completions|completions|responses|messages)\.[a-z_]{1,32}$/;

export function classify(span: OtlpSpan, flags: Set<string>): { kind: 'call'; name: string } | { kind: 'relative'; reason: RelativeReason } {
  const { attributes } = span;
  const method = text(attributes.get('mcp.method.name'), flags);
  if (method !== null) return { kind: 'relative', reason: method === 'prompts/get' ? 'mcp_prompt_fetch' : method === 'tools/call' ? 'tool' : 'mcp' };
  if (attributes.has('gen_ai.evaluation.name')) return { kind: 'relative', reason: 'evaluator' };

  const stated = text(attributes.get('gen_ai.operation.name'), flags)?.toLowerCase() ?? null;
  // Span names are "{operation} {model or agent}" in every generation; before 1.27 there is no attribute for the operation.
  const named = span.name.slice(0, 64).split(' ', 1)[0]?.toLowerCase() ?? '';
  const other = OTHER_OPERATIONS.get(stated ?? named);
  if (other !== undefined) return { kind: 'relative', reason: other };

  const hasProvider = attributes.has('gen_ai.provider.name') || attributes.has('gen_ai.system');
  const hasModel = attributes.has('gen_ai.request.model') || attributes.has('gen_ai.response.model');
  if (stated !== null) {
    const known = INFERENCE_OPERATIONS.get(stated) ?? (API_METHOD.test(stated) ? 'chat' : undefined);
    if (known !== undefined && (hasProvider || hasModel)) return { kind: 'call', name: known };
    // An operation of the emitter's own counts when it shows that a model answered.
    if (hasProvider && hasModel && showsAnswer(attributes)) return { kind: 'call', name: stated };
    return { kind: 'relative', reason: 'not_an_llm_call' };
  }
  const kind = text(attributes.get(KIND), flags)?.toUpperCase() ?? '';
  const inference = INFERENCE_KINDS.get(kind);
  if (inference !== undefined) return { kind: 'call', name: inference };
  const reason = OTHER_KINDS.get(kind);
  if (reason !== undefined) return { kind: 'relative', reason };
  const isHttp = attributes.has('http.request.method') || attributes.has('http.method');
  if (!hasProvider || !hasModel || (isHttp && !showsAnswer(attributes))) return { kind: 'relative', reason: 'not_an_llm_call' };
  return { kind: 'call', name: INFERENCE_OPERATIONS.get(named) ?? (embeds(attributes) ? 'embeddings' : 'chat') };
}

export const INPUT_TOKENS = ['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens'];
export const OUTPUT_TOKENS = ['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens'];

function showsAnswer(attributes: Attributes): boolean {
  return (
    attributes.has('gen_ai.response.id') ||
    attributes.has('gen_ai.response.finish_reasons') ||
    firstCount(attributes, INPUT_TOKENS) !== null ||
    firstCount(attributes, OUTPUT_TOKENS) !== null
  );
}

/** A wrapper that says which model answered, or what it used, can stand for an inference that left no span of its own. */
export function showsInference(span: OtlpSpan): boolean {
  const { attributes } = span;
  return showsAnswer(attributes) || (!isOnlyCreated(span) && (attributes.has('gen_ai.request.model') || attributes.has('gen_ai.response.model')));
}

/** Who only creates an agent names its model, and asks it nothing. */
export function isOnlyCreated({ attributes, name }: OtlpSpan): boolean {
  return (attributes.get('gen_ai.operation.name') ?? name.slice(0, 64).split(' ', 1)[0]) === 'create_agent' && !showsAnswer(attributes);
}

function embeds(attributes: Attributes): boolean {
  const model = attributes.get('gen_ai.request.model') ?? attributes.get('gen_ai.response.model');
  return attributes.has('gen_ai.embeddings.dimension.count') || (typeof model === 'string' && model.slice(0, 256).includes('embedding'));
}
