import { median } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { advance, createEvidence, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { baselineLike, changeOf, plansOver, typicalOf } from '../../analyzer/statistics/plan-answer.ts';
import { createPlan, planned, type PlanRequest } from '../../analyzer/statistics/plan.ts';
import type { Metric } from '../../analyzer/statistics/types.ts';
import { rate, seeded, settingsOf, stratumOf, type Unit } from './traffic.ts';

const pause = () => Promise.resolve();
const errors: Metric = { kind: 'rate', direction: 'up', reference: null };
const request = (change: Partial<PlanRequest> = {}): PlanRequest => ({
  metric: errors, tolerance: 0.005, baseline: baselineLike(errors, 0.02, 0), change: { kind: 'odds_ratio', size: 4 }, units_per_hour: [1_200], share: 0.2,
  budget: { alpha: 0.01, stake: 1, weight: 0.2, models: 1 }, start_hour: 0, seed: 1, runs: 200, ...change,
});

describe('plan', () => {
  it('says the same of a seed, and another of another', async () => {
    const [one, again, other] = [await planned(request(), pause), await planned(request(), pause), await planned(request({ seed: 2 }), pause)];
    expect(again).toEqual(one);
    expect(other.expected_hours).not.toBe(one.expected_hours);
    expect(other.half_hours).toBeGreaterThan((one.half_hours ?? 0) / 1.3);
    expect(other.half_hours).toBeLessThan((one.half_hours ?? 0) * 1.3);
    expect(one).toMatchObject({ found_share: 1, is_told: true, runs: 200 });
    expect(one.ninety_hours).toBeGreaterThan(one.half_hours ?? 0);
  });

  it('agrees with rollouts that are drawn unit by unit, in whole minutes (seeds 1–101)', async () => {
    // 20 units a minute, one of five the candidate's: the windows that real ones would be, drawn by other code.
    const simulated = (seed: number): number => {
      const random = seeded(50_000 + seed);
      const settings = settingsOf({ name: { ...rate, weight: 0.2 } }, { reserve: 0.8 });
      let state = createEvidence();
      for (let slot = 2; slot < 4_000; slot += 2) {
        const units = Array.from({ length: 20 }, (): Unit => {
          const arm = random() < 0.2 ? 'b' : 'a';
          return { arm, value: Number(random() < (arm === 'a' ? 0.02 : 0.08 / 1.06)) };
        });
        state = advance(state, settings, slot, [stratumOf('name', rate, slot, units)]);
        if (evidenceOf(state, settings).e_value >= 100) return slot / 120;
      }
      return Number.POSITIVE_INFINITY;
    };
    const hours = median(Array.from({ length: 101 }, (_, index) => simulated(index + 1)));
    const { half_hours } = await planned(request(), pause);
    console.log(`planned ${half_hours?.toFixed(2)} h, simulated median ${hours.toFixed(2)} h, seeds 1–101`);
    expect(half_hours).toBeGreaterThan(hours / 1.25);
    expect(half_hours).toBeLessThan(hours * 1.25);
  });

  it('is what the forecast of an undecided verdict says, within a third, over two orders of magnitude of waiting', async () => {
    const cases = [{ share: 0.1, size: 6 }, { share: 0.5, size: 2 }, { share: 0.1, size: 2.5 }, { share: 0.2, size: 4 }];
    for (const { share, size } of cases) {
      const { half_hours, forecast_hours } = await planned(request({ share, change: { kind: 'odds_ratio', size }, units_per_hour: [6_000] }), pause);
      const error = (forecast_hours ?? Number.NaN) / (half_hours ?? Number.NaN) - 1;
      console.log(`odds times ${size} at ${share}: simulated half ${half_hours?.toFixed(3)} h, forecast ${forecast_hours?.toFixed(3)} h, ${(100 * error).toFixed(0)} %`);
      expect(Math.abs(error)).toBeLessThan(1 / 3);
    }
  });

  it('waits through the night where traffic has a rhythm', async () => {
    const day = Array.from({ length: 24 }, (_, hour) => (hour < 12 ? 0 : 2_400));
    const [night, noon] = [await planned(request({ units_per_hour: day, start_hour: 2 }), pause), await planned(request({ units_per_hour: day, start_hour: 12 }), pause)];
    expect((night.half_hours ?? 0) - (noon.half_hours ?? 0)).toBeGreaterThan(9);
  });

  it('knows what is never found, and what nobody is told of', async () => {
    const tiny = await planned(request({ units_per_hour: [2], runs: 20 }), pause);
    expect(tiny).toMatchObject({ half_hours: null, expected_hours: null });
    expect(tiny.found_share).toBeLessThan(0.5);
    expect((await planned(request({ change: { kind: 'odds_ratio', size: 1.2 }, units_per_hour: [60_000], runs: 20 }), pause)).is_told).toBe(false);
  });

  it('refuses what makes no sense, in words', () => {
    expect(() => createPlan(request({ share: 1 }))).toThrow(/share: 1 is not between 0 and 1/);
    expect(() => createPlan(request({ units_per_hour: [0] }))).toThrow(/no traffic/);
    expect(() => changeOf(errors, 0.02, { by: 'worse', size: 0 })).toThrow(/not above 0/);
    expect(() => changeOf(errors, 0.02, { by: 'worse', size: 0.99 })).toThrow(/not between 0 and 1/);
    expect(() => changeOf(errors, 0, { by: 'worse', size: 0.1 })).toThrow(/never changes its odds/);
    expect(() => changeOf({ kind: 'distribution', direction: 'up', reference: null }, 900, { by: 'times', size: 0.5 })).toThrow(/makes nothing worse/);
    expect(() => changeOf({ kind: 'score', direction: 'down', reference: null }, 0.2, { by: 'worse', size: 0.3 })).toThrow(/not between 0 and 1/);
  });

  it('makes a baseline of a mean and a spread, and plans for the usual shares', async () => {
    const score: Metric = { kind: 'score', direction: 'down', reference: null };
    expect(typicalOf(score, baselineLike(score, 0.93, 0.2))).toBeCloseTo(0.93, 2);
    const latency: Metric = { kind: 'distribution', direction: 'up', reference: null };
    expect(typicalOf(latency, baselineLike(latency, 900, 0.5)) / 900).toBeCloseTo(1, 1);
    const { plan, by_share } = await plansOver(request({ runs: 40 }), pause);
    expect(by_share.map(({ share }) => share)).toEqual([0.01, 0.05, 0.1, 0.25, 0.5]);
    const halves = by_share.map(({ half_hours }) => half_hours ?? Number.POSITIVE_INFINITY);
    expect(halves[0]).toBeGreaterThan(3 * (halves[3] ?? 0));
    expect(plan.share).toBe(0.2);
  });
});
