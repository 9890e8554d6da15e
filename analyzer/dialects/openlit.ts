import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { classify, isOnlyCreated } from './operations.ts';
import { inferenceOf } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { firstAmount, text } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * OpenLIT (Python, JavaScript) follows the conventions on calls, with operations of its own for what frameworks do around them. Its time
 * to first token is in seconds, and on a call that is no stream it is the whole duration.
 */
export const openLit: Dialect = {
  name: 'openlit',
  matches: ({ scope, span }) => scope.name.startsWith('openlit') || scope.name.startsWith('@openlit/') || span.attributes.get('telemetry.sdk.name') === 'openlit',
  read,
};

const OWN_OPERATIONS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['framework', 'wrapper'],
  ['graph_execution', 'wrapper'],
  ['execute_task', 'wrapper'],
  ['execution', 'wrapper'],
  ['user_prompt_processing', 'wrapper'],
  // A step of a graph: the provider's span below it is the call.
  ['model_request', 'wrapper'],
  ['tool_coordination', 'tool'],
  ['vectordb', 'retrieval'],
  ['retrieve', 'retrieval'],
]);

/** Everything but the name may be set after the answer: a call that failed is a name (until 2025 the provider's method) and an exception. */
const CALL_BY_METHOD = /^([a-z_]{1,32})\.(?:chat|chat\.completions|completions|messages|responses|generate_content|embeddings)$/;
const CALL_BY_NAME = /^(chat|embeddings|text_completion) (\S{1,200})$/;
/** Scopes end in its name: openlit.instrumentation.anthropic, @openlit/instrumentation-anthropic. */
const LIBRARY = /(?:^|[.-])([^.-]*)$/;
/** They leave cached tokens out of the input, and are copied as they are. */
const EXCLUSIVE: ReadonlySet<string> = new Set(['anthropic', 'bedrock']);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const { attributes } = span;
  const own = OWN_OPERATIONS.get(text(attributes.get('gen_ai.operation.name'), flags)?.toLowerCase() ?? '');
  const operation = own === undefined ? classify(span, flags) : { kind: 'relative' as const, reason: own };
  const library = LIBRARY.exec(source.scope.name.slice(-64))?.[1] ?? '';
  if (operation.kind === 'relative' && span.status_code === 2 && !attributes.has('gen_ai.operation.name')) {
    const failed = failedCall(span.name.slice(0, 256), library);
    if (failed !== null) return { kind: 'inference', inference: { ...inferenceOf(source, failed.operation), ...failed } };
  }
  if (operation.kind === 'relative' && (!isWrapper(operation.reason) || isOnlyCreated(span))) return { kind: 'relative', reason: operation.reason };
  const told = inferenceOf(source, operation.kind === 'call' ? operation.name : 'invoke_agent');
  const inference = {
    ...told,
    cost_usd: told.cost_usd ?? firstAmount(attributes, ['gen_ai.usage.total_cost']),
    usage: EXCLUSIVE.has(library) ? { ...told.usage, cache_counting: 'exclusive' as const } : told.usage,
    output: told.output ?? attributes.get('gen_ai.content.completion'),
  };
  return operation.kind === 'call' ? { kind: 'inference', inference } : wrapper(operation.reason === 'agent' ? 'agent' : 'wrapper', inference);
}

function failedCall(name: string, library: string): Pick<Inference, 'operation' | 'provider' | 'request_model'> | null {
  const provider = CALL_BY_METHOD.exec(name)?.[1];
  if (provider !== undefined) return { operation: name.endsWith('embeddings') ? 'embeddings' : 'chat', provider, request_model: null };
  const [, operation, request_model] = CALL_BY_NAME.exec(name) ?? [];
  return operation === undefined || request_model === undefined ? null : { operation, provider: library, request_model };
}

/** A prompt that LangChain pulled from its hub: OpenLIT notes where it came from, but not which commit it was. */
export const hubPrompt: PromptReader = (attributes, flags) => {
  const repository = text(attributes.get('gen_ai.hub.repo'), flags);
  const owner = text(attributes.get('gen_ai.hub.owner'), flags);
  return promptOf(repository !== null && owner !== null ? `${owner}/${repository}` : repository, undefined, flags);
};
