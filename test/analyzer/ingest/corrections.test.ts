import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { some } from '../../long.ts';
import { mergeScores } from '../../../analyzer/ingest/corrections.ts';
import { createScoreNames } from '../../../analyzer/ingest/score-names.ts';
import { createNormaliser } from '../../../analyzer/normalise.ts';
import type { OtlpLogRecord } from '../../../schemas/otlp.ts';
import type { Score } from '../../../schemas/score.ts';
import { context, record, scope, STARTED_MS } from '../spans.ts';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, inference, judgement, logs, openIngesting, TAGS, traces, type Ingesting } from './ingesting.ts';

const at = (seconds: number) => ({ time_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n });
const ID = { 'culprit.score.id': 'mine' };
const judged = (value: number, seconds: number): OtlpLogRecord => judgement(1, value, at(seconds), ID);
const nothing = { trace_id: null, span_id: null };
const update = (value: number, seconds: number): OtlpLogRecord => record({ ...ID, 'culprit.score.change': 'update', 'gen_ai.evaluation.score.value': value }, { ...nothing, ...at(seconds) });
const deletion = (): OtlpLogRecord => record({ ...ID, 'culprit.score.change': 'deletion' }, { ...nothing, ...at(99) });

const normaliser = createNormaliser({ stratumAttributes: [] });
const scoreOf = (input: OtlpLogRecord): Score => {
  const read = normaliser.record(context, new Map(), scope, input);
  return read.kind === 'score' ? read.score : expect.fail(read.kind);
};

describe('judgements, a correction and a deletion of one score', () => {
  it('are the same score at the end, in whatever order they come', () => {
    const seconds = fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(seconds, fc.boolean(), fc.boolean(), fc.infiniteStream(fc.nat()), (times, isCorrected, isDeleted, chance) => {
        const all = [...times.map((time) => judged(time / 100, time)), ...(isCorrected ? [update(0.99, 60)] : []), ...(isDeleted ? [deletion()] : [])].map(scoreOf);
        const shuffled = all.map((score) => ({ score, place: chance.next().value })).sort((one, other) => one.place - other.place).map(({ score }) => score);
        const merged = shuffled.reduce(mergeScores);
        expect(merged).toMatchObject({ name: 'quality', change: 'judgement', is_deleted: isDeleted, value: isCorrected ? 0.99 : Math.max(...times) / 100 });
      }),
    );
  });
});

