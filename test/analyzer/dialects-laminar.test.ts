import { describe, expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** As lmnr 0.8.2 writes them; what a whole run looks like is in `golden/recorded/laminar`. */
const { call, relative } = readerOf('lmnr.tracer');
const chat = { 'lmnr.span.type': 'LLM', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.response.id': 'chatcmpl-1', 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.output_tokens': 2 };

describe('messages as the provider sent them', () => {
  it.each([
    ['choices', [{ index: 0, finish_reason: 'length', message: { role: 'assistant', content: 'Hi' } }], 'length', false],
    ['a choice that calls a tool', [{ index: 0, finish_reason: 'tool_calls', message: { content: null, tool_calls: [{}] } }], 'tool_call', false],
    ["Anthropic's message", [{ role: 'assistant', content: [{ type: 'text', text: '' }], stop_reason: 'end_turn' }], 'stop', true],
    ['items of a response', [{ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Hi' }] }], 'stop', false],
    ['nothing', [], null, true],
  ])('%s', (_case, messages, finish_reason, is_empty) => {
    expect(call({ ...chat, 'gen_ai.output.messages': JSON.stringify(messages) })).toMatchObject({ dialect: 'laminar', finish_reason, is_empty, input_tokens: 10 });
  });
});

it('reads who asked, and with which prompt', () => {
  const properties = { metadata: { 'metadata.prompt_name': 'support', 'metadata.prompt_version': 'v2', session_id: 's', user_id: 'u' } };
  const tags = Object.fromEntries(Object.entries(properties.metadata).map(([key, value]) => [`lmnr.association.properties.${key}`, value]));
  expect(call({ ...chat, ...tags })).toMatchObject({ prompt_name: 'support', prompt_version: 'v2', prompt_attribution: 'direct', session_id: 's' });
  expect(relative({ 'lmnr.span.type': 'DEFAULT', ...tags })).toMatchObject({ reason: 'wrapper', relative: { prompt_name: 'support', prompt_version: 'v2' } });
});

it.each([
  ['TOOL', 'tool'],
  ['EVALUATOR', 'evaluator'],
  ['EXECUTOR', 'wrapper'],
])('counts no %s', (type, reason) => {
  expect(relative({ 'lmnr.span.type': type })).toMatchObject({ reason });
});
