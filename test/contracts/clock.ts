import { describe, expect, it } from 'vitest';
import type { Clock, RandomSource } from '../../schemas/clock.ts';

/** What every clock has to be. `passes` lets some time pass, in whatever way that clock has. */
export function clockContract(name: string, open: () => { readonly clock: Clock; readonly passes: () => Promise<void> | void }): void {
  describe(`clock: ${name}`, () => {
    it('tells whole or broken milliseconds since the epoch, and goes on', async () => {
      const { clock, passes } = open();
      const before = clock();
      expect(Number.isFinite(before)).toBe(true);
      expect(before).toBeGreaterThan(Date.UTC(2020, 0, 1));
      expect(before).toBeLessThan(Date.UTC(2200, 0, 1));
      await passes();
      expect(clock()).toBeGreaterThan(before);
    });
  });
}

/** What every random source has to be. */
export function randomContract(name: string, open: () => RandomSource): void {
  describe(`random source: ${name}`, () => {
    it('is in [0, 1), and even enough', () => {
      const random = open();
      const draws = Array.from({ length: 10_000 }, random);
      expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
      // Ten cells of 1,000 each, ± five standard deviations.
      for (let cell = 0; cell < 10; cell += 1) {
        const hits = draws.filter((draw) => Math.floor(draw * 10) === cell).length;
        expect(Math.abs(hits - 1_000)).toBeLessThan(150);
      }
    });
  });
}
