import { mean, variance } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { badnessFunctions, binOf } from '../../analyzer/statistics/badness.ts';
import { armsOf, betStrata, differenceOf, worseningOf } from '../../analyzer/statistics/effect.ts';
import { oddsRatioOf } from '../../analyzer/statistics/odds-ratio.ts';
import { quantileRatioOf } from '../../analyzer/statistics/quantile-ratio.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import type { MetricBet, Stratum } from '../../analyzer/statistics/types.ts';
import { distribution, normal, rate, score, seeded, stratumOf, type Unit } from './traffic.ts';

const latencyScale = { kind: 'distribution', direction: 'up' } as const;
const lognormal = (random: () => number): number => 1_000 * Math.exp(0.5 * normal(random));
const latency = distribution(referenceOf(Array.from({ length: 2_000 }, ((random) => () => binOf(latencyScale, lognormal(random)))(seeded(77)))));
const quality = score(referenceOf([2, 4, 5, 6, 7, 7, 9, 12, 20]));

/** `slots` strata of 60 units, a tenth of them the candidate's. */
const strataOf = (metric: MetricBet, slots: number, random: () => number, draw: (arm: 'a' | 'b') => number): Stratum[] =>
  Array.from({ length: slots }, (_, slot) =>
    stratumOf('name', metric, slot, Array.from({ length: 60 }, (): Unit => {
      const arm = random() < 0.1 ? 'b' : 'a';
      return { arm, value: draw(arm) };
    })),
  );

describe('differenceOf', () => {
  it('is the difference of means where there is one stratum, with variances that simple-statistics confirms', () => {
    const random = seeded(1);
    const units = Array.from({ length: 400 }, (_, unit): Unit => ({ arm: unit < 100 ? 'b' : 'a', value: Math.round(50 * random()) / 50 }));
    const stratum = stratumOf('name', quality, 1, units);
    const arm = (name: 'a' | 'b'): number[] => units.filter((unit) => unit.arm === name).map(({ value }) => value);
    const effect = differenceOf(quality, [stratum]);
    expect(effect?.estimate).toBeCloseTo(mean(arm('b')) - mean(arm('a')), 12);
    expect(armsOf(quality, [stratum]).candidate).toEqual({ units: 100, value: expect.closeTo(mean(arm('b')), 12) as number });

    // The formula of the confidence sequence, written out. One stratum: Σw = w, V = w²(v_A/300 + v_B/100).
    const center = mean(units.map(({ value }) => value));
    const farthest = Math.max(...units.map(({ value }) => Math.abs(value - center)));
    const smoothed = (values: number[]): number => (variance(values) * values.length + farthest ** 2) / (values.length + 1);
    const weight = (100 * 300) / 400;
    const clock = weight ** 2 * (smoothed(arm('a')) / 300 + smoothed(arm('b')) / 100);
    const rho = (clock * 5) / 10.8;
    const spread = Math.sqrt((clock + rho) * (Math.log((clock + rho) / rho) + 2 * Math.log(20))) / weight;
    expect((effect?.high ?? 0) - (effect?.estimate ?? 0)).toBeCloseTo(spread, 10);
  });

  it('is not fooled by a share that moves with the base rate (Simpson)', () => {
    const units = (errorsA: number, a: number, errorsB: number, b: number): Unit[] => [
      ...Array.from({ length: a }, (_, unit): Unit => ({ arm: 'a', value: Number(unit < errorsA) })),
      ...Array.from({ length: b }, (_, unit): Unit => ({ arm: 'b', value: Number(unit < errorsB) })),
    ];
    const strata = [stratumOf('name', rate, 1, units(9, 900, 1, 100)), stratumOf('name', rate, 2, units(30, 100, 270, 900))];
    expect(differenceOf(rate, strata)?.estimate).toBeCloseTo(0, 12);
    const { baseline, candidate } = armsOf(rate, strata);
    expect((candidate.value ?? 0) - (baseline.value ?? 0)).toBeGreaterThan(0.2);
  });

  it('shows no bounds before there are 30 candidate units and 8 events, and nothing without both arms', () => {
    const random = seeded(4);
    expect(differenceOf(rate, strataOf(rate, 2, random, () => Number(random() < 0.3)))).toMatchObject({ low: null, high: null });
    expect(differenceOf(rate, strataOf(rate, 20, random, () => 0))).toMatchObject({ estimate: 0, low: null, high: null });
    expect(differenceOf(rate, [stratumOf('name', rate, 1, [{ arm: 'a', value: 1 }])])).toBeNull();
    expect(differenceOf(rate, [])).toBeNull();
  });

  it('keeps a baseline of 0.9999 from cancelling', () => {
    const big = { ...quality, minimum: 1e9, maximum: 1e9 + 1 };
    const random = seeded(6);
    const effect = differenceOf(big, strataOf(big, 50, random, (arm) => 1e9 + (arm === 'b' ? 0.5 : 0.6)));
    expect(effect?.estimate).toBeCloseTo(-0.1, 6);
    expect((effect?.high ?? 0) - (effect?.low ?? 0)).toBeGreaterThan(0.001);
  });

  it.each([
    { name: 'rate .05 / .05', metric: rate, a: 0.05, b: 0.05 },
    { name: 'rate .05 / .15', metric: rate, a: 0.05, b: 0.15 },
    { name: 'score .86 / .83', metric: quality, a: 0.86, b: 0.83 },
  ])('covers the truth at every look: $name (seeds 1000–1099)', ({ metric, a, b }) => {
    let missed = 0;
    let widths = 0;
    for (let seed = 1_000; seed < 1_100; seed++) {
      const random = seeded(seed);
      const strata = strataOf(metric, 120, random, (arm) => {
        const level = arm === 'a' ? a : b;
        return metric.kind === 'rate' ? Number(random() < level) : level + 0.08 * (random() + random() - 1);
      });
      const looks = [10, 20, 30, 45, 60, 80, 100, 120].map((length) => differenceOf(metric, strata.slice(0, length)));
      missed += Number(looks.some((effect) => effect !== null && effect.low !== null && effect.high !== null && (effect.low > b - a || effect.high < b - a)));
      const last = looks.at(-1);
      widths += ((last?.high ?? 1) - (last?.low ?? 0)) / 100;
    }
    // 5 % and two and a half standard errors of a hundred runs, and one point for "asymptotic".
    expect(missed).toBeLessThanOrEqual(11);
    expect(widths).toBeLessThan(metric.kind === 'rate' ? 0.12 : 0.02);
  });
});

