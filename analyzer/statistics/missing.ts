/**
 * Whether units of one arm are judged less often than those of the other: a judge that fails on hard answers makes the worse version look better,
 * and nothing that is read from its scores can be trusted.
 *
 * In each stratum of time, given how many units were judged, a judge that does not look at the version is a random relabelling: the e-process of
 * `curve.ts` on the outcome "judged", both directions, evenly over a grid of odds ratios.
 */
import { curve } from './curve.ts';

/** Units of one stretch of time, by arm: how many, and how many of them were judged. */
export type Judged = { readonly a: Arm; readonly b: Arm };
type Arm = { readonly units: number; readonly judged: number };

const LOG_ODDS = [1.25, 1.6, 2.5, 5].flatMap((ratio) => [Math.log(ratio), -Math.log(ratio)]);

/** What strata say together, in a few numbers: a stratum that is in them may be forgotten. */
export type JudgedSums = {
  /** Log e-values, one for each odds ratio of the grid. */
  readonly curves: readonly number[];
  readonly pooled: Judged;
};

const NONE: Arm = { units: 0, judged: 0 };
export const NO_STRATA: JudgedSums = { curves: LOG_ODDS.map(() => 0), pooled: { a: NONE, b: NONE } };

export const withStratum = ({ curves, pooled }: JudgedSums, { a, b }: Judged): JudgedSums => {
  const said = curve({ g: [0, 1], a: [a.units - a.judged, a.judged], b: [b.units - b.judged, b.judged] }, LOG_ODDS);
  return { curves: curves.map((sum, index) => sum + (said[index] ?? 0)), pooled: { a: together(pooled.a, a), b: together(pooled.b, b) } };
};

const together = (left: Arm, right: Arm): Arm => ({ units: left.units + right.units, judged: left.judged + right.judged });

/** E-value against "judged alike"; `share`: of each arm, pooled. */
export const evidenceOfSums = ({ curves, pooled }: JudgedSums): { readonly e_value: number; readonly share: { readonly a: number; readonly b: number } } => {
  const share = ({ units, judged }: Arm): number => (units === 0 ? 0 : judged / units);
  return { e_value: curves.reduce((mean, sum) => mean + Math.exp(Math.min(sum, 690)) / curves.length, 0), share: { a: share(pooled.a), b: share(pooled.b) } };
};

/** The same of strata that are all there. */
export const missingEvidence = (strata: readonly Judged[]): ReturnType<typeof evidenceOfSums> => evidenceOfSums(strata.reduce(withStratum, NO_STRATA));

/** Half of the sum of differences of two distributions: 0 alike, 1 nothing in common. */
export const variationOf = (left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): number => {
  const total = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((sum, count) => sum + count, 0);
  const [ofLeft, ofRight] = [total(left), total(right)];
  if (ofLeft === 0 || ofRight === 0) return 0;
  return [...new Set([...left.keys(), ...right.keys()])].reduce((sum, key) => sum + Math.abs((left.get(key) ?? 0) / ofLeft - (right.get(key) ?? 0) / ofRight), 0) / 2;
};
