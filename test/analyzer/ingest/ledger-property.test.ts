import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RetryableError } from '../../../schemas/errors.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { many } from '../../long.ts';
import { agent, ARRIVED_MS, expectExactLedger, failing, holding, id, inference, judgement, logs, openIngesting, TAGS, traces, wrapper, type Ingesting, type MessageIngest } from './ingesting.ts';

/**
 * Whatever goes wrong in whatever order, the ledger counts each span once: inserts that fail before or after the store has the rows, ticks of a clock that
 * stands far behind what is being written (it waits for another partition), restarts, requests that come again much later; an insert, of rows or of the ledger, that is on its way
 * while another process takes the shard up, and arrives at some time after.
 */
let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const TABLES = ['calls', 'relatives', 'scores', 'ledger'] as const;
const step = fc.record({
  /** Between this request and the one before, s. */
  after: fc.constantFrom(0, 1, 5, 20, 90),
  spans: fc.array(fc.constantFrom('call', 'below what comes later', 'agent', 'below the agent', 'twin'), { maxLength: 3 }),
  scores: fc.integer({ min: 0, max: 1 }),
  /** Of an earlier request, which comes again beside it. */
  again: fc.option(fc.nat(20), { freq: 3 }),
  fails: fc.option(fc.record({ table: fc.constantFrom(...TABLES), when: fc.constantFrom('before' as const, 'after' as const) })),
  /** Whether the clock ticks, how far behind, s, and before or after a failed write is tried again. */
  tick: fc.option(fc.record({ behind: fc.constantFrom(0, 2, 30, 300), isBetween: fc.boolean() })),
  restarts: fc.boolean(),
  /** The owner is thought dead while an insert is on its way: another one takes the shard up, to which the request comes again. When that insert arrives after all. */
  overtaken: fc.option(fc.record({ table: fc.constantFrom(...TABLES), arrives: fc.constantFrom('while the shard is taken up', 'before the request comes again', 'after it came again', 'at the end') }), { freq: 3 }),
});

type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;

/** @param settings of one process, or of one of many. */
async function run(steps: readonly Step[], settings: { readonly shard?: number }): Promise<void> {
  await on.fresh(settings);
  const held = holding(on.store);
  const { through, plan } = failing(held.through);
  /** Whoever was overtaken may not write any more (deploy/kafka/lease.ts). */
  let owners = 0;
  const start = (store: Store): Promise<MessageIngest> => {
    const owner = (owners += 1);
    return on.start(settings, nowMs, { ...store, insert: (table, rows) => (owner === owners ? store.insert(table, rows) : Promise.reject(new RetryableError("the shard is another's"))) });
  };
  /** Whose shard it is to be, with an insert of the one before on its way. */
  const taking: Store = {
    ...through,
    async select<Row>(...asked: Parameters<Store['select']>) {
      const found = await through.select<Row>(...asked);
      if (asked[0].includes('AS given')) await held.release();
      return found;
    },
  };
  let [nowMs, clockMs, sent, scored, lastAgent, parent] = [ARRIVED_MS, ARRIVED_MS, 0, 0, 9_999, 0];
  const late: number[] = [];
  const requests: LogMessage[][] = [];
  let ingest: MessageIngest = await start(through);
  /** As the consumer does it, and the clock: until it works. */
  const persist = async (work: () => Promise<unknown>, between?: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      expect(error).toBeInstanceOf(RetryableError);
      await between?.();
      await persist(work);
    }
  };
  for (const { after, spans: fresh, scores, again, fails, tick, restarts, overtaken } of steps) {
    nowMs += after * 1_000;
    const spans = fresh.map((kind) => {
      const number = (sent += 1);
      const times = { start_ns: BigInt(nowMs - 1_500) * 1_000_000n, end_ns: BigInt(nowMs - 500) * 1_000_000n };
      switch (kind) {
        case 'call':
          return inference(number, TAGS, times);
        case 'below what comes later':
          late.push((parent = 10_000 + number));
          return inference(number, {}, { ...times, parent_span_id: id(parent) });
        case 'agent':
          return agent((lastAgent = number), TAGS, times);
        case 'below the agent':
          return inference(number, {}, { ...times, parent_span_id: id(lastAgent) });
        case 'twin':
          return inference(number, { ...TAGS, 'gen_ai.response.id': `chatcmpl-9c201d6dd5f468efb16f57f0747${Math.floor(number / 3)}` }, times);
      }
    });
    // Each ancestor comes with the request after, or two later.
    const parents = fresh.length < 2 ? late.splice(0).filter((each) => each !== parent || fresh.length === 0).map((each) => wrapper(each, TAGS)) : [];
    const request = [
      ...(spans.length + parents.length === 0 ? [] : [traces([...spans, ...parents], nowMs, 'default', sent % 2 === 0 ? 'a-library' : 'another')]),
      ...(scores === 0 || sent === 0 ? [] : [logs([judgement(1 + ((7 * (scored += 1)) % sent), 0.5, {}, { 'gen_ai.evaluation.name': `quality ${scored}` })], nowMs)]),
    ];
    requests.push(request);
    const batch = [...request, ...(again === null ? [] : (requests[again % requests.length] ?? []).map((message) => ({ ...message, received_ms: nowMs })))];
    if (tick !== null) clockMs = Math.max(clockMs, nowMs - tick.behind * 1_000);
    const ticks = (): Promise<void> => persist(() => ingest.advance(clockMs));
    if (overtaken !== null && batch.length > 0) {
      await held.release();
      const isHeld = held.hold(overtaken.table).then(() => true);
      // It never hears of the end, or that it may not go on.
      const hasStuck = await Promise.race([isHeld, ingest.write(batch).then(() => false, () => true)]);
      // It had nothing for that table.
      if (!hasStuck) await held.release();
      ingest = await start(overtaken.arrives === 'while the shard is taken up' ? taking : through);
      if (overtaken.arrives === 'before the request comes again') await held.release();
    } else if (fails !== null) Object.assign(plan, { ...fails, times: 1 });
    await persist(() => ingest.write(batch), tick?.isBetween === true ? ticks : undefined);
    if (tick?.isBetween === false) await ticks();
    plan.times = 0;
    if (overtaken?.arrives === 'after it came again') await held.release();
    if (restarts) ingest = await start(through);
  }
  await held.release();
  // Nothing waits any more.
  await ingest.advance(nowMs + 600_000);
  const ledger = await expectExactLedger(on);
  expect((await on.calls()).map(({ span_id }) => span_id)).toEqual(Array.from({ length: sent }, (_, index) => id(index + 1)));
  const counted = ledger.by_outcome['stored']?.filter(({ signal }) => signal === 'logs').reduce((sum, { count }) => sum + count, 0) ?? 0;
  expect({ scores: counted, waiting: ledger.waiting }).toEqual({ scores: scored, waiting: 0 });
  expect((await on.scores()).length).toBe(scored);
}

const RUNS = many(100, 6);

it.each([{}, { shard: 3 }])('counts each once (%o)', { timeout: 30_000 + RUNS * 10_000 }, async (settings) => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 8 }), (steps) => run(steps, settings)), { numRuns: RUNS });
});
