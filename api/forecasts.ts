import { z } from '@hono/zod-openapi';
import { forecast, type Change } from '../analyzer/statistics/forecast.ts';
import type { Stratum } from '../analyzer/statistics/types.ts';
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

/** @param strata of the metric, with both arms. Null where it is not bet on, or too little was seen. */
export function forecastOf(metric: MetricSettings, strata: readonly Stratum[], { comparison, settings }: Found): Forecast | null {
  const together = strata.filter(({ use }) => use === 'bet');
  const hours = ((comparison.last_look_ms ?? comparison.opened_ms) - comparison.opened_ms) / HOUR_MS;
  const baseline = new Map<number, number>();
  const units = { a: 0, b: 0 };
  for (const { bins, a, b } of together) {
    for (const [cell, bin] of bins.entries()) {
      baseline.set(bin, (baseline.get(bin) ?? 0) + (a[cell] ?? 0));
      units.a += a[cell] ?? 0;
      units.b += b[cell] ?? 0;
    }
  }
  if (metric.weight === 0 || hours <= 0 || units.a < FEWEST_UNITS || units.b === 0 || (metric.kind !== 'rate' && metric.reference === null)) return null;
  const seen = [...baseline].filter(([, count]) => count > 0).sort(([left], [right]) => left - right);
  const change = CHANGES[metric.kind](metric);
  const { hours: needed, candidate_units } = forecast(
    metric,
    { bins: seen.map(([bin]) => bin), counts: seen.map(([, count]) => count) },
    change,
    { units_per_hour: (units.a + units.b) / hours, candidate_share: units.b / (units.a + units.b) },
    { alpha: settings.alpha, stake: settings.stake, weight: metric.weight, models: settings.models.length },
  );
  return { change, hours: needed, candidate_units };
}

/** In words, for people who wait. */
export function saysForecast(name: string, found: Forecast): string {
  const size = found.change.kind === 'odds_ratio' ? `${found.change.size} times the odds` : found.change.kind === 'ratio' ? `${found.change.size} times as much` : `worse by ${Number(found.change.size.toPrecision(2))}`;
  if (found.hours === null) return `${size} of ${name} would not be found at this traffic`;
  return `${size} of ${name} would be found about ${Number(found.hours.toPrecision(2))} h after the opening`;
}
