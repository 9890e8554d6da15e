/**
 * Since when a memory has forgotten nothing. A span that started after that, and is not remembered, cannot have been received
 * before it started; so only what is older, or comes from a clock that runs ahead, has to be looked up in the store.
 */
export type Coverage = {
  /** The clock of arrivals has come to here. */
  passed(stampMs: number): void;
  /** The older half of the memory was dropped (generations.ts). */
  rotated(): void;
  /** Since it began. */
  hasForgotten(): boolean;
  /** Whether something that can have been received from `sinceMs()` on may be in the store and not in the memory. Of a memory that has everything nothing is asked. */
  isInDoubt(sinceMs: () => number, stampMs: number): boolean;
};

/** A clock may run ahead of ours by this much before its records are looked up. */
const CLOCK_TOLERANCE_MS = 1_000;

/** @param fromMs the memory is complete from here on: 0 for an empty store, else the moment of the start. */
export function createCoverage(fromMs: number): Coverage {
  let coversFromMs = fromMs;
  let youngSinceMs = fromMs;
  let latestMs = fromMs;
  let rotations = 0;
  return {
    passed(stampMs) {
      latestMs = Math.max(latestMs, stampMs);
    },
    rotated() {
      coversFromMs = youngSinceMs;
      youngSinceMs = latestMs;
      rotations += 1;
    },
    // The first drops nothing.
    hasForgotten: () => rotations > 1,
    isInDoubt(sinceMs, stampMs) {
      if (coversFromMs === 0) return false;
      const ms = sinceMs();
      return ms < coversFromMs + CLOCK_TOLERANCE_MS || ms > stampMs + CLOCK_TOLERANCE_MS;
    },
  };
}
