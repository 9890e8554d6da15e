import { z } from '@hono/zod-openapi';
import { armsOf, betStrata } from '../analyzer/statistics/effect.ts';
import { effectsOf, quantileOf } from '../analyzer/statistics/shown-effects.ts';
import type { Stratum } from '../analyzer/statistics/types.ts';
import { slicesOf } from '../analyzer/statistics/slices.ts';
import { Effect, Slice } from '../schemas/alert.ts';
import { MetricKind, type MetricSettings } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import type { Found } from './comparisons.ts';
import { readMaterial } from './evidence.ts';
import { Forecast, forecastOf } from './forecasts.ts';
import { createKept } from './kept.ts';
import { byStake, metricVerdictOf } from './metric-verdicts.ts';
import type { Tolerances } from './tolerances.ts';
import { Verdict } from './verdict.ts';

const Arm = z.object({
  units: z.number().int(),
  value: z.number().nullable().openapi({ description: 'share or mean' }),
  p50: z.number().nullable(),
  p95: z.number().nullable().openapi({ description: 'of distributions, to the width of a bin (9 %)' }),
});

/** Beside what can head an alert. */
// Not `Effect.extend`: the document would have it as all of an Effect, whose kinds are fewer.
export const MetricEffect = z.object({ ...Effect.shape, kind: z.enum([...Effect.shape.kind.options, 'odds_ratio']) }).openapi('MetricEffect', { description: 'Candidate against baseline, as in an alert. odds_ratio: of rates; where units are sessions an exponential tilt of their mean outcomes.' });

export const MetricResult = z
  .object({
    name: z.string(),
    kind: MetricKind,
    direction: z.enum(['up', 'down']).openapi({ description: 'which way is worse' }),
    weight: z.number().openapi({ description: 'share of the stake; 0: shown, not bet on' }),
    tolerance: z.number().openapi({ description: 'of rates a difference; of scores and distributions a difference of mean ranks' }),
    severity: z.enum(['page', 'ticket', 'none']),
    e_value: z.number().nullable(),
    peak_e_value: z.number().nullable(),
    verdict: Verdict,
    worsening: z.number().nullable().openapi({ description: 'on the scale of the tolerance; positive is worse' }),
    tolerated: z.number().openapi({ description: 'the tolerance in the units of the first effect: a difference of rates or scores, a ratio of p95' }),
    baseline: Arm,
    candidate: Arm,
    effects: z.array(MetricEffect).openapi({ description: 'of rates the difference and the odds ratio, of scores the difference, of distributions the ratios of p50, p95 and p99' }),
    slices: z.array(Slice).openapi({ description: 'by model, operation, and each attribute that strata are kept apart by, of which there are two values or more; worst first' }),
    strata: z.number().int(),
    forecast: Forecast.nullable(),
    proof_hours: z.number().nullable().openapi({ description: 'from the opening until it is proved to be no worse, about, if both versions are alike from now on; null: it is not undecided, or that is not in sight' }),
  })
  .openapi('MetricResult');
export type MetricResult = z.infer<typeof MetricResult>;

/** People watch few comparisons at a time. */
const MOST_KEPT = 64;

/** Returns the function that reads the results of all metrics of a comparison, heaviest stake first. `tolerances`: what `not_worse` is proved against instead of the usual. */
export type ReadResults = (found: Found, tolerances?: Tolerances) => Promise<MetricResult[]>;
export function createResults(deps: ApiDeps): ReadResults {
  const kept = createKept<MetricResult[]>(MOST_KEPT);
  return (found, tolerances = {}) => kept.get(found, tolerances) ?? kept.set(found, tolerances, compute(deps, found, tolerances));
}

async function compute(deps: ApiDeps, found: Found, tolerances: Tolerances): Promise<MetricResult[]> {
  const { comparison, settings } = found;
  const { strata, peaks } = await readMaterial(deps, comparison.id);
  const results: MetricResult[] = [];
  for (const [name, metric] of Object.entries(settings.metrics)) {
    const bets = betStrata(strata, name, metric);
    const { seen, ...verdict } = metricVerdictOf(found, { name, metric, bets, peak_e_value: peaks.get(name) ?? null, tolerances });
    results.push({
      ...verdict,
      forecast: forecastOf(metric, seen, found),
      direction: metric.direction,
      tolerance: metric.tolerance,
      severity: metric.severity,
      e_value: comparison.metrics[name] ?? null,
      tolerated: toleratedOf(metric),
      ...quantiledArms(metric, bets),
      effects: effectsOf(metric, bets),
      slices: slicesOf(strata, { name, metric, settings }),
      strata: bets.length,
    });
    // One metric takes milliseconds; whatever else the process serves goes on between two.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return results.toSorted(byStake);
}

/** What `not_worse` proves against (analyzer/statistics/not-worse.ts): .02 of a score's range, one bin of a distribution's p95. */
function toleratedOf(metric: MetricSettings): number {
  switch (metric.kind) {
    case 'rate':
      return metric.tolerance;
    case 'score':
      return 0.02 * ((metric.maximum ?? 1) - (metric.minimum ?? 0));
    case 'distribution':
      return 2 ** (1 / 8);
  }
}

function quantiledArms(metric: MetricSettings, bets: readonly Stratum[]): { baseline: z.infer<typeof Arm>; candidate: z.infer<typeof Arm> } {
  const arms = armsOf(metric, bets);
  const quantile = (arm: 'a' | 'b', share: number): number | null => (metric.kind === 'distribution' ? quantileOf(metric, bets, arm, share) : null);
  return {
    baseline: { ...arms.baseline, p50: quantile('a', 0.5), p95: quantile('a', 0.95) },
    candidate: { ...arms.candidate, p50: quantile('b', 0.5), p95: quantile('b', 0.95) },
  };
}
