import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { RetryableError } from '../../../schemas/errors.ts';
import type { Store } from '../../../schemas/store.ts';
import { begin, expectOnce, request, settings, takeUp } from './changing-hands.ts';
import { ARRIVED_MS, expectExactLedger, holding, id, inference, openIngesting, overtaken, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';

/**
 * An owner of a shard is thought dead while an insert of it is on its way; another one takes the shard up and gets the same messages again, since their offset
 * was not committed. When the insert arrives after all, everything has been counted once.
 */
let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());
beforeEach(() => begin(on));

it('a ledger that arrives after the batch was made good from its rows: before the messages come again', async () => {
  const { release } = await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const ingest = await takeUp(on);
  await release();
  await expectOnce(on, { again: 0 });
  await ingest.write(request);
  await expectOnce(on, { again: 1 });
});

it('a ledger that arrives after the messages have come again', async () => {
  const { release } = await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const ingest = await takeUp(on);
  await ingest.write(request);
  const made = await expectOnce(on, { again: 1 });
  await release();
  expect(await expectOnce(on, { again: 1 })).toEqual(made);
});

it('a ledger that arrives after two others have taken the shard up, and written', async () => {
  const { release } = await overtaken(on, settings, { tables: ['ledger'], messages: request });
  await (await takeUp(on)).write(request);
  await (await takeUp(on)).write(request);
  await expectOnce(on, { again: 2 });
  await release();
  await expectOnce(on, { again: 2 });
  await takeUp(on);
  await expectOnce(on, { again: 2 });
});

it('a ledger that never arrives', async () => {
  await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const ingest = await takeUp(on);
  await expectOnce(on, { again: 0 });
  await ingest.write(request);
  await expectOnce(on, { again: 1 });
  await on.store.command('OPTIMIZE TABLE ledger FINAL');
  await expectOnce(on, { again: 1 });
});

it('a ledger whose insert the client gave up, and the server had only begun', async () => {
  const { through, hold, release } = holding(on.store);
  let isGivenUp = false;
  const impatient: Store = {
    ...through,
    async insert(table, rows) {
      const inserted = through.insert(table, rows);
      if (isGivenUp && table === 'ledger' && rows.length > 0) {
        isGivenUp = false;
        throw new RetryableError('no answer within 60 s');
      }
      await inserted;
    },
  };
  const ingest = await on.start(settings, ARRIVED_MS, impatient);
  isGivenUp = true;
  const held = hold('ledger');
  await expect(ingest.write(request)).rejects.toBeInstanceOf(RetryableError);
  await held;
  await ingest.write(request);
  await expectOnce(on, { again: 1 });
  await release();
  await expectOnce(on, { again: 1 });
});

it('what another one made good of the same batch arrives after it was made good', async () => {
  await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const { through, hold, release } = holding(on.store);
  const held = hold('recounts');
  const second = takeUp(on, through);
  await held;
  await (await takeUp(on)).write(request);
  await expectOnce(on, { again: 1 });
  await release();
  await second;
  await expectOnce(on, { again: 1 });
});

it('is made good again where whoever did it ended before it was done', async () => {
  const { release } = await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const cut: Store = { ...on.store, insert: (table, rows) => (table === 'ledger' ? Promise.reject(new RetryableError('the process died')) : on.store.insert(table, rows)) };
  await expect(takeUp(on, cut)).rejects.toThrow('the process died');
  await takeUp(on);
  await expectOnce(on, { again: 0 });
  await release();
  await expectOnce(on, { again: 0 });
});

it('is made good again after a merge left fewer of its rows: the fuller count stays', async () => {
  const { through, hold } = holding(on.store);
  let landed = (): void => undefined;
  const told: Store = {
    ...through,
    async insert(table, rows) {
      await through.insert(table, rows);
      if (table === 'calls' && rows.length > 0) landed();
    },
  };
  const ingest = await on.start(settings, ARRIVED_MS, told);
  const held = hold('ledger');
  const waits = ingest.write([traces([inference(1, {}, { parent_span_id: id(2) }), inference(3, TAGS)], ARRIVED_MS + 1_000)]);
  await Promise.race([held, waits]);
  // The next batch completes what waited; its ledger is not sent before the one that is on its way has arrived.
  const completed = new Promise<void>((resolve) => (landed = resolve));
  await Promise.race([completed, ingest.write([traces([wrapper(2, TAGS)], ARRIVED_MS + 2_000)])]);
  const cut: Store = { ...on.store, insert: (table, rows) => (table === 'ledger' ? Promise.reject(new RetryableError('the process died')) : on.store.insert(table, rows)) };
  await expect(takeUp(on, cut)).rejects.toThrow('the process died');
  await on.store.command('OPTIMIZE TABLE calls FINAL');
  await takeUp(on);
  expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 3 });
});

it('rows that arrive after they were written again, where neither batch has a ledger', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: request });
  const { through, hold } = holding(on.store);
  const ingest = await takeUp(on, through);
  const held = hold('ledger');
  await Promise.race([held, ingest.write(request)]);
  await release();
  await takeUp(on);
  await expectOnce(on, { again: 0 });
});

it('rows that arrive after somebody took the shard up who ended before anything was written', async () => {
  const calls = request.slice(0, 1);
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: calls });
  await takeUp(on);
  await release();
  await (await takeUp(on)).write(calls);
  expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 2, ignored: 1, duplicate: 2 });
});

it('the ledger of a batch that has no rows, so that its number is not known to who comes after', async () => {
  const { release } = await overtaken(on, settings, { tables: ['ledger'], messages: [traces([wrapper(8)], ARRIVED_MS + 1_000)] });
  const { through, hold } = holding(on.store);
  const ingest = await takeUp(on, through);
  const held = hold('ledger');
  await Promise.race([held, ingest.write(request)]);
  await takeUp(on);
  await expectOnce(on, { again: 0 });
  await release();
  expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 3, ignored: 2 });
});
