import { describe, expect, it } from 'vitest';
import { Comparison } from '../../../analyzer/look/comparison.ts';
import type { ComparisonSnapshot } from '../../../analyzer/look/snapshot.ts';
import { factorNamed } from '../../../analyzer/look/factors.ts';
import { guardsTogether, type Split } from '../../../analyzer/look/guards.ts';
import { JudgedUnits, stretchOf } from '../../../analyzer/look/judged.ts';
import { bySlot, type CallObservation, type ScoreObservation } from '../../../analyzer/look/observations.ts';
import { openComparison } from '../../../analyzer/look/opening.ts';
import { createPromptUnits } from '../../../analyzer/look/prompt-units.ts';
import { Units } from '../../../analyzer/look/units.ts';
import { missingEvidence } from '../../../analyzer/statistics/missing.ts';
import { ConfigFile } from '../../../schemas/config.ts';
import type { Guard } from '../../../schemas/evidence.ts';
import { metricSettingsFor } from '../../../schemas/metric-settings.ts';
import { seeded } from '../../statistics/traffic.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from './observed.ts';

const policy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => metricSettingsFor(ConfigFile.parse({}), 'p', name, kind === 'boolean' ? 'rate' : 'score');
const identity = { project: 'd', environment: 'e', prompt_name: 'p', factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: 'c' } as const;
const arms = { factor: factorNamed('prompt_version'), group: '', baseline: 'v1', candidate: 'v2' };

type Traffic = { readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] };
type Judge = (call: { readonly isCandidate: boolean; readonly isHard: boolean }, random: () => number) => { readonly waits: number; readonly evaluator: string } | null;

/** Ten traces a slot, half of them the candidate's; every third is hard. */
function judgedBy(judge: Judge, { seed, slots }: { readonly seed: number; readonly slots: number }): Traffic {
  const random = seeded(seed);
  const calls: CallObservation[] = [];
  const scores: ScoreObservation[] = [];
  for (let slot = 1; slot <= slots; slot += 1) {
    for (let n = 0; n < 10; n += 1) {
      const isCandidate = random() < 0.5;
      const isHard = random() < 0.33;
      const made = call(slot, { version: isCandidate ? 'v2' : 'v1', is_error: random() < 0.02 });
      calls.push(made);
      const judged = judge({ isCandidate, isHard }, random);
      if (judged !== null && !made.is_error) scores.push(scoreOf(made, slot + judged.waits, isHard ? 0.6 : 0.9, { evaluator: judged.evaluator }));
    }
  }
  return { calls, scores };
}

function opened(): Pick<ReturnType<typeof openComparison>, 'settings' | 'schedule'> {
  const calls = Array.from({ length: 60 }, (_, n) => call(-119 + n));
  return openComparison({
    factor: arms.factor, group: '', slot: FIRST_SLOT, baseline: 'v1', candidate: 'v2', opened_ms: atSlot(0), alpha: 0.01, stake: 1, session_window_s: 180, policy, calls, scores: calls.map((each, n) => scoreOf(each, 0, n / 60)),
  });
}

const feed = (comparison: Comparison, { from, to }: { readonly from: number; readonly to: number }, { calls, scores }: Traffic, how: 'feed' | 'refill' = 'feed'): void => {
  const [callsIn, scoresIn] = [bySlot(calls), bySlot(scores)];
  for (let slot = FIRST_SLOT + from; slot <= FIRST_SLOT + to; slot += 1) {
    if (how === 'feed') comparison.feed(slot, callsIn.get(slot) ?? [], scoresIn.get(slot) ?? [], new Map());
    else comparison.refill(slot, callsIn.get(slot) ?? [], scoresIn.get(slot) ?? []);
  }
};

const SLOTS = 240;
const guardsOf = (comparison: Comparison, split: Split = null): Guard[] => guardsTogether(arms, comparison.settings(), comparison.judged, { slot: comparison.slot(), split });
function guardsAfter(judge: Judge, seed = 1): Guard[] {
  const comparison = new Comparison(identity, { ...opened(), policy });
  feed(comparison, { from: 1, to: SLOTS }, judgedBy(judge, { seed, slots: SLOTS }));
  return guardsOf(comparison);
}
const atOnce = { waits: 1, evaluator: 'judge' };

