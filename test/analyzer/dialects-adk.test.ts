import { describe, expect, it } from 'vitest';
import { readerOf, systemFingerprint } from './spans.ts';

/** No capture of Google ADK was at hand: the spans are built as src/google/adk/telemetry/tracing.py of google/adk-python writes them. */
const adk = readerOf('gcp.vertex.agent');
const base = { 'gen_ai.system': 'gcp.vertex.agent', 'gen_ai.request.model': 'gemini-2.5-flash', 'gcp.vertex.agent.session_id': 'sess-1', 'gcp.vertex.agent.event_id': 'evt-1' };
const request = JSON.stringify({ model: 'gemini-2.5-flash', config: { system_instruction: 'You are terse.' }, contents: [{ role: 'user', parts: [{ text: 'Where is it?' }] }] });
const response = (changed: object = {}) =>
  JSON.stringify({
    content: { parts: [{ text: 'thinking', thought: true }, { text: 'It left on Monday.' }], role: 'model' },
    finish_reason: 'STOP',
    usage_metadata: { prompt_token_count: 100, candidates_token_count: 20, thoughts_token_count: 30, cached_content_token_count: 40, total_token_count: 150 },
    ...changed,
  });

describe('call_llm', () => {
  it('has tokens without thoughts, and the cache only inside of the response', () => {
    const call = adk.call({ ...base, 'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 20, 'gen_ai.response.finish_reasons': ['stop'], 'gcp.vertex.agent.llm_request': request, 'gcp.vertex.agent.llm_response': response() }, { name: 'call_llm' });
    expect(call).toMatchObject({ dialect: 'adk', operation: 'generate_content', provider: 'gcp.gemini', session_id: 'sess-1', input_tokens: 100, output_tokens: 50, reasoning_tokens: 30, cache_read_tokens: 40, finish_reason: 'stop', is_empty: false, prompt_fingerprint: systemFingerprint('You are terse.'), flags: [] });
  });

  it('without its content', () => {
    const call = adk.call({ ...base, 'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 20, 'gen_ai.usage.experimental.reasoning_tokens': 30, 'gcp.vertex.agent.llm_request': new Map(), 'gcp.vertex.agent.llm_response': '{}' }, { name: 'call_llm' });
    expect(call).toMatchObject({ input_tokens: 100, output_tokens: 50, reasoning_tokens: 30, is_empty: null, prompt_fingerprint: null, flags: [] });
  });

  it('that failed, or only called a function', () => {
    expect(adk.call({ ...base, 'gcp.vertex.agent.llm_response': response({ content: undefined, error_code: 'MAX_TOKENS', error_message: 'too long' }) }, { name: 'call_llm' })).toMatchObject({ is_error: true, error_type: 'MAX_TOKENS', status_message: 'too long' });
    expect(adk.call({ ...base, 'gcp.vertex.agent.llm_response': response({ content: { parts: [{ function_call: { name: 'order' } }] } }) }, { name: 'call_llm' })).toMatchObject({ is_empty: false });
  });

  it('of a version that counts thoughts as output', () => {
    expect(adk.call({ ...base, 'gen_ai.usage.output_tokens': 50, 'gen_ai.usage.reasoning.output_tokens': 30 }, { name: 'call_llm' })).toMatchObject({ output_tokens: 50, reasoning_tokens: 30 });
  });
});

it('the span of the model below it is a call as well: the same one, which is told from above and below', () => {
  expect(adk.call({ 'gen_ai.operation.name': 'generate_content', 'gen_ai.system': 'gemini', 'gen_ai.request.model': 'gemini-2.5-flash', 'gen_ai.usage.output_tokens': 20 }, { name: 'generate_content gemini-2.5-flash' })).toMatchObject({ operation: 'generate_content', output_tokens: 20 });
});

it('invocations, agents and tools are no calls', () => {
  expect(adk.relative({}, { name: 'invocation' })).toMatchObject({ reason: 'not_an_llm_call' });
  expect(adk.relative({ 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'support', 'gen_ai.conversation.id': 'sess-1' }).relative).toMatchObject({ session_id: 'sess-1' });
  expect(adk.relative({ 'gen_ai.operation.name': 'execute_tool', 'gcp.vertex.agent.llm_request': '{}' })).toMatchObject({ reason: 'tool' });
});
