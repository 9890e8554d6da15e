import type { Stratum } from '../../schemas/evidence.ts';
import { addEntry, entriesOf, type Entries, type Entry } from './entries.ts';
import { SlotCounts, type SlotCountsState } from './slot-counts.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { LONGEST, windowLength } from '../statistics/window-length.ts';

/**
 * From units to strata. A *family* is what must be alike inside a stratum: what is measured, model, operation, route.
 * Each family is cut into windows of slots; a window's length is fixed before it begins, from the counts of the last
 * hour, never by what arrives in it. When a window's last slot closes, its units become one stratum for each time in
 * which their calls started (STATISTICS: strata are keyed by start window, so that slow calls and slow judges count).
 */
export type Family = { readonly group: string; readonly model: string; readonly operation: string; readonly route: string };

/** What is known of units only when their window closes. */
export type Asked = { readonly startWindowOf: (startMs: number) => number; readonly isMixed: (unit: number) => boolean };

/** What a restart needs: where each family's open window lies, and what the next ones are planned from. Its units are read again from the store. */
export type WindowSchedule = readonly {
  readonly family: Family;
  readonly begin: number;
  readonly length: number;
  readonly history: History;
  readonly counts: SlotCountsState;
}[];

/** Units of each arm before the opening, and in how many slots: the candidate has only just begun. */
export type History = { readonly a: ArmHistory; readonly b: ArmHistory };
export type ArmHistory = { readonly units: number; readonly slots: number };
const NO_HISTORY: History = { a: { units: 0, slots: 0 }, b: { units: 0, slots: 0 } };

/** A route, or a model, may be anything (an id in a path): past this many a comparison takes no new ones. */
const MAX_FAMILIES = 1_000;

type FamilyState = {
  readonly family: Family;
  begin: number;
  length: number;
  entries: Entries;
  /** Among the counts. */
  readonly place: number;
  /** What was known before the first counted slot, fading out as slots are counted. */
  history: History;
};

/** A class, like the others of which each open comparison has one: closures would take a kilobyte more. */
export class Windows {
  readonly #openedSlot: number;
  readonly #families = new Map<string, FamilyState>();
  readonly #counts: SlotCounts;
  /** Of metrics. */
  readonly #names: string[] = [];
  #leftOut = 0;

  /** @param openedSlot the first window of every family begins in the slot after it. */
  constructor(openedSlot: number, schedule: WindowSchedule = []) {
    this.#openedSlot = openedSlot;
    this.#counts = new SlotCounts(schedule.map(({ counts }) => counts));
    for (const [place, { family, begin, length, history }] of schedule.entries()) this.#families.set(keyOf(family), { family, begin, length, entries: [], place, history });
  }

