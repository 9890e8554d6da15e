import type { Dialect } from './index.ts';
import { readGenAi } from './otel-genai.ts';

/** AG2 (`ag2.span.type`) follows the conventions; but beside each call it writes a span that books its usage once more. */
export const ag2: Dialect = {
  name: 'ag2',
  matches: ({ span }) => span.attributes.has('ag2.span.type'),
  read: (source) => (source.span.attributes.get('ag2.span.type') === 'usage' ? { kind: 'relative', reason: 'not_an_llm_call' } : readGenAi(source)),
};
