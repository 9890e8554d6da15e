/**
 * The ratio of a distribution's quantile, candidate to baseline, with an anytime-valid interval.
 *
 * If the candidate's q-quantile is c times the baseline's, then baseline units beyond q and candidate units beyond c·q are equally
 * frequent, whatever the distributions: so "the ratio is c" is tested by the conditional curve of these two indicators, exactly,
 * and the interval is every c that is not rejected (Ville 1939; Howard, Ramdas 2022, "Sequential estimation of quantiles", invert tests likewise).
 * q is a quantile of the frozen reference. c moves in steps of one bin (9 %); bounds are the first rejected ones outside, so
 * they are wide by up to one bin and never narrow.
 */
import { multipleOf, valueOf } from './badness.ts';
import { logZ } from './curve.ts';
import { CONFIDENCE, type Effect } from './effect.ts';
import { quantileBin } from './reference.ts';
import type { Cells, Metric } from './types.ts';

export type QuantileRatio = 'ratio_p50' | 'ratio_p95' | 'ratio_p99';

const SHARES: Readonly<Record<QuantileRatio, number>> = { ratio_p50: 0.5, ratio_p95: 0.95, ratio_p99: 0.99 };
const LAMBDAS = [-1, -0.4, 0.4, 1];
/** Five octaves: beyond a factor of 32 a bound is null. */
const LARGEST_STEP = 40;

/** Null where the metric is no distribution, has no reference, or no stratum has both arms. */
export const quantileRatioOf = (metric: Metric, strata: readonly Cells[], kind: QuantileRatio): Effect | null => {
  if (metric.kind !== 'distribution' || metric.reference === null || metric.reference.bins.length === 0) return null;
  const share = SHARES[kind];
  const [baseline, candidate] = standardised(strata);
  if (baseline.size === 0) return null;
  const estimate = quantile(metric, candidate, share) / quantile(metric, baseline, share);
  if (!Number.isFinite(estimate) || estimate <= 0) return null;

  const threshold = quantileBin(metric.reference, share);
  const wealth = wealthAgainst(strata, threshold);
  const isRejected = (step: number): boolean => wealth(step) >= 1 / (1 - CONFIDENCE);
  const nearest = Math.max(-LARGEST_STEP, Math.min(LARGEST_STEP, Math.round(Math.log2(estimate) * 8)));
  const accepted = nearestAccepted(nearest, isRejected);
  const bound = (direction: 1 | -1): number | null => {
    if (accepted === null) return null;
    for (let step = accepted + direction; Math.abs(step) <= LARGEST_STEP; step += direction) if (isRejected(step)) return multipleOf(step);
    return null;
  };
  const low = bound(-1);
  const high = bound(1);
  // The estimate interpolates within bins and may fall a little outside of the exact set.
  return {
    kind,
    estimate,
    low: low === null ? null : Math.min(low, estimate),
    high: high === null ? null : Math.max(high, estimate),
    confidence: CONFIDENCE,
  };
};

const nearestAccepted = (start: number, isRejected: (step: number) => boolean): number | null => {
  for (let distance = 0; distance <= LARGEST_STEP; distance++) {
    for (const step of [start - distance, start + distance]) if (Math.abs(step) <= LARGEST_STEP && !isRejected(step)) return step;
  }
  return null;
};

/** Log means (`logZ`) of one size of strata, by how many of their units are beyond. */
type Size = { readonly unitsA: number; readonly unitsB: number; readonly logZs: Map<number, readonly number[]> };
/** A stratum: its baseline's units beyond the quantile; the step moves only the candidate's. */
type Sized = { readonly size: Size; readonly beyondA: number; readonly bins: readonly number[]; readonly b: readonly number[] };

/**
 * The step to the e-value against "the ratio is 2^(step/8)". What a relabelling may come to hangs on the margins of a stratum alone (its units, and
 * those beyond), and of these the same few are met again and again, in other strata and at other steps: each is worked out once.
 */
const wealthAgainst = (strata: readonly Cells[], threshold: number): ((step: number) => number) => {
  const sizes = new Map<string, Size>();
  const sized = strata.map((stratum) => sizedOf(stratum, threshold, sizes)).filter(({ size }) => size.unitsA > 0 && size.unitsB > 0);
  return (step) => {
    const sums = new Float64Array(LAMBDAS.length);
    for (const { size, beyondA, bins, b } of sized) {
      let beyondB = 0;
      for (let cell = 0; cell < bins.length; cell++) if ((bins[cell] ?? 0) > threshold + step) beyondB += b[cell] ?? 0;
      const { unitsA, unitsB, logZs } = size;
      let known = logZs.get(beyondA + beyondB);
      if (known === undefined) logZs.set(beyondA + beyondB, (known = logZ({ g: [0, 1], a: [unitsA - beyondA, beyondA], b: [unitsB - beyondB, beyondB] }, LAMBDAS)));
      for (let index = 0; index < LAMBDAS.length; index++) sums[index] = (sums[index] ?? 0) + (LAMBDAS[index] ?? 0) * beyondB - (known[index] ?? 0);
    }
    return sums.reduce((mean, sum) => mean + Math.exp(sum) / sums.length, 0);
  };
};

const sizedOf = ({ bins, a, b }: Cells, threshold: number, sizes: Map<string, Size>): Sized => {
  let [unitsA, unitsB, beyondA] = [0, 0, 0];
  for (const [cell, bin] of bins.entries()) {
    unitsA += a[cell] ?? 0;
    unitsB += b[cell] ?? 0;
    if (bin > threshold) beyondA += a[cell] ?? 0;
  }
  const name = `${unitsA} ${unitsB}`;
  const size = sizes.get(name) ?? { unitsA, unitsB, logZs: new Map() };
  sizes.set(name, size);
  return { size, beyondA, bins, b };
};

/** Both arms' histograms with the strata weighted alike, by n_A·n_B/n. */
const standardised = (strata: readonly Cells[]): [ReadonlyMap<number, number>, ReadonlyMap<number, number>] => {
  const baseline = new Map<number, number>();
  const candidate = new Map<number, number>();
  for (const { bins, a, b } of strata) {
    const unitsA = a.reduce((sum, count) => sum + count, 0);
    const unitsB = b.reduce((sum, count) => sum + count, 0);
    if (unitsA === 0 || unitsB === 0) continue;
    const weight = (unitsA * unitsB) / (unitsA + unitsB);
    bins.forEach((bin, cell) => {
      baseline.set(bin, (baseline.get(bin) ?? 0) + (weight * (a[cell] ?? 0)) / unitsA);
      candidate.set(bin, (candidate.get(bin) ?? 0) + (weight * (b[cell] ?? 0)) / unitsB);
    });
  }
  return [baseline, candidate];
};

/** Interpolated within its bin, evenly on the log scale. */
const quantile = (metric: Metric, histogram: ReadonlyMap<number, number>, share: number): number => {
  const entries = [...histogram].filter(([, weight]) => weight > 0).sort(([left], [right]) => left - right);
  const wanted = share * entries.reduce((sum, [, weight]) => sum + weight, 0);
  let below = 0;
  for (const [bin, weight] of entries) {
    if (below + weight >= wanted) return valueOf(metric, bin) * 2 ** (((wanted - below) / weight - 0.5) / 8);
    below += weight;
  }
  return Number.NaN;
};
