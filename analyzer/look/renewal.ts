import type { Alert } from '../../schemas/alert.ts';
import type { ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import { nameOf, onsetMsOf, toldSlices } from './alerting.ts';
import type { ComparisonIdentity, Evidence } from './comparison.ts';
import { quantileNameOf, summaryOf } from './summary.ts';
import { betStrata } from '../statistics/effect.ts';
import { effectOf } from '../statistics/shown-effects.ts';

/** The candidate's units must have grown by this much: the interval is then narrower by a third, and an alert is renewed about ten times at most. */
const GROWTH = 2;

/**
 * An open alert with its evidence as it is now: the same culprit and metric, raised when it was raised. Null while there is no more evidence to speak of.
 */
export function renewedAlert(
  alert: Alert,
  { identity, settings, evidence, strata }: { readonly identity: ComparisonIdentity; readonly settings: ComparisonSettings; readonly evidence: Evidence; readonly strata: readonly Stratum[] },
): Alert | null {
  const metric = Object.hasOwn(settings.metrics, alert.metric) ? settings.metrics[alert.metric] : undefined;
  if (metric === undefined || evidence.e_value <= alert.evidence.e_value) return null;
  const bets = betStrata(strata, alert.metric, metric);
  const measured = effectOf(metric, bets);
  if (measured === null || measured.candidate.units < GROWTH * alert.evidence.candidate.units) return null;
  const { effect, baseline, candidate } = measured;
  const onsetMs = onsetMsOf(metric, bets, settings);
  return {
    ...alert,
    evidence: { ...alert.evidence, e_value: evidence.e_value, metrics: { ...evidence.metrics }, baseline, candidate, effect },
    ...toldSlices(alert.metric, settings, strata),
    onset: new Date(onsetMs).toISOString(),
    summary: summaryOf({
      prompt: identity.prompt_name,
      candidate: nameOf(identity, identity.candidate, settings.group),
      baseline: nameOf(identity, identity.baseline, settings.group),
      metric: alert.metric,
      kind: metric.kind,
      direction: metric.direction,
      values: { baseline: baseline.value, candidate: candidate.value },
      quantile: quantileNameOf(effect),
      onsetMs,
    }),
  };
}
