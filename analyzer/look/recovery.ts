import type { Alert } from '../../schemas/alert.ts';
import type { ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import type { Arms } from './before-after.ts';
import { armOf } from './factors.ts';
import { SIGNAL_METRICS } from '../metrics/index.ts';
import type { CallObservation, ScoreObservation } from './observations.ts';
import { slotOf } from '../slots.ts';
import { addCounts } from '../statistics/add-counts.ts';
import { binOf } from '../statistics/badness.ts';
import { betStrata } from '../statistics/effect.ts';
import { recoveryOf, type Recovery } from '../statistics/recovery.ts';
import type { Cells } from '../statistics/types.ts';

/** After a rollback: what the baseline's calls since then say of the metric that an alert was headed by. */
export function recoveryAfter(
  alert: Alert,
  context: { readonly arms: Arms; readonly settings: ComparisonSettings; readonly strata: readonly Stratum[]; readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] },
): Recovery {
  const { arms, settings, strata, calls, scores } = context;
  const metric = Object.hasOwn(settings.metrics, alert.metric) ? settings.metrics[alert.metric] : undefined;
  if (metric === undefined) return 'unknown';
  const signal = SIGNAL_METRICS.find(({ name }) => name === alert.metric);
  const among = signal?.among ?? `score:${alert.metric}`;
  const readings: { readonly of: Pick<CallObservation, 'seen' | 'session_id' | 'trace_id'>; readonly value: number | null }[] =
    signal === undefined
      ? scores.filter(({ name }) => name === alert.metric).map((score) => ({ of: score, value: score.value }))
      : calls.filter((call) => signal.among === 'errors' || !call.is_error).map((call) => ({ of: call, value: signal.read(call) }));

  const after = new Map<string, Map<number, number>>();
  const met = new Set<string>();
  for (const { of, value } of readings) {
    const unit = of.session_id ?? of.trace_id;
    if (value === null || armOf(arms.factor, arms, of.seen) !== 'a' || met.has(unit)) continue;
    met.add(unit);
    const { model, operation, route } = arms.factor.familyOverTime(of.seen, among);
    const family = JSON.stringify([model, operation, route]);
    const counts = after.get(family) ?? new Map<number, number>();
    counts.set(binOf(metric, value), (counts.get(binOf(metric, value)) ?? 0) + 1);
    after.set(family, counts);
  }
  const onset = slotOf(Date.parse(alert.onset));
  const own = betStrata(strata, alert.metric, metric);
  const against = (arm: 'a' | 'b'): Cells[] =>
    [...after].map(([family, counts]): Cells => {
      const earlier = new Map<number, number>();
      for (const { model, operation, route, begin_slot, bins, [arm]: units } of own) {
        if (JSON.stringify([model, operation, route]) !== family || begin_slot < onset) continue;
        addCounts(earlier, bins, units);
      }
      const bins = [...new Set([...earlier.keys(), ...counts.keys()])].sort((left, right) => left - right);
      return { bins, a: bins.map((bin) => earlier.get(bin) ?? 0), b: bins.map((bin) => counts.get(bin) ?? 0) };
    });
  return recoveryOf(metric, { since: against('b'), before: against('a') });
}

/** For the transition that resolves the alert. */
export function saysRecovery(recovery: Recovery, { metric, culprit }: Alert): string {
  switch (recovery) {
    case 'recovered':
      return `${culprit.value} takes no more traffic, and ${metric} recovered`;
    case 'not_recovered':
      return `${culprit.value} takes no more traffic, but ${metric} did not recover: it was not the culprit, or not alone`;
    case 'unknown':
      return `${culprit.value} takes no more traffic; whether ${metric} recovered cannot be told yet`;
  }
}