  /** Counts of the last hour before the opening, so that the first windows have a length. */
  seed(family: Family, history: History): void {
    if (this.#families.size >= MAX_FAMILIES) return;
    const state: FamilyState = { family, begin: this.#openedSlot + 1, length: LONGEST, entries: [], place: this.#counts.add(), history };
    state.length = this.#planned(state, this.#openedSlot + 1);
    this.#families.set(keyOf(family), state);
  }

  add(family: Family, slot: number, entry: Entry): void {
    const state = this.#found(family, slot);
    if (state === null) return;
    this.#counts.count(state.place, slot, entry.arm);
    if (slot >= state.begin) addEntry(state.entries, this.#names, entry);
  }

  /** The same after a restart, for a slot whose counts are in the schedule. */
  refill(family: Family, slot: number, entry: Entry): void {
    const state = this.#families.get(keyOf(family));
    if (state !== undefined && slot >= state.begin) addEntry(state.entries, this.#names, entry);
  }

  /** Closes a slot: the strata of all windows that end with it. Slots must come in order, without gaps. */
  close(slot: number, asked: Asked): Omit<Stratum, 'use'>[] {
    const strata: Omit<Stratum, 'use'>[] = [];
    for (const state of this.#families.values()) {
      if (state.begin + state.length - 1 > slot) continue;
      strata.push(...strataOf(state, entriesOf(state.entries, this.#names), slot, asked));
      state.entries = [];
      state.begin = slot + 1;
      state.length = this.#planned(state, slot + 1);
    }
    return strata;
  }

  schedule(): WindowSchedule {
    return [...this.#families.values()].map(({ family, begin, length, history, place }) => ({ family, begin, length, history, counts: this.#counts.state(place) }));
  }

  /** Entries of families beyond the first so many: no bet is made on them. */
  leftOut(): number {
    return this.#leftOut;
  }

  /** The first slot of any window that is still open. */
  oldestOpenSlot(): number {
    return Math.min(...[...this.#families.values()].map((state) => state.begin));
  }

  #planned(state: FamilyState, nextSlot: number): number {
    const counted = this.#counts.since(state.place, nextSlot - SLOTS_PER_HOUR);
    const observed = Math.min(SLOTS_PER_HOUR, nextSlot - this.#openedSlot - 1);
    const fading = Math.max(0, 1 - observed / SLOTS_PER_HOUR);
    if (fading === 0) state.history = NO_HISTORY;
    const expectedOf = (arm: 'a' | 'b'): { readonly units: number; readonly isKnown: boolean } => {
      const slots = observed + state.history[arm].slots * fading;
      const units = counted[arm] + state.history[arm].units * fading;
      return { units: (units + 1) / (slots + 2), isKnown: slots > 1 };
    };
    const arms = [expectedOf('a'), expectedOf('b')];
    const both = arms.reduce((sum, { units }) => sum + units, 0);
    // An arm that was met in the last slot may have had a moment of it only, so the rarer one is not guessed from that: a window of few units of the
    // candidate among many of the baseline loses next to nothing, and one of four minutes, because the first call came a second before a slot's end, did.
    const rarer = Math.min(...arms.filter(({ isKnown }) => isKnown).map(({ units }) => units));
    return windowLength({ both, rarer });
  }

  #found(family: Family, slot: number): FamilyState | null {
    const key = keyOf(family);
    const known = this.#families.get(key);
    if (known !== undefined) return known;
    if (this.#families.size >= MAX_FAMILIES) {
      this.#leftOut += 1;
      return null;
    }
    // A family that nobody expected gets the longest windows of a grid that was fixed at the opening, then plans like the others.
    const begin = this.#openedSlot + 1 + Math.floor((slot - this.#openedSlot - 1) / LONGEST) * LONGEST;
    const state: FamilyState = { family, begin, length: LONGEST, entries: [], place: this.#counts.add(), history: NO_HISTORY };
    this.#families.set(key, state);
    return state;
  }
}

const keyOf = (family: Family): string => `${family.group}\0${family.model}\0${family.operation}\0${family.route}`;

/** One stratum for each start window and metric in which both arms have a unit; a window with one arm says nothing. */
function strataOf(state: FamilyState, entries: Iterable<Entry>, slot: number, { startWindowOf, isMixed }: Asked): Omit<Stratum, 'use'>[] {
  const cells = new Map<number, Map<string, Map<number, { a: number; b: number }>>>();
  for (const entry of entries) {
    if (entry.unit !== null && isMixed(entry.unit)) continue;
    const startWindow = startWindowOf(entry.startMs);
    let metrics = cells.get(startWindow);
    if (metrics === undefined) cells.set(startWindow, (metrics = new Map()));
    for (const [metric, bin] of entry.bins) {
      let bins = metrics.get(metric);
      if (bins === undefined) metrics.set(metric, (bins = new Map()));
      let cell = bins.get(bin);
      if (cell === undefined) bins.set(bin, (cell = { a: 0, b: 0 }));
      cell[entry.arm] += 1;
    }
  }
  const { model, operation, route } = state.family;
  const strata: Omit<Stratum, 'use'>[] = [];
  for (const [start_window_ms, metrics] of [...cells].sort(([left], [right]) => left - right)) {
    for (const [metric, counts] of metrics) {
      const sorted = [...counts].sort(([left], [right]) => left - right);
      const a = sorted.map(([, cell]) => cell.a);
      const b = sorted.map(([, cell]) => cell.b);
      if (!a.some((count) => count > 0) || !b.some((count) => count > 0)) continue;
      strata.push({ metric, slot, begin_slot: state.begin, start_window_ms, model, operation, route, control: '', bins: sorted.map(([bin]) => bin), a, b });
    }
  }
  return strata;
}
