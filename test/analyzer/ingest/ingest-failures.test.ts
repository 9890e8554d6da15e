import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AfterFailureError } from '../../../analyzer/ingest/turns.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { agent, ARRIVED_MS, expectExactLedger, failing, id, inference, judgement, logs, openIngesting, TAGS, traces, wrapper, type Ingesting, type MessageIngest } from './ingesting.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const MINUTE_MS = 60_000;

/** Calls that are complete, one that waits for the wrapper of the next request, scores early and late. */
const requests = (at_ms: number): LogMessage[][] => [
  [logs([judgement(2, 0.25)], at_ms), traces([inference(1, TAGS), inference(3, {}, { parent_span_id: id(4) })], at_ms)],
  [traces([inference(2, TAGS), wrapper(4, TAGS)], at_ms + 1), logs([judgement(1, 0.75), judgement(3, 0.5)], at_ms + 1)],
];

async function expectWhole(): Promise<void> {
  expect((await on.calls()).map(({ span_id, slot, prompt_version }) => ({ span_id, isComplete: slot > 0, prompt_version }))).toEqual([1, 2, 3].map((number) => ({ span_id: id(number), isComplete: true, prompt_version: 'v2' })));
  const scores = await on.scores();
  expect(scores.map(({ call_span_id, value, join_state }) => ({ call_span_id, value, join_state })).toSorted((one, other) => one.call_span_id.localeCompare(other.call_span_id))).toEqual([
    { call_span_id: id(1), value: 0.75, join_state: 'joined' },
    { call_span_id: id(2), value: 0.25, join_state: 'joined' },
    { call_span_id: id(3), value: 0.5, join_state: 'joined' },
  ]);
  const ledger = await expectExactLedger(on);
  expect(ledger.by_outcome['stored']).toEqual([{ signal: 'logs', reason: 'score', count: 3 }, { signal: 'traces', reason: 'call', count: 3 }]);
}

describe('a store that fails', () => {
  it.each(['calls', 'scores', 'ledger'].flatMap((table) => (['before', 'after'] as const).flatMap((when) => [0, 1].map((at) => ({ table, when, at })))))(
    '$when the rows of $table are written, in request $at: refuses it, and the same request again gives the same rows',
    async ({ table, when, at }) => {
      await on.fresh();
      const { through, plan } = failing(on.store);
      const ingest = await on.start({}, ARRIVED_MS, through);
      for (const [index, request] of requests(ARRIVED_MS).entries()) {
        if (index === at) {
          Object.assign(plan, { table, when, times: 1 });
          await expect(ingest.write(request)).rejects.toBeInstanceOf(RetryableError);
        }
        await ingest.write(request);
      }
      await expectWhole();
      expect(ingest.waiting()).toEqual({ calls: 0, scores: 0 });
    },
  );

  it.each(['calls', 'scores', 'ledger'].flatMap((table) => (['before', 'after'] as const).map((when) => ({ table, when }))))(
    '$when the rows of $table are written, while the next request is drafted: refuses both, and both again give the same rows',
    async ({ table, when }) => {
      await on.fresh();
      const { through, plan } = failing(on.store);
      const ingest = await on.start({}, ARRIVED_MS, through);
      Object.assign(plan, { table, when, times: 1 });
      const together = (): Promise<PromiseSettledResult<unknown>[]> => Promise.allSettled(requests(ARRIVED_MS).map((request) => ingest.write(request)));
      const reasons = (await together()).map((outcome) => (outcome.status === 'rejected' ? outcome.reason : null));
      expect(reasons).toEqual([expect.any(RetryableError), expect.any(AfterFailureError)]);
      expect((await together()).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
      await expectWhole();
      expect(ingest.waiting()).toEqual({ calls: 0, scores: 0 });
    },
  );

  it.each((['before', 'after'] as const).flatMap((when) => ['calls', 'ledger'].map((table) => ({ table, when }))))('$when the rows of $table are written: what was demoted, promoted or seen twice is counted anew once', async ({ table, when }) => {
    await on.fresh();
    const { through, plan } = failing(on.store);
    const ingest = await on.start({}, ARRIVED_MS, through);
    const response = { ...TAGS, 'gen_ai.response.id': 'chatcmpl-9c201d6dd5f468efb16f57f0747f2' };
    await ingest.write([traces([inference(1, TAGS), agent(3, TAGS), inference(5, response), agent(6, TAGS)])]);
    const request = [traces([inference(2, TAGS, { parent_span_id: id(1) }), inference(4, TAGS, { parent_span_id: id(3) })]), traces([inference(7, response)], ARRIVED_MS, 'default', 'b')];
    Object.assign(plan, { table, when, times: 1 });
    await expect(ingest.write(request)).rejects.toBeInstanceOf(RetryableError);
    await ingest.write(request);
    Object.assign(plan, { table, when, times: 1 });
    await expect(ingest.advance(ARRIVED_MS + MINUTE_MS)).rejects.toBeInstanceOf(RetryableError);
    await ingest.advance(ARRIVED_MS + MINUTE_MS);
    await ingest.advance(ARRIVED_MS + 2 * MINUTE_MS);
    expect((await on.calls()).map(({ role }) => role)).toEqual(['wrapper', 'call', 'wrapper', 'call', 'call', 'call', 'duplicate']);
    const ledger = await expectExactLedger(on);
    const again = when === 'after' || table === 'ledger' ? 3 : 0;
    expect(ledger).toMatchObject({ received: 7 + again, stored: 4, ignored: 2, duplicate: 1 + again, waiting: 0 });
  });

  it('closes no slot while it is unknown what was written', async () => {
    await on.fresh();
    const { through, plan } = failing(on.store);
    const ingest = await on.start({}, ARRIVED_MS, through);
    await ingest.write([traces([inference(1, {}, { parent_span_id: id(9) })])]);
    Object.assign(plan, { table: 'calls', when: 'after', times: 1 });
    await expect(ingest.advance(ARRIVED_MS + MINUTE_MS)).rejects.toBeInstanceOf(RetryableError);
    await ingest.advance(ARRIVED_MS + MINUTE_MS);
    expect(await on.calls()).toMatchObject([{ revision: 3 }]);
    expect(ingest.waiting().calls).toBe(0);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 1, waiting: 0 });
  });

  it.each([{}, { shard: 3 }])('counts once what was written before the clock of the log had come to it, whose answer was lost (%o)', async (settings) => {
    await on.fresh(settings);
    const { through, plan } = failing(on.store);
    const ingest = await on.start(settings, ARRIVED_MS, through);
    await ingest.write([traces([inference(1, TAGS)])]);
    const atMs = ARRIVED_MS + MINUTE_MS;
    const request = [traces([inference(2, TAGS, { start_ns: BigInt(atMs - 500) * 1_000_000n, end_ns: BigInt(atMs) * 1_000_000n })], atMs)];
    Object.assign(plan, { table: 'ledger', when: 'after', times: 1 });
    await expect(ingest.write(request)).rejects.toBeInstanceOf(RetryableError);
    // A tick comes first, of a clock that waits for another partition.
    await ingest.advance(ARRIVED_MS + 1_000);
    await ingest.write(request);
    expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 2, duplicate: 1 });
  });

  it('does not count again what only became complete after the last ledger', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, { parent_span_id: id(9) })]), logs([judgement(1, 0.5)])]);
    await ingest.advance(ARRIVED_MS + MINUTE_MS);
    // The rows of a tick have no ledger: they were counted when they came.
    for (let restart = 1; restart <= 2; restart += 1) await on.start({}, ARRIVED_MS + restart * MINUTE_MS);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 2 });
  });
});

