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
  find(items: readonly Item[], stampMs: number): Promise<Map<string, Found<Stored>>>;
  remember(key: string, stored: Found<Stored>): void;
};

/** `batch`: that brought it, where the store was asked. `cameLate`: its row was not there yet when the shard was taken up, so nobody waits for what it lacks. */
export type Found<Stored> = Stored & { readonly batch?: number; readonly cameLate?: true };

/** It waits in the store, and here nobody waits for it. */
export function isLeftWaiting({ cameLate, slot }: Found<{ readonly slot: number }>): boolean {
  return cameLate === true && slot === 0;
}

/** Rows of batches that an earlier owner of the shard has left without a ledger (orphans.ts). `found`: when it was taken up; they are known from the beginning. */
export type Orphaned<Stored> = {
  readonly found: ReadonlyMap<string, Found<Stored>>;
  isOne(found: Found<Stored>): boolean;
  /** Those that are there by now, and whose key is not known. */
  take(isKnown: (key: string) => boolean): Promise<ReadonlyMap<string, Stored>>;
};

/** What is remembered of what is stored, and since when nothing of it was forgotten. */
export type Remembered<Stored> = { readonly memory: Pick<Generations<string, Found<Stored>>, 'get' | 'set'>; readonly coverage: Coverage };

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
 * @param deps.orphaned where what is found is one of these, and not known, they are counted before anything else is told.
 */
export function createKnown<Item, Stored>(
  deps: {
    readonly keyOf: (item: Item) => string;
    readonly sinceMs: (item: Item) => number;
    readonly canBeStored?: (item: Item, stampMs: number) => boolean;
    readonly lookUp: (items: readonly Item[]) => Promise<ReadonlyMap<string, Found<Stored>>>;
    readonly orphaned?: Orphaned<Stored> | undefined;
  },
  { memory, coverage }: Remembered<Stored>,
): Known<Item, Stored> {
  const { orphaned } = deps;
  for (const [key, stored] of orphaned?.found ?? []) memory.set(key, stored);

  /** Whether there were any. */
  const takeLate = async (from: Orphaned<Stored>): Promise<boolean> => {
    const late = await from.take((key) => memory.get(key) !== undefined);
    for (const [key, stored] of late) memory.set(key, { ...stored, cameLate: true });
    return late.size > 0;
  };

  const find = async (items: readonly Item[], stampMs: number): Promise<Map<string, Found<Stored>>> => {
    coverage.passed(stampMs);
    const found = new Map<string, Found<Stored>>();
    const unsure: Item[] = [];
    for (const item of items) {
      const key = deps.keyOf(item);
      const stored = memory.get(key);
      if (stored !== undefined) found.set(key, stored);
      else if (coverage.isInDoubt(() => deps.sinceMs(item), stampMs) && deps.canBeStored?.(item, stampMs) !== false) unsure.push(item);
    }
    let areLate = false;
    for (const chunk of chunksOf(unsure)) {
      for (const [key, stored] of await deps.lookUp(chunk)) {
        found.set(key, stored);
        areLate ||= orphaned?.isOne(stored) === true;
      }
    }
    // When something was forgotten nobody knows any more what was written by whom; but then what an earlier owner left was read again long ago. Else anew, since what
    // was not there, or not asked for, may be one of them.
    return orphaned !== undefined && areLate && !coverage.hasForgotten() && (await takeLate(orphaned)) ? find(items, stampMs) : found;
  };
  return { find, remember: (key, stored) => memory.set(key, stored) };
}
