/**
 * Whether a metric moved because the traffic did: direct standardisation to the earlier mix (as in Kitagawa 1955, "Components of a difference
 * between two rates").
 *
 * Units are counted by base (what evidence is kept apart by anyway: route and model) and by one dimension of the mix (a tenant, a language). With a the
 * units of before, or of the baseline, b the others, and w_c the share of a's units in cell c among the cells that both have:
 *
 *     raw           Σ over bases        w·(mean b − mean a)        what evidence saw
 *     standardised  Σ over base × value w·(mean b − mean a)        the same, had the traffic of each base kept its mix
 *     V = Σ w²·(v_a/n_a + v_b/n_b),   half-width = sqrt( V·(1 + r)·(log((1 + r)/r) + 2·log(1/α)) ),   r = 500/(10.8·n_b)
 *
 * The interval is that of `effect.ts` (asymptotic, so nothing is bet on it), and holds whenever an alarm asks for it; α is shared by the dimensions
 * that are asked. The mix explains a change where nothing is proved to be left of it (the interval reaches the tolerance), and at least half of it
 * is surely gone (the interval ends below raw/2). Assumptions: a dimension describes the traffic, not the answer; values that are only in b say nothing.
 */
import type { Scale } from './types.ts';

/** Units of one base, value and bin; bins of a rate 0 and 50, of a score 0 to 50 (the best is 0), of a distribution eighths of an octave. */
export type MixCount = { readonly base: string; readonly value: string; readonly bin: number; readonly a: number; readonly b: number };

export type MixChange = {
  /** The value whose share moved most, and in what share of units it was and is. */
  readonly value: string;
  readonly before: number;
  readonly after: number;
  /** Whether the share surely moved by more than five points. */
  readonly is_shifted: boolean;
  /** Positive is worse. Of rates and scores a difference in the metric's unit, of distributions a relative increase of the geometric mean. */
  readonly raw: number;
  readonly standardised: { readonly estimate: number; readonly low: number; readonly high: number; readonly confidence: number };
  readonly verdict: 'explains' | 'may_explain' | 'does_not_explain';
};

const MOST_VALUES = 12;
const OTHER = '(other)';
/** So many units without the attribute, of either arm, and the dimension says nothing: it may be missing because of how the call ended. */
const MOST_UNKNOWN = 0.1;
/** Of a's units, in cells that b has as well. */
const LEAST_COVERED = 0.25;
const SHIFT = 0.05;
const SHARPEST_AT_UNITS = 500;
const SHARPEST_DIVISOR = 10.8;

/**
 * @param counts of one dimension; an empty value: not known
 * @param tolerance on the scale of `raw`
 * @param confidence of the interval
 * Null where there is too little to say anything.
 */
export const mixChangeOf = (scale: Scale, counts: readonly MixCount[], { tolerance, confidence }: { readonly tolerance: number; readonly confidence: number }): MixChange | null => {
  const total = unitsOf(counts);
  const known = counts.filter(({ value }) => value !== '');
  const units = unitsOf(known);
  if (units.a < (1 - MOST_UNKNOWN) * total.a || units.b < (1 - MOST_UNKNOWN) * total.b || units.a < 2 || units.b < 2) return null;
  const bounded = withFewValues(known);
  const alpha = 1 - confidence;
  const shares = sharesOf(bounded, units);
  const most = shares.toSorted((left, right) => Math.abs(right.after - right.before) - Math.abs(left.after - left.before) || right.after - right.before - (left.after - left.before) || (left.value < right.value ? -1 : 1))[0];
  if (most === undefined || shares.length < 2) return null;
  // Shares of two values move by the same: the one that grew is named.
  const named = shares.filter((each) => each.after > each.before && Math.abs(each.after - each.before) >= 0.8 * Math.abs(most.after - most.before)).toSorted((left, right) => right.after - right.before - (left.after - left.before))[0] ?? most;
  const spreadOfShare = halfWidth((most.before * (1 - most.before) + 1 / units.a) / units.a + (most.after * (1 - most.after) + 1 / units.b) / units.b, units.b, alpha);

  const raw = contrast(scale, bounded, ({ base }) => base);
  const within = contrast(scale, bounded, ({ base, value }) => `${base}\0${value}`);
  if (raw === null || within === null || within.covered < LEAST_COVERED) return null;
  const spread = halfWidth(within.variance, units.b, alpha);
  const [low, high] = [within.difference - spread, within.difference + spread];
  const tolerated = toBins(scale, tolerance);
  const isNothingProved = low <= tolerated && raw.difference > tolerated;
  const is_shifted = Math.abs(most.after - most.before) - spreadOfShare > SHIFT;
  const verdict = !is_shifted || !isNothingProved || within.difference > raw.difference / 2 ? 'does_not_explain' : high <= Math.max(tolerated, raw.difference / 2) ? 'explains' : 'may_explain';
  const shown = (bins: number): number => fromBins(scale, bins);
  return { value: named.value, before: named.before, after: named.after, is_shifted, raw: shown(raw.difference), standardised: { estimate: shown(within.difference), low: shown(low), high: shown(high), confidence }, verdict };
};

