import { describe, expect, it } from 'vitest';
import { recoveryOf } from '../../analyzer/statistics/recovery.ts';
import type { Cells } from '../../analyzer/statistics/types.ts';
import { rate } from './traffic.ts';

/** Failures among units, earlier and since. */
const cells = (earlier: readonly [number, number], since: readonly [number, number]): Cells => ({ bins: [0, 50], a: [earlier[1] - earlier[0], earlier[0]], b: [since[1] - since[0], since[0]] });

describe('a recovery', () => {
  it('is told where it is beyond doubt, and so is that there was none', () => {
    const was = { culprit: [60, 300], baseline: [3, 300] } as const;
    const of = (since: readonly [number, number]) => recoveryOf(rate, { since: [cells(was.culprit, since)], before: [cells(was.baseline, since)] });
    expect(of([3, 300])).toBe('recovered');
    expect(of([55, 300])).toBe('not_recovered');
    expect(of([0, 3])).toBe('unknown');
    expect(recoveryOf(rate, { since: [], before: [] })).toBe('unknown');
  });
});
