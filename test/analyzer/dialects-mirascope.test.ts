import { expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. How a function is versioned is from mirascope/ops/_internal/versioned_functions.py. */
const ops = readerOf('mirascope.ops');

it('has the version of a function: its number in the registry, else the hash of its code', () => {
  const version = { 'mirascope.fn.qualname': 'answer', 'mirascope.version.hash': 'abc123' };
  expect(ops.relative({ ...version, 'mirascope.version.name': 'refund-agent', 'mirascope.version.version': '1.2' }).relative).toMatchObject({ prompt_name: 'refund-agent', prompt_version: '1.2', prompt_version_source: 'explicit' });
  expect(ops.relative(version).relative).toMatchObject({ prompt_name: 'answer', prompt_version: 'abc123', prompt_version_source: 'hash' });
});

it('takes a name without a version for nothing: what stands above may say both', () => {
  expect(ops.relative({ 'mirascope.fn.qualname': 'answer', 'mirascope.version.name': 'refund-agent' }).relative).toMatchObject({ prompt_name: null, prompt_version: null });
});

it('keeps names of models that are not its own', () => {
  const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'ft:gpt-4o:shop' };
  expect(readerOf('mirascope.llm').call(chat)).toMatchObject({ request_model: 'ft:gpt-4o:shop' });
});
