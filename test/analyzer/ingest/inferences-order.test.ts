import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogMessage } from '../../../schemas/log.ts';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import { agent, ARRIVED_MS, expectExactLedger, from, id, inference, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { STARTED_MS } from '../spans.ts';

/** The same spans and scores in whatever order, requests and processes: the same calls. Which of several spans a call is may differ, nothing else. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const START_NS = BigInt(STARTED_MS) * 1_000_000n;
const under = (parent: number): Partial<OtlpSpan> => ({ parent_span_id: id(parent) });
const at = (fromMs: number, toMs: number): Partial<OtlpSpan> => ({ start_ns: START_NS + BigInt(fromMs) * 1_000_000n, end_ns: START_NS + BigInt(toMs) * 1_000_000n });
const span = (one: OtlpSpan, library = 'a') => (received_ms: number) => traces([one], received_ms, 'default', library);
const score = (number: number, name: string, trace_id?: string) => (received_ms: number) => logs([judgement(number, 0.5, trace_id === undefined ? {} : { trace_id }, { 'gen_ai.evaluation.name': name })], received_ms);

const shop = (arrival: (received_ms: number) => LogMessage) => (received_ms: number) => from('shop', arrival(received_ms));
const STRAY_TRACE = 'dddddddddddddddddddddddddddddddd';
const OTHER_TRACE = 'ffffffffffffffffffffffffffffffff';
const LONE_TRACE = 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee';
const MIXED_TRACE = 'cccccccccccccccccccccccccccccccc';
const NAMED = { 'gen_ai.prompt.name': 'refund-agent', 'session.id': 'session-1' };
const FIRST = { 'gen_ai.response.id': 'chatcmpl-9c201d6dd5f468efb16f57f0747f2' };
const SECOND = { 'gen_ai.response.id': 'msg_0155bc24fae1c8653f7ae5d9' };
const FAILED = { 'error.type': 'RateLimitError' };

const STREAM = { 'gen_ai.usage.input_tokens': 1588, 'gen_ai.usage.output_tokens': 86, 'gen_ai.request.stream': true };
const THROWN = { 'error.type': 'TimeoutError' };

/**
 * Under a tagged root: a client over a gateway; an agent under a tool; three spans of one inference, one of them elsewhere; a failure seen twice. A lone agent.
 * A stream whose client's span, itself seen twice, strayed into a trace of its own, and a failure whose client's span hangs from the root. A call that lacks a
 * user only, one that lacks a version, which the root has, and one under a version that is another prompt's.
 */
const arrivals: ((received_ms: number) => LogMessage)[] = [
  span(wrapper(1, { ...TAGS, 'user.id': 'mira' }, at(0, 9_000))),
  span(agent(2, {}, { ...under(1), ...at(0, 8_900) })),
  span(inference(3, { ...FIRST, 'gen_ai.usage.cost': 0.25 }, { ...under(2), ...at(100, 1_100) })),
  span(wrapper(14, {}, { ...under(3), ...at(101, 1_099) })),
  span(inference(4, { ...FIRST, 'gen_ai.usage.output_tokens': 7 }, { ...under(14), ...at(102, 1_098) }), 'b'),
  span(wrapper(5, { 'gen_ai.operation.name': 'execute_tool' }, { ...under(2), ...at(1_200, 3_000) })),
  span(agent(6, {}, { ...under(5), ...at(1_201, 2_999) })),
  span(inference(7, {}, { ...under(6), ...at(1_300, 2_900) })),
  span(inference(8, { ...SECOND, 'gen_ai.usage.output_tokens': 9 }, { ...under(2), ...at(4_000, 5_000) })),
  span(inference(9, { ...SECOND, 'gen_ai.response.model': 'gpt-4o-2024-08-06' }, { ...under(2), ...at(4_001, 4_999) }), 'b'),
  span(inference(10, { ...SECOND, 'user.id': 'mira' }, { trace_id: OTHER_TRACE, ...at(4_002, 4_998) }), 'c'),
  span(inference(11, FAILED, { ...under(1), ...at(6_000, 7_000) })),
  span(inference(12, {}, { ...under(1), ...at(6_001, 6_999), status_code: 2, status_message: 'too many' }), 'b'),
  span(agent(13, TAGS, { trace_id: LONE_TRACE })),
  shop(span(wrapper(15, {}, { ...under(1), ...at(8_000, 8_600) }))),
  shop(span(inference(16, { ...STREAM, ...TAGS }, { ...under(15), ...at(8_010, 8_590) }), 'a')),
  shop(span(inference(17, { 'user.id': 'mira' }, { trace_id: STRAY_TRACE, ...at(8_020, 8_022) }), 'b')),
  shop(span(inference(18, { ...STREAM, 'gen_ai.response.id': 'chatcmpl-4c0b65ddfdbcce7ce07dc5b2d0462184' }, { trace_id: STRAY_TRACE, ...under(17), ...at(8_021, 8_589) }), 'c')),
  shop(span(wrapper(19, {}, { ...under(1), ...at(8_700, 8_800) }))),
  shop(span(inference(20, { ...THROWN }, { ...under(19), ...at(8_701, 8_799) }), 'a')),
  shop(span(inference(21, { ...THROWN, 'gen_ai.response.model': 'gpt-4o-2024-08-06' }, { ...under(1), ...at(8_702, 8_798) }), 'b')),
  span(inference(22, TAGS, { ...under(24), ...at(8_820, 8_850) })),
  span(inference(23, NAMED, { ...under(24), ...at(8_860, 8_890) })),
  span(wrapper(24, {}, { ...under(1), ...at(8_810, 8_895) })),
  span(inference(25, NAMED, { trace_id: MIXED_TRACE, ...under(26) })),
  span(wrapper(26, { 'gen_ai.prompt.version': 'v9' }, { trace_id: MIXED_TRACE, ...under(27) })),
  span(wrapper(27, { 'gen_ai.prompt.name': 'another-agent' }, { trace_id: MIXED_TRACE })),
  score(18, 'of-stray', STRAY_TRACE),
  score(3, 'of-client'),
  score(9, 'of-twin'),
  score(10, 'of-stranger', OTHER_TRACE),
  score(6, 'of-agent'),
  score(13, 'of-lone-agent', LONE_TRACE),
];

/** The calls that count, each under a name that does not depend on which of its spans it is. */
const NAMES: ReadonlyMap<number, string> = new Map([[4, 'first'], [7, 'tool'], [8, 'second'], [9, 'second'], [10, 'second'], [11, 'failed'], [12, 'failed'], [13, 'lone'], [16, 'streamed'], [18, 'streamed'], [20, 'thrown'], [21, 'thrown'], [22, 'whole'], [23, 'named'], [25, 'apart']]);
const nameOf = (span_id: string): string => NAMES.get(parseInt(span_id, 16)) ?? `span ${span_id}`;

async function outcome() {
  const calls = await on.store.select<{ span_id: string }>(
    `SELECT span_id, slot > 0 AS is_complete, prompt_name, prompt_version, prompt_version_source, prompt_attribution, session_id, user_id, request_model, response_model, response_id,
            input_tokens, output_tokens, cost_source, finish_reason, is_error, error_type, status_message FROM calls FINAL WHERE role = 'call'`,
  );
  const scores = await on.store.select<{ name: string; call_span_id: string }>('SELECT name, call_span_id, join_state, prompt_version, session_id FROM scores FINAL ORDER BY name');
  return {
    calls: calls.map(({ span_id, ...call }) => ({ name: nameOf(span_id), ...call })).toSorted((one, other) => one.name.localeCompare(other.name)),
    scores: scores.map(({ call_span_id, ...judged }) => ({ ...judged, call: nameOf(call_span_id) })),
  };
}

/** `cuts`: after which arrivals a request ends; `restarts`: and the process with it. */
async function ingestAll({ order, cuts, restarts }: { order: readonly ((received_ms: number) => LogMessage)[]; cuts: readonly boolean[]; restarts: readonly boolean[] }) {
  let ingest = await on.fresh();
  let nowMs = ARRIVED_MS + 10_000;
  let request: LogMessage[] = [];
  for (const [index, arrival] of order.entries()) {
    request.push(arrival(nowMs));
    if (cuts[index] !== true && index < order.length - 1) continue;
    await ingest.write(request);
    request = [];
    nowMs += 1_000;
    await ingest.advance(nowMs);
    if (restarts[index] === true) ingest = await on.start({}, nowMs);
  }
  await ingest.advance(nowMs + RESOLVE_WAIT_MS);
  await expectExactLedger(on);
  return outcome();
}

/** 8 where nobody asks for more: a fault that this test once found needed 17. `NUM_ORDERS=500 npx vitest run …` is the long form; `SEED` repeats one. */
const NUM_ORDERS = Number(process.env['NUM_ORDERS'] ?? 8);
const SEED = process.env['SEED'];

it('come out the same in any order, in any requests, with restarts between (seed by fast-check)', { timeout: 240_000 + NUM_ORDERS * 20_000 }, async () => {
  const none = arrivals.map(() => false);
  const expected = await ingestAll({ order: arrivals, cuts: none, restarts: none });
  expect(expected.calls).toMatchObject([
    { name: 'apart', prompt_name: 'refund-agent', prompt_version: null },
    { name: 'failed', is_error: true, error_type: 'RateLimitError', status_message: 'too many' },
    { name: 'first', cost_source: 'reported', output_tokens: 7, prompt_version: 'v2', prompt_attribution: 'inherited', session_id: 'session-1' },
    { name: 'lone', prompt_version: 'v2', input_tokens: 100 },
    { name: 'named', prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'direct' },
    { name: 'second', output_tokens: 9, response_model: 'gpt-4o-2024-08-06', prompt_version: 'v2', session_id: 'session-1' },
    { name: 'streamed', prompt_version: 'v2', session_id: 'session-1', response_id: 'chatcmpl-4c0b65ddfdbcce7ce07dc5b2d0462184', input_tokens: 1588, output_tokens: 86 },
    { name: 'thrown', prompt_version: 'v2', is_error: true, response_model: 'gpt-4o-2024-08-06' },
    { name: 'tool', prompt_version: 'v2' },
    { name: 'whole', prompt_attribution: 'direct' },
  ]);
  expect(expected.calls.filter((call) => Reflect.get(call, 'user_id') === null).map(({ name }) => name)).toEqual(['apart', 'lone']);
  expect(expected.scores.map(({ name, call }) => [name, call])).toEqual([['of-agent', 'tool'], ['of-client', 'first'], ['of-lone-agent', 'lone'], ['of-stranger', 'second'], ['of-stray', 'streamed'], ['of-twin', 'second']]);
  const flags = (often: number) => fc.array(fc.nat(often).map((drawn) => drawn === 0), { minLength: arrivals.length, maxLength: arrivals.length });
  const order = fc.shuffledSubarray(arrivals, { minLength: arrivals.length, maxLength: arrivals.length });
  await fc.assert(
    fc.asyncProperty(order, flags(1), fc.oneof(fc.constant(none), flags(3)), async (shuffled, cuts, restarts) => {
      expect(await ingestAll({ order: shuffled, cuts, restarts })).toEqual(expected);
    }),
    // Shrinking an order takes longer than finding it.
    { numRuns: NUM_ORDERS, endOnFailure: NUM_ORDERS > 8, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  );
});
