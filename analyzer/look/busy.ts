import type { Store } from '../../schemas/store.ts';
import { selectCallsBySlot, type PromptKey } from './observations.ts';

type Range = { readonly from: number; readonly to: number };

/** Calls of one prompt that are read at once: some 60 MB. */
export const MOST_CALLS_READ = 100_000;

/**
 * From which slot of a range on a prompt has at most so many calls (or those of its last one). The whole range, but for busy prompts: at a hundred calls a second
 * what an hour says of a distribution ten minutes say as well, and an hour of rows would not fit into a question.
 */
export async function recentFrom(store: Store, prompt: PromptKey, range: Range, most: number): Promise<number> {
  const newestFirst = (await selectCallsBySlot(store, prompt, range)).toReversed();
  let calls = 0;
  let from = range.to;
  for (const row of newestFirst) {
    calls += row.calls;
    if (calls > most && from < range.to) return from;
    from = row.slot;
  }
  return range.from;
}

/** A range in pieces, in order, of so many calls each, or of one slot. */
export async function inPieces(store: Store, prompt: PromptKey, range: Range, most = MOST_CALLS_READ): Promise<Range[]> {
  const pieces: Range[] = [];
  let from = range.from;
  let calls = 0;
  for (const row of await selectCallsBySlot(store, prompt, range)) {
    if (calls > 0 && calls + row.calls > most) {
      pieces.push({ from, to: row.slot });
      from = row.slot;
      calls = 0;
    }
    calls += row.calls;
  }
  return [...pieces, { from, to: range.to }];
}
