import type { Alert } from '../../schemas/alert.ts';
import { derivedId } from '../../schemas/derived-id.ts';
import type { ComparisonSettings, MetricSettings, Stratum } from '../../schemas/evidence.ts';
import type { Told } from './adjudication.ts';
import type { ComparisonIdentity, Evidence } from './comparison.ts';
import { toldAs } from './factors.ts';
import { ANY_METRIC } from './guards.ts';
import type { Example } from './observations.ts';
import { slotStartMs } from '../slots.ts';
import { betStrata, worseningOf, type Effect } from '../statistics/effect.ts';
import { CONTROLS_MOVED } from '../statistics/evidence.ts';
import { effectOf } from '../statistics/shown-effects.ts';
import { onsetOf } from '../statistics/onset.ts';
import { slicesOf } from '../statistics/slices.ts';
import { quantileNameOf, summaryOf } from './summary.ts';

/**
 * From evidence to an alert. A page needs both: evidence past its threshold, and an effect of the headline metric beyond
 * its tolerance. All of it is derived from what is given, so a replay gives the same bytes.
 */
export type Finding = {
  readonly grade: Alert['evidence']['grade'];
  readonly metric: string;
  readonly settings: MetricSettings;
  readonly effect: Effect;
  readonly onsetMs: number;
  readonly baseline: { readonly units: number; readonly value: number | null };
  readonly candidate: { readonly units: number; readonly value: number | null };
};

export function isPastThreshold(evidence: Pick<Evidence, 'e_value'>, settings: ComparisonSettings): boolean {
  return evidence.e_value >= 1 / settings.alpha;
}

/**
 * The metric that an alert is headed by: the largest term of the sum. Where that is the time to first token and latency
 * has half of its log evidence, it is latency: the same fault, in the words that people use.
 * @param among names that may be chosen
 */
export function headlineOf(evidence: Pick<Evidence, 'metrics'>, settings: ComparisonSettings, among: ReadonlySet<string>): string | null {
  const terms = [...among]
    .map((name) => ({ name, term: (settings.metrics[name]?.weight ?? 0) * (evidence.metrics[name] ?? 1) }))
    .sort((left, right) => right.term - left.term || (left.name < right.name ? -1 : 1));
  const first = terms[0]?.name ?? null;
  const logE = (name: string): number => Math.log(evidence.metrics[name] ?? 1);
  return first === 'ttft' && among.has('latency') && logE('latency') >= logE('ttft') / 2 ? 'latency' : first;
}

/**
 * Null where what the evidence is about is within tolerance: worth watching, not worth waking anyone. What a metric within its
 * tolerance has won is left out of the sum, so that it neither raises an alert in another's name nor stands in the way of one.
 */
export function findingOf(evidence: Evidence, settings: ComparisonSettings, strata: readonly Stratum[]): Finding | null {
  const guarded = new Set(settings.guards.map(({ metric }) => metric));
  const worse = Object.entries(settings.metrics).filter(([name, metric]) => {
    if (guarded.has(name) || guarded.has(ANY_METRIC)) return false;
    const worsening = metric.weight === 0 || metric.severity === 'none' ? null : worseningOf(metric, betStrata(strata, name, metric));
    return worsening !== null && worsening - controlsWorsening(metric, name, strata) >= metric.tolerance;
  });
  const { controls } = evidence;
  if (controls === null) return found('concurrent', worse.map(([name]) => name), { evidence, settings, strata });
  // A metric whose controls got worse as well accuses nobody here.
  const standing = worse.map(([name]) => name).filter((name) => (controls.get(name)?.moved ?? 1) < CONTROLS_MOVED);
  const controlled = standing.filter((name) => controls.get(name)?.isControlled === true);
  return found('before_after', controlled, { evidence, settings, strata }) ?? found('alone', standing, { evidence, settings, strata });
}

/** What the controls' change takes off the effect of a change that is judged over time. */
function controlsWorsening(metric: MetricSettings, name: string, strata: readonly Stratum[]): number {
  return Math.max(0, worseningOf(metric, strata.filter((stratum) => stratum.use === 'control' && stratum.metric === name)) ?? 0);
}

