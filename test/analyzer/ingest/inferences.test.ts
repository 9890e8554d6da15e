import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selectCalls } from '../../../analyzer/look/call-rows.ts';
import { selectActivity } from '../../../analyzer/look/observations.ts';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import { agent, ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, jsonOf, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { many } from '../../long.ts';
import { STARTED_MS } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const MINUTE_MS = 60_000;
const START_NS = BigInt(STARTED_MS) * 1_000_000n;
const OTHER_TRACE = 'ffffffffffffffffffffffffffffffff';
const under = (parent: number): Partial<OtlpSpan> => ({ parent_span_id: id(parent) });
const at = (fromMs: number, toMs: number): Partial<OtlpSpan> => ({ start_ns: START_NS + BigInt(fromMs) * 1_000_000n, end_ns: START_NS + BigInt(toMs) * 1_000_000n });
const roles = async (): Promise<Record<number, string>> => Object.fromEntries((await on.calls()).map(({ span_id, role }) => [parseInt(span_id, 16), role]));
const shown = async (trace = '0af7651916cd43dd8448eb211c80319c') => (await jsonOf<{ calls: Record<string, unknown>[] }>(await on.request(`/v1/calls?trace_id=${trace}`))).calls;
const library = (name: string, spans: OtlpSpan[], received_ms = ARRIVED_MS) => traces(spans, received_ms, 'default', name);

describe('a wrapper that says which model it used', () => {
  it('is stored at once, and neither shown nor waiting nor compared, until its wait is over; then it counts, in the slot of that moment', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([agent(1, TAGS)])]);
    expect(await on.calls()).toMatchObject([{ role: 'candidate', slot: 0, revision: 0 }]);
    expect(await shown()).toEqual([]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 0, ignored: 1, waiting: 0 });
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS - 1);
    expect(await roles()).toEqual({ 1: 'candidate' });
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    expect(await on.calls()).toMatchObject([{ role: 'call', slot: ARRIVED_SLOT + 1, revision: 3, prompt_version: 'v2' }]);
    expect(await shown()).toMatchObject([{ span_id: id(1), input_tokens: 100 }]);
    expect(await selectActivity(on.store, { from: 1, to: ARRIVED_SLOT + 2 })).toMatchObject([{ version: 'v2', calls: 1 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 1, ignored: 0, waiting: 0 });
    expect(ingest.waiting().calls).toBe(0);
  });

  // What came above it woke it like a call, which needs nothing else.
  it('waits for its time alone, whatever comes above it, and has its tags from there', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([agent(1, {}, under(9))])]);
    await ingest.write([traces([wrapper(9, TAGS)], ARRIVED_MS + 1_000)]);
    expect(await on.calls()).toMatchObject([{ role: 'candidate', slot: 0 }]);
    const restarted = await on.start({}, ARRIVED_MS + 2_000);
    await restarted.write([traces([wrapper(9, TAGS)], ARRIVED_MS + 3_000)]);
    expect(await on.calls()).toMatchObject([{ role: 'candidate', slot: 0 }]);
    await restarted.advance(ARRIVED_MS + MINUTE_MS);
    expect(await on.calls()).toMatchObject([{ role: 'call', slot: ARRIVED_SLOT + 1, prompt_version: 'v2', prompt_attribution: 'inherited' }]);
  });

  it('is demoted by an inference that comes after all: it keeps its slot, its score moves, and the ledger counts anew', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([agent(1, TAGS)])]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    await ingest.write([logs([judgement(1, 0.5)], ARRIVED_MS + 40_000)]);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1) }]);
    const slot = ARRIVED_SLOT + 1;
    await ingest.write([traces([inference(2, {}, under(1))], ARRIVED_MS + 2 * MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ role: 'wrapper', slot, revision: 5 }, { role: 'call', slot: ARRIVED_SLOT + 4, prompt_version: 'v2', prompt_attribution: 'inherited' }]);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(2), slot }]);
    expect(await selectCalls(on.store, { project: 'default', environment: 'default', prompt_name: 'refund-agent' }, { from: 1, to: ARRIVED_SLOT + 9 })).toMatchObject([{ span_id: id(2) }]);
    // What was seen to be active stays so, whether or not the older row is still there.
    const active = [{ slot, calls: 1 }, { slot: ARRIVED_SLOT + 4, calls: 1 }];
    expect(await selectActivity(on.store, { from: 1, to: ARRIVED_SLOT + 9 })).toMatchObject(active);
    await on.store.command('OPTIMIZE TABLE calls FINAL');
    expect(await selectActivity(on.store, { from: 1, to: ARRIVED_SLOT + 9 })).toMatchObject(active);
    expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 2, ignored: 1 });
  });

  it.each([
    ['in one request', [[agent(1, TAGS), inference(2, {}, under(1))]]],
    ['inference first', [[inference(2, TAGS, under(1))], [agent(1, TAGS)]]],
    ['wrapper first', [[agent(1, TAGS)], [inference(2, TAGS, under(1))]]],
    ['through a span that comes last', [[agent(1, TAGS)], [inference(2, TAGS, under(3))], [wrapper(3, {}, under(1))]]],
    ['through a tool, and with a wrapper between', [[agent(1, TAGS), wrapper(3, { 'gen_ai.operation.name': 'execute_tool' }, under(1)), agent(4, TAGS, under(3)), inference(2, TAGS, under(4))]]],
  ])('does not count beside an inference below it: %s', async (_name, requests) => {
    for (const restarts of [false, true]) {
      let ingest = await on.fresh();
      for (const [index, spans] of requests.entries()) {
        if (restarts) ingest = await on.start({}, ARRIVED_MS + index);
        await ingest.write([traces(spans, ARRIVED_MS + index)]);
      }
      await ingest.advance(ARRIVED_MS + MINUTE_MS);
      const counted = (await on.calls()).filter(({ role }) => role === 'call');
      expect(counted).toMatchObject([{ span_id: id(2), prompt_version: 'v2' }]);
      expect(await expectExactLedger(on)).toMatchObject({ stored: 1, waiting: 0 });
    }
  });

  it('is taken up by the next process, which waits anew', async () => {
    await (await on.fresh()).write([traces([agent(1, TAGS), agent(3, TAGS)])]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    expect(restarted.waiting().calls).toBe(2);
    await restarted.write([traces([inference(4, TAGS, under(3))], ARRIVED_MS + MINUTE_MS)]);
    await restarted.advance(ARRIVED_MS + MINUTE_MS + RESOLVE_WAIT_MS);
    expect(await roles()).toEqual({ 1: 'call', 3: 'wrapper', 4: 'call' });
    await expectExactLedger(on);
  });
});

