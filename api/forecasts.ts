import { z } from '@hono/zod-openapi';
import { forecast, hoursToProof, type Change, type Proof, type Traffic } from '../analyzer/statistics/forecast.ts';
import type { Reference, Stratum } from '../analyzer/statistics/types.ts';
import type { MetricKind, MetricSettings } from '../schemas/evidence.ts';
import type { Found } from './comparisons.ts';

/** How long until a change would be found, at the traffic so far: what "undecided" is worth. */
export const Forecast = z
  .object({
    change: z.object({ kind: z.enum(['odds_ratio', 'ratio', 'shift']), size: z.number() }),
    hours: z.number().nullable().openapi({ description: 'from the opening, about, in half of all cases; null: it would not be found' }),
    candidate_units: z.number().nullable(),
  })
  .openapi('Forecast', { description: 'of a change that people would want to know of: odds twice as high, a quarter slower or dearer, a score lower by .03 of its range' });
export type Forecast = z.infer<typeof Forecast>;

const CHANGES: Readonly<Record<MetricKind, (metric: MetricSettings) => Change>> = {
  rate: () => ({ kind: 'odds_ratio', size: 2 }),
  distribution: () => ({ kind: 'ratio', size: 1.25 }),
  score: ({ minimum = 0, maximum = 1 }) => ({ kind: 'shift', size: 0.03 * (maximum - minimum) }),
};
const FEWEST_UNITS = 50;
const HOUR_MS = 3_600_000;
/** No comparison is open for longer. */
const LONGEST_HOURS = 14 * 24;

/** What was seen of a metric so far, as the next hours are taken to go on. */
export type Seen = { readonly baseline: Reference; readonly traffic: Traffic; readonly hours: number };

/** Null where nothing was seen that would do. */
export function forecastOf(metric: MetricSettings, seen: Seen | null, { settings }: Found): Forecast | null {
  if (seen === null) return null;
  const change = CHANGES[metric.kind](metric);
  const { hours, candidate_units } = forecast(metric, seen.baseline, change, seen.traffic, { alpha: settings.alpha, stake: settings.stake, weight: metric.weight, models: settings.models.length });
  return { change, hours, candidate_units };
}

/** Hours from the opening until it is proved to be no worse, if both arms are alike from now on. Null where that takes longer than a comparison lives, or nothing was seen that would do. */
export function proofHoursOf(metric: MetricSettings, seen: Seen | null, proof: Proof): number | null {
  const hours = seen === null ? null : hoursToProof(metric, seen.baseline, seen.traffic, proof);
  return seen === null || hours === null || seen.hours + hours > LONGEST_HOURS ? null : seen.hours + hours;
}

/** @param strata of the metric, with both arms. Null where it is not bet on, or too little was seen. */
export function seenOf(metric: MetricSettings, strata: readonly Stratum[], { comparison: { opened_ms, last_look_ms } }: Found): Seen | null {
  const hours = ((last_look_ms ?? opened_ms) - opened_ms) / HOUR_MS;
  const baseline = new Map<number, number>();
  const units = { a: 0, b: 0 };
  for (const { bins, a, b } of strata.filter(({ use }) => use === 'bet')) {
    for (const [cell, bin] of bins.entries()) {
      baseline.set(bin, (baseline.get(bin) ?? 0) + (a[cell] ?? 0));
      units.a += a[cell] ?? 0;
      units.b += b[cell] ?? 0;
    }
  }
  if (metric.weight === 0 || hours <= 0 || units.a < FEWEST_UNITS || units.b === 0 || (metric.kind !== 'rate' && metric.reference === null)) return null;
  const seen = [...baseline].filter(([, count]) => count > 0).sort(([left], [right]) => left - right);
  return {
    baseline: { bins: seen.map(([bin]) => bin), counts: seen.map(([, count]) => count) },
    traffic: { units_per_hour: (units.a + units.b) / hours, candidate_share: units.b / (units.a + units.b) },
    hours,
  };
}

/** In words, for people who wait. */
export function saysForecast(name: string, found: Forecast): string {
  const size = found.change.kind === 'odds_ratio' ? `${found.change.size} times the odds` : found.change.kind === 'ratio' ? `${found.change.size} times as much` : `worse by ${Number(found.change.size.toPrecision(2))}`;
  if (found.hours === null) return `${size} of ${name} would not be found at this traffic`;
  return `${size} of ${name} would be found about ${Number(found.hours.toPrecision(2))} h after the opening`;
}
