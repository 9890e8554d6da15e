import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { STARTED_MS } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const MINUTE_MS = 60_000;
const AFTER = ARRIVED_MS + MINUTE_MS;
const JOINED = { join_state: 'joined', prompt_version: 'v2', call_span_id: id(1) };
const onSpan = (value: number) => ({
  events: [{ name: 'gen_ai.evaluation.result', time_ns: BigInt(STARTED_MS) * 1_000_000n, attributes: new Map<string, string | number>([['gen_ai.evaluation.name', 'quality'], ['gen_ai.evaluation.score.value', value]]) }],
});

describe('a score', () => {
  it('before its call is pending, and enters the slot in which the call arrives', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(1, 0.25)])]);
    expect(await on.scores()).toMatchObject([{ value: 0.25, join_state: 'pending', slot: 0, prompt_version: null }]);
    expect(ingest.waiting()).toEqual({ calls: 0, scores: 1 });
    await ingest.write([traces([inference(1, TAGS)], AFTER)]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, value: 0.25, slot: ARRIVED_SLOT + 2 }]);
    expect(ingest.waiting()).toEqual({ calls: 0, scores: 0 });
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 2 });
  });

  it('with its call, in one batch and in either order, is joined at once', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(1, 0.25)]), traces([inference(1, TAGS), inference(2, TAGS)]), logs([judgement(2, 0.75)])]);
    expect(await on.scores()).toHaveLength(2);
    for (const score of await on.scores()) expect(score).toMatchObject({ join_state: 'joined', slot: ARRIVED_SLOT, revision: 1 });
    expect(await expectExactLedger(on)).toMatchObject({ received: 4, stored: 4 });
  });

  it('after its call is joined, from memory and from the store', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)])]);
    await ingest.write([logs([judgement(1, 0.25)], AFTER)]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, slot: ARRIVED_SLOT + 2 }]);
    const restarted = await on.start({}, AFTER);
    await restarted.write([logs([judgement(1, 1, {}, { 'gen_ai.evaluation.name': 'tone' })], AFTER + MINUTE_MS)]);
    expect(await on.scores()).toMatchObject([{ name: 'quality' }, { ...JOINED, name: 'tone', slot: ARRIVED_SLOT + 4 }]);
    await expectExactLedger(on);
  });

  it('that waits for its call waits also while that is provisional, and across a restart', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(1, 0.25)]), traces([inference(1, {}, { parent_span_id: id(9) })])]);
    expect(await on.scores()).toMatchObject([{ join_state: 'pending' }]);
    const restarted = await on.start({}, AFTER);
    expect(restarted.waiting()).toEqual({ calls: 1, scores: 1 });
    await restarted.write([traces([wrapper(9, TAGS)], AFTER + 1_000)]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, slot: ARRIVED_SLOT + 2 }]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT + 2 }]);
    await expectExactLedger(on);
  });

  it('is joined when its call has waited in vain', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(1, 0.25)]), traces([inference(1, { 'gen_ai.prompt.name': 'p', 'gen_ai.prompt.version': 'v2' }, { parent_span_id: id(9) })])]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    expect(await on.scores()).toMatchObject([{ ...JOINED, slot: ARRIVED_SLOT + 1 }]);
  });

  it.each(['before', 'after', 'after a restart'])('finds its call by response id, %s', async (when) => {
    const ingest = await on.fresh();
    const call = () => traces([inference(1, { ...TAGS, 'gen_ai.response.id': 'chatcmpl-1' })], when === 'before' ? AFTER : ARRIVED_MS);
    const score = () => logs([judgement(null, 0.25, { trace_id: null }, { 'gen_ai.response.id': 'chatcmpl-1' })], when === 'before' ? ARRIVED_MS : AFTER);
    await ingest.write([when === 'before' ? score() : call()]);
    await (when === 'after a restart' ? await on.start({}, AFTER) : ingest).write([when === 'before' ? call() : score()]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, slot: ARRIVED_SLOT + 2 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 2 });
  });

  it.each(['', ' after a restart, with no call in the store'])('that is sent again is a duplicate%s', async (when) => {
    let ingest = await on.fresh();
    await ingest.write([logs([judgement(1, 0.25), judgement(1, 0.25)])]);
    // An empty table of calls was once taken for an empty store.
    if (when !== '') ingest = await on.start({}, AFTER);
    await ingest.write([logs([judgement(1, 0.25)], AFTER)]);
    expect(await on.scores()).toHaveLength(1);
    expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 1, duplicate: 2 });
  });

  it('that is corrected keeps its slot, and the older judgement does not come back', async () => {
    const ingest = await on.fresh();
    const at = (seconds: number) => ({ time_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n });
    await ingest.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, at(1))])]);
    await ingest.write([logs([judgement(1, 0.75, at(2))], AFTER)]);
    await ingest.write([logs([judgement(1, 0.25, at(1))], AFTER)]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, value: 0.75, slot: ARRIVED_SLOT }]);
    const restarted = await on.start({}, AFTER);
    await restarted.write([logs([judgement(1, 0.5, at(3)), judgement(1, 0.25, at(1))], AFTER + MINUTE_MS)]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, value: 0.5, slot: ARRIVED_SLOT }]);
    const ledger = await expectExactLedger(on);
    expect(ledger.by_outcome['duplicate']).toEqual([{ signal: 'logs', reason: 'corrected', count: 2 }, { signal: 'logs', reason: 'sent_again', count: 2 }]);
  });

  it('that is corrected while it waits has its last value when the call comes, in the same batch too', async () => {
    const ingest = await on.fresh();
    const at = (seconds: number) => ({ time_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n });
    await ingest.write([logs([judgement(1, 0.25, at(1)), judgement(2, 0.25, at(1))])]);
    await ingest.write([logs([judgement(1, 0.75, at(2))], ARRIVED_MS + 1)]);
    expect(ingest.waiting().scores).toBe(2);
    await ingest.write([traces([inference(1, TAGS), inference(2, TAGS)], AFTER), logs([judgement(2, 0.5, at(2))], AFTER)]);
    expect((await on.scores()).toSorted((one, other) => one.call_span_id.localeCompare(other.call_span_id))).toMatchObject([{ ...JOINED, value: 0.75, slot: ARRIVED_SLOT + 2 }, { value: 0.5, slot: ARRIVED_SLOT + 2 }]);
    expect(ingest.waiting().scores).toBe(0);
    await expectExactLedger(on);
  });

  it('whose evaluation failed is kept without a value, and one that is NaN is ignored', async () => {
    const ingest = await on.fresh();
    await ingest.write([
      traces([inference(1, TAGS)]),
      logs([
        judgement(1, null, {}, { 'gen_ai.evaluation.name': 'failed', 'error.type': 'JudgeTimeout' }),
        judgement(1, Number.NaN, {}, { 'gen_ai.evaluation.name': 'nan' }),
        judgement(1, Number.POSITIVE_INFINITY, {}, { 'gen_ai.evaluation.name': 'infinite' }),
        judgement(1, '0.5', {}, { 'gen_ai.evaluation.name': 'text' }),
      ]),
    ]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, name: 'failed', value: null, error_type: 'JudgeTimeout' }, { ...JOINED, name: 'text', value: 0.5 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 3, ignored: 2 });
  });

  it('on a span event belongs to its span in the ledger, and is one with the record that says the same', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, onSpan(0.25))])]);
    expect(await on.scores()).toMatchObject([{ ...JOINED, value: 0.25, slot: ARRIVED_SLOT }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 1 });
    await ingest.write([logs([judgement(1, 0.25)])]);
    expect(await on.scores()).toHaveLength(1);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, duplicate: 1 });
  });

});
