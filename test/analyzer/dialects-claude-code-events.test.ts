import { expect, it } from 'vitest';
import { AT_MS, eventReader, loggedBy } from './agent-events.ts';

it('reads every call that Claude Code logged, with its cost, session and what the resource says of its prompt', () => {
  const { calls, expected } = loggedBy('claude-code-without-spans');
  expect(calls).toMatchObject(expected);
  expect(calls).toHaveLength(expected.length);
  for (const call of calls) {
    expect(call).toMatchObject({ dialect: 'claude_code_events', provider: 'anthropic', operation: 'chat', prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'direct', parent_span_id: null });
    expect(call.session_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(call.duration_ms).toBeGreaterThan(10);
    expect([call.cost_source, call.error_type]).toEqual(call.is_error ? [null, '400'] : ['reported', null]);
  }
});

const read = eventReader('com.anthropic.claude_code.events');

it('knows an event by its name as a field of its own, too; one that is sent again is the same call; calls of one question share a trace', () => {
  const said = { model: 'claude-sonnet-4-5', input_tokens: 7, output_tokens: 5, cost_usd: 0.25, duration_ms: 1500, 'session.id': 's', 'prompt.id': 'p' };
  const first = read(said, { event_name: 'claude_code.api_request' });
  expect(first).toMatchObject({ kind: 'call', call: { input_tokens: 7, cost_usd: 0.25, duration_ms: 1500, start_time_ns: `${AT_MS - 1500}000000`, end_time_ns: `${AT_MS}000000` } });
  expect(read(said, { event_name: 'claude_code.api_request' })).toEqual(first);
  const next = read({ ...said, input_tokens: 8 }, { event_name: 'api_request' });
  if (first.kind !== 'call' || next.kind !== 'call') throw new Error('both are calls');
  expect([next.call.trace_id, next.call.span_id === first.call.span_id]).toEqual([first.call.trace_id, false]);
});

it.each(['user_prompt', 'assistant_response', 'tool_result', 'api_retries_exhausted'])('%s is no call', (name) => {
  expect(read({ 'event.name': name, model: 'claude-sonnet-4-5' })).toMatchObject({ kind: 'ignored' });
});

it('is of nobody else', () => {
  expect(eventReader('another')({ 'event.name': 'api_request', model: 'claude-sonnet-4-5', input_tokens: 7 })).toMatchObject({ kind: 'ignored' });
});