describe('worseningOf, in meaning', () => {
  const bins = Array.from({ length: 20 }, (_, index) => 70 + index);
  const reference = { bins, counts: bins.map(() => 10) };
  const distribution = { kind: 'distribution', direction: 'up', reference } as const;

  it('is 1 where every unit is worse than all of the reference', () => {
    const strata = [{ bins: [...bins, 70 + 20], a: [...bins.map(() => 1), 0], b: [...bins.map(() => 0), 20] }];
    expect(worseningOf({ kind: 'score', direction: 'down', reference: { bins: bins.map((bin) => bin - 70), counts: bins.map(() => 10) } }, [
      { bins: [...bins.map((bin) => bin - 70), 20], a: [...bins.map(() => 1), 0], b: [...bins.map(() => 0), 20] },
    ])).toBeCloseTo(1, 10);
    expect(worseningOf(distribution, strata)).toBeGreaterThan(1 - 1e-9);
  });

  it('sees a rare large fault that hardly moves the ranks', () => {
    const usual = bins.map(() => 100);
    // 40 of 2,000 units are four times as slow: two octaves, 16 bins.
    const slow = bins.map((bin) => bin + 16);
    const all = [...new Set([...bins, ...slow])].sort((left, right) => left - right);
    const count = (from: readonly number[], counts: readonly number[]) => all.map((bin) => counts[from.indexOf(bin)] ?? 0);
    const b = count(bins, bins.map(() => 98)).map((usually, index) => usually + (count(slow, bins.map(() => 2))[index] ?? 0));
    expect(worseningOf(distribution, [{ bins: all, a: count(bins, usual), b }])).toBeGreaterThan(0.1);
  });
});

describe('worseningOf', () => {
  it('is the difference for rates, the larger of two effects otherwise, positive for worse', () => {
    const random = seeded(2);
    const errors = strataOf(rate, 40, random, (arm) => Number(random() < (arm === 'b' ? 0.3 : 0.1)));
    expect(worseningOf(rate, errors)).toBeCloseTo(differenceOf(rate, errors)?.estimate ?? 0, 12);
    expect(worseningOf({ ...rate, direction: 'down' }, errors)).toBeCloseTo(-(differenceOf(rate, errors)?.estimate ?? 0), 12);
    expect(worseningOf(latency, strataOf(latency, 40, random, (arm) => lognormal(random) * (arm === 'b' ? 1.5 : 1)))).toBeGreaterThan(0.1);
    expect(worseningOf(quality, strataOf(quality, 40, random, (arm) => 0.8 + 0.1 * random() + (arm === 'b' ? 0.05 : 0)))).toBeCloseTo(-0.05, 3);
    expect(worseningOf({ ...quality, reference: null }, [])).toBeNull();
  });
});

