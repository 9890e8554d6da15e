import { hash } from 'node:crypto';
import { SLOTS_PER_DAY } from '../slots.ts';

/**
 * The units of a prompt that were met within the last day, in numbers: 32 bytes a unit, an entry of an index of its own, and a pointer to what is
 * kept of it, which may be one object for many. A unit is known by the first 64 bits of a SHA-256 of its id. Of n units a day two are taken
 * for one with a probability of n²/2⁶⁴: of 300,000 that is 5·10⁻⁹ a day, and then one unit less is counted.
 *
 * A unit has a number for as long as it is remembered; the number is given to another when its day is over.
 */
export type UnitMemory<Kept extends object> = {
  /** The number of a unit that is remembered, else null. */
  find(id: string, slot: number): number | null;
  /** Remembers a unit that is not: the first call that it was met with. */
  add(id: string, first: FirstCall, kept: Kept): number;
  /** It was met again. */
  touch(unit: number, slot: number): void;
  firstSlot(unit: number): number;
  /** Start of its first call. */
  startMs(unit: number): number;
  isFirstSpan(unit: number, span_id: string): boolean;
  kept(unit: number): Kept;
  keep(unit: number, kept: Kept): void;
  /** Units that were forgotten before their day was over: they would count again if they came again within it. */
  forgottenEarly(): number;
};

export type FirstCall = { readonly slot: number; readonly span_id: string; readonly start_ms: number };

/** Some 20 MB: of more units those that were met longest ago are forgotten before their day is over. */
export const MAX_REMEMBERED = 300_000;

export type UnitMemorySettings = {
  readonly maximum?: number | undefined;
  /** Units that are not forgotten before their day is over, even where they are more. */
  readonly isHeld?: (unit: number) => boolean;
};

const FIRST_ROOM = 32;
const indexFor = (room: number): number => Math.ceil((room * 4) / 3);

/** A row is eight words; the start, in milliseconds, is a double over the last two. */
const WORDS = 8;
const [ID, SPAN, FIRST_SLOT, LAST_SLOT] = [0, 2, 4, 5] as const;
const START_DOUBLE = 3;

export function createUnitMemory<Kept extends object>({ maximum = MAX_REMEMBERED, isHeld = () => false }: UnitMemorySettings = {}): UnitMemory<Kept> {
  let room = Math.min(FIRST_ROOM, maximum);
  let words = new Uint32Array(room * WORDS);
  let doubles = new Float64Array(words.buffer);
  /** Open addressing, at most three quarters full; a unit's number + 1, 0: free. */
  let index = new Uint32Array(indexFor(room));
  const allKept: (Kept | null)[] = [];
  /** Numbers whose day is over. */
  let free: number[] = [];
  let forgottenEarly = 0;

  const word = (unit: number, at: number): number => words[unit * WORDS + at] ?? 0;
  const isOver = (unit: number, slot: number): boolean => slot - word(unit, LAST_SLOT) >= SLOTS_PER_DAY;

  /** Where a unit stands in the index, or would stand. */
  const placeOf = (low: number, high: number): number => {
    let place = low % index.length;
    for (;;) {
      const unit = (index[place] ?? 0) - 1;
      if (unit < 0 || (word(unit, ID) === low && word(unit, ID + 1) === high)) return place;
      place = (place + 1) % index.length;
    }
  };

  /** Forgets the units before a slot, and lays the index anew. */
  const forget = (before: number, slot: number): void => {
    index.fill(0);
    free = [];
    for (let unit = 0; unit < allKept.length; unit += 1) {
      if (allKept[unit] !== null && (word(unit, LAST_SLOT) >= before || (isHeld(unit) && !isOver(unit, slot)))) {
        index[placeOf(word(unit, ID), word(unit, ID + 1))] = unit + 1;
        continue;
      }
      if (allKept[unit] !== null && !isOver(unit, slot)) forgottenEarly += 1;
      allKept[unit] = null;
      free.push(unit);
    }
  };

  const makeRoom = (slot: number): void => {
    forget(slot - SLOTS_PER_DAY + 1, slot);
    if (free.length > room / 4) return;
    if (room >= maximum) {
      if (free.length > room / 32) return;
      // A part of them at once, because each time all are gone through.
      const met = Uint32Array.from(allKept.flatMap((kept, unit) => (kept === null || isHeld(unit) ? [] : [word(unit, LAST_SLOT)]))).sort();
      const part = Math.floor(room / 32);
      if (met.length > part) return forget((met[part] ?? 0) + 1, slot);
    }
    room = Math.min(room < maximum ? maximum : Number.POSITIVE_INFINITY, Math.ceil(room * 1.25));
    const larger = new Uint32Array(room * WORDS);
    larger.set(words);
    words = larger;
    doubles = new Float64Array(words.buffer);
    index = new Uint32Array(indexFor(room));
    forget(slot - SLOTS_PER_DAY + 1, slot);
  };

  return {
    find(id, slot) {
      const [low, high] = hashOf(id);
      const unit = (index[placeOf(low, high)] ?? 0) - 1;
      return unit < 0 || isOver(unit, slot) ? null : unit;
    },
    add(id, first, kept) {
      const [low, high] = hashOf(id);
      let unit = (index[placeOf(low, high)] ?? 0) - 1;
      // Where it stands there still, its day is over and its number is its own.
      if (unit < 0) {
        if (free.length === 0 && allKept.length === room) makeRoom(first.slot);
        unit = free.pop() ?? allKept.length;
        index[placeOf(low, high)] = unit + 1;
      }
      const [spanLow, spanHigh] = hashOf(first.span_id);
      words.set([low, high, spanLow, spanHigh, first.slot, first.slot], unit * WORDS);
      doubles[(unit * WORDS) / 2 + START_DOUBLE] = first.start_ms;
      allKept[unit] = kept;
      return unit;
    },
    touch: (unit, slot) => void (words[unit * WORDS + LAST_SLOT] = slot),
    firstSlot: (unit) => word(unit, FIRST_SLOT),
    startMs: (unit) => doubles[(unit * WORDS) / 2 + START_DOUBLE] ?? 0,
    isFirstSpan(unit, span_id) {
      const [low, high] = hashOf(span_id);
      return word(unit, SPAN) === low && word(unit, SPAN + 1) === high;
    },
    kept(unit) {
      const kept = allKept[unit] ?? null;
      if (kept === null) throw new RangeError(`unit ${unit} is not remembered`);
      return kept;
    },
    keep: (unit, kept) => void (allKept[unit] = kept),
    forgottenEarly: () => forgottenEarly,
  };
}

/** The first 64 bits of its SHA-256, in two words. */
export function hashOf(text: string): Hash {
  if (text === last.text) return last.hash;
  const digest = hash('sha256', text, 'binary');
  last = { text, hash: [wordAt(digest, 0), wordAt(digest, 4)] };
  return last.hash;
}

function wordAt(bytes: string, at: number): number {
  return (bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8) | (bytes.charCodeAt(at + 2) << 16) | (bytes.charCodeAt(at + 3) << 24)) >>> 0;
}

type Hash = readonly [low: number, high: number];
/** Who looks for an id often adds it next. */
let last: { readonly text: string; readonly hash: Hash } = { text: '', hash: [0, 0] };