describe('an inference above another', () => {
  it.each([
    ['in one request', [[inference(1, TAGS), inference(2, {}, under(1))]], { 1: 'wrapper', 2: 'call' }],
    ['the deeper one first', [[inference(2, TAGS, under(1))], [inference(1, TAGS)]], { 1: 'wrapper', 2: 'call' }],
    ['the deeper one later', [[inference(1, TAGS)], [inference(2, TAGS, under(1))]], { 1: 'wrapper', 2: 'call' }],
    ['three of them, from the middle', [[inference(2, TAGS, under(1))], [inference(3, TAGS, under(2))], [inference(1, TAGS)]], { 1: 'wrapper', 2: 'wrapper', 3: 'call' }],
    ['with a tool between', [[inference(1, TAGS), wrapper(9, { 'gen_ai.operation.name': 'execute_tool' }, under(1)), inference(2, TAGS, under(9))]], { 1: 'call', 2: 'call' }],
    ['with an agent between that comes last', [[inference(1, TAGS)], [inference(2, TAGS, under(9))], [wrapper(9, { 'gen_ai.operation.name': 'invoke_agent' }, under(1))]], { 1: 'call', 2: 'call' }],
    ['with an application span between', [[inference(1, TAGS)], [inference(2, TAGS, under(9))], [wrapper(9, {}, under(1))]], { 1: 'wrapper', 2: 'call' }],
    ['that embeds', [[inference(1, TAGS), inference(2, { ...TAGS, 'gen_ai.operation.name': 'embeddings' }, under(1))]], { 1: 'call', 2: 'call' }],
    ['in a circle', [[inference(1, TAGS, under(2))], [inference(2, TAGS, under(1))]], { 1: 'call', 2: 'wrapper' }],
    ['of itself', [[inference(1, TAGS, under(1))]], { 1: 'call' }],
  ])('%s', async (_name, requests, expected) => {
    for (const restarts of [false, true]) {
      let ingest = await on.fresh();
      for (const [index, spans] of requests.entries()) {
        if (restarts) ingest = await on.start({}, ARRIVED_MS + index * MINUTE_MS);
        await ingest.write([traces(spans, ARRIVED_MS + index * MINUTE_MS)]);
      }
      expect(await roles()).toEqual(expected);
      await expectExactLedger(on);
    }
  });

  it('hands on what it alone knows, where it is certainly the same call', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(2, { 'gen_ai.response.id': 'r1' }, under(1))])]);
    await ingest.write([traces([inference(1, { ...TAGS, 'gen_ai.response.id': 'r1', 'gen_ai.response.model': 'gpt-4o-2024-08-06', 'gen_ai.usage.output_tokens': 7, 'gen_ai.usage.cost': 0.5 })], ARRIVED_MS + 1)]);
    expect(await shown()).toMatchObject([{ span_id: id(2), response_model: 'gpt-4o-2024-08-06', output_tokens: 7, cost_usd: 0.5, cost_source: 'reported', prompt_version: 'v2' }]);
    // Two below it: whose tokens would they be?
    await ingest.write([traces([inference(11, { 'gen_ai.usage.output_tokens': 9 }, { trace_id: OTHER_TRACE }), inference(12, {}, { ...under(11), trace_id: OTHER_TRACE }), inference(13, {}, { ...under(11), trace_id: OTHER_TRACE })])]);
    expect(await shown(OTHER_TRACE)).toMatchObject([{ output_tokens: null }, { output_tokens: null }]);
  });
});

