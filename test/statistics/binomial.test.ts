import { describe, expect, it } from 'vitest';
import { atLeast, binomialInterval } from '../../analyzer/statistics/binomial.ts';

describe('binomial', () => {
  it.each([
    // scipy 1.18.1: stats.binomtest(found, runs).proportion_ci(0.95, method='exact')
    [0, 60, 0, 0.0596295],
    [1, 60, 0.0004219, 0.0893991],
    [10, 200, 0.0242342, 0.0900275],
    [60, 60, 0.9403705, 1],
  ])('%i of %i is within Clopper and Pearson’s bounds', (found, runs, low, high) => {
    const interval = binomialInterval({ found, runs });
    expect(interval.low).toBeCloseTo(low, 6);
    expect(interval.high).toBeCloseTo(high, 6);
  });

  it('has the tail of the sum', () => {
    expect(atLeast(0, 10, 0.3)).toBe(1);
    expect(atLeast(1, 2, 0.5)).toBeCloseTo(0.75, 12);
    expect(atLeast(10, 10, 0.5)).toBeCloseTo(2 ** -10, 12);
    expect(atLeast(3, 10, 0)).toBe(0);
  });
});
