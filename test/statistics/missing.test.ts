import { describe, expect, it } from 'vitest';
import { missingEvidence, variationOf, type Judged } from '../../analyzer/statistics/missing.ts';
import { seeded } from './traffic.ts';

function strataOf(shares: { readonly a: readonly number[]; readonly b: readonly number[] }, seed: number): Judged[] {
  const random = seeded(seed);
  const arm = (units: number, share: number) => ({ units, judged: Array.from({ length: units }, () => random() < share).filter(Boolean).length });
  return shares.a.map((share, at) => ({ a: arm(90, share), b: arm(20, shares.b[at] ?? 0) }));
}
const moving = Array.from({ length: 12 }, (_, at) => 0.2 + 0.05 * at);

describe('scores that are missing', () => {
  it('more often in one arm are noticed, in both directions (seeds 1–5)', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      expect(missingEvidence(strataOf({ a: moving, b: moving.map((share) => share / 2) }, seed)).e_value, `fewer, seed ${seed}`).toBeGreaterThan(100);
      expect(missingEvidence(strataOf({ a: moving.map((share) => share / 2), b: moving }, seed)).e_value, `more, seed ${seed}`).toBeGreaterThan(100);
    }
  });

  it('alike, while a sampling rate moves, are noticed in no more of 200 runs than chance allows (seeds 1–200)', () => {
    const noticed = Array.from({ length: 200 }, (_, run) => missingEvidence(strataOf({ a: moving, b: moving }, run + 1))).filter(({ e_value }) => e_value >= 20).length;
    // At 5 %, 22 or more come by chance less than once in a thousand times.
    expect(noticed).toBeLessThan(22);
  });

  it('are told as shares of each arm, and nothing of nothing', () => {
    const { share } = missingEvidence([{ a: { units: 10, judged: 5 }, b: { units: 0, judged: 0 } }, { a: { units: 10, judged: 1 }, b: { units: 4, judged: 1 } }]);
    expect(share).toEqual({ a: 0.3, b: 0.25 });
    expect(missingEvidence([])).toEqual({ e_value: expect.closeTo(1, 12), share: { a: 0, b: 0 } });
  });
});

describe('the variation between judges', () => {
  it('is half of the sum of differences', () => {
    const of = (counts: Record<string, number>) => new Map(Object.entries(counts));
    expect(variationOf(of({ x: 8, y: 2 }), of({ x: 40, z: 60 }))).toBeCloseTo(0.6, 12);
    expect(variationOf(of({ x: 1 }), of({ x: 50 }))).toBe(0);
    expect(variationOf(of({}), of({ x: 50 }))).toBe(0);
  });
});
