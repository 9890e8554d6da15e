import { expect, it } from 'vitest';
import { relativeOf } from './spans.ts';

/** Each call was counted twice: beside it, AG2 books its usage on a span of its own. Calls: `dialects-recorded.test.ts`. */
it.each(['model_call', 'subtask', 'compaction'])('books the usage of a %s, which is no call', (kind) => {
  expect(relativeOf({ 'ag2.span.type': 'usage', 'ag2.usage.kind': kind, 'gen_ai.provider.name': 'openai', 'gen_ai.response.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 1037 })).toMatchObject({ reason: 'not_an_llm_call', candidate: null });
});
