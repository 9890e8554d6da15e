import { expect, it } from 'vitest';
import { readerOf, systemFingerprint } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. Here is what stands around them. */
const voltAgent = readerOf('@voltagent/core');

it('has the answer, the instructions and the sum of all steps on the agent, whose prompt its calls inherit', () => {
  const { reason, relative, candidate } = voltAgent.relative({ 'entity.type': 'agent', 'ai.model.name': 'gpt-4o', 'agent.instructions': 'You are terse.', 'prompt.name': 'refund-agent', 'prompt.version': 2, 'voltagent.conversation_id': 's-1', 'usage.prompt_tokens': 2185, 'usage.completion_tokens': 115, output: 'Monday.' });
  expect(reason).toBe('agent');
  expect(relative).toMatchObject({ prompt_name: 'refund-agent', prompt_version: '2', session_id: 's-1' });
  expect(candidate).toMatchObject({ request_model: 'gpt-4o', input_tokens: 2185, output_tokens: 115, is_empty: false, prompt_fingerprint: systemFingerprint('You are terse.') });
});

it.each([
  ['tool', 'tool'],
  ['memory', 'memory'],
  ['retriever', 'retrieval'],
  ['scorer', 'evaluator'],
  ['workflow', 'wrapper'],
])('a %s is no call', (type, reason) => {
  expect(voltAgent.relative({ 'span.type': type })).toMatchObject({ reason, candidate: null });
});
