import { expect, it } from 'vitest';
import { readerOf } from './spans.ts';

/** Beside the recording: spans built after livekit/agents, telemetry/trace_types.py, and what public exporters read of them. */
const liveKit = readerOf('livekit-agents');
const metrics = (changed: object = {}) => JSON.stringify({ request_id: 'chatcmpl-7', ttft: 0.245, duration: 0.9, completion_tokens: 150, prompt_tokens: 500, prompt_cached_tokens: 128, total_tokens: 650, metadata: { model_name: 'gpt-4o', model_provider: 'openai' }, ...changed });

it('reads a request by its metrics', () => {
  expect(liveKit.call({ 'gen_ai.request.model': 'gpt-4o', 'lk.llm_metrics': metrics() }, { name: 'llm_request' })).toMatchObject({ dialect: 'livekit', provider: 'openai', request_model: 'gpt-4o', response_id: 'chatcmpl-7', input_tokens: 500, output_tokens: 150, cache_read_tokens: 128, ttft_ms: 245, flags: [] });
});

it('reads one that was cancelled before its first token, or has no metrics', () => {
  expect(liveKit.call({ 'lk.llm_metrics': metrics({ ttft: -1 }) }, { name: 'llm_request' })).toMatchObject({ ttft_ms: null });
  expect(liveKit.call({ 'gen_ai.request.model': 'gpt-4o', 'lk.llm_metrics': 'broken' }, { name: 'llm_request' })).toMatchObject({ request_model: 'gpt-4o', input_tokens: null, flags: ['attribute_unreadable'] });
});

it.each([
  ['llm_node', 'wrapper'],
  ['llm_request_run', 'wrapper'],
  ['agent_turn', 'wrapper'],
  ['function_tool', 'tool'],
  ['tts_request', 'not_an_llm_call'],
])('%s is no call', (name, reason) => {
  expect(liveKit.relative({ 'gen_ai.request.model': 'gpt-4o' }, { name })).toMatchObject({ reason });
});

it.each([
  ['api.openai.com', 'openai'],
  ['shop.openai.azure.com', 'azure.ai.openai'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['bedrock-runtime.us-east-1.amazonaws.com', 'aws.bedrock'],
  ['api.groq.com:443', 'groq'],
  ['api.openai.com.example.org', 'api.openai.com.example.org'],
  ['vllm.internal:8000', 'vllm.internal:8000'],
])('knows who answers at %s', (address, provider) => {
  expect(liveKit.call({ 'gen_ai.provider.name': address, 'gen_ai.request.model': 'some-model' }, { name: 'llm_request' })).toMatchObject({ provider });
});
