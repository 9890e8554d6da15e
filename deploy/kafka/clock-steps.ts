import type { Clock } from '../../schemas/clock.ts';

const LOOK_EVERY_MS = 500;
/** Clocks are slewed all day. */
const STEP_MS = 1_000;

/**
 * Calls back when the wall clock was set back. kafkajs sends no heartbeat until it is again where it was at the last one: the group takes the process for dead, and nobody
 * tells it. A consumer that is begun anew counts from now.
 */
export function onClockSetBack(clock: Clock, elapsed: () => number, callback: () => void): { close(): void } {
  let ahead = clock() - elapsed();
  const timer = setInterval(() => {
    const now = clock() - elapsed();
    const isSetBack = now < ahead - STEP_MS;
    ahead = now;
    if (isSetBack) callback();
  }, LOOK_EVERY_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