describe('one inference, seen twice', () => {
  const RESPONSE = { 'gen_ai.response.id': 'chatcmpl-9c201d6dd5f468efb16f57f0747f2' };

  it('beside each other, in another trace, minutes apart, after a restart: counts once, completed from the others', async () => {
    for (const restarts of [false, true]) {
      let ingest = await on.fresh();
      await ingest.write([library('a', [inference(1, RESPONSE)])]);
      if (restarts) ingest = await on.start({}, ARRIVED_MS + MINUTE_MS);
      await ingest.write([library('b', [inference(2, { ...RESPONSE, ...TAGS, 'gen_ai.usage.output_tokens': 5 }, { trace_id: OTHER_TRACE })], ARRIVED_MS + MINUTE_MS)]);
      expect(await on.calls()).toMatchObject([{ span_id: id(1), role: 'call', slot: ARRIVED_SLOT, prompt_version: 'v2', session_id: 'session-1' }, { span_id: id(2), role: 'duplicate', slot: 0 }]);
      const ledger = await expectExactLedger(on);
      expect(ledger).toMatchObject({ received: 2, stored: 1, duplicate: 1 });
      expect(ledger.by_outcome['duplicate']).toEqual([{ signal: 'traces', reason: 'same_inference', count: 1 }]);
    }
  });

  // The next process saw two twins of a third one, which it had forgotten, and had one of them count as well.
  it('thrice, of which two are met again after a restart, by something else in their trace', async () => {
    const first = await on.fresh();
    await first.write([library('a', [inference(1, { ...TAGS, ...RESPONSE }, { trace_id: OTHER_TRACE })])]);
    await first.write([library('b', [inference(2, RESPONSE, under(9))]), library('c', [inference(3, RESPONSE, under(9))])]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([wrapper(9)], ARRIVED_MS + MINUTE_MS)]);
    expect(await roles()).toEqual({ 1: 'call', 2: 'duplicate', 3: 'duplicate' });
    await expectExactLedger(on);
  });

  it('in one request: the one with a prompt version stays, else the one that began first', async () => {
    const ingest = await on.fresh();
    await ingest.write([library('a', [inference(1, RESPONSE)]), library('b', [inference(2, { ...RESPONSE, ...TAGS }, at(1, 900))]), library('c', [inference(3, { 'gen_ai.response.id': 'chatcmpl-other-and-long-enough' })]), library('d', [inference(4, { 'gen_ai.response.id': 'chatcmpl-other-and-long-enough' }, at(-1, 1001))])]);
    expect(await roles()).toEqual({ 1: 'duplicate', 2: 'call', 3: 'duplicate', 4: 'call' });
  });

  it('is not the same where the id is no identity', async () => {
    const ingest = await on.fresh();
    // Servers that repeat short ids, one after the other and at the same time; caches that repeat an answer with its id; constants.
    const weak = { 'gen_ai.response.id': 'chatcmpl-123' };
    await ingest.write([traces([inference(1, weak), inference(2, weak, at(100, 1100))]), library('b', [inference(3, RESPONSE), inference(4, RESPONSE, at(60_000, 61_000))], ARRIVED_MS + MINUTE_MS)]);
    expect(await roles()).toEqual({ 1: 'call', 2: 'call', 3: 'call', 4: 'call' });
    const constant = { 'gen_ai.response.id': 'constant-of-a-mock-server' };
    await ingest.write([traces(Array.from({ length: 30 }, (_, index) => inference(100 + index, constant)))]);
    await ingest.write([traces(Array.from({ length: 30 }, (_, index) => inference(200 + index, constant)))]);
    expect((await on.calls()).filter(({ role }) => role === 'call')).toHaveLength(64);
    await expectExactLedger(on);
  });

  it('without an id, by two libraries under one span, counts once; retries and parallel calls of one library do not', async () => {
    const failed = { 'error.type': 'RateLimitError', ...TAGS };
    const ingest = await on.fresh();
    await ingest.write([
      library('outer', [inference(1, failed, { ...under(50), ...at(0, 1000) }), inference(3, failed, { ...under(50), ...at(2000, 3000) })]),
      library('inner', [inference(2, failed, { ...under(50), ...at(2, 998) }), inference(4, failed, { ...under(50), ...at(2001, 2999) })], ARRIVED_MS + 1),
      library('other', [inference(5, { ...failed, 'gen_ai.request.model': 'claude' }, { ...under(50), ...at(0, 1000) }), inference(6, failed, { ...under(51), ...at(0, 1000) })]),
    ]);
    expect(await roles()).toEqual({ 1: 'call', 2: 'duplicate', 3: 'call', 4: 'duplicate', 5: 'call', 6: 'call' });
    await expectExactLedger(on);
  });

  it('as twin of a wrapper, leaves the inference below that wrapper', async () => {
    const spans = [library('a', [inference(1, TAGS, { ...under(50), ...at(0, 1000) })]), library('b', [inference(2, TAGS, { ...under(50), ...at(1, 999) })]), library('c', [inference(3, TAGS, { ...under(2), ...at(2, 998) })])];
    for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]) {
      const ingest = await on.fresh();
      for (const index of order) await ingest.write(spans.slice(index, index + 1));
      expect(await roles()).toEqual({ 1: 'duplicate', 2: 'wrapper', 3: 'call' });
      await expectExactLedger(on);
    }
  });

  it('nested, as becomes known only by a span that comes last: the deeper one counts from then on', async () => {
    for (const restarts of [false, true]) {
      let ingest = await on.fresh();
      await ingest.write([library('a', [inference(1, { ...TAGS, ...RESPONSE })])]);
      await ingest.write([library('b', [inference(2, { ...TAGS, ...RESPONSE }, under(9))], ARRIVED_MS + 1)]);
      expect(await roles()).toEqual({ 1: 'call', 2: 'duplicate' });
      if (restarts) ingest = await on.start({}, ARRIVED_MS + MINUTE_MS);
      await ingest.write([traces([wrapper(9, {}, under(1))], ARRIVED_MS + MINUTE_MS)]);
      expect(await on.calls()).toMatchObject([{ role: 'wrapper', slot: ARRIVED_SLOT }, { role: 'call', slot: ARRIVED_SLOT + 2 }]);
      expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 1, ignored: 2 });
    }
  });
});

