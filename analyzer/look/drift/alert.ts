import type { Alert } from '../../../schemas/alert.ts';
import { derivedId } from '../../../schemas/derived-id.ts';
import type { Stratum } from '../../../schemas/evidence.ts';
import type { Told } from '../adjudication.ts';
import { linksOf } from '../alerting.ts';
import type { ComparisonIdentity } from '../comparison.ts';
import type { FactorName } from '../factors.ts';
import { countsOf, readingOf, seriesName, type DriftReading, type Series } from './series.ts';
import type { Pulse } from './pulse.ts';
import type { MetricPolicy } from '../references.ts';
import { slotStartMs } from '../../slots.ts';
import { quantileNameOf, summaryOf } from '../summary.ts';
import { driftHeadline, driftOnset } from '../../statistics/drift.ts';
import { effectOf, type Measured } from '../../statistics/shown-effects.ts';

/** From a crossing to an alert: what moved, since when, by how much, and who is not to blame. */

/** What changed on a prompt shortly before. */
export type Bystander = { readonly factor: FactorName; readonly prompt: string; readonly value: string; readonly baseline: string; readonly at_ms: number; readonly e_value: number };

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

/** Minutes between a change that all prompts had and the onset, for which the change may be the cause. */
const TOGETHER_MS = 600_000;

export type Culprit = { readonly factor: 'model' | 'provider'; readonly value: string; readonly baseline: string };
export type Accused = { readonly culprit: Culprit & { readonly confounded_with: readonly Told[] }; readonly bystanders: readonly Bystander[] };

/**
 * Who is accused of what several prompts show at once, besides what changed on them. A change of one prompt alone is innocent, as the others moved
 * without it. One that all of them had in the minutes of the onset cannot be told from it; where that is who serves the model, it is the culprit.
 */
export function accused(found: Culprit, around: { readonly heard: readonly string[]; readonly own: readonly Bystander[]; readonly shared: readonly Bystander[]; readonly onsetMs: number }): Accused {
  const { heard, own, shared, onsetMs } = around;
  const byChange = new Map<string, Bystander[]>();
  for (const change of shared) {
    const key = `${change.factor}\0${change.value}`;
    byChange.set(key, [...(byChange.get(key) ?? []), change]);
  }
  let culprit = found;
  const confounded_with: Told[] = [];
  const bystanders = [...own];
  for (const [first, ...others] of byChange.values()) {
    if (first === undefined || first.factor === found.factor || first.factor === 'model') continue;
    const having = new Set([first, ...others].map(({ prompt }) => prompt));
    const isOfAll = heard.every((prompt) => having.has(prompt)) && Math.abs(first.at_ms - onsetMs) < TOGETHER_MS;
    if (!isOfAll) bystanders.push(first);
    else if (first.factor === 'provider') culprit = { factor: 'provider', value: first.value, baseline: first.baseline };
    else confounded_with.push({ factor: first.factor, value: first.value });
  }
  return { culprit: { ...culprit, confounded_with }, bystanders };
}

