import type { Clock } from '../../schemas/clock.ts';
import { networkOf } from './address.ts';

/**
 * Failed logins, counted by where they come from and by whom they try to be. A count fades by half in ten minutes, so a person who
 * mistypes waits seconds and a program that guesses waits longer and longer. Bounded: where too many are counted the stalest go.
 */
export type Throttle = {
  /** Seconds to wait before the next attempt may be made; 0: now. */
  waitS(keys: readonly string[]): number;
  failed(keys: readonly string[]): void;
  succeeded(keys: readonly string[]): void;
};

/** What an attempt counts for: where it comes from, and who is tried from there. */
export function countedFor(address: string, name: string | null): string[] {
  const network = networkOf(address);
  return [`address ${network}`, ...(name === null ? [] : [`name ${name.slice(0, 128)} ${network}`])];
}

const HALF_LIFE_MS = 600_000;
const LONGEST_WAIT_S = 900;
const MAX_COUNTED = 10_000;

/** @param free failures that cost no wait; then 1, 2, 4, … seconds. */
export function createThrottle(clock: Clock, { free }: { readonly free: number }): Throttle {
  const counts = new Map<string, { failures: number; atMs: number }>();

  const faded = (key: string): number => {
    const count = counts.get(key);
    return count === undefined ? 0 : count.failures * 0.5 ** (Math.max(0, clock() - count.atMs) / HALF_LIFE_MS);
  };
  return {
    waitS(keys) {
      const waits = keys.map((key) => {
        const excess = faded(key) - free;
        if (excess <= 0) return 0;
        const neededS = Math.min(LONGEST_WAIT_S, 2 ** excess);
        return neededS - (clock() - (counts.get(key)?.atMs ?? 0)) / 1000;
      });
      return Math.max(0, Math.ceil(Math.max(0, ...waits)));
    },
    failed(keys) {
      for (const key of keys) {
        const failures = faded(key) + 1;
        counts.delete(key);
        counts.set(key, { failures, atMs: clock() });
      }
      for (const key of counts.keys()) {
        if (counts.size <= MAX_COUNTED) break;
        counts.delete(key);
      }
    },
    succeeded(keys) {
      for (const key of keys) counts.delete(key);
    },
  };
}
