/**
 * The histogram of a baseline's earlier units that ranks, medians and grids are read from. It is frozen before the first bet and its
 * units are never bet on, so that badness is a fixed function of a unit's value and the labels stay exchangeable.
 */
import type { Cells, Reference } from './types.ts';

/** Counts bins, one entry a unit, in any order. */
export const referenceOf = (bins: Iterable<number>): Reference => {
  const counts = new Map<number, number>();
  for (const bin of bins) counts.set(bin, (counts.get(bin) ?? 0) + 1);
  return fromCounts(counts);
};

/** Pools both arms of strata: how a reference is learnt where the baseline has no earlier units. */
export const referenceOfCells = (strata: Iterable<Cells>): Reference => {
  const counts = new Map<number, number>();
  for (const { bins, a, b } of strata) {
    bins.forEach((bin, cell) => {
      const units = (a[cell] ?? 0) + (b[cell] ?? 0);
      if (units > 0) counts.set(bin, (counts.get(bin) ?? 0) + units);
    });
  }
  return fromCounts(counts);
};

const fromCounts = (counts: ReadonlyMap<number, number>): Reference => {
  const entries = [...counts].sort(([left], [right]) => left - right);
  return { bins: entries.map(([bin]) => bin), counts: entries.map(([, count]) => count) };
};

/** How many units the reference was learnt from. */
export const referenceUnits = (reference: Reference): number => reference.counts.reduce((sum, count) => sum + count, 0);

/**
 * bin → mid-rank in [0, 1]: the share of the reference below it, and half of the share in it.
 * @throws RangeError where the reference is empty.
 */
export const midRank = (reference: Reference): ((bin: number) => number) => {
  const units = referenceUnits(reference);
  if (units === 0) throw new RangeError('reference: no units');
  const { bins, counts } = reference;
  const below = [0];
  for (const count of counts) below.push((below[below.length - 1] ?? 0) + count);
  return (bin) => {
    const at = firstAtLeast(bins, bin);
    const half = bins[at] === bin ? (counts[at] ?? 0) / 2 : 0;
    return ((below[at] ?? 0) + half) / units;
  };
};

/**
 * bin → share of the reference above it, and half of the share in it. As counted, but for the largest twentieth, or the largest twenty units (at most half) if
 * that is more: there it falls by the same factor with each bin, as their mean excess says (a power law, where bins are logarithms; Hill 1975), for
 * counts cannot say how rare is what they never saw. Where the largest bin alone has more than those, nothing is known of a tail: what is
 * beyond it counts as half a unit.
 * @throws RangeError where the reference is empty.
 */
export const shareAbove = (reference: Reference, below = midRank(reference)): ((bin: number) => number) => {
  const { bins, counts } = reference;
  const units = referenceUnits(reference);
  const most = Math.min(Math.max(TAIL_UNITS, TAIL_PART * units), units / 2);
  let body = bins.length - 1;
  let beyond = 0;
  while (body > 0 && beyond + (counts[body] ?? 0) <= most) beyond += counts[body--] ?? 0;
  if (beyond === 0) return (bin) => ((1 - below(bin)) * units + 0.5) / (units + 1);
  const edge = (bins[body] ?? 0) + 0.5;
  let excess = 0;
  for (let index = body + 1; index < bins.length; index++) excess += (counts[index] ?? 0) * ((bins[index] ?? 0) - edge);
  const share = beyond / units;
  const decay = beyond / excess;
  return (bin) => (bin < edge ? 1 - below(bin) : share * Math.exp(-decay * (bin - edge)));
};
const TAIL_UNITS = 20;
const TAIL_PART = 0.05;

/** Smallest bin with at least `share` of the units at or below it. @throws RangeError where the reference is empty. */
export const quantileBin = (reference: Reference, share: number): number => {
  const wanted = share * referenceUnits(reference);
  let seen = 0;
  for (const [index, bin] of reference.bins.entries()) {
    seen += reference.counts[index] ?? 0;
    if (seen >= wanted && seen > 0) return bin;
  }
  throw new RangeError('reference: no units');
};

/** Standard deviation of g(bin) over the reference (population, two passes). */
export const deviation = (reference: Reference, g: (bin: number) => number): number => {
  const units = referenceUnits(reference);
  const values = reference.bins.map(g);
  const weighted = (of: (value: number) => number): number =>
    values.reduce((sum, value, index) => sum + (reference.counts[index] ?? 0) * of(value), 0) / units;
  const mean = weighted((value) => value);
  return Math.sqrt(weighted((value) => (value - mean) ** 2));
};

/** Index of the first bin that is not below `bin`; the length where there is none. */
const firstAtLeast = (bins: readonly number[], bin: number): number => {
  let low = 0;
  let high = bins.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bins[middle] ?? 0) < bin) low = middle + 1;
    else high = middle;
  }
  return low;
};
