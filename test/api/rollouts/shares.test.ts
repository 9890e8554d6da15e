import { describe, expect, it } from 'vitest';
import { isGrowing, plateausOf } from '../../../api/rollouts/shares.ts';

const period = (minute: number, candidate: number, all: number) => ({ from_ms: minute * 60_000, candidate, all });

describe('stretches of one share', () => {
  it('are not begun by a period of a unit or two, whatever share those have', () => {
    const half = [period(0, 1, 1), period(1, 12, 25), period(3, 14, 25), period(5, 0, 1), period(7, 12, 25)];
    expect(plateausOf(half)).toEqual([period(0, 39, 77)]);
    expect(isGrowing(plateausOf(half))).toBe(true);
  });

  it('end where the share becomes another', () => {
    const ramp = [period(0, 10, 100), period(2, 11, 100), period(4, 50, 100), period(6, 48, 100), period(8, 100, 100)];
    expect(plateausOf(ramp)).toEqual([period(0, 21, 200), period(4, 98, 200), period(8, 100, 100)]);
    expect(isGrowing(plateausOf(ramp))).toBe(true);
  });

  it('of a version that is taken back do not grow', () => {
    expect(isGrowing(plateausOf([period(0, 50, 100), period(2, 50, 100), period(4, 1, 100)]))).toBe(false);
  });
});
