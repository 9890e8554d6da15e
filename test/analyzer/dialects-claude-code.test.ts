import { expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. */
const claudeCode = readerOf('com.anthropic.claude_code.tracing');

it.each([
  ['claude_code.interaction', 'agent'],
  ['claude_code.tool', 'tool'],
  ['claude_code.tool.execution', 'tool'],
  ['claude_code.hook', 'not_an_llm_call'],
])('%s is no call', (name, reason) => {
  expect(claudeCode.relative({}, { name })).toMatchObject({ reason, candidate: null });
});