function found(
  grade: Finding['grade'],
  among: readonly string[],
  { evidence, settings, strata }: { readonly evidence: Evidence; readonly settings: ComparisonSettings; readonly strata: readonly Stratum[] },
): Finding | null {
  const isWorse = new Set(among);
  // Summed anew, not taken off: beside an e-value of 10^200 a difference would lose all others.
  const sum = Object.entries(settings.metrics).reduce((total, [name, { weight }]) => {
    const e = evidence.metrics[name] ?? 1;
    return total + weight * (isWorse.has(name) ? e : Math.min(e, 1));
  }, settings.reserve);
  const metric = headlineOf(evidence, settings, isWorse);
  const ofMetric = metric === null ? undefined : settings.metrics[metric];
  if (metric === null || ofMetric === undefined || settings.stake * sum < 1 / settings.alpha) return null;
  const bets = betStrata(strata, metric, ofMetric);
  const measured = effectOf(ofMetric, bets);
  if (measured === null) return null;
  return { grade, metric, settings: ofMetric, onsetMs: onsetMsOf(ofMetric, bets, settings), ...measured };
}

/** When it began, as far as these bets show. */
export function onsetMsOf(metric: MetricSettings, bets: Parameters<typeof onsetOf>[1], settings: ComparisonSettings): number {
  const onset = onsetOf(metric, bets, settings.models);
  const firstSlot = bets[0]?.begin_slot ?? settings.opened_slot;
  // A fault that is there from the first stratum came with the candidate's first call.
  return onset === null || onset.slot <= firstSlot ? settings.opened_ms : slotStartMs(onset.slot);
}

export type AlertContext = {
  readonly identity: ComparisonIdentity;
  readonly settings: ComparisonSettings;
  readonly evidence: Evidence;
  readonly strata: readonly Stratum[];
  readonly finding: Finding;
  /** Other changes of the same minutes: those that cannot be told from the culprit, and those that both arms had. */
  readonly confounded_with: readonly Told[];
  readonly apart: readonly Told[];
  readonly examples: readonly Example[];
  readonly raisedMs: number;
  /** That served most calls when the alert was raised. */
  readonly version: string | null;
  readonly owner: string | null;
  readonly publicUrl: string;
  readonly canRollBack: boolean;
};

export function alertIdOf(identity: ComparisonIdentity): string {
  return derivedId('alr', identity.comparison_id);
}

export function linksOf(publicUrl: string, of: { readonly id: string; readonly comparison_id: string; readonly canRollBack?: boolean }): Alert['links'] {
  return {
    alert: `${publicUrl}/alerts/${of.id}`,
    evidence: `${publicUrl}/v1/comparisons/${of.comparison_id}/evidence`,
    chart: `${publicUrl}/v1/alerts/${of.id}/chart.png`,
    rollback: of.canRollBack === true ? `${publicUrl}/alerts/${of.id}#rollback` : null,
  };
}

export function alertOf(context: AlertContext): Alert {
  const { identity, settings, evidence, finding } = context;
  const id = alertIdOf(identity);
  const { metric, effect } = finding;
  const severity = finding.settings.severity === 'page' && finding.grade !== 'alone' ? 'page' : 'ticket';
  return {
    id,
    schema: 'culprit.alert/1',
    state: 'open',
    severity,
    project: identity.project,
    environment: identity.environment,
    prompt: identity.prompt_name,
    prompt_version: identity.factor === 'prompt_version' ? identity.candidate : identity.factor === 'prompt_content' ? settings.group : context.version,
    metric,
    direction: finding.settings.direction,
    culprit: { factor: toldAs(identity.factor), value: identity.candidate, baseline: identity.baseline, ...(context.confounded_with.length === 0 ? {} : { confounded_with: context.confounded_with.map((other) => confoundedWith(identity, other)) }), commit: null, author: null, owner: context.owner, diff_url: null },
    evidence: {
      grade: finding.grade,
      e_value: evidence.e_value,
      threshold: 1 / settings.alpha,
      alpha: settings.alpha,
      metrics: { ...evidence.metrics },
      baseline: finding.baseline,
      candidate: finding.candidate,
      effect,
    },
    exonerated: exonerated(context),
    ...toldSlices(metric, settings, context.strata),
    onset: new Date(finding.onsetMs).toISOString(),
    raised_at: new Date(context.raisedMs).toISOString(),
    resolved_at: null,
    examples: context.examples.map(({ trace_id, span_id, why }) => ({ trace_id, span_id, why })),
    links: linksOf(context.publicUrl, {
      id,
      comparison_id: identity.comparison_id,
      // Where api/rollbacks/rules.ts lets a hook be asked.
      canRollBack: context.canRollBack && severity === 'page' && identity.factor === 'prompt_version',
    }),
    summary: summaryOf({
      prompt: identity.prompt_name,
      candidate: nameOf(identity, identity.candidate, settings.group),
      baseline: nameOf(identity, identity.baseline, settings.group),
      metric,
      kind: finding.settings.kind,
      direction: finding.settings.direction,
      values: { baseline: finding.baseline.value, candidate: finding.candidate.value },
      quantile: quantileNameOf(effect),
      onsetMs: finding.onsetMs,
    }),
  };
}

