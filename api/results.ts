import { z } from '@hono/zod-openapi';
import { armsOf, betStrata, worseningOf } from '../analyzer/statistics/effect.ts';
import { effectsOf, quantileOf } from '../analyzer/statistics/shown-effects.ts';
import { proofCurve, wealthOf } from '../analyzer/statistics/not-worse.ts';
import type { Stratum } from '../analyzer/statistics/types.ts';
import { slicesOf } from '../analyzer/statistics/slices.ts';
import { Effect, Slice } from '../schemas/alert.ts';
import { MetricKind, type MetricSettings } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import type { Found } from './comparisons.ts';
import { readStrata } from './evidence.ts';
import { Forecast, forecastOf, proofHoursOf } from './forecasts.ts';
import { toleratedBy, type Tolerances } from './tolerances.ts';
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

/** 1/α of the test that a metric is worse by its tolerance (α = .05, as measured in its calibration). */
const notWorseThreshold = 20;
/** Results are pure of the strata, so they are kept until the next look; people watch few comparisons at a time. */
const maxKept = 64;

/** Returns the function that reads the results of all metrics of a comparison, heaviest stake first. `tolerances`: what `not_worse` is proved against instead of the usual. */
export type ReadResults = (found: Found, tolerances?: Tolerances) => Promise<MetricResult[]>;
export function createResults(deps: ApiDeps): ReadResults {
  const kept = new Map<string, { looks: number; alert_id: string | null; results: Promise<MetricResult[]> }>();
  return (found, tolerances = {}) => {
    const { id, looks, alert_id } = found.comparison;
    const key = JSON.stringify([id, tolerances]);
    const known = kept.get(key);
    if (known?.looks === looks && known.alert_id === alert_id) return known.results;
    const results = compute(deps, found, tolerances);
    kept.delete(key);
    kept.set(key, { looks, alert_id, results });
    // A failure is not kept; whoever awaits `results` gets it.
    results.catch(() => kept.delete(key));
    const oldest = kept.keys().next();
    if (kept.size > maxKept && oldest.done !== true) kept.delete(oldest.value);
    return results;
  };
}

async function compute(deps: ApiDeps, { comparison, settings }: Found, tolerances: Tolerances): Promise<MetricResult[]> {
  const [strata, peaks] = await Promise.all([
    readStrata(deps, comparison.id),
    deps.store.select<{ name: string; peak: number }>(
      'SELECT name, max(value) AS peak FROM (SELECT arrayJoin(mapKeys(metrics)) AS name, metrics[name] AS value FROM looks FINAL WHERE comparison_id = {id:String}) GROUP BY name',
      { id: comparison.id },
    ),
  ]);
  const peakOf = new Map(peaks.map(({ name, peak }) => [name, peak]));
  const isProved = comparison.alert_id !== null || (comparison.peak_e_value ?? 0) >= comparison.threshold;
  const results: MetricResult[] = [];
  for (const [name, metric] of Object.entries(settings.metrics)) {
    const bets = betStrata(strata, name, metric);
    const peak_e_value = peakOf.get(name) ?? null;
    const worsening = worseningOf(metric, bets);
    const isGuarded = settings.guards.some((guard) => guard.metric === name || guard.metric === '*');
    const tolerated = toleratedBy(metric, tolerances[name]);
    const { verdict, logWealth } = verdictOf(metric, bets, { worsening, tolerated, isRegressed: isProved && (peak_e_value ?? 0) >= comparison.threshold });
    results.push({
      name,
      kind: metric.kind,
      direction: metric.direction,
      weight: metric.weight,
      tolerance: metric.tolerance,
      severity: metric.severity,
      e_value: comparison.metrics[name] ?? null,
      peak_e_value,
      verdict: isGuarded ? 'undecided' : verdict,
      worsening,
      tolerated: toleratedOf(metric),
      ...quantiledArms(metric, bets),
      effects: effectsOf(metric, bets),
      slices: slicesOf(strata, { name, metric, settings }),
      strata: bets.length,
      forecast: forecastOf(metric, bets, { comparison, settings }),
      proof_hours: verdict === 'undecided' && !isGuarded ? proofHoursOf(metric, bets, { comparison, settings }, { log_wealth: logWealth, threshold: notWorseThreshold, tolerated }) : null,
    });
    // One metric takes milliseconds; whatever else the process serves goes on between two.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return results.toSorted((one, other) => other.weight - one.weight || (one.name < other.name ? -1 : 1));
}

/** A metric regressed where the comparison's sum crossed, its own evidence did too, and the effect is beyond what is tolerated. `logWealth`: that of each alternative, against "worse". */
function verdictOf(metric: MetricSettings, bets: readonly Stratum[], { worsening, tolerated, isRegressed }: { worsening: number | null; tolerated: number | undefined; isRegressed: boolean }): { verdict: Verdict; logWealth: readonly number[] } {
  if (worsening === null) return { verdict: 'no_data', logWealth: [] };
  if (isRegressed && worsening > metric.tolerance) return { verdict: 'regressed', logWealth: [] };
  const curveOf = proofCurve(metric, tolerated);
  const logWealth: number[] = [];
  // Only arms that ran together prove it: over time, a drift for the better would.
  for (const stratum of bets.filter(({ use }) => use === 'bet')) {
    curveOf(stratum).forEach((increment, index) => {
      logWealth[index] = (logWealth[index] ?? 0) + increment;
    });
    if (wealthOf(logWealth) >= notWorseThreshold) return { verdict: 'not_worse', logWealth };
  }
  return { verdict: 'undecided', logWealth };
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
