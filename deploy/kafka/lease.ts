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
  /** The answer was that the group is being shared out anew and waits for us. It does not do so for ever, and tells nobody when it has stopped. */
  awaited(): void;
  ageMs(): number;
};

/**
 * @param elapsed a clock that nobody sets, ms.
 * @param settings.longestWaitMs since the last plain answer, after which that of a group that waits counts for nothing.
 */
export function createLease(clock: Clock, elapsed: () => number, { longestWaitMs }: { readonly longestWaitMs: number }): Lease {
  const moment = (agoMs: number) => ({ wallMs: clock() - agoMs, elapsedMs: elapsed() - agoMs });
  const never = { wallMs: Number.NEGATIVE_INFINITY, elapsedMs: Number.NEGATIVE_INFINITY };
  let sent = never;
  let held = never;
  let plain = never;
  const ageOf = ({ wallMs, elapsedMs }: typeof never): number => Math.max(clock() - wallMs, elapsed() - elapsedMs);
  return {
    answered: (afterMs) => void (sent = moment(Math.max(0, afterMs))),
    renewed: () => void (held = plain = sent),
    awaited() {
      if (ageOf(plain) <= longestWaitMs) held = sent;
    },
    ageMs: () => ageOf(held),
  };
}
