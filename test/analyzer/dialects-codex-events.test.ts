import { expect, it } from 'vitest';
import { atMs, eventReader, loggedBy } from './agent-events.ts';

it.each(['codex-without-spans', 'codex'])('reads every call that Codex logged: %s', (name) => {
  const { calls, expected } = loggedBy(name);
  expect(calls).toMatchObject(expected);
  expect(calls).toHaveLength(expected.length);
  for (const call of calls) {
    expect(call).toMatchObject({ dialect: 'codex_events', provider: 'openai', is_stream: true, prompt_name: null, flags: [] });
    expect(call.session_id).toMatch(/^[0-9a-f-]{36}$/);
    // From its request to the end of its answer, not the last piece of it.
    expect(call.duration_ms).toBeGreaterThan(call.is_error ? 10 : 100);
    expect([call.error_type, call.ttft_ms === null]).toEqual(call.is_error ? ['429', true] : [null, false]);
  }
});

const REQUEST = { 'event.name': 'codex.api_request', model: 'gpt-5', duration_ms: '40', 'http.response.status_code': 200 };
const DONE = { 'event.name': 'codex.sse_event', 'event.kind': 'response.completed', model: 'gpt-5', input_token_count: '100', output_token_count: '20', cached_token_count: 30, reasoning_token_count: 5 };
const of = (conversation: string) => ({ 'conversation.id': conversation });

it('takes as long as from the last request of its conversation, and nobody knows how long where that is not here', () => {
  const read = eventReader('codex_otel.log_only');
  read({ ...REQUEST, ...of('one') }, atMs(0));
  read({ ...REQUEST, ...of('two') }, atMs(500));
  expect(read({ ...DONE, ...of('one') }, atMs(1_000))).toMatchObject({ kind: 'call', call: { session_id: 'one', duration_ms: 1_040, input_tokens: 100, output_tokens: 20, cache_read_tokens: 30, reasoning_tokens: 5 } });
  const unknown = read({ ...DONE, ...of('one') }, atMs(2_000));
  expect(unknown).toMatchObject({ kind: 'call', call: { duration_ms: null } });
  read({ ...REQUEST, ...of('three') }, atMs(0));
  expect(read({ ...DONE, ...of('three') }, atMs(4_000_000))).toMatchObject({ kind: 'call', call: { duration_ms: null } });
});

it('an answer that broke off and a request that failed without an answer are failed calls', () => {
  const read = eventReader('codex_otel.log_only');
  read({ ...REQUEST, ...of('one') }, atMs(0));
  expect(read({ 'event.name': 'codex.sse_event', 'event.kind': 'response.failed', 'error.message': 'stream closed', model: 'gpt-5', ...of('one') }, atMs(60))).toMatchObject({ kind: 'call', call: { is_error: true, error_type: 'response.failed', status_message: 'stream closed', duration_ms: 100 } });
  expect(read({ 'event.name': 'codex.websocket_request', 'error.message': 'refused', duration_ms: '9', model: 'gpt-5', ...of('one') })).toMatchObject({ kind: 'call', call: { is_error: true, duration_ms: 9 } });
});

it.each([{ 'event.name': 'codex.tool_result' }, { 'event.name': 'codex.sse_event', 'event.kind': 'response.output_text.delta' }, { ...DONE, input_token_count: undefined }])('%j is no call', (event) => {
  const said = Object.fromEntries(Object.entries(event).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
  expect(eventReader('codex_otel.log_only')(said)).toMatchObject({ kind: 'ignored' });
});
