/** The one effect that a metric is shown by, with both arms in the same unit: of rates and scores the difference, of distributions the quantile that moved most. */
import { valueOf } from './badness.ts';
import { armsOf, differenceOf, type ArmSummary, type Effect } from './effect.ts';
import { quantileRatioOf, type QuantileRatio } from './quantile-ratio.ts';
import type { Cells, Metric } from './types.ts';

export type Measured = { readonly effect: Effect; readonly baseline: ArmSummary; readonly candidate: ArmSummary };

/** @param strata of the metric that were bet on (`betStrata`). Null where no stratum has both arms. */
export const effectOf = (metric: Metric, strata: readonly Cells[]): Measured | null => {
  const arms = armsOf(metric, strata);
  if (metric.kind !== 'distribution') {
    const effect = differenceOf(metric, strata);
    return effect === null ? null : { effect, ...arms };
  }
  // The quantile that is surely worse and moved most; else the one that moved most.
  const away = (value: number | null): number => (value === null ? Number.NEGATIVE_INFINITY : metric.direction === 'up' ? Math.log(value) : -Math.log(value));
  const kinds: readonly QuantileRatio[] = ['ratio_p50', 'ratio_p95', 'ratio_p99'];
  const ratios = kinds
    .map((kind) => quantileRatioOf(metric, strata, kind))
    .filter((effect) => effect !== null)
    .sort((left, right) => away(metric.direction === 'up' ? right.low : right.high) - away(metric.direction === 'up' ? left.low : left.high) || away(right.estimate) - away(left.estimate));
  const effect = ratios[0];
  if (effect === undefined) return null;
  const share = Number(effect.kind.slice('ratio_p'.length)) / 100;
  return {
    effect,
    baseline: { units: arms.baseline.units, value: quantileOf(metric, strata, 'a', share) },
    candidate: { units: arms.candidate.units, value: quantileOf(metric, strata, 'b', share) },
  };
};

/** The value below which `share` of an arm's units lie, to the width of a bin; null where it has none. */
export const quantileOf = (metric: Metric, strata: readonly Cells[], arm: 'a' | 'b', share: number): number | null => {
  const counts = new Map<number, number>();
  for (const stratum of strata) stratum.bins.forEach((bin, cell) => counts.set(bin, (counts.get(bin) ?? 0) + (stratum[arm][cell] ?? 0)));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (const [bin, count] of [...counts].sort(([left], [right]) => left - right)) {
    seen += count;
    if (seen > 0 && seen >= share * total) return valueOf(metric, bin);
  }
  return null;
};
