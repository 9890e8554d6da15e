import { expect, it } from 'vitest';
import { callOf, readerOf, relativeOf } from './spans.ts';

/** Calls as they are recorded: `dialects-recorded.test.ts`. */
const traceAi = readerOf('traceai_openai');

it('keeps a label apart from a version', () => {
  expect(traceAi.call({ 'gen_ai.span.kind': 'LLM', 'gen_ai.prompt.template.name': 'Hi {x}', 'gen_ai.prompt.template.label': 'production', metadata: '{"prompt_name": "refund-agent"}' })).toMatchObject({ prompt_version: 'label:production', prompt_label: 'production' });
});

it('does not take the model that was asked for the one that answered where none did', () => {
  expect(traceAi.call({ 'gen_ai.span.kind': 'LLM', 'gen_ai.request.parameters': '{"model": "gpt-4o"}' }, { status_code: 2 })).toMatchObject({ request_model: 'gpt-4o', response_model: null, is_error: true });
});

it.each([
  ['CHAIN', 'wrapper'],
  ['AGENT', 'agent'],
  ['TOOL', 'tool'],
  ['RETRIEVER', 'retrieval'],
  ['EVALUATOR', 'evaluator'],
])('a span of kind %s is no call, whoever says so', (kind, reason) => {
  expect(traceAi.relative({ 'gen_ai.span.kind': kind })).toMatchObject({ reason });
  expect(relativeOf({ 'gen_ai.span.kind': kind, 'gen_ai.system': 'dashscope' })).toMatchObject({ reason });
});

it('knows a call by its kind alone', () => {
  expect(callOf({ 'gen_ai.span.kind': 'LLM', 'gen_ai.system': 'dashscope', 'gen_ai.request.model': 'qwen-max' })).toMatchObject({ operation: 'chat', provider: 'dashscope' });
});