describe('a judge', () => {
  it('that skips the hard answers of one arm is told (seeds 1–3)', () => {
    for (const seed of [1, 2, 3]) {
      const [guard, ...more] = guardsAfter(({ isCandidate, isHard }) => (isCandidate && isHard ? null : atOnce), seed);
      expect(guard?.reason, `seed ${seed}`).toMatch(/^v2 is scored less often \(6\d % of its units have quality, 100 % of v1's\), so the scores are not of like answers$/);
      expect([guard?.metric, more]).toEqual(['quality', []]);
    }
  });

  it('that skips at random, or the hard answers of both arms, is not (seeds 1–3)', () => {
    for (const seed of [1, 2, 3]) {
      expect(guardsAfter((_, random) => (random() < 0.4 ? null : atOnce), seed), `seed ${seed}`).toEqual([]);
      expect(guardsAfter(({ isHard }) => (isHard ? null : atOnce), seed), `seed ${seed}`).toEqual([]);
    }
  });

  it('that needs ten minutes for one arm has judged it', () => {
    expect(guardsAfter(({ isCandidate }) => ({ waits: isCandidate ? 20 : 1, evaluator: 'judge' }))).toEqual([]);
  });

  it('that needs most of an hour and skips the hard answers of one arm is told then', () => {
    expect(guardsAfter(({ isCandidate, isHard }) => (isCandidate && isHard ? null : { waits: 90, evaluator: 'judge' }))).toEqual([{ metric: 'quality', reason: expect.stringMatching(/^v2 is scored less often/) }]);
  });

  it('of one arm that is another is told, and one that both have less of is not', () => {
    expect(guardsAfter(({ isCandidate }, random) => ({ waits: 1, evaluator: isCandidate && random() < 0.6 ? 'new' : 'old' }))).toEqual([{ metric: 'quality', reason: 'quality of v1 is judged by old, that of v2 by new' }]);
    expect(guardsAfter((_, random) => ({ waits: 1, evaluator: random() < 0.2 ? 'new' : 'old' }))).toEqual([]);
  });
});

describe('a restart', () => {
  const traffic = judgedBy(({ isCandidate, isHard }, random) => (isCandidate && isHard ? null : { waits: Math.floor(random() * 40), evaluator: random() < 0.5 ? 'x' : 'y' }), { seed: 5, slots: SLOTS });
  const undisturbed = new Comparison(identity, { ...opened(), policy });
  feed(undisturbed, { from: 1, to: SLOTS }, traffic);

  it.each([1, 9, 10, 57, 133, 239])('after slot %i changes nothing', (cut) => {
    const before = new Comparison(identity, { ...opened(), policy });
    feed(before, { from: 1, to: cut }, traffic);
    const snapshot = JSON.parse(JSON.stringify(before.snapshot())) as ComparisonSnapshot;
    const after = new Comparison(identity, { settings: before.settings(), schedule: [], policy }, snapshot);
    feed(after, { from: 1, to: cut }, traffic, 'refill');
    expect(after.snapshot().judged).toEqual(snapshot.judged);
    feed(after, { from: cut + 1, to: SLOTS }, traffic);
    expect(after.snapshot().judged).toEqual(undisturbed.snapshot().judged);
    expect(after.snapshot().judged?.units.length).toBeLessThanOrEqual(32);
    expect(guardsOf(after)).toEqual(guardsOf(undisturbed));
    expect(guardsOf(after)).toHaveLength(1);
  });

  it('from a state of before units were counted counts whole stretches from then on', () => {
    const before = new Comparison(identity, { ...opened(), policy });
    feed(before, { from: 1, to: 33 }, traffic);
    const after = new Comparison(identity, { settings: before.settings(), schedule: [], policy }, { ...before.snapshot(), judged: null });
    feed(after, { from: 1, to: 33 }, traffic, 'refill');
    feed(after, { from: 34, to: 60 }, traffic);
    const stretch = stretchOf(FIRST_SLOT + 33) + 1;
    const whole = new Comparison(identity, { ...opened(), policy });
    feed(whole, { from: 1, to: 60 }, traffic);
    const { units = [], first = 0 } = whole.snapshot().judged ?? {};
    expect(after.snapshot().judged).toMatchObject({ first: stretch, units: units.slice(2 * (stretch - first)) });
  });
});

describe('units of a split', () => {
  it('that are not divided as was meant are told, from all that began', () => {
    const comparison = new Comparison(identity, { ...opened(), policy });
    feed(comparison, { from: 1, to: 60 }, judgedBy(() => null, { seed: 1, slots: 60 }));
    expect(guardsOf(comparison, { v1: 50, v2: 50 })).toEqual([]);
    expect(guardsOf(comparison, { v1: 70, v2: 30 })).toEqual([{ metric: '*', reason: expect.stringMatching(/^v2 got [45]\d\.\d % of the units, not the 30\.0 % that were meant/) }]);
    expect(comparison.judged.began().a + comparison.judged.began().b).toBe(600);
  });
});

/** What is counted of the units of a few slots, all in one stretch: units and judged ones of each arm. */
function counted({ calls, scores = [], sessionWindowS = 60 }: { readonly calls: readonly CallObservation[]; readonly scores?: readonly ScoreObservation[]; readonly sessionWindowS?: number }): readonly (readonly number[])[] {
  const judged = new JudgedUnits({ first: stretchOf(FIRST_SLOT), windowSlots: sessionWindowS / 30, isMetric: (name) => name === 'quality' });
  const quality = { kind: 'score', direction: 'down', weight: 0.5, from_slot: 0, tolerance: 0.005, severity: 'page', minimum: 0, maximum: 1, reference: null } as const;
  const units = new Units(createPromptUnits(), { ...arms, openedSlot: FIRST_SLOT - 1, openedMs: atSlot(0), sessionWindowS, metric: (name) => (name === 'quality' ? quality : null), judged });
  const [callsIn, scoresIn] = [bySlot(calls), bySlot(scores)];
  for (let slot = FIRST_SLOT; slot < FIRST_SLOT + 40; slot += 1) units.feed(slot, callsIn.get(slot) ?? [], scoresIn.get(slot) ?? []);
  const { units: all, names } = judged.snapshot();
  return [all, names[0]?.judged ?? []];
}

describe('a unit', () => {
  const session = { session_id: 's' };

  it('is counted when it is complete, and judged once, in time or late', () => {
    const judgedLate = call(2, { version: 'v2' });
    const judgedTwice = call(3, session);
    expect(counted({ calls: [call(1), judgedLate, judgedTwice], scores: [scoreOf(judgedTwice, 3, 1), scoreOf(judgedLate, 20, 1), scoreOf(judgedTwice, 21, 1)] })).toEqual([[2, 1], [1, 1]]);
  });

  it('that only failed has nothing to be judged, in time or late', () => {
    const failed = [call(1, { ...session, is_error: true }), call(2, { is_error: true })];
    for (const late of [2, 9]) expect(counted({ calls: failed, scores: failed.map((each) => scoreOf(each, late, 0)) }), `slot ${late}`).toEqual([[], []]);
  });

  it('that is its first call is judged by what is said of that one', () => {
    const calls = [call(1, { ...session, is_error: true }), call(2, session), call(3, { version: 'v2' })];
    expect(counted({ calls, scores: calls.map((each) => scoreOf(each, 5, 1)), sessionWindowS: 0 })).toEqual([[0, 1], [0, 1]]);
  });

  it('that meets the other arm is neither\'s, though it was complete when it did', () => {
    const [first, other] = [call(1, session), call(6, { ...session, version: 'v2' })];
    expect(counted({ calls: [first, other], scores: [scoreOf(first, 2, 1), scoreOf(other, 7, 1)] })).toEqual([[0, 0], [0, 0]]);
    expect(counted({ calls: [first, call(2, { ...session, version: 'v2' })], scores: [scoreOf(first, 9, 1)] })).toEqual([[], []]);
  });
});

describe('what is kept', () => {
  it('says what all stretches together say, and does not grow', () => {
    const random = seeded(7);
    const [first, slots] = [stretchOf(FIRST_SLOT), 2_000];
    const judged = new JudgedUnits({ first, windowSlots: 6, isMetric: (name) => name !== 'latency' });
    const strata = Array.from({ length: slots / 10 }, () => ({ a: { units: 0, judged: 0 }, b: { units: 0, judged: 0 } }));
    for (let slot = 0; slot < slots; slot += 1) {
      for (const arm of ['a', 'a', 'b'] as const) {
        const isJudged = random() < (arm === 'a' ? 0.5 : 0.45);
        judged.count({ firstSlot: FIRST_SLOT + slot, arm }, isJudged ? ['quality', 'latency'] : []);
        const of = strata[Math.floor(slot / 10)]?.[arm];
        if (of !== undefined) Object.assign(of, { units: of.units + 1, judged: of.judged + Number(isJudged) });
        judged.hear('quality', arm, `person ${slot}`);
      }
      judged.close(FIRST_SLOT + slot);
      const heard = strata.filter((_, stretch) => (stretch + 1) * 10 - 1 + 26 <= slot);
      if (judged.isHeardAt(FIRST_SLOT + slot) && slot % 50 === 5) {
        const told = missingEvidence(heard);
        expect(judged.evidence('quality', FIRST_SLOT + slot).e_value).toBeCloseTo(told.e_value, 9);
        expect(judged.evidence('quality', FIRST_SLOT + slot).share).toEqual(told.share);
      }
    }
    const { names, units } = judged.snapshot();
    expect(names.map(({ name }) => name)).toEqual(['quality']);
    expect(names[0]?.judges).toHaveLength(9);
    expect(units.length).toBeLessThanOrEqual(32);
    expect(JSON.stringify(judged.snapshot()).length).toBeLessThan(1_000);
  });
});

describe('guards of times', () => {
  it('stay as they were told last, beside those of arms that run together', () => {
    const comparison = new Comparison(identity, { ...opened(), policy });
    const [ofTimes, together] = [{ metric: 'quality', reason: 'of times' }, { metric: 'tone', reason: 'together' }];
    comparison.guard({ together: [], overTime: [ofTimes] });
    comparison.guard({ together: [together] });
    expect(comparison.settings().guards).toEqual([together, ofTimes]);
    const restored = new Comparison(identity, { settings: comparison.settings(), schedule: [], policy }, comparison.snapshot());
    restored.guard({ together: [{ metric: 'quality', reason: 'together' }] });
    expect(restored.settings().guards).toEqual([{ metric: 'quality', reason: 'together' }]);
    restored.guard({ together: [], overTime: [] });
    expect(restored.settings().guards).toEqual([]);
  });
});
