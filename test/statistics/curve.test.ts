import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logCoefficient } from '../../analyzer/statistics/coefficient.ts';
import { curve, logZ } from '../../analyzer/statistics/curve.ts';
import { normal, seeded } from './traffic.ts';

const subsetsOf = (units: number, size: number): number[] =>
  Array.from({ length: 2 ** units }, (_, mask) => mask).filter((mask) => bitsIn(mask) === size);
const bitsIn = (mask: number): number => mask.toString(2).replaceAll('0', '').length;
const sumIn = (g: readonly number[], mask: number): number => g.reduce((sum, value, unit) => sum + ((mask >> unit) & 1) * value, 0);

/** Straight from the definition: every labelling. */
const enumerated = (g: readonly number[], size: number, lambda: number): number => {
  const subsets = subsetsOf(g.length, size);
  return Math.log(subsets.reduce((total, mask) => total + Math.exp(lambda * sumIn(g, mask)), 0) / subsets.length);
};

const labelled = (g: readonly number[], candidates: number) => ({
  g,
  a: g.map((_, unit) => (unit < candidates ? 0 : 1)),
  b: g.map((_, unit) => (unit < candidates ? 1 : 0)),
});

/** The recursion of means of k-subsets in logs, unit by unit: slow, and right for any size. */
const recursedInLogs = (g: readonly number[], size: number, lambda: number): number => {
  const logMean = new Float64Array(size + 1).fill(Number.NEGATIVE_INFINITY);
  logMean[0] = 0;
  g.forEach((value, unit) => {
    for (let k = Math.min(unit + 1, size); k >= 1; k--) {
      const kept = Math.log(1 - k / (unit + 1)) + (logMean[k] ?? 0);
      const taken = Math.log(k / (unit + 1)) + lambda * value + (logMean[k - 1] ?? 0);
      const largest = Math.max(kept, taken);
      logMean[k] = largest === Number.NEGATIVE_INFINITY ? largest : largest + Math.log(Math.exp(kept - largest) + Math.exp(taken - largest));
    }
  });
  return logMean[size] ?? Number.NaN;
};

describe('logZ', () => {
  const badness = fc.integer({ min: 0, max: 5 }).map((step) => step / 5);
  const pool = fc.array(badness, { minLength: 2, maxLength: 12 }).chain((g) => fc.record({ g: fc.constant(g), size: fc.integer({ min: 1, max: g.length - 1 }) }));

  it('is the enumeration over all labellings, to 1e-10', () => {
    fc.assert(
      fc.property(pool, fc.double({ min: -20, max: 20, noNaN: true }), ({ g, size }, lambda) => {
        const exact = enumerated(g, size, lambda);
        expect(Math.abs((logZ(labelled(g, size), [lambda])[0] ?? 0) - exact)).toBeLessThan(1e-10);
        // The integral that is only used for larger strata, on the same ones.
        const integral = logCoefficient(g.map((value) => lambda * value), g.map(() => 1), size) - logCoefficient([0], [g.length], size);
        expect(Math.abs(integral - exact)).toBeLessThan(1e-10);
      }),
    );
  });

  it('is the recursion for strata up to 3,000 units and any λ, to 1e-9', () => {
    const random = seeded(11);
    for (const [units, size] of [[60, 6], [60, 30], [300, 30], [300, 150], [1000, 4], [1000, 500], [3000, 20], [3000, 1500]] as const) {
      const shapes = {
        score: Array.from({ length: units }, () => Math.round(50 * Math.min(1, Math.abs(0.14 + 0.1 * normal(random)))) / 50),
        squaredLatency: Array.from({ length: units }, () => Math.min(8, 2 ** (Math.round(8 * normal(random)) / 8)) ** 2 / 64),
        rare: Array.from({ length: units }, (_, unit) => (unit % 40 === 0 ? 1 : unit % 40 === 1 ? 0.5 : 0)),
      };
      for (const g of Object.values(shapes)) {
        const lambdas = [0.2, 1.6, 6, 25, 300];
        const fast = logZ(labelled(g, size), lambdas);
        lambdas.forEach((lambda, index) => {
          if (units * size > 1e6 && index % 2 === 0) return;
          const slow = recursedInLogs(g, size, lambda);
          expect(Math.abs((fast[index] ?? 0) - slow), `${units} units, ${size} candidates, λ ${lambda}`).toBeLessThan(1e-9 * Math.max(1, Math.abs(slow)));
        });
      }
    }
  });

  it('does not depend on the way it is computed at the borders between them', () => {
    const random = seeded(5);
    // 126 units × 63 go by recursion, 128 × 64 by the integral.
    for (const units of [124, 126, 128, 130]) {
      const g = Array.from({ length: units }, () => Math.round(random() * 20) / 20);
      expect(logZ(labelled(g, units / 2), [1])[0]).toBeCloseTo(recursedInLogs(g, units / 2, 1), 9);
    }
  });

  it('stays finite for a million units and for extreme badness', () => {
    const values = logZ({ g: [0, 0.1, 0.5, 1], a: [400_000, 300_000, 199_000, 1_000], b: [50_000, 30_000, 19_000, 1_000] }, [-800, 0.01, 5, 800]);
    expect(values.every(Number.isFinite)).toBe(true);
  });

  it('is convex in λ and touches the mean', () => {
    const cells = labelled([0, 0.2, 0.4, 0.4, 0.9, 1, 1], 3);
    const grid = Array.from({ length: 41 }, (_, index) => (index - 20) / 4);
    const values = logZ(cells, grid);
    for (let index = 1; index < 40; index++) {
      expect((values[index - 1] ?? 0) + (values[index + 1] ?? 0) - 2 * (values[index] ?? 0)).toBeGreaterThan(0);
    }
    const [below = 0, above = 0] = logZ(cells, [-1e-4, 1e-4]);
    expect((above - below) / 2e-4).toBeCloseTo((3 * 3.9) / 7, 6);
  });
});

