import { chunksOf } from './chunks.ts';
import { createCoverage, type Coverage } from './coverage.ts';
import { createGenerations, type Generations } from './generations.ts';

/**
 * What is stored already, so that a span or score that is sent again is counted as a duplicate and written once.
 *
 * Exact without asking the store for most (coverage.ts). After a failed write a new memory begins, so it never claims what
 * the store does not have.
 */
export type Known<Item, Stored> = {
  /** What is stored of each of these, by key; absent keys are new. Asks the store only where memory cannot tell. */
  find(items: readonly Item[], stampMs: number): Promise<Map<string, Stored>>;
  remember(key: string, stored: Stored): void;
};

/** What is remembered of what is stored, and since when nothing of it was forgotten. */
export type Remembered<Stored> = { readonly memory: Pick<Generations<string, Stored>, 'get' | 'set'>; readonly coverage: Coverage };

/**
 * @param settings.coversFromMs memory is complete from here on: 0 for an empty store, else the moment of the start.
 * @param settings.capacity items in each of two generations (about 150 bytes each).
 */
export function createRemembered<Stored>({ coversFromMs, capacity }: { readonly coversFromMs: number; readonly capacity: number }): Remembered<Stored> {
  const coverage = createCoverage(coversFromMs);
  return { coverage, memory: createGenerations(capacity, coverage.rotated) };
}

/**
 * @param deps.keyOf what makes two items the same.
 * @param deps.sinceMs the earliest moment (ms, the sender's clock) at which the item can have been received.
 * @param deps.canBeStored false: the store has nothing of it but what is remembered. Default: nobody knows.
 * @param deps.lookUp asks the store, at most 2,000 items a call.
 */
export function createKnown<Item, Stored>(
  deps: {
    readonly keyOf: (item: Item) => string;
    readonly sinceMs: (item: Item) => number;
    readonly canBeStored?: (item: Item, stampMs: number) => boolean;
    readonly lookUp: (items: readonly Item[]) => Promise<ReadonlyMap<string, Stored>>;
  },
  { memory, coverage }: Remembered<Stored>,
): Known<Item, Stored> {
  return {
    async find(items, stampMs) {
      coverage.passed(stampMs);
      const found = new Map<string, Stored>();
      const unsure: Item[] = [];
      for (const item of items) {
        const key = deps.keyOf(item);
        const stored = memory.get(key);
        if (stored !== undefined) found.set(key, stored);
        else if (coverage.isInDoubt(() => deps.sinceMs(item), stampMs) && deps.canBeStored?.(item, stampMs) !== false) unsure.push(item);
      }
      for (const chunk of chunksOf(unsure)) for (const [key, stored] of await deps.lookUp(chunk)) found.set(key, stored);
      return found;
    },
    remember: (key, stored) => memory.set(key, stored),
  };
}
