/** Units of each arm in one slot. */
export type SlotCount = readonly [slot: number, a: number, b: number];

/** Units of each arm by slot, in the order of slots: three words each, because there is one of these for each family of each comparison. */
export type SlotCounts = { words: Uint32Array; end: number };

const WORDS = 3;
const FIRST_ROOM = 5;

export function slotCountsOf(rows: readonly SlotCount[]): SlotCounts {
  const words = Uint32Array.from(rows.flat());
  return { words, end: words.length };
}

export function countUnit(counts: SlotCounts, slot: number, arm: 'a' | 'b'): void {
  const { words, end } = counts;
  if (end === 0 || words[end - WORDS] !== slot) {
    if (end === words.length) {
      counts.words = new Uint32Array(Math.max(FIRST_ROOM, Math.ceil((end / WORDS) * 1.25)) * WORDS);
      counts.words.set(words);
    }
    counts.words.set([slot, 0, 0], end);
    counts.end += WORDS;
  }
  const at = counts.end - WORDS + (arm === 'a' ? 1 : 2);
  counts.words[at] = (counts.words[at] ?? 0) + 1;
}

/** Drops all of before a slot, and sums what is left. */
export function countedSince(counts: SlotCounts, slot: number): { readonly a: number; readonly b: number } {
  const { words } = counts;
  let first = 0;
  while (first < counts.end && (words[first] ?? 0) < slot) first += WORDS;
  words.copyWithin(0, first, counts.end);
  counts.end -= first;
  const sum = { a: 0, b: 0 };
  for (let at = 0; at < counts.end; at += WORDS) {
    sum.a += words[at + 1] ?? 0;
    sum.b += words[at + 2] ?? 0;
  }
  return sum;
}

export function rowsOf({ words, end }: SlotCounts): SlotCount[] {
  return Array.from({ length: end / WORDS }, (_, row) => [words[row * WORDS] ?? 0, words[row * WORDS + 1] ?? 0, words[row * WORDS + 2] ?? 0]);
}
