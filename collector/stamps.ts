import type { Clock } from '../schemas/clock.ts';

/**
 * The arrival clock. A slot of it may close only when every request that was stamped inside it is in the store, and no
 * request will be stamped inside it any more. So stamps never run backwards, not even when the wall clock is set back
 * (they stand still until it has caught up), and `watermark` says how far both conditions hold.
 */
export type Stamp = { readonly received_ms: number };

export type Stamps = {
  /** The stamp of a request that is appended now. Call it right before the append, with no await between. */
  take(): Stamp;
  /** The request is durable, or was refused. */
  finish(stamp: Stamp): void;
  /** Every request stamped below it is finished, and none will be stamped below it from now on. */
  watermark(): number;
};

export function createStamps(clock: Clock): Stamps {
  let latest_ms = Number.NEGATIVE_INFINITY;
  // In the order of insertion, which is the order of the stamps, so the first is the oldest.
  const inFlight = new Set<Stamp>();

  function now(): number {
    latest_ms = Math.max(latest_ms, clock());
    return latest_ms;
  }

  return {
    take() {
      const stamp = { received_ms: now() };
      inFlight.add(stamp);
      return stamp;
    },
    finish(stamp) {
      inFlight.delete(stamp);
    },
    watermark() {
      const [oldest] = inFlight;
      return oldest?.received_ms ?? now();
    },
  };
}