describe('a score that names a span which does not count', () => {
  it.each([false, true])('reaches the call that does, early or late (restart between: %s)', async (restarts) => {
    const named = (number: number, name: string, trace_id?: string) => judgement(number, 0.5, trace_id === undefined ? {} : { trace_id }, { 'gen_ai.evaluation.name': name });
    let ingest = await on.fresh();
    const response = { 'gen_ai.response.id': 'chatcmpl-9c201d6dd5f468efb16f57f0747f2' };
    await ingest.write([logs([named(1, 'early-wrapper'), named(4, 'early-duplicate', OTHER_TRACE)])]);
    await ingest.write([traces([inference(3, { ...TAGS, ...response }, under(2))])]);
    if (restarts) ingest = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await ingest.write([library('b', [inference(4, response, { trace_id: OTHER_TRACE })]), traces([wrapper(2, {}, under(1)), agent(1, TAGS)], ARRIVED_MS + MINUTE_MS)]);
    if (restarts) ingest = await on.start({}, ARRIVED_MS + 2 * MINUTE_MS);
    await ingest.write([logs([named(1, 'late-agent'), named(2, 'late-wrapper'), named(4, 'late-duplicate', OTHER_TRACE)], ARRIVED_MS + 2 * MINUTE_MS)]);
    // A second call may still come below a wrapper.
    expect((await on.scores()).filter(({ join_state }) => join_state === 'joined').map(({ name }) => name)).toEqual(['early-duplicate', 'late-duplicate']);
    await ingest.advance(ARRIVED_MS + 3 * MINUTE_MS);
    expect((await on.scores()).map(({ name, call_span_id, join_state }) => ({ name, call_span_id, join_state }))).toEqual(
      ['early-duplicate', 'early-wrapper', 'late-agent', 'late-duplicate', 'late-wrapper'].map((name) => ({ name, call_span_id: id(3), join_state: 'joined' })),
    );
    expect(ingest.waiting().scores).toBe(0);
  });
});

