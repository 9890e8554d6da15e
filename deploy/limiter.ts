import { RetryableError } from '../schemas/errors.ts';

/** A few at a time, first come, first served; a bounded number waits. */
export type Limiter = { take<T>(run: () => Promise<T>): Promise<T> };

export function createLimiter({ atOnce, maxWaiting }: { readonly atOnce: number; readonly maxWaiting: number }): Limiter {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async take(run) {
      if (running >= atOnce) {
        if (waiting.length >= maxWaiting) throw new RetryableError(`${maxWaiting} queries wait for the store already`);
        // The one that resolves this hands on its place, so `running` stays as it is.
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else {
        running += 1;
      }
      try {
        return await run();
      } finally {
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
