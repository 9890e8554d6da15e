import fc from 'fast-check';
import { expect, it } from 'vitest';
import { callRow } from '../../analyzer/ingest/rows.ts';
import { attributeBag } from './attribute-bags.ts';
import { eventReader } from './agent-events.ts';

const KEYS = [
  'model', 'model_name', 'slug', 'input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_creation_tokens', 'cost_usd', 'duration_ms', 'duration', 'session.id', 'conversation.id', 'prompt.id', 'prompt_id', 'error', 'error.message', 'error.type', 'status_code',
  'http.response.status_code', 'finish_reasons', 'input_token_count', 'output_token_count', 'thoughts_token_count', 'cached_content_token_count', 'cached_token_count', 'reasoning_token_count', 'total_token_count', 'ttft_ms', 'event.kind', 'gen_ai.prompt.name', 'gen_ai.prompt.version',
];
const EVENTS = [
  ['com.anthropic.claude_code.events', 'api_request'],
  ['com.anthropic.claude_code.events', 'claude_code.api_error'],
  ['gemini-cli', 'gemini_cli.api_response'],
  ['gemini-cli', 'gemini_cli.api_error'],
  ['codex_otel.log_only', 'codex.sse_event'],
  ['codex_otel.log_only', 'codex.api_request'],
] as const;
const readers = new Map(EVENTS.map(([scope]) => [scope, eventReader(scope)]));

it('an event is read without a throw, into a row that can be stored, and under no version that nobody gave', () => {
  let calls = 0;
  const times = fc.constantFrom(0n, 1n, 1_795_665_873_597_000_000n, 2n ** 64n - 1n);
  fc.assert(
    fc.property(fc.constantFrom(...EVENTS), attributeBag(KEYS), times, ([scope, name], attributes, time_ns) => {
      const read = readers.get(scope)?.({ ...attributes, 'event.name': name }, { time_ns, observed_time_ns: time_ns });
      if (read?.kind !== 'call') return;
      calls += 1;
      const { call } = read;
      const row = callRow(call, { slot: 1, revision: 1, event_s: 1, role: 'call', reason: '' }, '', 1);
      for (const at of [row.start_ns, row.end_ns]) expect(BigInt(at) >= 0n && BigInt(at) < 2n ** 64n, at).toBe(true);
      expect([call.trace_id, call.span_id]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^[0-9a-f]{16}$/)]);
      for (const count of [call.input_tokens, call.output_tokens, call.cache_read_tokens, call.reasoning_tokens]) expect(count === null || (Number.isInteger(count) && count >= 0)).toBe(true);
      for (const amount of [call.duration_ms, call.ttft_ms, call.cost_usd]) expect(amount === null || (Number.isFinite(amount) && amount >= 0)).toBe(true);
      expect(call.prompt_version === null || 'gen_ai.prompt.version' in attributes).toBe(true);
    }),
    { numRuns: 4_000 },
  );
  expect(calls).toBeGreaterThan(1_000);
});

it('takes prompt name and version from the resource where the event has neither, and never one of each', () => {
  const read = eventReader('gemini-cli');
  const resource = { 'gen_ai.prompt.name': 'of-resource', 'gen_ai.prompt.version': 'v1' };
  const event = { 'event.name': 'gemini_cli.api_response', model: 'gemini-2.5-pro' };
  expect(read(event, {}, resource)).toMatchObject({ call: { prompt_name: 'of-resource', prompt_version: 'v1' } });
  expect(read({ ...event, 'gen_ai.prompt.name': 'own' }, {}, resource)).toMatchObject({ call: { prompt_name: 'own', prompt_version: null } });
});

it('a record without a time counts when it arrived, and a time that nobody can believe is none', () => {
  const read = eventReader('gemini-cli');
  const event = { 'event.name': 'gemini_cli.api_response', model: 'gemini-2.5-pro' };
  const timeless = read({ ...event, duration_ms: 1e300 }, { time_ns: 0n, observed_time_ns: 0n });
  expect(timeless).toMatchObject({ kind: 'call', call: { duration_ms: null, flags: [] } });
  expect(read({ ...event, duration_ms: -5 })).toMatchObject({ kind: 'call', call: { duration_ms: null } });
});
