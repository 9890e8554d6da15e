import type { AttributeValue } from '../../schemas/otlp.ts';
import type { Dialect, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';

/**
 * Microsoft Semantic Kernel, .NET and Python, which Azure AI Foundry also shows: old names of the conventions, an operation in two words of its own,
 * finish reasons joined by commas with Python's enum in front. Its functions and agents are spans around the calls.
 */
export const semanticKernel: Dialect = {
  name: 'semantic_kernel',
  matches: ({ scope }) => scope.name.startsWith('Microsoft.SemanticKernel') || scope.name.startsWith('semantic_kernel'),
  read,
};

const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['chat.completions', 'chat'],
  ['chat.streaming_completions', 'chat'],
  ['text.completions', 'text_completion'],
  ['text.streaming_completions', 'text_completion'],
]);
const STREAMING = new Set(['chat.streaming_completions', 'text.streaming_completions']);
/** Up to 1.20 under names of its own. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['gen_ai.response.prompt_tokens', 'gen_ai.usage.input_tokens'],
  ['gen_ai.response.completion_tokens', 'gen_ai.usage.output_tokens'],
];

function read(source: SpanSource): Reading {
  const { span } = source;
  if (span.attributes.has('semantic_kernel.function.name')) return { kind: 'relative', reason: 'wrapper' };
  const said = span.attributes.get('gen_ai.operation.name');
  const operation = typeof said === 'string' ? OPERATIONS.get(said) : undefined;
  const attributes = new Map<string, AttributeValue>(span.attributes);
  if (operation !== undefined) attributes.set('gen_ai.operation.name', operation);
  if (typeof said === 'string' && STREAMING.has(said)) attributes.set('gen_ai.request.stream', true);
  for (const [old, now] of RENAMED) {
    const value = attributes.get(old);
    if (value !== undefined && !attributes.has(now)) attributes.set(now, value);
  }
  return readGenAi({ ...source, span: { ...span, attributes } });
}