describe('curve', () => {
  type Row = [units: number, worse: number, candidate: number, x: number, logOdds: number, value: number];
  const oracle: { rows: Row[] } = JSON.parse(readFileSync(new URL('oracle/hypergeometric.json', import.meta.url), 'utf8'));

  it('is the log likelihood ratio of Fisher’s noncentral hypergeometric distribution (scipy)', () => {
    expect(oracle.rows.length).toBe(300);
    for (const [units, worse, candidate, x, logOdds, value] of oracle.rows) {
      const cells = { g: [0, 1], a: [units - worse - (candidate - x), worse - x], b: [candidate - x, x] };
      expect(Math.abs((curve(cells, [logOdds])[0] ?? 0) - value)).toBeLessThan(1e-8);
    }
  });

  it('says nothing where one arm is empty or all units are alike', () => {
    expect(curve({ g: [0, 1], a: [5, 2], b: [0, 0] }, [1, 2])).toEqual([0, 0]);
    expect(curve({ g: [0, 1], a: [0, 0], b: [5, 2] }, [1, 2])).toEqual([0, 0]);
    expect(curve({ g: [0.3, 0.3], a: [5, 1], b: [2, 2] }, [1, 2])).toEqual([0, 0]);
    expect(curve({ g: [], a: [], b: [] }, [1])).toEqual([0]);
  });

  it('does not depend on how the cells are split or ordered', () => {
    const whole = curve({ g: [0, 0.5, 1], a: [9, 4, 2], b: [3, 0, 2] }, [0.5, 2, 8]);
    const split = curve({ g: [1, 0, 0.5, 0, 1], a: [1, 4, 4, 5, 1], b: [1, 3, 0, 0, 1] }, [0.5, 2, 8]);
    whole.forEach((value, index) => expect(split[index]).toBeCloseTo(value, 12));
  });

  it('is zero at λ = 0 and larger the worse the candidate', () => {
    const at = (worse: number): number => curve({ g: [0, 1], a: [50, 4 - worse], b: [6, worse] }, [1])[0] ?? 0;
    expect(curve({ g: [0, 0.4, 1], a: [5, 5, 5], b: [2, 2, 1] }, [0])).toEqual([0]);
    expect(at(3)).toBeGreaterThan(at(1));
    expect(at(0)).toBeLessThan(0);
  });

  it('refuses what are no counts', () => {
    expect(() => curve({ g: [0, 1], a: [1.5, 2], b: [1, 1] }, [1])).toThrow(RangeError);
    expect(() => curve({ g: [0, 1], a: [-1, 2], b: [1, 1] }, [1])).toThrow(RangeError);
    expect(() => curve({ g: [0, Number.NaN], a: [1, 2], b: [1, 1] }, [1])).toThrow(RangeError);
    expect(() => curve({ g: [0, 1], a: [1], b: [1, 1] }, [1])).toThrow(RangeError);
  });
});
