import { expect, it } from 'vitest';
import { readerOf, systemFingerprint } from './spans.ts';

/** Beside the recording, which has OpenAI only: Gemini's spans are built after the tracing documentation and tests of firebase/genkit. */
const genkit = readerOf('genkit-tracer');
const json = JSON.stringify;
const model = {
  'genkit:type': 'action',
  'genkit:metadata:subtype': 'model',
  'genkit:name': 'googleai/gemini-2.5-flash',
  'genkit:state': 'success',
  'genkit:input': json({ messages: [{ role: 'system', content: [{ text: 'You are terse.' }] }, { role: 'user', content: [{ text: 'Where?' }] }] }),
  'genkit:output': json({ message: { role: 'model', content: [{ text: 'Monday.' }] }, finishReason: 'stop', usage: { inputTokens: 42, outputTokens: 17, thoughtsTokens: 3, totalTokens: 62, cachedContentTokens: 8 } }),
};

it('reads a model action', () => {
  expect(genkit.call(model)).toMatchObject({ dialect: 'genkit', operation: 'chat', provider: 'gcp.gemini', request_model: 'gemini-2.5-flash', input_tokens: 42, output_tokens: 20, reasoning_tokens: 3, cache_read_tokens: 8, finish_reason: 'stop', is_empty: false, prompt_fingerprint: systemFingerprint('You are terse.'), flags: [] });
});

it('reads a failed one, and an embedder', () => {
  expect(genkit.call({ ...model, 'genkit:state': 'error', 'genkit:output': '' })).toMatchObject({ is_error: true });
  expect(genkit.call({ 'genkit:metadata:subtype': 'embedder', 'genkit:name': 'vertexai/text-embedding-005' })).toMatchObject({ operation: 'embeddings', provider: 'gcp.vertex_ai' });
});

it('hands the name of its prompt down', () => {
  expect(genkit.relative({ 'genkit:type': 'action', 'genkit:metadata:subtype': 'executable-prompt', 'genkit:name': 'greeting.formal' })).toMatchObject({ reason: 'wrapper', relative: { prompt_name: 'greeting.formal', prompt_version: null } });
});

it.each([
  ['flow', 'wrapper'],
  ['tool', 'tool'],
  ['retriever', 'retrieval'],
  ['evaluator', 'evaluator'],
])('a %s is no call', (subtype, reason) => {
  expect(genkit.relative({ 'genkit:metadata:subtype': subtype })).toMatchObject({ reason });
});

it('takes what a flow says of itself (setCustomMetadataAttributes)', () => {
  expect(genkit.relative({ 'genkit:metadata:subtype': 'flow', 'genkit:metadata:promptName': 'refund-agent', 'genkit:metadata:promptVersion': 'v2', 'genkit:metadata:sessionId': 's-1' }).relative).toMatchObject({ prompt_name: 'refund-agent', prompt_version: 'v2', session_id: 's-1' });
});
