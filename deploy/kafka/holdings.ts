import { later } from './later.ts';

/**
 * The shards that this process has. Each is opened from the store by the first who needs it, some time after it was given to us: whoever had it before may still be
 * writing what no rebalance waits for. Where that was this process itself, which has come back to the group under another name, the end of what is under
 * way is waited for, however long that takes: rows that come after the shard was taken up may be in slots that were looked at before.
 */
export type Holdings<Opened> = {
  /** What is open, or opens it. Rejects as that does, and the next who asks tries anew. */
  open(number: number): Promise<Opened>;
  /** Gives up all others. */
  keep(kept: ReadonlySet<number>): void;
};

/** @param deps.open `isHeld`: whether it has not been given up since. @param deps.idle resolves when nothing that was begun before is under way. */
export function createHoldings<Opened>(
  deps: { readonly open: (number: number, isHeld: () => boolean) => Promise<Opened>; readonly idle: (opened: Opened) => Promise<void> },
  settings: { readonly graceMs: number },
): Holdings<Opened> {
  const held = new Map<number, Promise<Opened>>();
  const leaving = new Map<number, Promise<void>>();
  const isHeld = (number: number, opened: Promise<Opened>): boolean => held.get(number) === opened;

  const leave = (number: number, opened: Promise<Opened>): void => {
    held.delete(number);
    const before = leaving.get(number);
    const left = Promise.all([before, opened.then(deps.idle)]).then(
      () => undefined,
      () => undefined,
    );
    leaving.set(number, left);
    void left.then(() => leaving.get(number) === left && leaving.delete(number));
  };

  return {
    open(number) {
      const known = held.get(number);
      if (known !== undefined) return known;
      const opening: Promise<Opened> = Promise.all([later(settings.graceMs), leaving.get(number)]).then(() => deps.open(number, () => isHeld(number, opening)));
      held.set(number, opening);
      opening.catch(() => isHeld(number, opening) && held.delete(number));
      return opening;
    },
    keep(kept) {
      for (const [number, opened] of held) if (!kept.has(number)) leave(number, opened);
    },
  };
}
