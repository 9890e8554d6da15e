import { expect, it } from 'vitest';
import { callOf, relativeOf, systemFingerprint } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. Here are keys that the recording lacks (langwatch/attributes.py). */
const llm = { 'langwatch.span.type': 'llm', 'gen_ai.request.model': 'openai/gpt-4o' };

it('tells the provider from the model, and keeps a model without one', () => {
  expect(callOf(llm)).toMatchObject({ dialect: 'langwatch', provider: 'openai', request_model: 'gpt-4o' });
  expect(callOf({ ...llm, 'gen_ai.request.model': 'gpt-4o-mini' })).toMatchObject({ provider: 'openai', request_model: 'gpt-4o-mini' });
});

it('takes a prompt of its registry by its handle and number, else by its ids', () => {
  expect(callOf({ ...llm, 'langwatch.prompt.id': 'prompt_1', 'langwatch.prompt.handle': 'refund-agent', 'langwatch.prompt.version.number': 3, 'langwatch.prompt.version.id': 'v_9' })).toMatchObject({ prompt_name: 'refund-agent', prompt_version: '3' });
  expect(callOf({ ...llm, 'langwatch.prompt.id': 'prompt_1', 'langwatch.prompt.version.id': 'v_9' })).toMatchObject({ prompt_name: 'prompt_1', prompt_version: 'v_9' });
});

it('reads content that is wrapped', () => {
  const messages = [{ role: 'system', content: 'You are terse.' }, { role: 'user', content: 'When?' }];
  expect(callOf({ ...llm, 'langwatch.input': JSON.stringify({ type: 'chat_messages', value: messages }), 'langwatch.output': JSON.stringify({ type: 'text', value: '' }) })).toMatchObject({ prompt_fingerprint: systemFingerprint('You are terse.'), is_empty: true, flags: [] });
});

it('hands session and user of a trace down, and leaves metadata of other libraries alone', () => {
  const metadata = JSON.stringify({ thread_id: 's-1', user_id: 'u-1' });
  expect(relativeOf({ 'langwatch.span.type': 'span', metadata }).relative).toMatchObject({ session_id: 's-1', user_id: expect.any(String) });
  expect(relativeOf({ metadata }).relative).toMatchObject({ session_id: null, user_id: null });
});

it.each([
  ['tool', 'tool'],
  ['rag', 'retrieval'],
  ['evaluation', 'evaluator'],
  ['guardrail', 'not_an_llm_call'],
  ['workflow', 'wrapper'],
  ['agent', 'agent'],
])('a %s is no call', (type, reason) => {
  expect(relativeOf({ 'langwatch.span.type': type })).toMatchObject({ reason, candidate: null });
});
