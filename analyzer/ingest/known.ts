import { createGenerations } from './generations.ts';

/**
 * What is stored already, so that a span or score that is sent again is counted as a duplicate and written once.
 *
 * Exact without asking the store for most: a span that started after the memory began, and was not seen since, cannot
 * have been stored before it started. Only what is older than the memory, or comes from a clock that runs ahead, is
 * looked up. After a failed write a new memory begins, so it never claims what the store does not have.
 */
export type Known<Item, Stored> = {
  /** What is stored of each of these, by key; absent keys are new. Asks the store only where memory cannot tell. */
  find(items: readonly Item[], stampMs: number): Promise<Map<string, Stored>>;
  remember(item: Item, stored: Stored): void;
};

/** A clock may run ahead of ours by this much before its records are looked up. */
const CLOCK_TOLERANCE_MS = 1_000;
const LOOKUP_CHUNK = 2_000;

/**
 * @param deps.keyOf what makes two items the same.
 * @param deps.sinceMs the earliest moment (ms, the sender's clock) at which the item can have been received.
 * @param deps.lookUp asks the store, at most 2,000 items a call.
 * @param settings.coversFromMs memory is complete from here on: 0 for an empty store, else the moment of the start.
 * @param settings.capacity items in each of two generations (about 150 bytes each).
 */
export function createKnown<Item, Stored>(
  deps: {
    readonly keyOf: (item: Item) => string;
    readonly sinceMs: (item: Item) => number;
    readonly lookUp: (items: readonly Item[]) => Promise<ReadonlyMap<string, Stored>>;
  },
  settings: { readonly coversFromMs: number; readonly capacity: number },
): Known<Item, Stored> {
  let coversFromMs = settings.coversFromMs;
  let youngSinceMs = coversFromMs;
  let latestMs = coversFromMs;
  const memory = createGenerations<Stored>(settings.capacity, () => {
    coversFromMs = youngSinceMs;
    youngSinceMs = latestMs;
  });

  return {
    async find(items, stampMs) {
      latestMs = Math.max(latestMs, stampMs);
      const found = new Map<string, Stored>();
      const unsure: Item[] = [];
      for (const item of items) {
        const key = deps.keyOf(item);
        const stored = memory.get(key);
        if (stored !== undefined) {
          found.set(key, stored);
        } else if (coversFromMs > 0) {
          const sinceMs = deps.sinceMs(item);
          if (sinceMs < coversFromMs + CLOCK_TOLERANCE_MS || sinceMs > stampMs + CLOCK_TOLERANCE_MS) unsure.push(item);
        }
      }
      for (let from = 0; from < unsure.length; from += LOOKUP_CHUNK) {
        for (const [key, stored] of await deps.lookUp(unsure.slice(from, from + LOOKUP_CHUNK))) found.set(key, stored);
      }
      return found;
    },
    remember: (item, stored) => memory.set(deps.keyOf(item), stored),
  };
}
