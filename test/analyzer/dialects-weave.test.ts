import { expect, it } from 'vitest';
import { callOf, relativeOf } from './spans.ts';

/** No capture of Weave was at hand: the spans are built after weave/trace_server/agents/semconv.py of wandb/weave and its guide. */
const chat = { 'weave.operation.name': 'chat', 'weave.provider.name': 'openai', 'weave.request.model': 'gpt-4o', 'weave.response.model': 'gpt-4o-2024-08-06', 'weave.usage.input_tokens': 120, 'weave.usage.output_tokens': 30, 'weave.usage.reasoning_tokens': 8, 'weave.usage.cache_read.input_tokens': 64, 'weave.response.finish_reasons': ['stop'], 'weave.conversation.id': 'sess-weather' };

it('reads its own keys, which win over those of the conventions', () => {
  expect(callOf({ ...chat, 'gen_ai.request.model': 'another', 'gen_ai.usage.input_tokens': 1 })).toMatchObject({ dialect: 'weave', operation: 'chat', provider: 'openai', request_model: 'gpt-4o', response_model: 'gpt-4o-2024-08-06', input_tokens: 120, output_tokens: 30, reasoning_tokens: 8, cache_read_tokens: 64, finish_reason: 'stop', session_id: 'sess-weather', is_experiment: false });
});

it('reads failures and evaluations', () => {
  expect(callOf({ ...chat, 'weave.error.type': 'RateLimitError' })).toMatchObject({ is_error: true, error_type: 'RateLimitError' });
  expect(callOf({ ...chat, 'weave.eval.run_id': 'r' })).toMatchObject({ is_experiment: true });
});

it('counts no turn and no tool', () => {
  expect(relativeOf({ 'weave.operation.name': 'invoke_agent', 'weave.conversation.id': 'sess-weather' }).relative).toMatchObject({ session_id: 'sess-weather' });
  expect(relativeOf({ 'weave.operation.name': 'execute_tool' })).toMatchObject({ reason: 'tool' });
});
