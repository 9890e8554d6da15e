import { median } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { binOf } from '../../analyzer/statistics/badness.ts';
import { advance, createEvidence, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { forecast, hoursToProof, type Change } from '../../analyzer/statistics/forecast.ts';
import { proofCurve, wealthOf } from '../../analyzer/statistics/not-worse.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import type { MetricBet, Reference } from '../../analyzer/statistics/types.ts';
import { distribution, normal, rate, score, seeded, settingsOf, stratumOf, type Unit } from './traffic.ts';

const WEIGHT = 0.2;
const SHARE = 0.2;
const UNITS = 60;

const lognormal = (random: () => number): number => 1_000 * Math.exp(0.5 * normal(random));
const quality = (random: () => number): number => Math.min(1, 0.84 + 0.08 * normal(random));
const history = (scale: Pick<MetricBet, 'kind' | 'direction'>, draw: (random: () => number) => number): Reference => {
  const random = seeded(500);
  return referenceOf(Array.from({ length: 5_000 }, () => binOf(scale, draw(random))));
};
const latency = distribution(history({ kind: 'distribution', direction: 'up' }, lognormal));
const judged = score(history({ kind: 'score', direction: 'down' }, quality));

type Case = { name: string; metric: MetricBet; baseline: Reference; change: Change; draw: (random: () => number, arm: 'a' | 'b') => number };
const cases: Case[] = [
  {
    name: 'odds of an error times 4',
    metric: rate,
    baseline: { bins: [0, 50], counts: [95, 5] },
    change: { kind: 'odds_ratio', size: 4 },
    draw: (random, arm) => Number(random() < (arm === 'a' ? 0.05 : 4 / 23)),
  },
  { name: 'latency times 1.3', metric: latency, baseline: latency.reference ?? { bins: [], counts: [] }, change: { kind: 'ratio', size: 1.3 }, draw: (random, arm) => lognormal(random) * (arm === 'a' ? 1 : 1.3) },
  { name: 'a score less by .03', metric: judged, baseline: judged.reference ?? { bins: [], counts: [] }, change: { kind: 'shift', size: 0.03 }, draw: (random, arm) => quality(random) - (arm === 'a' ? 0 : 0.03) },
];

/** Hours of one unit a second until the evidence reaches 1/α, as simulated. */
const simulated = ({ metric, draw }: Case, seed: number): number => {
  const random = seeded(seed);
  const settings = settingsOf({ name: { ...metric, weight: WEIGHT } }, { reserve: 1 - WEIGHT, slot_seconds: UNITS });
  let state = createEvidence();
  for (let slot = 0; slot < 400; slot++) {
    const units = Array.from({ length: UNITS }, (): Unit => {
      const arm = random() < SHARE ? 'b' : 'a';
      return { arm, value: draw(random, arm) };
    });
    state = advance(state, settings, slot, [stratumOf('name', metric, slot, units)]);
    if (evidenceOf(state, settings).e_value >= 100) return ((slot + 1) * UNITS) / 3_600;
  }
  return Number.POSITIVE_INFINITY;
};

describe('forecast', () => {
  const traffic = { units_per_hour: 3_600, candidate_share: SHARE };
  const budget = { alpha: 0.01, stake: 1, weight: WEIGHT, models: 1 };

  it.each(cases)('is within a factor of 1.5 of the median of 41 simulated rollouts: $name (seeds 1–41)', (one) => {
    const hours = median(Array.from({ length: 41 }, (_, index) => simulated(one, index + 1)));
    const predicted = forecast(one.metric, one.baseline, one.change, traffic, budget);
    console.log(`${one.name}: forecast ${predicted.hours?.toFixed(2)} h, simulated median ${hours.toFixed(2)} h, seeds 1–41`);
    expect(predicted.hours).toBeGreaterThan(hours / 1.5);
    expect(predicted.hours).toBeLessThan(hours * 1.5);
  });

  it('takes longer for less traffic, a smaller share, a smaller change and a smaller stake', () => {
    const baseline = { bins: [0, 50], counts: [99, 1] };
    const hours = (change: number, share: number, perHour: number, stake: number): number =>
      forecast(rate, baseline, { kind: 'odds_ratio', size: change }, { units_per_hour: perHour, candidate_share: share }, { ...budget, stake }).hours ?? Number.POSITIVE_INFINITY;
    const usual = hours(3, 0.2, 1_000, 1);
    expect(hours(3, 0.2, 500, 1)).toBeCloseTo(2 * usual, 8);
    expect(hours(3, 0.02, 1_000, 1)).toBeGreaterThan(5 * usual);
    expect(hours(2, 0.2, 1_000, 1)).toBeGreaterThan(1.5 * usual);
    expect(hours(3, 0.2, 1_000, 0.5)).toBeGreaterThan(usual);
  });

  it('finds no improvement, and refuses a change that does not fit', () => {
    expect(forecast(latency, latency.reference ?? { bins: [], counts: [] }, { kind: 'ratio', size: 0.8 }, traffic, budget)).toMatchObject({ hours: null });
    expect(() => forecast(rate, { bins: [0], counts: [3] }, { kind: 'ratio', size: 2 }, traffic, budget)).toThrow(/rate cannot change by ratio/);
    expect(() => forecast(rate, { bins: [], counts: [] }, { kind: 'odds_ratio', size: 2 }, traffic, budget)).toThrow(RangeError);
  });
});

/** Hours of one unit a second until a harmless rollout is proved to be no worse, as simulated. */
const proved = ({ metric, draw }: Case, seed: number): number => {
  const random = seeded(seed);
  const curveOf = proofCurve({ ...metric, tolerance: 0.005 });
  const logWealth: number[] = [];
  for (let slot = 0; slot < 2_000; slot++) {
    const units = Array.from({ length: UNITS }, (): Unit => ({ arm: random() < SHARE ? 'b' : 'a', value: draw(random, 'a') }));
    curveOf(stratumOf('name', metric, slot, units)).forEach((gain, index) => (logWealth[index] = (logWealth[index] ?? 0) + gain));
    if (wealthOf(logWealth) >= 20) return ((slot + 1) * UNITS) / 3_600;
  }
  return Number.POSITIVE_INFINITY;
};

describe('the forecast of a proof', () => {
  const traffic = { units_per_hour: 3_600, candidate_share: SHARE };

  it.each(cases)('is within a factor of 1.5 of the median of 41 simulated harmless rollouts: $name (seeds 1–41)', (one) => {
    const hours = median(Array.from({ length: 41 }, (_, index) => proved(one, index + 1)));
    const predicted = hoursToProof({ ...one.metric, tolerance: 0.005 }, one.baseline, traffic, { log_wealth: [], threshold: 20 });
    console.log(`${one.name}: forecast of the proof ${predicted?.toFixed(2)} h, simulated median ${hours.toFixed(2)} h, seeds 1–41`);
    expect(predicted).toBeGreaterThan(hours / 1.5);
    expect(predicted).toBeLessThan(hours * 1.5);
  });

  it('comes nearer as the test goes on, and says where none is in sight', () => {
    const [rates] = cases;
    if (rates === undefined) throw new Error('no case');
    const from = (log_wealth: readonly number[]): number => hoursToProof({ ...rates.metric, tolerance: 0.005 }, rates.baseline, traffic, { log_wealth, threshold: 20 }) ?? Number.POSITIVE_INFINITY;
    expect(from([2, 2, 2])).toBeLessThan(0.7 * from([]));
    expect(from([-2, -2, -2])).toBeGreaterThan(1.3 * from([]));
    // What nobody has is proved by its rarity: 20 · 5 alternatives, at .9 of .5 % a unit, of which a fifth are the candidate's.
    expect(hoursToProof({ ...rates.metric, tolerance: 0.005 }, { bins: [0], counts: [500] }, traffic, { log_wealth: [], threshold: 20 })).toBeLessThan(Math.log(100) / 0.0045 / SHARE / 3_600);
    expect(hoursToProof({ ...rates.metric, tolerance: 0 }, { bins: [0], counts: [500] }, traffic, { log_wealth: [], threshold: 20 })).toBeNull();
  });
});