/** Where it is worse, by the strata of the headline metric; nothing where all of them are of one kind. */
export function toldSlices(name: string, settings: ComparisonSettings, strata: readonly Stratum[]): Pick<Alert, 'slices'> {
  const metric = settings.metrics[name];
  const slices = metric === undefined ? [] : slicesOf(strata, { name, metric, settings });
  return slices.length === 0 ? {} : { slices };
}

/** In a sentence about the prompt. */
export function nameOf({ factor }: ComparisonIdentity, value: string, group: string): string {
  switch (factor) {
    case 'prompt_version':
      return value;
    case 'request_model':
    case 'model':
    case 'provider':
      return `on ${value}`;
    case 'prompt_content':
      return `${group} with text ${value}`;
    case 'app_version':
      return `in ${group === '' ? 'the application' : group} ${value}`;
    default:
      return `with ${factor} ${value}`;
  }
}

function confoundedWith({ candidate }: ComparisonIdentity, { factor, value }: Told): NonNullable<Alert['culprit']['confounded_with']>[number] {
  return { factor, value, told_apart_by: `running ${candidate} without ${value}, or ${value} without ${candidate}` };
}

/** What ran under both arms cannot be what tells them apart; over time, only if others that ran on it did not move. */
function exonerated(context: AlertContext): Alert['exonerated'] {
  const { settings, apart, identity, finding, confounded_with } = context;
  const { baseline, candidate, factor } = identity;
  const besides = apart.map((other) => ({ factor: other.factor, value: other.value, reason: `it came in the same minutes, but ${baseline} and ${candidate} had it alike`, e_value: null }));
  const isVersionFixed = factor === 'prompt_content' && finding.grade !== 'alone';
  const unmoved = isVersionFixed ? [{ factor: 'prompt_version', value: settings.group, reason: 'it stayed the same while its text moved', e_value: null }] : [];
  const accused = new Set(confounded_with.map((other) => `${other.factor}\0${other.value}`));
  return [...unmoved, ...heldFixed(context), ...besides].filter((each) => !accused.has(`${each.factor}\0${each.value}`));
}

function heldFixed({ identity, settings, strata, evidence, finding, version }: AlertContext): Alert['exonerated'] {
  const { baseline, candidate, factor } = identity;
  const moved = evidence.controls?.get(finding.metric)?.moved ?? null;
  const others = (settings.before_after?.controls ?? []).map(({ prompt }) => prompt);
  const unmoved = others.length === 0 ? null : `${others.join(', ')} did not move with it`;
  if (toldAs(factor) === 'model' || factor === 'provider') {
    return version === null ? [] : [{ factor: 'prompt_version', value: version, reason: unmoved === null ? 'it stayed the same' : `it stayed the same, and ${unmoved}`, e_value: moved }];
  }
  const models = [...new Set(strata.filter((stratum) => stratum.metric === finding.metric && stratum.use !== 'control').map((stratum) => stratum.model))].filter((model) => model !== '').sort();
  if (finding.grade === 'alone') return [];
  return models.map((model) => ({
    factor: 'model',
    value: model,
    reason: finding.grade === 'concurrent' ? `${baseline} and ${candidate} ran on it at the same time, so it cannot be what tells them apart` : `${baseline} ran on it before ${candidate}, and ${unmoved ?? ''}`,
    e_value: moved,
  }));
}
