import type { AuditResult } from '../../../schemas/audit.ts';
import { atLeast, binomialInterval } from '../../statistics/binomial.ts';
import { CROWD_CALLS, crowdAmong } from '../crowd.ts';
import { seeded } from '../../statistics/random.ts';
import type { CallObservation, PromptKey, ScoreObservation } from '../observations.ts';
import { unitIdOf } from '../prompt-units.ts';
import type { MetricPolicy } from '../references.ts';
import { rehearse, type Rehearsal } from './rehearsal.ts';

/**
 * A/A audit: units of the prompt's own history (a session, or a trace without one) are given to two fake versions by lot, from a random minute
 * on, and the rollout is compared by the very same code, looked at after every stratum. Nothing changed, so each page is a false one: their
 * share is held against α. What really changed in that time is in both fake arms alike.
 *
 * Runs of one history are not independent of each other as those of many histories would be: it is this traffic's rate that is measured. Three shapes in
 * turn: a canary of 10 %, half and half, and a ramp from 2 to 90 %.
 */
export type AuditRequest = {
  readonly key: PromptKey;
  /** By slot, oldest first. */
  readonly calls: readonly CallObservation[];
  readonly scores: readonly ScoreObservation[];
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly policy: MetricPolicy;
  readonly runs: number;
  readonly seed: number;
};

const FEWEST_CALLS = 200;
const SMALLEST_CHANCE = 0.001;
/** By share of the time that is left after the rollout began. */
const SHAPES: readonly (readonly (readonly [after: number, share: number])[])[] = [[[0, 0.1]], [[0, 0.5]], [[0, 0.02], [0.25, 0.1], [0.5, 0.4], [0.75, 0.9]]];

/**
 * @param goesOn asked after each run: false ends the audit with the runs that were done.
 * @throws RangeError where there is too little history.
 */
export async function audit(request: AuditRequest, goesOn: () => Promise<boolean>): Promise<AuditResult> {
  const { key, calls, scores, alpha, runs, seed } = request;
  const [first, last] = [calls[0]?.start_ms ?? 0, calls.at(-1)?.start_ms ?? 0];
  if (calls.length < FEWEST_CALLS) throw new RangeError(`${key.prompt_name} has ${calls.length} calls in its history; an audit needs ${FEWEST_CALLS}`);
  const unitOf = unitsOf(calls);
  const found: Rehearsal[] = [];
  for (let run = 0; run < runs; run += 1) {
    const rehearsal = relabelled(request, unitOf, run);
    if (rehearsal !== null) found.push(rehearsal);
    if (!(await goesOn())) break;
  }
  if (found.length === 0) throw new RangeError(`${key.prompt_name}: in none of ${runs} fake rollouts did the candidate get a call; an audit needs a longer history`);
  const count = (counts: (rehearsal: Rehearsal) => boolean): number => found.filter(counts).length;
  const shareOf = (times: number) => ({ found: times, share: times / found.length, ...binomialInterval({ found: times, runs: found.length }) });
  const past = count(({ largest }) => largest >= 1 / alpha);
  const names = [...new Set(found.flatMap(({ metrics }) => Object.keys(metrics)))].sort();
  return {
    schema: 'culprit.audit/1', prompt: key.prompt_name, environment: key.environment, from_ms: first, to_ms: last, calls: calls.length, scores: scores.length, units: new Set(calls.map(unitOf)).size,
    seed, asked: runs, runs: found.length, strata: found.reduce((sum, { strata }) => sum + strata, 0) / found.length, alpha,
    told: shareOf(count(({ told }) => told !== null)), past_threshold: shareOf(past), past_5_percent: shareOf(count(({ largest }) => largest >= 20)),
    is_kept: atLeast(past, found.length, alpha) >= SMALLEST_CHANCE,
    metrics: names.map((name) => ({
      name,
      weight: found.reduce((most, { settings }) => Math.max(most, (Object.hasOwn(settings.metrics, name) ? settings.metrics[name]?.weight : 0) ?? 0), 0),
      past_threshold: count(({ peaks }) => (peaks.get(name) ?? 0) >= 1 / alpha),
      headed: count(({ told }) => told?.metric === name),
      mean_e_value: found.reduce((sum, { metrics }) => sum + (Object.hasOwn(metrics, name) ? (metrics[name] ?? 1) : 1), 0) / found.length,
    })),
  };
}

type Placed = Pick<CallObservation, 'session_id' | 'trace_id'>;

/** A session that stands on very many calls is none: its traces are the units, as in `units.ts`. */
function unitsOf(calls: readonly CallObservation[]): (row: Placed) => string {
  const crowd = new Set<string>();
  for (let from = 0; from < calls.length; from += CROWD_CALLS) for (const session of crowdAmong(calls.slice(Math.max(0, Math.min(from, calls.length - CROWD_CALLS)), from + CROWD_CALLS).map(({ session_id }) => session_id))) crowd.add(session);
  return (row) => unitIdOf(row, { isCrowd: (session) => crowd.has(session) });
}

/** One fake rollout; null where the candidate got no call. */
function relabelled({ calls, scores, alpha, sessionWindowS, policy, seed }: AuditRequest, unitOf: (row: Placed) => string, run: number): Rehearsal | null {
  const random = seeded(Math.imul(seed + 1, 0x9e3779b1) + run);
  const [first, last] = [calls[0]?.start_ms ?? 0, calls.at(-1)?.start_ms ?? 0];
  // An hour of history where there is one, and at least half of the time to find something in.
  const earliest = first + Math.min(3_600_000, (last - first) / 5);
  const beginMs = earliest + random() * Math.max(0, first + (last - first) / 2 - earliest);
  const shape = SHAPES[run % SHAPES.length] ?? [];
  const versions = new Map<string, string>();
  const versionOf = (row: Placed & { readonly start_ms: number }): string => {
    const unit = unitOf(row);
    const known = versions.get(unit);
    if (known !== undefined) return known;
    const after = (row.start_ms - beginMs) / (last - beginMs);
    const share = after < 0 ? 0 : (shape.findLast(([from]) => from <= after)?.[1] ?? 0);
    const version = random() < share ? 'audit-b' : 'audit-a';
    versions.set(unit, version);
    return version;
  };
  // By the call that started first, whichever ended first.
  for (const call of calls.toSorted((left, right) => left.start_ms - right.start_ms)) versionOf(call);
  const labelled = <Row extends CallObservation | ScoreObservation>(row: Row): Row => ({ ...row, seen: { ...row.seen, version: versionOf(row) } });
  const labelledCalls = calls.map(labelled);
  if (!labelledCalls.some(({ seen }) => seen.version === 'audit-b')) return null;
  return rehearse({ calls: labelledCalls, scores: scores.map(labelled), baseline: 'audit-a', candidate: 'audit-b', alpha, stake: 1, sessionWindowS, policy });
}
