import { expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** No capture of Spring AI was at hand: the spans are built as the observation conventions of spring-projects/spring-ai name their keys. */
const spring = readerOf('org.springframework.boot');

it('reads a model span, whose values are all text and whose unknowns are "none"', () => {
  const call = spring.call(
    { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'mistral_ai', 'gen_ai.request.model': 'mistral-small', 'gen_ai.response.model': 'none', 'gen_ai.response.id': 'none', 'gen_ai.response.finish_reasons': '["STOP"]', 'gen_ai.usage.input_tokens': '120', 'gen_ai.usage.output_tokens': '30', 'gen_ai.usage.total_tokens': '150' },
    { name: 'chat mistral-small' },
  );
  expect(call).toMatchObject({ dialect: 'spring_ai', operation: 'chat', provider: 'mistral_ai', request_model: 'mistral-small', response_model: null, response_id: null, finish_reason: 'stop', input_tokens: 120, output_tokens: 30 });
});

it('reads embeddings', () => {
  expect(spring.call({ 'gen_ai.operation.name': 'embedding', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'text-embedding-3-small' })).toMatchObject({ operation: 'embeddings' });
});

it.each([
  ['the chat client', { 'spring.ai.kind': 'chat_client', 'gen_ai.operation.name': 'framework', 'gen_ai.system': 'spring_ai' }, 'wrapper'],
  ['an advisor', { 'spring.ai.kind': 'advisor', 'gen_ai.operation.name': 'framework', 'gen_ai.system': 'spring_ai' }, 'wrapper'],
  ['a tool', { 'spring.ai.kind': 'tool_call', 'gen_ai.operation.name': 'framework', 'gen_ai.system': 'spring_ai' }, 'tool'],
  ['a vector store', { 'spring.ai.kind': 'vector_store', 'db.system': 'mariadb' }, 'retrieval'],
  ['a request of the server', { 'http.request.method': 'POST' }, 'not_an_llm_call'],
])('counts not %s', (_span, attributes, reason) => {
  expect(spring.relative(attributes)).toMatchObject({ reason });
});

it('takes the conversation for the session, unless the application named none', () => {
  const conversation = (id: string) => spring.relative({ 'spring.ai.kind': 'chat_client', 'spring.ai.chat.client.conversation.id': id }).relative.session_id;
  expect(conversation('c-7')).toBe('c-7');
  expect(conversation('default')).toBeNull();
});
