import type { MetricSettings } from '../../schemas/evidence.ts';
import { isFailed, SIGNAL_METRICS } from '../metrics/index.ts';
import type { Entry } from './entries.ts';
import type { Factor } from './factors.ts';
import type { Judgement, Reading } from './gathering.ts';
import { binOf } from '../statistics/badness.ts';
import type { Family } from './windows.ts';

/** One value of a unit for each metric, and the family of strata that it belongs to. */
export type Completed = { readonly family: Family; readonly entry: Entry };

/** How a metric is binned; null: unknown here, its readings are passed over. Asked once for each metric and unit. */
export type MetricLookUp = (name: string, value: number, kind: 'signal' | 'numeric' | 'boolean') => MetricSettings | null;

/** How a comparison reads units. */
export type UnitRules = { readonly metric: MetricLookUp; readonly factor: Factor };

/** What the calls of a unit say, each metric as one value. Its stratum is that of its first such call. */
export function signalEntry(of: Omit<Entry, 'bins'>, read: { readonly among: 'errors' | 'successes'; readonly calls: readonly Pick<Reading, 'seen' | 'readings'>[] }, rules: UnitRules): Completed | null {
  const { among } = read;
  const calls = among === 'errors' ? read.calls : read.calls.filter(({ readings }) => !isFailed(readings));
  const first = calls[0];
  if (first === undefined) return null;
  const bins: [string, number][] = [];
  for (const [place, metric] of SIGNAL_METRICS.entries()) {
    if (metric.among !== among) continue;
    const readings = calls.map((call) => call.readings[place] ?? null).filter((reading) => reading !== null);
    if (readings.length === 0) continue;
    const value = meanOf(readings, metric.kind);
    const chosen = rules.metric(metric.name, value, 'signal');
    if (chosen !== null) bins.push([metric.name, binOf(chosen, value)]);
  }
  if (bins.length === 0) return null;
  return { family: rules.factor.familyOf(first.seen, among), entry: { ...of, bins } };
}

/** What judges say of a unit, under one name. */
export function scoreEntry(of: Omit<Entry, 'bins'>, scores: readonly Pick<Judgement, 'seen' | 'name' | 'value' | 'data_type'>[], rules: UnitRules): Completed | null {
  const first = scores[0];
  if (first === undefined) return null;
  const value = meanOf(scores.map((score) => score.value), 'score');
  const chosen = rules.metric(first.name, value, first.data_type === 'boolean' ? 'boolean' : 'numeric');
  if (chosen === null) return null;
  return { family: rules.factor.familyOf(first.seen, `score:${first.name}`), entry: { ...of, bins: [[first.name, binOf(chosen, value)]] } };
}

/** Log-mean for distributions (zeros apart, which have no logarithm: a unit of zeros only is zero), else the mean. */
function meanOf(values: readonly number[], kind: MetricSettings['kind']): number {
  if (values.length === 1) return values[0] ?? 0;
  if (kind !== 'distribution') return values.reduce((sum, value) => sum + value / values.length, 0);
  const positive = values.filter((value) => value > 0);
  return positive.length === 0 ? 0 : Math.exp(positive.reduce((sum, value) => sum + Math.log(value) / positive.length, 0));
}
