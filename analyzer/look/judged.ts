import { evidenceOfSums, NO_STRATA, withStratum, type Judged, type JudgedSums } from '../statistics/missing.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { LONGEST_WAIT } from './tape.ts';

/**
 * How many units of each arm were judged, and by whom, counted while a comparison is fed. A unit belongs to the stretch of five minutes of its first slot.
 * A stretch is heard once it is over and its units have had their session window and ten minutes more to be judged. It goes on counting what slower judges say for
 * an hour, then becomes a part of sums and is forgotten: so what is kept does not grow with how long a comparison is open.
 */
export type JudgedUnits = {
  /** A unit that has an answer is complete, and was scored under these names. */
  count(unit: CountedUnit, names: Iterable<string>): void;
  /** Later it is scored under one more. */
  judge(unit: CountedUnit, name: string): void;
  /** It met the other arm after it was counted: it is neither's. */
  leave(unit: CountedUnit, names: Iterable<string>): void;
  /** A score of a unit of an arm, by an evaluator (empty: nobody said who). */
  hear(name: string, arm: 'a' | 'b', evaluator: string): void;
  /** A slot has been fed, in order. */
  close(slot: number): void;
  /** Whether a slot makes one more stretch heard. */
  isHeardAt(slot: number): boolean;
  /** What the stretches say that are heard by a slot. */
  evidence(name: string, slot: number): ReturnType<typeof evidenceOfSums>;
  /** Scores of each arm by evaluator. */
  judges(name: string): { readonly a: ReadonlyMap<string, number>; readonly b: ReadonlyMap<string, number> };
  snapshot(): JudgedState;
};

export type CountedUnit = { readonly firstSlot: number; readonly arm: 'a' | 'b' };

/** Counts are of both arms in turn, stretch by stretch from `first` on; later ones that are left out are 0. */
export type JudgedState = { readonly first: number; readonly units: readonly number[]; readonly names: readonly NameState[] };
type NameState = { readonly name: string; readonly judged: readonly number[]; readonly sums: JudgedSums; readonly judges: readonly (readonly [evaluator: string, a: number, b: number])[] };

/** Slots of one stretch, five minutes. */
const STRETCH = 10;
/** Slots after it is heard in which a stretch still counts what comes late. */
const LATEST = SLOTS_PER_HOUR;
/** Who judges may be anything: past this many of one name they are one. */
const MAX_EVALUATORS = 8;
const OTHERS = '(other)';

type Counts = number[];
type Name = { readonly judged: Counts; sums: JudgedSums; readonly judges: Map<string, { a: number; b: number }> };

const ARMS = ['a', 'b'] as const;

export const stretchOf = (slot: number): number => Math.floor(slot / STRETCH);

/**
 * @param settings `first`: the first stretch, units of earlier ones are not counted; `windowSlots`: until a unit is complete; `isMetric`: whether scores of a name are compared, others are not counted.
 */
export function createJudgedUnits({ first: from, windowSlots, isMetric }: { readonly first: number; readonly windowSlots: number; readonly isMetric: (name: string) => boolean }, restored: JudgedState | null = null): JudgedUnits {
  let first = restored?.first ?? from;
  const units: Counts = [...(restored?.units ?? [])];
  const names = new Map((restored?.names ?? []).map(({ name, judged, sums, judges }): [string, Name] => [name, { judged: [...judged], sums, judges: new Map(judges.map(([judge, a, b]) => [judge, { a, b }])) }]));

  const add = (counts: Counts, { firstSlot, arm }: CountedUnit, change: 1 | -1): void => {
    const stretch = stretchOf(firstSlot) - first;
    if (stretch < 0) return;
    while (counts.length < 2 * (stretch + 1)) counts.push(0);
    const at = 2 * stretch + ARMS.indexOf(arm);
    counts[at] = Math.max(0, (counts[at] ?? 0) + change);
  };
  const named = (name: string): Name | null => {
    let known = names.get(name);
    if (known === undefined && isMetric(name)) names.set(name, (known = { judged: [], sums: NO_STRATA, judges: new Map() }));
    return known ?? null;
  };
  const judge = (unit: CountedUnit, name: string, change: 1 | -1): void => {
    const of = named(name);
    if (of !== null) add(of.judged, unit, change);
  };
  /** The stretch at a place from `first` on. A unit that only failed while it was gathered is not counted, though a later call of it may be judged. */
  const judgedAt = ({ judged }: Name, place: number): Judged => {
    const [a, b] = ARMS.map((_, arm) => {
      const all = units[2 * place + arm] ?? 0;
      return { units: all, judged: Math.min(all, judged[2 * place + arm] ?? 0) };
    });
    return { a: a ?? NOBODY, b: b ?? NOBODY };
  };
  /** The slot that makes a stretch heard. */
  const heardAt = (stretch: number): number => (stretch + 1) * STRETCH - 1 + windowSlots + LONGEST_WAIT;

  return {
    count(unit, scored) {
      add(units, unit, 1);
      for (const name of scored) judge(unit, name, 1);
    },
    judge: (unit, name) => judge(unit, name, 1),
    leave(unit, scored) {
      add(units, unit, -1);
      for (const name of scored) judge(unit, name, -1);
    },
    hear(name, arm, evaluator) {
      const judges = named(name)?.judges;
      if (judges === undefined) return;
      const judge = judges.has(evaluator) || judges.size < MAX_EVALUATORS ? evaluator : OTHERS;
      const counts = judges.get(judge) ?? { a: 0, b: 0 };
      counts[arm] += 1;
      judges.set(judge, counts);
    },
    close(slot) {
      for (; heardAt(first) + LATEST <= slot; first += 1) {
        for (const of of names.values()) {
          of.sums = withStratum(of.sums, judgedAt(of, 0));
          of.judged.splice(0, 2);
        }
        units.splice(0, 2);
      }
    },
    isHeardAt: (slot) => (slot + 1 - windowSlots) % STRETCH === 0,
    evidence(name, slot) {
      const of = names.get(name);
      let sums = of?.sums ?? NO_STRATA;
      if (of !== undefined) for (let place = 0; heardAt(first + place) <= slot; place += 1) sums = withStratum(sums, judgedAt(of, place));
      return evidenceOfSums(sums);
    },
    judges(name) {
      const judges = [...(names.get(name)?.judges ?? [])];
      const ofArm = (arm: 'a' | 'b'): Map<string, number> => new Map(judges.flatMap(([judge, counts]): [string, number][] => (counts[arm] === 0 ? [] : [[judge, counts[arm]]])));
      return { a: ofArm('a'), b: ofArm('b') };
    },
    snapshot: () => ({
      first,
      units: [...units],
      names: [...names].map(([name, { judged, sums, judges }]) => ({ name, judged: [...judged], sums, judges: [...judges].map(([judge, { a, b }]): [string, number, number] => [judge, a, b]) })),
    }),
  };
}

const NOBODY = { units: 0, judged: 0 };