describe('in the store', () => {
  let on: Ingesting;
  beforeAll(async () => {
    on = await openIngesting();
  });
  afterAll(() => on.close());

  /** What is bet on: what the score said when it became complete, unless it was deleted by then. */
  const bets = async () => (await on.scores()).filter((score) => score.slot > 0 && score.bet_value !== null && (score.deleted_slot === 0 || score.deleted_slot > score.slot));

  it('any order of a call, its score, a correction and a deletion ends the same, over batches and restarts', async () => {
    const messages = { call: () => traces([inference(1, TAGS)]), score: () => logs([judged(0.25, 1)]), update: () => logs([update(0.75, 60)]), deletion: () => logs([deletion()]) };
    const kinds = ['call', 'score', 'update', 'deletion'] as const;
    const permutations = (list: readonly (typeof kinds)[number][]): (typeof kinds)[number][][] =>
      list.length < 2 ? [[...list]] : list.flatMap((first) => permutations(list.filter((other) => other !== first)).map((rest) => [first, ...rest]));
    for (const [index, order] of some(permutations(kinds), 13).entries()) {
      let ingest = await on.fresh();
      for (const [step, kind] of order.entries()) {
        if (index % 3 === 1) ingest = await on.start();
        if (index % 3 === 2 && step % 2 === 0) await ingest.write([messages[kind](), ...(order[step + 1] === undefined ? [] : [messages[order[step + 1] ?? 'call']()])]);
        else if (index % 3 !== 2) await ingest.write([messages[kind]()]);
      }
      const [score, ...more] = await on.scores();
      expect(more, order.join()).toEqual([]);
      expect(score, order.join()).toMatchObject({ score_id: 'mine', name: 'quality', value: 0.75, deleted_slot: ARRIVED_SLOT });
      // All of it came in one slot, so there is nothing to bet on.
      expect(await bets(), order.join()).toEqual([]);
      const ledger = await expectExactLedger(on);
      expect(ledger, order.join()).toMatchObject({ received: 4, stored: 2, duplicate: 2 });
    }
  }, 120_000);

  it('a deletion after its slot has closed hides a score that was bet on, and what was bet on stays', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), logs([judged(0.25, 1)])]);
    await ingest.advance(ARRIVED_MS + 60_000);
    await ingest.write([logs([judged(0.5, 2)], ARRIVED_MS + 60_000)]);
    await ingest.write([logs([deletion()], ARRIVED_MS + 90_000)]);
    await ingest.write([logs([judged(0.9, 100)], ARRIVED_MS + 120_000)]);
    expect(await on.scores()).toMatchObject([{ value: 0.9, bet_value: 0.25, slot: ARRIVED_SLOT, deleted_slot: ARRIVED_SLOT + 3 }]);
    expect(await bets()).toHaveLength(1);
    const ledger = await expectExactLedger(on);
    expect(ledger.by_outcome['duplicate']).toEqual([{ signal: 'logs', reason: 'deleted', count: 2 }, { signal: 'logs', reason: 'corrected', count: 1 }]);
  });

  it('a correction long after a restart, under a time of its own, is no second score', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, at(1))])]);
    const day = 86_400;
    const restarted = await on.start({}, ARRIVED_MS + 1000 * day);
    await restarted.write([logs([judgement(1, 0.5, at(day))], ARRIVED_MS + 1000 * day)]);
    expect(await on.scores()).toMatchObject([{ value: 0.5, bet_value: 0.25, slot: ARRIVED_SLOT, join_state: 'joined' }]);
    await expectExactLedger(on);
  });

  it("one project's id is not another's", async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judged(0.25, 1)]), logs([deletion()], ARRIVED_MS, 'other')]);
    expect((await on.scores()).map(({ name, deleted_slot }) => ({ name, deleted_slot }))).toEqual([{ name: '', deleted_slot: ARRIVED_SLOT }, { name: 'quality', deleted_slot: 0 }]);
  });

  it('a score of another type than the first of its name is kept, flagged and counted, across a restart', async () => {
    const ingest = await on.fresh();
    const named = (spanNumber: number, value: number | boolean) => judgement(spanNumber, value, {}, { 'gen_ai.evaluation.name': 'thumbs' });
    await ingest.write([traces([inference(1, TAGS), inference(2, TAGS), inference(3, TAGS)]), logs([named(1, true), named(2, 0)])]);
    const restarted = await on.start();
    await restarted.write([logs([named(3, 4)])]);
    expect((await on.scores()).map(({ value, data_type, flags }) => ({ value, data_type, flags })).toSorted((one, other) => (one.value ?? 0) - (other.value ?? 0))).toEqual([
      { value: 0, data_type: 'boolean', flags: [] },
      { value: 1, data_type: 'boolean', flags: [] },
      { value: 4, data_type: 'numeric', flags: ['type_conflict'] },
    ]);
    const ledger = await expectExactLedger(on);
    expect(ledger.by_outcome['stored']).toContainEqual({ signal: 'logs', reason: 'type_conflict', count: 1 });
  });
});

describe('the type of a score name', () => {
  const named = (value: number | boolean | null, label: string | null = null): Score =>
    scoreOf(record({ 'gen_ai.evaluation.name': 'tone', ...(value === null ? {} : { 'gen_ai.evaluation.score.value': value }), ...(label === null ? {} : { 'gen_ai.evaluation.score.label': label }) }));

  it('is that of its first score; a usual word is a label where labels are meant', () => {
    const names = createScoreNames(() => null);
    expect(names.admit(named(null, 'neutral'))).toMatchObject({ data_type: 'categorical', value: null, flags: [] });
    expect(names.admit(named(null, 'good'))).toMatchObject({ data_type: 'categorical', value: null, label: 'good', flags: [] });
    expect(names.admit(named(0.5))).toMatchObject({ flags: ['type_conflict'] });
    expect(names.takeNew()).toEqual([{ project: 'p', name: 'tone', data_type: 'categorical', first_seen_ms: context.received_ms }]);
    expect(names.takeNew()).toEqual([]);
  });

  it('is the configured one, whatever came first', () => {
    const names = createScoreNames(() => 'boolean');
    expect([named(1), named(true), named(0.5)].map((score) => names.admit(score).flags)).toEqual([[], [], ['type_conflict']]);
  });
});
