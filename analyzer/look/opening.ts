import type { Carried, ComparisonSettings, MetricSettings } from '../../schemas/evidence.ts';
import { SIGNAL_METRICS, isSignalMetric } from '../metrics/index.ts';
import { armOf, CARRIERS, carrying, saysNothing, type Factor } from './factors.ts';
import type { CallObservation, ScoreObservation, Seen } from './observations.ts';
import { learnMetric, type MetricPolicy } from './references.ts';
import { SLOT_MS, SLOTS_PER_HOUR } from '../slots.ts';
import { Windows, type Family, type WindowSchedule } from './windows.ts';

/**
 * Opening a comparison: all that must be fixed before its first bet, read from the hour before.
 */
export type Opening = { readonly settings: ComparisonSettings; readonly schedule: WindowSchedule };

export type OpeningRequest = {
  readonly factor: Factor;
  readonly group: string;
  readonly slot: number;
  readonly baseline: string;
  readonly candidate: string;
  /** The candidate's first call. */
  readonly opened_ms: number;
  readonly alpha: number;
  readonly stake: number;
  /** Longest session window, seconds; used where history does not show that sessions are single calls. */
  readonly session_window_s: number;
  readonly policy: MetricPolicy;
  /** The prompt's calls and scores of the last hour. */
  readonly calls: readonly CallObservation[];
  readonly scores: readonly ScoreObservation[];
};

/** A fifth of the stake is kept back for metrics first seen later. */
const RESERVE = 0.2;
/** A reference from fewer units is learnt from the comparison's own first units instead. */
const REFERENCE_UNITS = 50;
const REPEATED_SHARE = 0.05;

export function openComparison(request: OpeningRequest): Opening {
  const { factor, slot, policy } = request;
  const isOfBaseline = ({ seen }: { readonly seen: Seen }): boolean => armOf(request.factor, request, seen) === 'a';
  // Failed calls that name no model are of the baseline as long as nothing else was there.
  const ofBaseline = request.calls.filter((call) => isOfBaseline(call) || (call.is_error && saysNothing(request.factor, request.group, call.seen) && call.start_ms < request.opened_ms));
  const scoresOfBaseline = request.scores.filter(isOfBaseline);

  const seen: { readonly name: string; readonly values: readonly number[]; readonly kind: 'signal' | 'numeric' | 'boolean' }[] = [];
  for (const metric of SIGNAL_METRICS) {
    const values = ofBaseline.filter((call) => metric.among === 'errors' || !call.is_error).map(metric.read).filter((reading) => reading !== null);
    if (values.length > 0) seen.push({ name: metric.name, values, kind: 'signal' });
  }
  const scoreNames = [...new Set(scoresOfBaseline.map((score) => score.name))].filter((name) => !isSignalMetric(name)).sort();
  for (const name of scoreNames) {
    const scores = scoresOfBaseline.filter((score) => score.name === name);
    seen.push({ name, values: scores.map((score) => score.value), kind: scores.every((score) => score.data_type === 'boolean') ? 'boolean' : 'numeric' });
  }

  // A metric with a thin history is left out here: it is met as a new one, and learnt from its first units.
  const known = seen.map((metric) => ({ ...metric, choice: policy(metric.name, metric.kind) })).filter(({ choice, values }) => choice.kind === 'rate' || values.length >= REFERENCE_UNITS);
  const sharing = known.filter(({ choice }) => choice.weight_for === 'all_scores').length;
  const relative = known.map(({ choice }) => (choice.weight_for === 'all_scores' ? choice.weight / sharing : choice.weight));
  const total = relative.reduce((sum, weight) => sum + weight, 0);
  const learnt = known.map(({ name, values, choice }, index): [string, MetricSettings] => {
    const weight = total > 0 ? ((relative[index] ?? 0) / total) * (1 - RESERVE) : 0;
    return [name, learnMetric(choice, values, { weight, fromSlot: slot + 1 })];
  });

  const carried = carriedBy(request);
  const models = [...new Set(request.calls.filter((call) => !call.is_error).map((call) => factor.familyOf(call.seen, 'successes').model))].sort();
  return {
    settings: {
      alpha: request.alpha,
      stake: request.stake,
      slot_seconds: SLOT_MS / 1000,
      opened_slot: slot,
      opened_ms: request.opened_ms,
      models: models.length > 1 ? models : [],
      session_window_s: hasSessions(request.calls) ? request.session_window_s : 0,
      // fromEntries, because a score may be called "__proto__".
      metrics: Object.fromEntries(learnt),
      reserve: total > 0 ? RESERVE : 1,
      group: request.group,
      carried,
      before_after: null,
      drift: null,
      guards: [],
    },
    schedule: scheduleOf({ ...request, factor: carrying(factor, carried) }),
  };
}

/**
 * Versions of the candidate's first calls that the baseline had none of, to be compared with its busiest one. A version that ships with its model
 * is there from the model's first call on, so this is told by the calls of the opening.
 */
function carriedBy({ factor, calls, ...arms }: OpeningRequest): Carried | null {
  if (!CARRIERS.includes(factor.name)) return null;
  const of = { a: new Map<string, number>(), b: new Map<string, number>() };
  for (const call of calls) {
    const arm = armOf(factor, arms, call.seen);
    if (arm !== null) of[arm].set(call.seen.version, (of[arm].get(call.seen.version) ?? 0) + 1);
  }
  const versions = [...of.b.keys()].filter((version) => !of.a.has(version)).sort();
  const [busiest] = [...of.a].sort(([left, one], [right, other]) => other - one || (left < right ? -1 : 1));
  return versions.length === 0 || busiest === undefined ? null : { versions, as: busiest[0] };
}

/**
 * Whether calls of one session come repeatedly: in less than 5 % of the calls of the last hour means that a unit is its
 * first call, and no bet has to wait. Without enough history sessions are assumed.
 */
function hasSessions(calls: readonly CallObservation[]): boolean {
  if (calls.length < REFERENCE_UNITS) return true;
  const units = new Set(calls.map((call) => call.session_id ?? `\0${call.trace_id}`));
  return (calls.length - units.size) / calls.length >= REPEATED_SHARE;
}

/** The first windows, planned from the hour before: the baseline's and the candidate's units of each family. */
function scheduleOf(request: OpeningRequest): WindowSchedule {
  const counts = new Map<string, { readonly family: Family; a: number; b: number }>();
  const oldest = { a: request.slot, b: request.slot };
  const { factor } = request;
  const count = (family: Family, { seen, slot }: { readonly seen: Seen; readonly slot: number }): void => {
    const arm = armOf(factor, request, seen);
    if (arm === null) return;
    oldest[arm] = Math.min(oldest[arm], slot);
    const key = JSON.stringify(family);
    const known = counts.get(key);
    if (known !== undefined) known[arm] += 1;
    else counts.set(key, { family, a: arm === 'a' ? 1 : 0, b: arm === 'b' ? 1 : 0 });
  };
  for (const call of request.calls) {
    count(factor.familyOf(call.seen, 'errors'), call);
    if (!call.is_error) count(factor.familyOf(call.seen, 'successes'), call);
  }
  for (const score of request.scores) count(factor.familyOf(score.seen, `score:${score.name}`), score);
  const slotsSince = (arm: 'a' | 'b'): number => Math.min(SLOTS_PER_HOUR, request.slot - oldest[arm] + 1);
  const windows = new Windows(request.slot);
  for (const { family, a, b } of counts.values()) windows.seed(family, { a: { units: a, slots: slotsSince('a') }, b: { units: b, slots: slotsSince('b') } });
  return windows.schedule();
}
