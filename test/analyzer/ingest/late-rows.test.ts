import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { begin, expectOnce, LATER_MS, request, settings, spans, takeUp } from './changing-hands.ts';
import { agent, ARRIVED_MS, expectExactLedger, holding, id, inference, judgement, logs, openIngesting, overtaken, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';

/**
 * Rows of a batch that are on their way when another owner takes up their shard, and arrive at some time before or after their messages are read again. Whoever reads
 * these tells what is there from what is not: the first was stored by the batch that had no ledger, and is counted as its; the second by the one that reads them again.
 */
let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());
beforeEach(() => begin(on));

it.each([[['calls']], [['scores']], [['relatives']], [['calls', 'scores']]])('rows of %s that arrive before the messages come again', async (tables) => {
  const { release } = await overtaken(on, settings, { tables, messages: request });
  const ingest = await takeUp(on);
  for (const table of tables) await release(table);
  await ingest.write(request);
  await expectOnce(on, { again: 1 });
  await ingest.write(request);
  await expectOnce(on, { again: 2 });
  await on.store.command('OPTIMIZE TABLE calls FINAL');
  await (await takeUp(on)).write(request);
  await expectOnce(on, { again: 3 });
});

it('each table at another time: one before the shard is taken up, the others between the messages', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls', 'scores'], messages: [spans, logs([judgement(1, 0.5), judgement(9, 0.25)], ARRIVED_MS + 1_000)] });
  const ingest = await takeUp(on);
  await release('calls');
  await ingest.write([spans]);
  expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 2, ignored: 1, duplicate: 2 });
  await release('scores');
  await ingest.write([logs([judgement(1, 0.5), judgement(9, 0.25)], ARRIVED_MS + 1_000)]);
  expect(await expectExactLedger(on)).toMatchObject({ received: 9, stored: 4, ignored: 1, duplicate: 4 });
});

it('rows that arrive when some of their messages have come again, and were written anew', async () => {
  const [one, two] = [traces([inference(1, TAGS)], ARRIVED_MS + 1_000), traces([inference(2, TAGS), inference(3, TAGS)], ARRIVED_MS + 1_000)];
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: [one, two] });
  const ingest = await takeUp(on);
  await ingest.write([one]);
  await release();
  await on.store.command('OPTIMIZE TABLE calls FINAL');
  await ingest.write([two]);
  expect(await expectExactLedger(on)).toMatchObject({ received: 6, stored: 4, duplicate: 2 });
  await ingest.write([one, two]);
  await (await takeUp(on)).write([one, two]);
  expect(await expectExactLedger(on)).toMatchObject({ received: 12, stored: 4, duplicate: 8 });
});

it('rows that arrive when all of their messages have come again', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: request });
  const ingest = await takeUp(on);
  await ingest.write(request);
  await release();
  await on.store.command('OPTIMIZE TABLE calls FINAL');
  await ingest.write(request);
  await (await takeUp(on)).write(request);
  // The score was there, and was counted by who took the shard up.
  expect(await expectExactLedger(on)).toMatchObject({ received: 11, stored: 3, ignored: 1, duplicate: 7 });
});

it('the ledger of their batch arrives still later', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls', 'ledger'], messages: request, goesOn: true });
  const ingest = await takeUp(on);
  await release('calls');
  await ingest.write(request);
  const made = await expectOnce(on, { again: 1 });
  await release('ledger');
  expect(await expectOnce(on, { again: 1 })).toEqual(made);
});

it('a second owner takes the shard up after they were counted, before there is a ledger that says that they came again', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: request });
  const held = holding(on.store);
  const second = await takeUp(on, held.through);
  await release();
  await Promise.race([held.hold('ledger'), second.write(request)]);
  await expectOnce(on, { again: 0 });
  await (await takeUp(on)).write(request);
  await expectOnce(on, { again: 1 });
  await held.release();
  await expectOnce(on, { again: 2 });
});

