import { expect, it } from 'vitest';
import { event, readerOf, systemFingerprint } from './spans.ts';

/** No capture of Semantic Kernel was at hand: the spans are built as python/semantic_kernel/utils/telemetry/model_diagnostics of microsoft/semantic-kernel writes them. */
const kernel = readerOf('semantic_kernel.utils.telemetry.model_diagnostics.decorators');
const base = { 'gen_ai.operation.name': 'chat.completions', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' };

it('reads finish reasons in their own spelling (golden case 18), old token names and events', () => {
  const call = kernel.call(
    { ...base, 'gen_ai.response.finish_reason': 'FinishReason.TOOL_CALLS,FinishReason.STOP', 'gen_ai.response.prompt_tokens': 55, 'gen_ai.response.completion_tokens': 33, 'gen_ai.response.id': 'chatcmpl-1' },
    { name: 'chat.completions gpt-4o', events: [event('gen_ai.content.prompt', { 'gen_ai.prompt': '[{"role":"system","content":"You are terse."}]' }), event('gen_ai.content.completion', { 'gen_ai.completion': '[{"role":"assistant","content":""}]' })] },
  );
  expect(call).toMatchObject({ dialect: 'semantic_kernel', operation: 'chat', provider: 'openai', finish_reason: 'tool_call', input_tokens: 55, output_tokens: 33, response_id: 'chatcmpl-1', is_empty: true, prompt_fingerprint: systemFingerprint('You are terse.') });
});

it('counts a call that failed, which has nothing but its operation', () => {
  expect(kernel.call({ ...base, 'error.type': 'ServiceResponseException' }, { status_code: 2 })).toMatchObject({ operation: 'chat', is_error: true, error_type: 'ServiceResponseException' });
});

it('reads the newer names, and .NET', () => {
  expect(readerOf('Microsoft.SemanticKernel.Diagnostics').call({ ...base, 'gen_ai.operation.name': 'text.streaming_completions', 'gen_ai.usage.input_tokens': 5 })).toMatchObject({ dialect: 'semantic_kernel', operation: 'text_completion', is_stream: true, input_tokens: 5 });
});

it('counts no function and no agent', () => {
  expect(kernel.relative({ 'semantic_kernel.function.name': 'Chat' })).toMatchObject({ reason: 'wrapper' });
  expect(kernel.relative({ 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'support' }).kind).toBe('relative');
});
