/**
 * The odds ratio of a rate with its exact anytime-valid interval, read off the summed curve ℓ:
 *     { λ₀ : log Σ w·exp(ℓ(λ)) − ℓ(λ₀) < log 1/α }
 * For the true λ*, exp(ℓ(λ) − ℓ(λ*)) is a test martingale for each λ, so their mean crosses 1/α with probability ≤ α (Ville 1939), and λ*
 * leaves the set no more often. ℓ is concave, so the set is an interval. Exact where units are single calls; for units
 * that are means over a session λ is an exponential tilt, not an odds ratio.
 */
import { badnessFunctions } from './badness.ts';
import { curve } from './curve.ts';
import { CONFIDENCE, type Interval } from './effect.ts';
import type { Cells, Metric } from './types.ts';

const LARGEST = 6;
const COARSE_STEP = 0.25;
const FINE_STEPS = 25;

/** Null where no stratum has both arms and both outcomes, or the metric is no rate. Bounds are null beyond a factor of 400. */
export const oddsRatioOf = (metric: Metric, strata: readonly Cells[]): Interval | null => {
  const [outcome] = badnessFunctions(metric);
  if (metric.kind !== 'rate' || outcome === undefined) return null;
  const informative = strata.map(({ bins, a, b }) => ({ g: bins.map(outcome.g), a, b }));
  const summed = (lambdas: readonly number[]): number[] => {
    const sums = lambdas.map(() => 0);
    for (const cells of informative) curve(cells, lambdas).forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
    return sums;
  };

  const alternatives = outcome.lambdas.flatMap((lambda) => [-lambda, lambda]);
  const coarse = Array.from({ length: (2 * LARGEST) / COARSE_STEP + 1 }, (_, index) => index * COARSE_STEP - LARGEST);
  const values = summed([...coarse, ...alternatives]);
  if (values.every((value) => value === 0)) return null;
  const lowest = logMeanExp(values.slice(coarse.length)) - Math.log(1 / (1 - CONFIDENCE));
  const best = indexOfLargest(values.slice(0, coarse.length));
  let first = best;
  let last = best;
  while (first >= 0 && (values[first] ?? 0) > lowest) first--;
  while (last < coarse.length && (values[last] ?? 0) > lowest) last++;

  // Rounded outwards to a 25th of the coarse step: one hundredth in logs.
  const bound = (outside: number, inwards: 1 | -1): number | null => {
    const start = coarse[outside];
    if (start === undefined) return null;
    const fine = Array.from({ length: FINE_STEPS + 1 }, (_, index) => start + (inwards * index * COARSE_STEP) / FINE_STEPS);
    const firstInside = summed(fine).findIndex((value) => value > lowest);
    return Math.exp(fine[Math.max(0, (firstInside === -1 ? FINE_STEPS : firstInside) - 1)] ?? start);
  };
  const around = Array.from({ length: 2 * FINE_STEPS + 1 }, (_, index) => (coarse[best] ?? 0) + ((index - FINE_STEPS) * COARSE_STEP) / FINE_STEPS);
  const estimate = Math.exp(around[indexOfLargest(summed(around))] ?? 0);
  return { estimate, low: bound(first, 1), high: bound(last, -1), confidence: CONFIDENCE };
};

const indexOfLargest = (values: readonly number[]): number =>
  values.reduce((best, value, index) => (value > (values[best] ?? Number.NEGATIVE_INFINITY) ? index : best), 0);

const logMeanExp = (logs: readonly number[]): number => {
  const largest = Math.max(...logs);
  return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length);
};