it('a second owner takes the shard up after the first one has written of what waited, and read nothing', async () => {
  // Waits for a span above it, until the clock says that it waited long enough; another one stood aside.
  await (await on.start(settings)).write([traces([inference(7, {}, { parent_span_id: id(8) }), agent(6, TAGS)])]);
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: request });
  const second = await takeUp(on);
  await second.advance(LATER_MS + RESOLVE_WAIT_MS);
  await release();
  await (await takeUp(on)).write(request);
  expect(await expectExactLedger(on)).toMatchObject({ received: 9, stored: 5, ignored: 1, duplicate: 3, waiting: 0 });
});

it('two analyzers that both think that the shard is theirs', async () => {
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: request });
  const [one, other] = [await takeUp(on), await takeUp(on)];
  await release();
  await one.write(request);
  await other.write(request);
  await expectOnce(on, { again: 2 });
});

it('a call whose role they change is counted by what it is now', async () => {
  await (await on.start(settings)).write([traces([inference(1, TAGS)])]);
  const below = traces([inference(2, TAGS, { parent_span_id: id(1) }), inference(3, TAGS)], ARRIVED_MS + 1_000, 'default', 'another');
  const { release } = await overtaken(on, settings, { tables: ['calls'], messages: [below] });
  const ingest = await takeUp(on);
  await release();
  await ingest.write([below]);
  expect(await expectExactLedger(on)).toMatchObject({ received: 6, stored: 3, ignored: 1, duplicate: 2 });
  expect((await on.calls()).map(({ role }) => role)).toEqual(['wrapper', 'call', 'call', 'call']);
});

it('what waits in them is waited for: a call for the span above it, a candidate for what is below, a score for its call', async () => {
  const messages = [traces([inference(1, {}, { parent_span_id: id(4) }), agent(2, TAGS)], ARRIVED_MS + 1_000), logs([judgement(3, 0.5)], ARRIVED_MS + 1_000)];
  const { release } = await overtaken(on, settings, { tables: ['calls', 'scores'], messages });
  const ingest = await takeUp(on);
  await release('calls');
  await release('scores');
  await ingest.write(messages);
  expect(await expectExactLedger(on)).toMatchObject({ received: 7, stored: 2, ignored: 1, duplicate: 3, waiting: 1 });
  await ingest.write([traces([wrapper(4, TAGS), inference(3, TAGS)], LATER_MS)]);
  await ingest.advance(LATER_MS + RESOLVE_WAIT_MS);
  expect(await expectExactLedger(on)).toMatchObject({ received: 9, stored: 5, ignored: 1, duplicate: 3, waiting: 0 });
  expect((await on.calls()).map(({ prompt_version, role, slot }) => ({ prompt_version, role, isComplete: slot > 0 }))).toEqual(Array.from({ length: 4 }, () => ({ prompt_version: 'v2', role: 'call', isComplete: true })));
  expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(3) }]);
});

it('the hours that they are in are written down, after they are there', async () => {
  const lastWritten = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await on.store.select<{ signal: string; last: number }>(`SELECT signal, max(last_batch) AS last FROM ledger WHERE outcome = 'written' AND signal != 'ledger' GROUP BY signal`)).map(({ signal, last }) => [signal, last]));
  const { release } = await overtaken(on, settings, { tables: ['calls', 'scores'], messages: request });
  const ingest = await takeUp(on);
  await release('calls');
  await release('scores');
  const before = await lastWritten();
  await ingest.write(request);
  const after = await lastWritten();
  expect(after['calls']).toBeGreaterThan(before['calls'] ?? 0);
  expect(after['scores']).toBeGreaterThan(before['scores'] ?? 0);
});

it('nothing more is asked of the store where they were there in time', async () => {
  await overtaken(on, settings, { tables: ['ledger'], messages: request });
  const asked: string[] = [];
  const ingest = await takeUp(on, { ...on.store, select: (sql, parameters) => (asked.push(sql), on.store.select(sql, parameters)) });
  asked.length = 0;
  await ingest.write(request);
  await expectOnce(on, { again: 1 });
  expect(asked.filter((sql) => sql.includes('former_role') || sql.includes('FROM calls AS c'))).toEqual([]);
});
