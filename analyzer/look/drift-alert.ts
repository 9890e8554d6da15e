import { createHash } from 'node:crypto';
import type { Alert } from '../../schemas/alert.ts';
import type { Stratum } from '../../schemas/evidence.ts';
import { effectOf, type Measured } from './alerting.ts';
import type { ComparisonIdentity } from './comparison.ts';
import { countsOf, readingOf, seriesName, type DriftReading, type Series } from './drift-series.ts';
import type { Pulse } from './pulse.ts';
import type { MetricPolicy } from './references.ts';
import { slotStartMs } from '../slots.ts';
import { summaryOf } from './summary.ts';
import { driftHeadline, driftOnset } from '../statistics/drift.ts';

/** From a crossing to an alert: what moved, since when, by how much, and who is not to blame. */

/** What changed on a prompt shortly before. */
export type Bystander = { readonly factor: 'prompt_version' | 'model'; readonly prompt: string; readonly value: string; readonly at_ms: number; readonly e_value: number };

export type DriftFinding = Measured & {
  readonly metric: string;
  readonly reading: DriftReading;
  readonly e_value: number;
  readonly metrics: Record<string, number>;
  readonly alpha: number;
  readonly onsetMs: number;
  /** All that the evidence was made of, by slot and prompt. */
  readonly strata: readonly Stratum[];
};

/** @param pulses of the model, in the range that the evidence was made of. Null where nothing of it can be measured. */
export function findDrift(
  crossed: readonly { readonly metric: string; readonly e_value: number }[],
  pulses: readonly Pulse[],
  context: { readonly series: ReadonlyMap<string, Series>; readonly range: { readonly from: number; readonly to: number }; readonly policy: (prompt: string) => MetricPolicy; readonly alpha: number },
): DriftFinding | null {
  const headline = driftHeadline(crossed);
  const prompt = pulses[0]?.prompt_name;
  if (headline === undefined || prompt === undefined) return null;
  const { metric, e_value } = headline;
  const reading = readingOf(metric, context.policy(prompt));

  const exact = new Map<number, number[]>();
  for (const pulse of pulses) {
    const series = pulse.metric === metric ? context.series.get(seriesName(pulse)) : undefined;
    if (series === undefined) continue;
    const before = exact.get(pulse.slot);
    exact.set(pulse.slot, series.exactRatio(pulse).map((ratio, l) => ratio + (before?.[l] ?? 0)));
  }
  const onsetSlot = driftOnset([...exact].sort(([left], [right]) => left - right).map(([slot, ratio]) => ({ slot, ratio }))) ?? context.range.from;

  const names = new Map(crossed.map((each) => [each.metric, readingOf(each.metric, context.policy(prompt))]));
  const slot = context.range.to - 1;
  const strata = pulses.flatMap((pulse): Stratum[] => {
    const ofMetric = names.get(pulse.metric);
    const series = context.series.get(seriesName(pulse));
    if (ofMetric === undefined || series === undefined) return [];
    const { prompt_name, route, request_model } = pulse;
    return [{ metric: ofMetric.name, slot, begin_slot: pulse.slot, start_window_ms: slotStartMs(pulse.slot), model: request_model, operation: '', route, use: 'drift', control: prompt_name, ...cellsOf(series.reference, countsOf(pulse, ofMetric)) }];
  });
  const since = strata.filter((stratum) => stratum.metric === reading.name && stratum.begin_slot >= onsetSlot);
  const measured = effectOf({ ...reading.shown, weight: 0, from_slot: 0, tolerance: 0, severity: 'page', reference: null }, pooled(since));
  if (measured === null) return null;
  return {
    metric: reading.name, reading, e_value, alpha: context.alpha, onsetMs: slotStartMs(onsetSlot), strata, ...measured,
    metrics: Object.fromEntries(crossed.map((each) => [names.get(each.metric)?.name ?? each.metric, each.e_value])),
  };
}

