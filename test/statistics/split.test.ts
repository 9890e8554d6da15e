import { describe, expect, it } from 'vitest';
import { splitEvidence } from '../../analyzer/statistics/split.ts';
import { seeded } from './traffic.ts';

describe('the split between arms', () => {
  it('has expectation 1 where units are divided as meant', () => {
    const [n, share] = [12, 0.3];
    let weight = (1 - share) ** n;
    let expectation = 0;
    for (let b = 0; b <= n; b += 1) {
      expectation += weight * splitEvidence({ a: n - b, b }, share);
      weight *= ((n - b) / (b + 1)) * (share / (1 - share));
    }
    expect(expectation).toBeCloseTo(1, 10);
  });

  it('is noticed where it is not as meant, and no more often than chance allows where it is, looked at after every unit (seeds 1–200)', () => {
    const everAt20 = (truth: number, seed: number): boolean => {
      const random = seeded(seed);
      const units = { a: 0, b: 0 };
      return Array.from({ length: 1_500 }, () => {
        units[random() < truth ? 'b' : 'a'] += 1;
        return splitEvidence(units, 0.1);
      }).some((e) => e >= 20);
    };
    const runs = (truth: number): number => Array.from({ length: 200 }, (_, run) => everAt20(truth, run + 1)).filter(Boolean).length;
    // At 5 %, 22 or more of 200 come by chance less than once in a thousand times.
    expect(runs(0.1)).toBeLessThan(22);
    expect(runs(0.15)).toBeGreaterThan(180);
  });
});
