import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { NO_USAGE } from './provider-usage.ts';
import { text } from './values.ts';

/**
 * Spring AI, by Micrometer: every value is text, and what is unknown is "none". The chat client and its advisors
 * are spans around the model's (`spring.ai.kind`); the model's own follow the conventions up to 1.36.
 */
export const springAi: Dialect = {
  name: 'spring_ai',
  matches: ({ scope, span }) => span.attributes.has('spring.ai.kind') || span.attributes.get('gen_ai.system') === 'spring_ai' || (scope.name === 'org.springframework.boot' && span.attributes.has('gen_ai.system')),
  read,
};

function read(source: SpanSource): Reading {
  const { attributes } = source.span;
  const kind = text(attributes.get('spring.ai.kind'), source.flags);
  if (kind === 'tool_call') return { kind: 'relative', reason: 'tool' };
  if (kind === 'vector_store') return { kind: 'relative', reason: 'retrieval' };
  if (kind === 'chat_client' || kind === 'advisor' || attributes.get('gen_ai.operation.name') === 'framework') return { kind: 'relative', reason: 'wrapper' };
  const reading = readGenAi(source);
  return reading.kind === 'inference' ? { kind: 'inference', inference: withoutNone(reading.inference) } : reading;
}

function withoutNone(said: Inference): Inference {
  const known = (name: string | null): string | null => (name === 'none' ? null : name);
  // What a stream was not asked to count is 0.
  const usage = said.usage.input === 0 && said.usage.output === 0 ? NO_USAGE : said.usage;
  return { ...said, usage, request_model: known(said.request_model), response_model: known(said.response_model), response_id: known(said.response_id), finish_reason: known(said.finish_reason) };
}
