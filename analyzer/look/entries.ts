/** One value of a unit for each metric of a family. `unit`: its number, where it may still meet both arms, and then counts for neither; else null. */
export type Entry = { readonly arm: 'a' | 'b'; readonly unit: number | null; readonly startMs: number; readonly bins: readonly (readonly [metric: string, bin: number])[] };

/**
 * Entries of an open window in plain numbers: who (its arm in the last bit), start, how many bins, and these, each with the place of its metric among
 * `names`. As objects they were the larger half of what an open comparison holds.
 */
export type Entries = number[];

/** Bins are 16-bit integers, with a sign. */
const BINS = 2 ** 16;
const LOWEST_BIN = -(2 ** 15);
const NOBODY = -1;

/** @param names those of metrics that were met so far; grows. */
export function addEntry(entries: Entries, names: string[], { arm, unit, startMs, bins }: Entry): void {
  entries.push((unit ?? NOBODY) * 2 + (arm === 'a' ? 0 : 1), startMs, bins.length);
  for (const [metric, bin] of bins) {
    let place = names.indexOf(metric);
    if (place < 0) place = names.push(metric) - 1;
    entries.push(place * BINS + bin - LOWEST_BIN);
  }
}

export function* entriesOf(entries: Entries, names: readonly string[]): Iterable<Entry> {
  for (let at = 0; at < entries.length; ) {
    const [who = 0, startMs = 0, length = 0] = entries.slice(at, at + 3);
    const unit = Math.floor(who / 2);
    const bins = entries.slice(at + 3, at + 3 + length).map((packed): [string, number] => [names[Math.floor(packed / BINS)] ?? '', (packed % BINS) + LOWEST_BIN]);
    yield { arm: who - unit * 2 === 0 ? 'a' : 'b', unit: unit === NOBODY ? null : unit, startMs, bins };
    at += 3 + length;
  }
}