describe('oddsRatioOf', () => {
  it('agrees with the maximum of the likelihood of one table, and covers it', () => {
    // scipy 1.17.1, stats.contingency.odds_ratio([[40, 60], [50, 350]], kind='conditional'): 4.6478, 95 % interval 2.7397 to 7.8898.
    const stratum: Stratum = { ...stratumOf('name', rate, 1, []), bins: [0, 50], a: [350, 50], b: [60, 40] };
    const ratio = oddsRatioOf(rate, [stratum]);
    expect(ratio?.estimate).toBeGreaterThan(4.6478 * 0.99);
    expect(ratio?.estimate).toBeLessThan(4.6478 * 1.01);
    // Valid at any time, so wider than Fisher's.
    expect(ratio?.low).toBeLessThan(2.7397);
    expect(ratio?.high).toBeGreaterThan(7.8898);
    expect(ratio?.low).toBeGreaterThan(1.8);
    expect(ratio?.high).toBeLessThan(12);
  });

  it('covers the truth at every look (seeds 2000–2059)', () => {
    let missed = 0;
    for (let seed = 2_000; seed < 2_060; seed++) {
      const random = seeded(seed);
      const strata = strataOf(rate, 60, random, (arm) => Number(random() < (arm === 'b' ? 0.2 : 0.1)));
      const truth = 0.25 / (1 / 9);
      missed += Number(
        [5, 10, 20, 40, 60].some((length) => {
          const ratio = oddsRatioOf(rate, strata.slice(0, length));
          return ratio !== null && ((ratio.low ?? 0) > truth || (ratio.high ?? Number.POSITIVE_INFINITY) < truth);
        }),
      );
    }
    expect(missed).toBeLessThanOrEqual(7);
  });

  it('has no upper bound while the baseline has no event, and is null where nothing was learnt', () => {
    const stratum: Stratum = { ...stratumOf('name', rate, 1, []), bins: [0, 50], a: [400, 0], b: [60, 10] };
    expect(oddsRatioOf(rate, [stratum])).toMatchObject({ high: null });
    expect(oddsRatioOf(rate, [{ ...stratum, a: [0, 0] }])).toBeNull();
    expect(oddsRatioOf(latency, [stratum])).toBeNull();
  });
});

describe('quantileRatioOf', () => {
  it('estimates and covers the ratio of each quantile (seeds 3000–3039)', () => {
    for (const truth of [1, 1.2]) {
      let missed = 0;
      const estimates: number[] = [];
      for (let seed = 3_000; seed < 3_040; seed++) {
        const random = seeded(seed);
        const strata = strataOf(latency, 125, random, (arm) => lognormal(random) * (arm === 'b' ? truth : 1));
        const ratio = quantileRatioOf(latency, strata, seed % 2 === 0 ? 'ratio_p95' : 'ratio_p50');
        if (ratio === null) throw new Error('no ratio');
        estimates.push(ratio.estimate);
        missed += Number((ratio.low ?? 0) > truth || (ratio.high ?? Number.POSITIVE_INFINITY) < truth);
        expect((ratio.high ?? 9) / (ratio.low ?? 0.1)).toBeLessThan(2);
      }
      expect(missed).toBeLessThanOrEqual(3);
      expect(mean(estimates)).toBeGreaterThan(0.95 * truth);
      expect(mean(estimates)).toBeLessThan(1.05 * truth);
    }
  });

  it('finds a tail that the median does not show', () => {
    const random = seeded(31);
    const strata = strataOf(latency, 200, random, (arm) => lognormal(random) * (arm === 'b' && random() < 0.1 ? 5 : 1));
    expect(quantileRatioOf(latency, strata, 'ratio_p95')?.low).toBeGreaterThan(1.1);
    expect(quantileRatioOf(latency, strata, 'ratio_p50')?.low).toBeLessThan(1.05);
    expect(quantileRatioOf(latency, strata, 'ratio_p99')?.estimate).toBeGreaterThan(1.5);
  });

  it('has no upper bound for a handful of units, and is null for other kinds', () => {
    const random = seeded(32);
    expect(quantileRatioOf(latency, strataOf(latency, 1, random, () => lognormal(random)), 'ratio_p99')).toMatchObject({ high: null });
    expect(quantileRatioOf(quality, strataOf(quality, 1, random, random), 'ratio_p50')).toBeNull();
    expect(quantileRatioOf(latency, [], 'ratio_p50')).toBeNull();
  });
});

describe('betStrata', () => {
  it('are those of the metric that were bet on, in order', () => {
    const at = (slot: number): Stratum => stratumOf('name', rate, slot, [{ arm: 'a', value: 1 }]);
    const strata = [at(9), { ...at(8), use: 'reference' as const }, { ...at(8), metric: 'other' }, at(7), at(2)];
    expect(betStrata(strata, 'name', { from_slot: 5 }).map(({ slot }) => slot)).toEqual([7, 9]);
    expect(badnessFunctions(rate)).toHaveLength(1);
  });
});
