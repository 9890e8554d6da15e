import { evidenceOfSums, NO_STRATA, withStratum, type Judged, type JudgedSums } from '../statistics/missing.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { LONGEST_WAIT } from './tape.ts';

export type CountedUnit = { readonly firstSlot: number; readonly arm: 'a' | 'b' };

/** Counts are of both arms in turn: of units that began, and stretch by stretch from `first` on; later ones that are left out are 0. */
export type JudgedState = { readonly first: number; readonly began: readonly number[]; readonly units: readonly number[]; readonly names: readonly NameState[] };
type NameState = { readonly name: string; readonly judged: readonly number[]; readonly sums: JudgedSums; readonly judges: readonly Judge[] };
type Judge = readonly [evaluator: string, a: number, b: number];

/** Slots of one stretch, five minutes. */
const STRETCH = 10;
/** Slots after it is heard in which a stretch still counts what comes late. */
const LATEST = SLOTS_PER_HOUR;
/** Who judges may be anything: past this many of one name they are one. */
const MAX_EVALUATORS = 8;
const OTHERS = '(other)';

/** Made anew when they grow, because an array that is pushed to keeps room for sixteen more. */
type Counts = number[];
type Name = { readonly name: string; judged: Counts; sums: JudgedSums; judges: readonly Judge[] };

export const stretchOf = (slot: number): number => Math.floor(slot / STRETCH);

/**
 * How many units of each arm were judged, and by whom, counted while a comparison is fed. A unit belongs to the stretch of five minutes of its first slot.
 * A stretch is heard once it is over and its units have had their session window and ten minutes more to be judged. It goes on counting what slower judges say for
 * an hour, then becomes a part of sums and is forgotten: so what is kept does not grow with how long a comparison is open.
 *
 * A class, because each comparison has one: as closures it would take a kilobyte more.
 */
export class JudgedUnits {
  #first: number;
  readonly #began: Counts;
  #units: Counts;
  #names: readonly Name[];
  readonly #windowSlots: number;
  readonly #isMetric: (name: string) => boolean;

  /**
   * @param settings `first`: the first stretch, units of earlier ones are not counted; `windowSlots`: until a unit is complete; `isMetric`: whether scores of a name are compared, others are not
   * counted.
   */
  constructor({ first, windowSlots, isMetric }: { readonly first: number; readonly windowSlots: number; readonly isMetric: (name: string) => boolean }, restored: JudgedState | null = null) {
    this.#first = restored?.first ?? first;
    this.#began = [...(restored?.began ?? [0, 0])];
    this.#units = [...(restored?.units ?? [])];
    this.#names = (restored?.names ?? []).map((of) => ({ ...of, judged: [...of.judged] }));
    this.#windowSlots = windowSlots;
    this.#isMetric = isMetric;
  }

  /** A unit begins in an arm. */
  begin(arm: 'a' | 'b'): void {
    const at = ARMS.indexOf(arm);
    this.#began[at] = (this.#began[at] ?? 0) + 1;
  }

  /** A unit that has an answer is complete, and was scored under these names. */
  count(unit: CountedUnit, names: Iterable<string>): void {
    this.#units = this.#added(this.#units, unit, 1);
    for (const name of names) this.judge(unit, name);
  }

  /** Later it is scored under one more. */
  judge(unit: CountedUnit, name: string): void {
    const of = this.#named(name);
    if (of !== null) of.judged = this.#added(of.judged, unit, 1);
  }

  /** It met the other arm after it was counted: it is neither's. */
  leave(unit: CountedUnit, names: Iterable<string>): void {
    this.#units = this.#added(this.#units, unit, -1);
    for (const name of names) {
      const of = this.#named(name);
      if (of !== null) of.judged = this.#added(of.judged, unit, -1);
    }
  }

