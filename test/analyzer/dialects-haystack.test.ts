import { expect, it } from 'vitest';
import { callOf, relativeOf } from './spans.ts';

/** Calls as they are recorded, with their content: `dialects-recorded.test.ts`. */
const component = (type: string, more: Readonly<Record<string, string>> = {}) => ({ 'haystack.component.type': type, ...more });
const named = { name: 'haystack.component.run' };

it('counts a call whose content is not traced', () => {
  expect(callOf(component('AnthropicChatGenerator'), named)).toMatchObject({ dialect: 'haystack', operation: 'chat', provider: 'anthropic', request_model: null, input_tokens: null, is_empty: null });
});

it('reads an embedder, and a generator without chat, whose metadata stands beside its answers', () => {
  expect(callOf(component('OpenAITextEmbedder', { 'haystack.component.output': JSON.stringify({ embedding: [0.1], meta: { model: 'text-embedding-3-small', usage: { prompt_tokens: 7, total_tokens: 7 } } }) }), named)).toMatchObject({ operation: 'embeddings', response_model: 'text-embedding-3-small', input_tokens: 7 });
  expect(callOf(component('OpenAIGenerator', { 'haystack.component.output': JSON.stringify({ replies: ['Monday.'], meta: [{ model: 'gpt-4o', finish_reason: 'length', usage: { prompt_tokens: 7, completion_tokens: 2 } }] }) }), named)).toMatchObject({ response_model: 'gpt-4o', finish_reason: 'length', output_tokens: 2, is_empty: false });
});

it.each([
  ['InMemoryBM25Retriever', 'retrieval'],
  ['Agent', 'agent'],
  ['ToolInvoker', 'tool'],
  ['ChatPromptBuilder', 'wrapper'],
])('a %s is no call', (type, reason) => {
  expect(relativeOf(component(type), named)).toMatchObject({ reason, candidate: null });
});
