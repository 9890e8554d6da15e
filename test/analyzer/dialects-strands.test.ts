import { describe, expect, it } from 'vitest';
import { event, readerOf, systemFingerprint } from './spans.ts';

/** No capture of Strands was at hand: the spans are built as src/strands/telemetry/tracer.py of strands-agents/sdk-python writes them. */
const strands = readerOf('strands.telemetry.tracer');
const model = { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'strands-agents', 'gen_ai.request.model': 'us.anthropic.claude-sonnet-4-20250514-v1:0' };
const usage = { 'gen_ai.usage.prompt_tokens': 10, 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.completion_tokens': 25, 'gen_ai.usage.output_tokens': 25, 'gen_ai.usage.total_tokens': 935, 'gen_ai.usage.cache_read_input_tokens': 900 };

describe('a model span', () => {
  it('has milliseconds, and tokens that leave the cache out (golden case 6)', () => {
    const call = strands.call({ ...model, ...usage, 'gen_ai.server.time_to_first_token': 850, 'gen_ai.server.request.duration': 990 }, { name: 'chat', events: [event('gen_ai.choice', { finish_reason: 'end_turn', message: '[{"text":"It left on Monday."}]' })] });
    expect(call).toMatchObject({ dialect: 'strands', operation: 'chat', provider: 'aws.bedrock', ttft_ms: 850, input_tokens: 910, output_tokens: 25, cache_read_tokens: 900, finish_reason: 'stop', is_empty: false, flags: ['tokens_adjusted'] });
  });

  it('may be short: half a millisecond is no half second', () => {
    expect(strands.call({ ...model, 'gen_ai.server.time_to_first_token': 0.5 })).toMatchObject({ ttft_ms: 0.5 });
  });

  it('with a tool call only, and an empty one', () => {
    const choice = (message: string) => strands.call(model, { events: [event('gen_ai.choice', { finish_reason: 'tool_use', message })] });
    expect(choice('[{"toolUse":{"name":"order"}}]')).toMatchObject({ finish_reason: 'tool_call', is_empty: false });
    expect(choice('[{"text":""}]')).toMatchObject({ is_empty: true });
  });

  it('of the newer conventions has its messages in an event', () => {
    const details = event('gen_ai.client.inference.operation.details', { 'gen_ai.input.messages': '[{"role":"system","parts":[{"type":"text","content":"You are terse."}]}]' });
    const answer = event('gen_ai.client.inference.operation.details', { 'gen_ai.output.messages': '[{"role":"assistant","parts":[{"type":"text","content":"Monday."}],"finish_reason":"end_turn"}]' });
    expect(strands.call({ ...model, 'gen_ai.provider.name': 'strands-agents' }, { events: [details, answer] })).toMatchObject({ finish_reason: 'stop', is_empty: false, prompt_fingerprint: systemFingerprint('You are terse.') });
  });

  it('of a provider that counts the cache as input', () => {
    expect(readerOf('anything').call({ ...model, ...usage, 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 910, 'gen_ai.usage.prompt_tokens': 910 })).toMatchObject({ dialect: 'strands', provider: 'openai', input_tokens: 910, flags: [] });
  });
});

describe('what is no call', () => {
  it('the agent, with the sum of what its model spans used; cycles; tools', () => {
    expect(strands.relative({ ...model, ...usage, 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'support' }, { name: 'invoke_agent support' }).relative.span_id).toBeDefined();
    expect(strands.relative({ 'gen_ai.operation.name': 'execute_event_loop_cycle', 'gen_ai.system': 'strands-agents' })).toMatchObject({ reason: 'not_an_llm_call' });
    expect(strands.relative({ 'gen_ai.operation.name': 'execute_tool', 'gen_ai.system': 'strands-agents' })).toMatchObject({ reason: 'tool' });
  });
});
