import { describe, expect, it } from 'vitest';
import { slotStartMs } from '../../../analyzer/slots.ts';
import { StartWindows } from '../../../analyzer/look/start-windows.ts';
import { seeded } from '../../statistics/traffic.ts';

const FIRST = 59_000_000 - (59_000_000 % 20);
const grid = (slot: number): number => slotStartMs(FIRST + slot);

describe('a start window', () => {
  it('lasts ten minutes of the clock, and the first begins with the candidate', () => {
    const windows = new StartWindows(grid(0) + 123_456);
    expect(windows.windowOf(grid(0) + 123_455)).toBe(grid(0));
    expect(windows.windowOf(grid(0) + 123_456)).toBe(grid(0) + 123_456);
    expect(windows.windowOf(grid(20) - 1)).toBe(grid(0) + 123_456);
    expect(windows.windowOf(grid(20))).toBe(grid(20));
    expect(windows.windowOf(grid(-3))).toBe(grid(-20));
  });

  it.each([
    ['falls to nothing', { a: 40, b: 0 }],
    ['more than doubles', { a: 15, b: 25 }],
  ])('begins anew when the share of the candidate %s', (_, after) => {
    const windows = new StartWindows(grid(0));
    for (let slot = 0; slot < 12; slot += 1) windows.observe(FIRST + slot, { a: 30, b: 10 });
    windows.observe(FIRST + 12, after);
    expect(windows.windowOf(grid(12) - 1)).toBe(grid(0));
    expect(windows.windowOf(grid(12))).toBe(grid(12));
    windows.observe(FIRST + 13, after);
    expect(windows.snapshot().boundaries, 'once').toEqual([grid(0), grid(12)]);
  });

  it('seldom begins anew where the share only wavers (seed 5)', () => {
    const random = seeded(5);
    const windows = new StartWindows(grid(0));
    for (let slot = 0; slot < 2000; slot += 1) {
      const b = Array.from({ length: 40 }, () => random()).filter((draw) => draw < 0.1).length;
      windows.observe(FIRST + slot, { a: 40 - b, b });
    }
    expect(windows.snapshot().boundaries.length).toBeLessThan(10);
  });

  it('is noticed when the share creeps up', () => {
    const windows = new StartWindows(grid(0));
    for (let slot = 0; slot < 360; slot += 1) windows.observe(FIRST + slot, { a: 500 - slot, b: 10 + slot });
    expect(windows.snapshot().boundaries.length).toBeGreaterThan(1);
  });

  it('is the same after a restart', () => {
    const windows = new StartWindows(grid(0));
    for (let slot = 0; slot < 12; slot += 1) windows.observe(FIRST + slot, { a: 30, b: 10 });
    const restarted = new StartWindows(grid(0), JSON.parse(JSON.stringify(windows.snapshot())));
    for (const each of [windows, restarted]) each.observe(FIRST + 12, { a: 40, b: 0 });
    expect(restarted.snapshot()).toEqual(windows.snapshot());
  });

  it('of a long comparison is kept in bounded memory', () => {
    const windows = new StartWindows(grid(0));
    for (let slot = 0; slot < 500; slot += 1) windows.observe(FIRST + slot, slot % 2 === 0 ? { a: 100, b: 1 } : { a: 1, b: 100 });
    expect(windows.snapshot().boundaries).toHaveLength(64);
  });
});
