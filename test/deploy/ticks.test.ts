import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { passes } from '../../deploy/roles/analyzer.ts';
import { RetryableError } from '../../schemas/errors.ts';
import { ARRIVED_MS, failing, holding, id, inference, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, type Ingesting } from '../analyzer/ingest/ingesting.ts';

/** A tick of the arrival clock beside a write that fails: the write says why, once; the tick is no failure of its own, and the next one is done. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

/** Waits for its parent, which never comes. */
const orphan = () => traces([inference(1, {}, { parent_span_id: id(9) })]);
const call = () => traces([inference(2, TAGS)]);
const LATER_MS = ARRIVED_MS + RESOLVE_WAIT_MS + 60_000;

describe.each([
  { tick: 'with nothing to write', atMs: ARRIVED_MS + 1_000 },
  { tick: 'with something to write', atMs: LATER_MS },
])('a tick $tick', ({ atMs }) => {
  it.each(['calls', 'ledger'])('is put off by a write of %s that fails', async (table) => {
    await on.fresh();
    const { through, plan } = failing(on.store);
    const way = holding(through);
    const ingest = await on.start({}, ARRIVED_MS, way.through);
    await ingest.write([orphan()]);
    Object.assign(plan, { table, when: 'before', times: 1 });
    const held = way.hold(table);
    const both = Promise.allSettled([ingest.write([call()]), passes(ingest, atMs)]);
    await held;
    await way.release();
    const [written, passed] = await both;
    expect(written).toEqual({ status: 'rejected', reason: expect.any(RetryableError) });
    expect(passed).toEqual({ status: 'fulfilled', value: false });
    expect(await passes(ingest, atMs)).toBe(true);
  });
});

it('a tick that cannot write what is its own says so', async () => {
  await on.fresh();
  const { through, plan } = failing(on.store);
  const ingest = await on.start({}, ARRIVED_MS, through);
  await ingest.write([orphan()]);
  Object.assign(plan, { table: 'calls', when: 'before', times: 1 });
  await expect(passes(ingest, LATER_MS)).rejects.toThrow('no room for calls');
  expect(await passes(ingest, LATER_MS)).toBe(true);
});