it('a score that comes again after a restart, when its trace has gone on meanwhile, is none more, and stays in its slot', async () => {
  const before = await on.fresh();
  await before.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.5)])]);
  const scores = await on.scores();
  const atMs = ARRIVED_MS + 5 * MINUTE_MS;
  const after = await on.start({}, ARRIVED_MS + MINUTE_MS);
  await after.write([traces([inference(2, TAGS, { start_ns: BigInt(atMs - 500) * 1_000_000n, end_ns: BigInt(atMs) * 1_000_000n })], atMs)]);
  await after.write([logs([judgement(1, 0.5)], atMs + 1_000)]);
  expect(await on.scores()).toEqual(scores);
  expect(await expectExactLedger(on)).toMatchObject({ received: 4, stored: 3, duplicate: 1 });
});

describe('a process that dies', () => {
  /** Lets the given number of inserts through, then neither writes nor answers: what a process that is gone does. */
  const dying = (store: Store, inserts: number): Store => {
    let left = inserts;
    return {
      ...store,
      async insert(table, rows) {
        if (rows.length === 0) return;
        if (left <= 0) throw new RetryableError('the process is gone');
        left -= 1;
        await store.insert(table, rows);
      },
    };
  };

  it('between any two inserts leaves what the next process makes whole', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 4 }), async (deaths) => {
        await on.fresh();
        let nowMs = ARRIVED_MS;
        /** A sender sends each request until it is answered. */
        const sendAll = async (ingest: MessageIngest): Promise<boolean> => {
          for (const request of requests(nowMs)) {
            try {
              await ingest.write(request);
            } catch {
              return false;
            }
          }
          return true;
        };
        for (const inserts of deaths) {
          const mortal = await on.start({}, nowMs, dying(on.store, inserts)).catch(() => null);
          if (mortal !== null) await sendAll(mortal);
          nowMs += MINUTE_MS;
        }
        expect(await sendAll(await on.start({}, nowMs))).toBe(true);
        await expectWhole();
      }),
      { numRuns: 8, examples: [[[1]], [[3]], [[1, 1]]] },
    );
  });
});