  /** A score of a unit of an arm, by an evaluator (empty: nobody said who). */
  hear(name: string, arm: 'a' | 'b', evaluator: string): void {
    const of = this.#named(name);
    if (of === null) return;
    const judge = of.judges.length < MAX_EVALUATORS || of.judges.some(([known]) => known === evaluator) ? evaluator : OTHERS;
    const [, a, b] = of.judges.find(([known]) => known === judge) ?? [judge, 0, 0];
    const counted: Judge = arm === 'a' ? [judge, a + 1, b] : [judge, a, b + 1];
    of.judges = a + b === 0 ? [...of.judges, counted] : of.judges.map((known) => (known[0] === judge ? counted : known));
  }

  /** A slot has been fed, in order. */
  close(slot: number): void {
    for (; this.#heardAt(this.#first) + LATEST <= slot; this.#first += 1) {
      for (const of of this.#names) {
        of.sums = withStratum(of.sums, this.#judgedAt(of, 0));
        of.judged.splice(0, 2);
      }
      this.#units.splice(0, 2);
    }
  }

  /** Whether a slot makes one more stretch heard. */
  isHeardAt(slot: number): boolean {
    return (slot + 1 - this.#windowSlots) % STRETCH === 0;
  }

  /** What the stretches say that are heard by a slot. */
  evidence(name: string, slot: number): ReturnType<typeof evidenceOfSums> {
    const of = this.#names.find((each) => each.name === name);
    let sums = of?.sums ?? NO_STRATA;
    if (of !== undefined) for (let place = 0; this.#heardAt(this.#first + place) <= slot; place += 1) sums = withStratum(sums, this.#judgedAt(of, place));
    return evidenceOfSums(sums);
  }

  /** Scores of each arm by evaluator. */
  judges(name: string): { readonly a: ReadonlyMap<string, number>; readonly b: ReadonlyMap<string, number> } {
    const judges = this.#names.find((each) => each.name === name)?.judges ?? [];
    const counted = (of: readonly (readonly [string, number])[]): Map<string, number> => new Map(of.filter(([, scores]) => scores > 0));
    return { a: counted(judges.map(([judge, a]) => [judge, a])), b: counted(judges.map(([judge, , b]) => [judge, b])) };
  }

  /** Units that began in each arm. */
  began(): { readonly a: number; readonly b: number } {
    const [a = 0, b = 0] = this.#began;
    return { a, b };
  }

  snapshot(): JudgedState {
    return { first: this.#first, began: [...this.#began], units: [...this.#units], names: this.#names.map(({ name, judged, sums, judges }) => ({ name, judged: [...judged], sums, judges })) };
  }

  #added(counts: Counts, { firstSlot, arm }: CountedUnit, change: 1 | -1): Counts {
    const stretch = stretchOf(firstSlot) - this.#first;
    if (stretch < 0) return counts;
    const size = 2 * (stretch + 1);
    const grown = counts.length >= size ? counts : Array.from({ length: size }, (_, at) => counts[at] ?? 0);
    const at = 2 * stretch + ARMS.indexOf(arm);
    grown[at] = Math.max(0, (grown[at] ?? 0) + change);
    return grown;
  }

  #named(name: string): Name | null {
    const known = this.#names.find((each) => each.name === name);
    if (known !== undefined || !this.#isMetric(name)) return known ?? null;
    const added: Name = { name, judged: [], sums: NO_STRATA, judges: [] };
    this.#names = [...this.#names, added];
    return added;
  }

  /** The stretch at a place from `first` on. A unit that only failed while it was gathered is not counted, though a later call of it may be judged. */
  #judgedAt({ judged }: Name, place: number): Judged {
    const ofArm = (at: number): Judged['a'] => {
      const units = this.#units[at] ?? 0;
      return { units, judged: Math.min(units, judged[at] ?? 0) };
    };
    return { a: ofArm(2 * place), b: ofArm(2 * place + 1) };
  }

  /** The slot that makes a stretch heard. */
  #heardAt(stretch: number): number {
    return (stretch + 1) * STRETCH - 1 + this.#windowSlots + LONGEST_WAIT;
  }
}

const ARMS = ['a', 'b'] as const;
