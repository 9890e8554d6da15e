import { expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. */
const pipecat = readerOf('pipecat');
const llm = { 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.operation.name': 'chat', stream: true, 'metrics.ttfb': 0.25 };

it('reads an empty answer, and how long its first byte took', () => {
  expect(pipecat.call({ ...llm, output: '' })).toMatchObject({ dialect: 'pipecat', is_stream: true, ttft_ms: 250, is_empty: true });
});

it('has no time to the first byte of a call that failed', () => {
  expect(pipecat.call(llm, { status_code: 2 })).toMatchObject({ is_error: true, ttft_ms: null });
});

it.each(['tts', 'stt'])('a span of %s is no call', (operation) => {
  expect(pipecat.relative({ ...llm, 'gen_ai.operation.name': operation })).toMatchObject({ reason: 'not_an_llm_call' });
});