/** @param pulses of the model, in the range that the evidence was made of. Null where nothing of it can be measured. */
export function findDrift(
  crossed: readonly { readonly metric: string; readonly e_value: number }[],
  pulses: readonly Pulse[],
  context: { readonly series: ReadonlyMap<string, Series>; readonly range: { readonly from: number; readonly to: number }; readonly policy: (prompt: string) => MetricPolicy; readonly alpha: number; readonly nameOf?: (pulse: Pulse) => string },
): DriftFinding | null {
  const headline = driftHeadline(crossed);
  const prompt = pulses[0]?.prompt_name;
  if (headline === undefined || prompt === undefined) return null;
  const { metric, e_value } = headline;
  const { nameOf = seriesName } = context;
  const reading = readingOf(metric, context.policy(prompt));

  const exact = new Map<number, number[]>();
  for (const pulse of pulses) {
    const series = pulse.metric === metric ? context.series.get(nameOf(pulse)) : undefined;
    if (series === undefined) continue;
    const before = exact.get(pulse.slot);
    exact.set(pulse.slot, series.exactRatio(pulse).map((ratio, l) => ratio + (before?.[l] ?? 0)));
  }
  const onsetSlot = driftOnset([...exact].sort(([left], [right]) => left - right).map(([slot, ratio]) => ({ slot, ratio }))) ?? context.range.from;

  const names = new Map(crossed.map((each) => [each.metric, readingOf(each.metric, context.policy(prompt))]));
  const slot = context.range.to - 1;
  const strata = pulses.flatMap((pulse): Stratum[] => {
    const ofMetric = names.get(pulse.metric);
    const series = context.series.get(nameOf(pulse));
    if (ofMetric === undefined || series === undefined) return [];
    const { prompt_name, request_model } = pulse;
    // Where versions have series of their own their strata must be told apart.
    const route = context.nameOf === undefined ? pulse.route : `${pulse.route} gen_ai.prompt.version=${pulse.version}`.trimStart();
    return [{ metric: ofMetric.name, slot, begin_slot: pulse.slot, start_window_ms: slotStartMs(pulse.slot), model: request_model, operation: '', route, use: 'drift', control: prompt_name, ...cellsOf(series.reference, countsOf(pulse, ofMetric)) }];
  });
  const since = strata.filter((stratum) => stratum.metric === reading.name && stratum.begin_slot >= onsetSlot);
  const measured = effectOf({ ...reading.shown, reference: null }, pooled(since));
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

/** Who is named and who is not, in the words of an alert. */
export function saysWho({ culprit, bystanders }: Accused, prompts: readonly string[]): Pick<Alert, 'culprit' | 'exonerated'> {
  const { factor, value, baseline, confounded_with } = culprit;
  const told = confounded_with.map((other) => ({ ...other, told_apart_by: `one prompt on ${value} without ${other.value}` }));
  return {
    culprit: { factor, value, baseline, ...(told.length === 0 ? {} : { confounded_with: told }), commit: null, author: null, owner: null, diff_url: null },
    exonerated: bystanders.map((one) => ({
      factor: one.factor,
      value: one.value,
      reason: `${one.prompt} changed to it at ${new Date(one.at_ms).toISOString().slice(11, 16)} UTC, but ${prompts.filter((prompt) => prompt !== one.prompt).join(', ')}, where nothing changed, moved as well`,
      e_value: one.e_value,
    })),
  };
}

export type DriftAlertContext = {
  readonly identity: ComparisonIdentity;
  readonly accused: Accused;
  /** Of a provider: its models. */
  readonly models: readonly string[];
  readonly finding: DriftFinding;
  readonly prompts: readonly string[];
  readonly raisedMs: number;
  readonly publicUrl: string;
};

export function driftAlertOf({ identity, accused: { culprit, bystanders }, models, finding, prompts, raisedMs, publicUrl }: DriftAlertContext): Alert {
  const { comparison_id, project, environment } = identity;
  const id = derivedId('alr', `${comparison_id}/${raisedMs}`);
  const { effect, baseline, candidate, reading } = finding;
  const who = saysWho({ culprit, bystanders }, prompts);
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
    culprit: who.culprit,
    evidence: { grade: 'before_after', e_value: finding.e_value, threshold: 1 / finding.alpha, alpha: finding.alpha, metrics: finding.metrics, baseline, candidate, effect },
    exonerated: who.exonerated,
    ...sinceAnHour(finding, { id, comparison_id, raisedMs, publicUrl }, { prompt: culprit.value, candidate: `on ${models.length > 1 ? `${models.join(', ')} and ` : ''}${prompts.length} prompts` }),
  };
}

/** When it began, and the sentence: the last hour against the one before. `who`: as the sentence names it. */
export function sinceAnHour(
  { metric, onsetMs, effect, baseline, candidate, reading }: DriftFinding,
  { id, comparison_id, raisedMs, publicUrl }: { readonly id: string; readonly comparison_id: string; readonly raisedMs: number; readonly publicUrl: string },
  who: { readonly prompt: string; readonly candidate: string },
): Pick<Alert, 'onset' | 'raised_at' | 'resolved_at' | 'examples' | 'links' | 'summary'> {
  const { kind, direction } = reading.shown;
  return {
    onset: new Date(onsetMs).toISOString(),
    raised_at: new Date(raisedMs).toISOString(),
    resolved_at: null,
    examples: [],
    links: linksOf(publicUrl, { id, comparison_id }),
    summary: summaryOf({ ...who, baseline: 'an hour before', metric, kind, direction, values: { baseline: baseline.value, candidate: candidate.value }, quantile: quantileNameOf(effect), onsetMs }),
  };
}
