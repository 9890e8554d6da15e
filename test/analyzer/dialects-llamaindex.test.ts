import { expect, it } from 'vitest';
import { event, readerOf } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. */
const llamaIndex = readerOf('llamaindex.opentelemetry.tracer');
const asked = event('LLMChatStartEvent', { 'model_dict.class_name': 'Anthropic_LLM', 'model_dict.model': 'claude-sonnet-4-5' });

it('reads what another provider answered, also usage that stands only beside the response', () => {
  const answered = event('LLMChatEndEvent', { 'response.raw.id': 'msg_1', 'response.raw.model': 'claude-sonnet-4-5-20250929', 'response.raw.stop_reason': 'end_turn', 'response.raw.role': 'assistant', 'response.raw.content': '[{"type": "text", "text": "Monday."}]', 'response.raw.usage.input_tokens': 10, 'response.raw.usage.output_tokens': 5, 'response.raw.usage.cache_read_input_tokens': 90 });
  expect(llamaIndex.call({}, { name: 'Anthropic.chat', events: [asked, answered] })).toMatchObject({ provider: 'anthropic', request_model: 'claude-sonnet-4-5', response_model: 'claude-sonnet-4-5-20250929', response_id: 'msg_1', input_tokens: 100, output_tokens: 5, finish_reason: 'stop', is_stream: false, is_empty: false });
});

it('survives a field whose path runs through another', () => {
  const answered = event('LLMChatEndEvent', { 'response.raw.usage': 'unknown', 'response.raw.usage.prompt_tokens': 3, 'response.raw.__proto__.x': 1, 'response.raw.a.b.c.d.e.f.g.h.i.j.k': 1 });
  expect(llamaIndex.call({}, { name: 'OpenAI.astream_chat', events: [asked, answered] })).toMatchObject({ input_tokens: 3, is_stream: true });
});

it('counts no other method', () => {
  expect(llamaIndex.relative({}, { name: 'RetrieverQueryEngine.query', events: [event('QueryStartEvent', {})] })).toMatchObject({ reason: 'wrapper', candidate: null });
  expect(llamaIndex.relative({}, { events: [event('RetrievalStartEvent', {})] })).toMatchObject({ reason: 'retrieval' });
});
