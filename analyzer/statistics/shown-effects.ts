/** The effects that a metric is shown by, and the one that heads an alert. */
import { valueOf } from './badness.ts';
import { armsOf, differenceOf, type ArmSummary, type Effect, type Interval } from './effect.ts';
import { oddsRatioOf } from './odds-ratio.ts';
import { quantileRatioOf } from './quantile-ratio.ts';
import type { Cells, Metric } from './types.ts';

const ratiosOf = (metric: Metric, strata: readonly Cells[]): Effect[] =>
  (['ratio_p50', 'ratio_p95', 'ratio_p99'] as const).map((kind) => quantileRatioOf(metric, strata, kind)).filter((effect) => effect !== null);

export type ShownEffect = Effect | (Interval & { readonly kind: 'odds_ratio' });

/** Of rates the difference and the odds ratio, of scores the difference, of distributions the ratios of p50, p95 and p99; those for which there are units. @param strata as for `effectOf`. */
export const effectsOf = (metric: Metric, strata: readonly Cells[]): ShownEffect[] => {
  if (metric.kind === 'distribution') return ratiosOf(metric, strata);
  const odds = oddsRatioOf(metric, strata);
  return [differenceOf(metric, strata), odds === null ? null : { kind: 'odds_ratio' as const, ...odds }].filter((effect) => effect !== null);
};

export type Measured = { readonly effect: Effect; readonly baseline: ArmSummary; readonly candidate: ArmSummary };

/** With both arms in the unit of the effect: of rates and scores the difference, of distributions the quantile that moved most. @param strata of the metric that were bet on (`betStrata`). Null where no stratum has both arms. */
export const effectOf = (metric: Metric, strata: readonly Cells[]): Measured | null => {
  const arms = armsOf(metric, strata);
  if (metric.kind !== 'distribution') {
    const effect = differenceOf(metric, strata);
    return effect === null ? null : { effect, ...arms };
  }
  // The quantile that is surely worse and moved most; else the one that moved most.
  const away = (value: number | null): number => (value === null ? Number.NEGATIVE_INFINITY : metric.direction === 'up' ? Math.log(value) : -Math.log(value));
  const [effect] = ratiosOf(metric, strata)
    .sort((left, right) => away(metric.direction === 'up' ? right.low : right.high) - away(metric.direction === 'up' ? left.low : left.high) || away(right.estimate) - away(left.estimate));
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