const [FAN, CHAIN] = [many(100_000, 20_000), many(20_000, 5_000)];
it(`a fan of ${FAN} inferences of two libraries under one wrapper, and a chain of ${CHAIN}, take time in proportion`, { timeout: 120_000 }, async () => {
  const ingest = await on.fresh({ rememberedSpans: 100_000 });
  for (let from = 0; from < FAN; from += 10_000) {
    const numbers = Array.from({ length: 5_000 }, (_, index) => 10 + from + index);
    await ingest.write([library('a', numbers.map((number) => inference(number, TAGS, { ...under(1), ...at(number * 100, number * 100 + 50) }))), library('b', numbers.map((number) => inference(500_000 + number, TAGS, { ...under(1), ...at(number * 100 + 1, number * 100 + 49) })))]);
  }
  await ingest.write([traces([agent(1, TAGS)])]);
  await ingest.write([traces(Array.from({ length: CHAIN }, (_, index) => inference(1 + index, TAGS, { trace_id: OTHER_TRACE, ...under(2 + index) })))]);
  const counted = await on.store.select(`SELECT trace_id = '${OTHER_TRACE}' AS is_chain, role, count() AS spans FROM calls FINAL GROUP BY ALL ORDER BY ALL`);
  expect(counted).toEqual([
    { is_chain: 0, role: 'call', spans: FAN / 2 },
    { is_chain: 0, role: 'duplicate', spans: FAN / 2 },
    { is_chain: 0, role: 'wrapper', spans: 1 },
    { is_chain: 1, role: 'call', spans: 1 },
    { is_chain: 1, role: 'wrapper', spans: CHAIN - 1 },
  ]);
  await expectExactLedger(on);
});
