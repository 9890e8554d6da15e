import { expect, it } from 'vitest';
import { eventReader, loggedBy } from './agent-events.ts';

it('reads every call that Gemini CLI logged, thoughts within the output, and what the resource says of its prompt', () => {
  const { calls, expected } = loggedBy('gemini-cli');
  expect(calls).toMatchObject(expected);
  expect(calls).toHaveLength(expected.length);
  for (const call of calls) {
    expect(call).toMatchObject({ dialect: 'gemini_cli_events', provider: 'gcp.gemini', prompt_name: 'refund-agent', prompt_version: 'v2', flags: [] });
    expect(call.session_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(call.duration_ms).toBeGreaterThan(10);
    expect([call.finish_reason, call.error_type]).toEqual(call.is_error ? [null, 'ApiError'] : ['stop', null]);
  }
});

const read = eventReader('gemini-cli');

it('reads an older failure', () => {
  expect(read({ 'event.name': 'gemini_cli.api_error', model: 'gemini-2.5-pro', error: 'quota', error_type: 'TooMany', status_code: 429, duration_ms: 20 })).toMatchObject({ kind: 'call', call: { is_error: true, error_type: 'TooMany', status_message: 'quota', duration_ms: 20, request_model: 'gemini-2.5-pro' } });
});

it.each(['gemini_cli.api_request', 'gemini_cli.tool_call', 'gen_ai.client.inference.operation.details'])('%s is no call', (name) => {
  expect(read({ 'event.name': name, model: 'gemini-2.5-pro' })).toMatchObject({ kind: 'ignored' });
});
