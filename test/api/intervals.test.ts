import { describe, expect, test } from 'vitest';
import { asymptoticConfidenceSequence, wilson } from '../../api/intervals.ts';
import { randomFrom } from './traffic.ts';

describe('wilson', () => {
  // Wilson's bounds are by definition the shares p whose own standard error puts the observed one exactly z away.
  test.each([
    [10, 0],
    [100, 0.1],
    [5000, 0.011],
    [20, 1],
  ])('n %d, rate %d', (n, rate) => {
    const interval = wilson(n, rate);
    for (const p of [interval?.low ?? Number.NaN, interval?.high ?? Number.NaN]) {
      if (p === rate) continue;
      expect(Math.abs(rate - p) / Math.sqrt((p * (1 - p)) / n)).toBeCloseTo(1.959964, 5);
    }
    expect(interval?.low).toBeLessThanOrEqual(rate);
    expect(interval?.high).toBeGreaterThanOrEqual(rate);
  });
  test('no failure in 10 calls still allows 28 %', () => expect(wilson(10, 0)?.high).toBeCloseTo(1.959964 ** 2 / (10 + 1.959964 ** 2), 6));
  test('nothing says nothing', () => expect(wilson(0, 0)).toBeNull());
});

describe('the asymptotic confidence sequence', () => {
  test('is silent below 30 values, and narrows', () => {
    expect(asymptoticConfidenceSequence(29, 1, 1)).toBeNull();
    const widths = [30, 100, 500, 5000].map((n) => {
      const interval = asymptoticConfidenceSequence(n, 0, 1);
      return (interval?.high ?? 0) - (interval?.low ?? 0);
    });
    expect(widths).toEqual(widths.toSorted((one, other) => other - one));
    // Wider than the interval of one look, by less than twice at its sharpest.
    expect((widths[2] ?? 0) / (2 * 1.96 / Math.sqrt(500))).toBeGreaterThan(1.2);
    expect((widths[2] ?? 0) / (2 * 1.96 / Math.sqrt(500))).toBeLessThan(2);
  });

  test('looked at after every value, it misses the mean in no more than 5 % of runs', () => {
    const seed = 20260601;
    console.info(`seed ${seed}`);
    const random = randomFrom(seed);
    const runs = 400;
    let missed = 0;
    for (let run = 0; run < runs; run += 1) {
      let mean = 0;
      let squares = 0;
      for (let n = 1; n <= 1500; n += 1) {
        const value = random() + random();
        const step = value - mean;
        mean += step / n;
        squares += step * (value - mean);
        const interval = asymptoticConfidenceSequence(n, mean, squares / n);
        if (interval !== null && (interval.low > 1 || interval.high < 1)) {
          missed += 1;
          break;
        }
      }
    }
    // 5 % and three standard errors.
    expect(missed / runs).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
  });
});
