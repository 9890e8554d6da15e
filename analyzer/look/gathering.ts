import { SIGNAL_METRICS, type Readings } from '../metrics/index.ts';
import type { ScoreObservation, Seen } from './observations.ts';

/** For each comparison, by its place, a letter: `a`, `b`, or `-` for neither. */
export type Arms = string;

/** A call as what it says of each metric. */
export type Reading = { readonly start_ms: number; readonly seen: Seen; readonly arms: Arms; readonly readings: Readings };
export type Judgement = Pick<ScoreObservation, 'slot' | 'start_ms' | 'seen' | 'name' | 'value' | 'data_type'> & { readonly arms: Arms };
/** Both in the order in which they came. */
export type Gathered = { readonly calls: readonly Reading[]; readonly scores: readonly Judgement[] };

/**
 * What is gathered of the units of a prompt until their session window is over. Units are numbers (unit-memory.ts).
 *
 * Calls are in plain numbers, a page for each slot, 60 bytes a call: at 10,000 calls a second two million are held at a time, and as objects they took 600.
 */
export type Gathering = {
  /** The calls of a slot follow, at most so many. Slots come in order. */
  open(slot: number, room: number): void;
  /** The first call of a unit. */
  begin(unit: number, call: Reading): void;
  /** A further one, of a unit that is gathered. */
  addCall(unit: number, call: Reading): void;
  addScore(unit: number, score: Judgement): void;
  isGathered(unit: number): boolean;
  /** Those that began in a slot, by their first call. */
  begunIn(slot: number): readonly number[];
  of(unit: number): Gathered;
  /** Lets go of units that began before a slot. */
  forget(before: number): void;
};

/** Start, and distributions. */
const NUMBERS = 1 + SIGNAL_METRICS.filter(({ kind }) => kind === 'distribution').length;
/** How many calls ago the one before of its unit came (0: it is the first), what it is alike in, and rates, two bits each. */
const WORDS = 3;
const SAYS_NOTHING = 3;

type Page = {
  readonly slot: number;
  /** Number of its first call among all that were ever added, from 1 on. */
  readonly first: number;
  readonly numbers: Float64Array;
  readonly words: Uint32Array;
  readonly alike: Pick<Reading, 'seen' | 'arms'>[];
  readonly places: Map<Seen, number>;
  readonly begun: number[];
};

export function createGathering(): Gathering {
  /** Oldest first. */
  let pages: Page[] = [];
  let added = 0;
  /** The number of each unit's last call. */
  let lastOf = new Float64Array(0);
  /** By unit: most have none. */
  const scores = new Map<number, Judgement[]>();

  const pageOf = (call: number): Page | null => pages.findLast(({ first }) => first <= call) ?? null;
  const isGathered = (unit: number): boolean => pageOf(lastOf[unit] ?? 0) !== null;
  const open = (): Page => {
    const page = pages.at(-1);
    if (page === undefined) throw new RangeError('no slot is open');
    return page;
  };

  const put = (unit: number, { start_ms, seen, arms, readings }: Reading, before: number): void => {
    const { first, numbers, words, alike, places } = open();
    added += 1;
    const at = added - first;
    let number = at * NUMBERS;
    numbers[number] = start_ms;
    let rates = 0;
    for (const [place, { kind }] of SIGNAL_METRICS.entries()) {
      const reading = readings[place] ?? null;
      if (kind === 'rate') rates = rates * 4 + (reading ?? SAYS_NOTHING);
      else numbers[(number += 1)] = reading ?? Number.NaN;
    }
    const place = places.get(seen) ?? alike.push({ seen, arms }) - 1;
    places.set(seen, place);
    words.set([before === 0 ? 0 : added - before, place, rates], at * WORDS);
    lastOf[unit] = added;
  };

  const readingOf = ({ numbers, words, alike }: Page, at: number): Reading => {
    const kind = alike[words[at * WORDS + 1] ?? -1];
    if (kind === undefined) throw new RangeError('no such call is gathered');
    const readings: (number | null)[] = [];
    let number = (at + 1) * NUMBERS;
    let rates = words[at * WORDS + 2] ?? 0;
    for (let place = SIGNAL_METRICS.length - 1; place >= 0; place -= 1) {
      const isRate = SIGNAL_METRICS[place]?.kind === 'rate';
      const reading = isRate ? rates % 4 : (numbers[(number -= 1)] ?? Number.NaN);
      if (isRate) rates = Math.floor(rates / 4);
      readings[place] = (isRate && reading === SAYS_NOTHING) || Number.isNaN(reading) ? null : reading;
    }
    return { ...kind, start_ms: numbers[at * NUMBERS] ?? 0, readings };
  };

  return {
    open(slot, room) {
      pages.push({ slot, first: added + 1, numbers: new Float64Array(room * NUMBERS), words: new Uint32Array(room * WORDS), alike: [], places: new Map(), begun: [] });
    },
    begin(unit, call) {
      if (unit >= lastOf.length) {
        const larger = new Float64Array(Math.ceil((unit + 1) * 1.25));
        larger.set(lastOf);
        lastOf = larger;
      }
      open().begun.push(unit);
      put(unit, call, 0);
    },
    addCall: (unit, call) => put(unit, call, lastOf[unit] ?? 0),
    addScore(unit, score) {
      const known = scores.get(unit);
      if (known === undefined) scores.set(unit, [score]);
      else known.push(score);
    },
    isGathered,
    begunIn: (slot) => pages.find((page) => page.slot === slot)?.begun ?? [],
    of(unit) {
      const calls: Reading[] = [];
      let call = lastOf[unit] ?? 0;
      for (let page = pageOf(call); page !== null; page = pageOf(call)) {
        const at = call - page.first;
        calls.push(readingOf(page, at));
        const ago = page.words[at * WORDS] ?? 0;
        call = ago === 0 ? 0 : call - ago;
      }
      return { calls: calls.reverse(), scores: scores.get(unit) ?? [] };
    },
    forget(before) {
      for (const { slot, begun } of pages) {
        if (slot >= before) break;
        for (const unit of begun) {
          lastOf[unit] = 0;
          scores.delete(unit);
        }
      }
      pages = pages.filter(({ slot }) => slot >= before);
    },
  };
}