function cellsOf(reference: { readonly bins: readonly number[]; readonly counts: readonly number[] }, now: { readonly bins: readonly number[]; readonly counts: readonly number[] }): Pick<Stratum, 'bins' | 'a' | 'b'> {
  const bins = [...new Set([...reference.bins, ...now.bins])].sort((left, right) => left - right);
  const counts = (of: typeof reference): number[] => bins.map((bin) => of.counts[of.bins.indexOf(bin)] ?? 0);
  return { bins, a: counts(reference), b: counts(now) };
}

/** One stratum for each prompt and route: its hour before once, against all slots since. */
function pooled(strata: readonly Stratum[]): Stratum[] {
  const series = new Map<string, Stratum>();
  for (const stratum of strata) {
    const key = `${stratum.control}\0${stratum.route}`;
    const known = series.get(key);
    if (known === undefined) series.set(key, stratum);
    else series.set(key, { ...known, ...cellsOf({ bins: known.bins, counts: known.a }, { bins: stratum.bins, counts: stratum.bins.map(() => 0) }), b: addedAt(known, stratum) });
  }
  return [...series.values()];
}

function addedAt(known: Stratum, more: Stratum): number[] {
  const bins = [...new Set([...known.bins, ...more.bins])].sort((left, right) => left - right);
  const at = (of: Stratum, bin: number): number => of.b[of.bins.indexOf(bin)] ?? 0;
  return bins.map((bin) => at(known, bin) + at(more, bin));
}

export type DriftAlertContext = {
  readonly identity: ComparisonIdentity;
  readonly model: string;
  /** The model that answered before, where it was another. */
  readonly baseline: string;
  readonly finding: DriftFinding;
  readonly prompts: readonly string[];
  readonly bystanders: readonly Bystander[];
  readonly raisedMs: number;
  readonly publicUrl: string;
};

export function driftAlertOf({ identity, model, baseline: before, finding, prompts, bystanders, raisedMs, publicUrl }: DriftAlertContext): Alert {
  const { comparison_id, project, environment } = identity;
  const id = `alr_${createHash('sha256').update(`${comparison_id}/${raisedMs}`).digest('hex').slice(0, 20)}`;
  const { effect, baseline, candidate, reading } = finding;
  return {
    id,
    schema: 'culprit.alert/1',
    state: 'open',
    severity: 'page',
    project,
    environment,
    prompt: null,
    prompt_version: null,
    metric: finding.metric,
    direction: reading.shown.direction,
    culprit: { factor: 'model', value: model, baseline: before, commit: null, author: null, owner: null, diff_url: null },
    evidence: { grade: 'before_after', e_value: finding.e_value, threshold: 1 / finding.alpha, alpha: finding.alpha, metrics: finding.metrics, baseline, candidate, effect },
    exonerated: bystanders.map(({ factor, prompt, value, at_ms, e_value }) => ({
      factor,
      value,
      reason: `${prompt} changed to it at ${new Date(at_ms).toISOString().slice(11, 16)} UTC, but ${prompts.join(', ')}, where nothing changed, moved as well`,
      e_value,
    })),
    onset: new Date(finding.onsetMs).toISOString(),
    raised_at: new Date(raisedMs).toISOString(),
    resolved_at: null,
    examples: [],
    links: { alert: `${publicUrl}/alerts/${id}`, evidence: `${publicUrl}/v1/comparisons/${comparison_id}/evidence`, chart: `${publicUrl}/v1/alerts/${id}/chart.png`, rollback: null },
    summary: summaryOf({
      prompt: model,
      candidate: `on ${prompts.length} prompts`,
      baseline: 'an hour before',
      metric: finding.metric,
      kind: reading.shown.kind,
      direction: reading.shown.direction,
      values: { baseline: baseline.value, candidate: candidate.value },
      quantile: effect.kind === 'difference' ? null : effect.kind.slice('ratio_'.length),
      onsetMs: finding.onsetMs,
    }),
  };
}