const halfWidth = (variance: number, units: number, alpha: number): number => {
  const r = SHARPEST_AT_UNITS / (SHARPEST_DIVISOR * units);
  return Math.sqrt(variance * (1 + r) * (Math.log((1 + r) / r) + 2 * Math.log(1 / alpha)));
};

const unitsOf = (counts: readonly MixCount[]): { readonly a: number; readonly b: number } => counts.reduce((sum, { a, b }) => ({ a: sum.a + a, b: sum.b + b }), { a: 0, b: 0 });

/** All but the values with most units are one. */
const withFewValues = (counts: readonly MixCount[]): readonly MixCount[] => {
  const units = new Map<string, number>();
  for (const { value, a, b } of counts) units.set(value, (units.get(value) ?? 0) + a + b);
  if (units.size <= MOST_VALUES) return counts;
  const kept = new Set([...units].sort(([left, ofLeft], [right, ofRight]) => ofRight - ofLeft || (left < right ? -1 : 1)).slice(0, MOST_VALUES - 1).map(([value]) => value));
  return counts.map((count) => (kept.has(count.value) ? count : { ...count, value: OTHER }));
};

const sharesOf = (counts: readonly MixCount[], units: { readonly a: number; readonly b: number }): { readonly value: string; readonly before: number; readonly after: number }[] =>
  [...new Set(counts.map(({ value }) => value))].map((value) => {
    const own = unitsOf(counts.filter((count) => count.value === value));
    return { value, before: own.a / units.a, after: own.b / units.b };
  });

type Moments = { units: number; mean: number; squares: number };

/** Standardised difference over the cells that `cellOf` names, on the scale of bins, its variance, and the share of a that it covers. */
const contrast = (scale: Scale, counts: readonly MixCount[], cellOf: (count: MixCount) => string): { readonly difference: number; readonly variance: number; readonly covered: number } | null => {
  const cells = new Map<string, { readonly a: Moments; readonly b: Moments }>();
  const arms = { a: noUnits(), b: noUnits() };
  for (const count of counts) {
    const key = cellOf(count);
    let cell = cells.get(key);
    if (cell === undefined) cells.set(key, (cell = { a: noUnits(), b: noUnits() }));
    const badness = badnessOf(scale, count.bin);
    for (const arm of ['a', 'b'] as const) {
      add(cell[arm], badness, count[arm]);
      add(arms[arm], badness, count[arm]);
    }
  }
  const both = [...cells.values()].filter(({ a, b }) => a.units > 0 && b.units > 0);
  const units = both.reduce((sum, { a }) => sum + a.units, 0);
  if (units === 0) return null;
  let difference = 0;
  let variance = 0;
  for (const { a, b } of both) {
    const weight = a.units / units;
    difference += weight * (b.mean - a.mean);
    variance += weight ** 2 * (varianceOf(scale, a, arms.a) / a.units + varianceOf(scale, b, arms.b) / b.units);
  }
  return { difference, variance, covered: units / arms.a.units };
};

const noUnits = (): Moments => ({ units: 0, mean: 0, squares: 0 });

/** West's weighted update (1979). */
const add = (moments: Moments, value: number, count: number): void => {
  if (count === 0) return;
  const step = value - moments.mean;
  moments.units += count;
  moments.mean += (step * count) / moments.units;
  moments.squares += count * step * (value - moments.mean);
};

/** Of one unit, never zero: with the pseudo-units of `effect.ts`, those of scores and distributions as far from the mean as units of the whole arm are. */
const varianceOf = (scale: Scale, cell: Moments, arm: Moments): number => {
  if (scale.kind === 'rate') {
    const p = (cell.units * Math.abs(cell.mean) + 1) / (cell.units + 2);
    return p * (1 - p);
  }
  return (cell.squares + 2 * (arm.squares / arm.units + 1 / 12)) / (cell.units + 1);
};

const STEPS = 50;
const BINS_PER_OCTAVE = 8;

/** Bins of a score ascend with badness already; a rate is counted as 0 and ±1. */
const badnessOf = ({ kind, direction }: Scale, bin: number): number => (kind === 'score' ? bin : (direction === 'up' ? 1 : -1) * (kind === 'rate' ? bin / STEPS : bin));
const rangeOf = ({ minimum = 0, maximum = 1 }: Scale): number => maximum - minimum;
const fromBins = (scale: Scale, bins: number): number => (scale.kind === 'rate' ? bins : scale.kind === 'score' ? (bins / STEPS) * rangeOf(scale) : 2 ** (bins / BINS_PER_OCTAVE) - 1);
const toBins = (scale: Scale, value: number): number => (scale.kind === 'rate' ? value : scale.kind === 'score' ? value * STEPS : BINS_PER_OCTAVE * Math.log2(1 + value));
