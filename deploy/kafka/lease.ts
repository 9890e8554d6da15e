import type { Clock } from '../../schemas/clock.ts';

/**
 * How long the coordinator of a consumer group has not heard of this process: after a session time of that it gives what is ours to others. Counted from when a request was *sent* that
 * it then answered, since the answer may have been long on its way; and by whichever clock says more, since the wall clock may be set back and the other one stands
 * still while a machine sleeps.
 */
export type Lease = {
  /** A request was answered, somehow, that had been sent so long ago. */
  answered(afterMs: number): void;
  /** The answer was that of one who knows us. */
  renewed(): void;
  ageMs(): number;
};

/** @param elapsed a clock that nobody sets, ms. */
export function createLease(clock: Clock, elapsed: () => number): Lease {
  const moment = (agoMs: number) => ({ wallMs: clock() - agoMs, elapsedMs: elapsed() - agoMs });
  const never = { wallMs: Number.NEGATIVE_INFINITY, elapsedMs: Number.NEGATIVE_INFINITY };
  let sent = never;
  let held = never;
  return {
    answered: (afterMs) => void (sent = moment(Math.max(0, afterMs))),
    renewed: () => void (held = sent),
    ageMs: () => Math.max(clock() - held.wallMs, elapsed() - held.elapsedMs),
  };
}
