import { median } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { onsetOf } from '../../analyzer/statistics/onset.ts';
import type { Stratum } from '../../analyzer/statistics/types.ts';
import { rate, seeded, stratumOf, type Unit } from './traffic.ts';

const strataOf = (seed: number, slots: number, faultFrom: number, model = 'm'): Stratum[] => {
  const random = seeded(seed);
  return Array.from({ length: slots }, (_, slot) =>
    stratumOf('error_rate', rate, 1_000 + slot, Array.from({ length: 40 }, (): Unit => {
      const arm = random() < 0.2 ? 'b' : 'a';
      return { arm, value: Number(random() < (arm === 'b' && slot >= faultFrom ? 0.3 : 0.02)) };
    }), model),
  );
};

describe('onsetOf', () => {
  it('is the opening for a fault that came with the rollout (seeds 1–20)', () => {
    const slots = Array.from({ length: 20 }, (_, index) => onsetOf(rate, strataOf(index + 1, 30, 0), [])?.slot ?? 0);
    expect(slots.filter((slot) => slot === 1_000).length).toBeGreaterThanOrEqual(17);
    // A first slot without a candidate error may look healthy; no more than a few do in a row.
    expect(Math.max(...slots)).toBeLessThanOrEqual(1_003);
  });

  it('finds a fault that began late, within a few slots (seeds 1–20)', () => {
    const errors = Array.from({ length: 20 }, (_, index) => (onsetOf(rate, strataOf(index + 1, 240, 200), [])?.slot ?? 0) - 1_200);
    expect(Math.abs(median(errors))).toBeLessThanOrEqual(2);
    expect(errors.filter((error) => Math.abs(error) <= 10).length).toBeGreaterThanOrEqual(18);
  });

  it('dates a fault of one model by that model', () => {
    const strata = [...strataOf(3, 200, 150, 'm'), ...strataOf(4, 200, 999, 'n'), ...strataOf(5, 200, 999, 'o')];
    const onset = onsetOf(rate, strata, ['m', 'n', 'o']);
    expect(Math.abs((onset?.slot ?? 0) - 1_150)).toBeLessThanOrEqual(4);
    expect(onset?.log_ratio).toBeGreaterThan(onsetOf(rate, strata, [])?.log_ratio ?? Number.POSITIVE_INFINITY);
  });

  it('dates by where strata begin, not by where they close', () => {
    const long = strataOf(6, 20, 0).map((stratum) => ({ ...stratum, begin_slot: stratum.slot - 3 }));
    expect(onsetOf(rate, long, [])?.slot).toBe(997);
  });

  it('is null without strata or reference', () => {
    expect(onsetOf(rate, [], [])).toBeNull();
    expect(onsetOf({ kind: 'score', direction: 'down', reference: null }, strataOf(1, 3, 0), [])).toBeNull();
  });
});
