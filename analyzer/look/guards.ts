import type { BeforeAfter, ComparisonSettings, Guard } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { isSignalMetric } from '../metrics/index.ts';
import { lastSlotOf, type Arms } from './before-after.ts';
import type { CountedUnits } from './comparison.ts';
import { ATTRIBUTED, type PromptKey } from './observations.ts';
import { LONGEST_WAIT } from './tape.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { splitEvidence } from '../statistics/split.ts';
import { missingEvidence, variationOf, type Judged } from '../statistics/missing.ts';

/**
 * What is no ground to decide on: units that were not divided as they were meant to be; scores that one arm has less often, or from another judge. A metric with a guard that fires is
 * undecided, whatever its evidence, until the guard is silent again.
 *
 * Where arms run together, guards are told by what a comparison has counted of the units that it was fed, and cost nothing. Times are compared with traffic from before the comparison,
 * so there the store is asked, every ten minutes while anything can come of it.
 */

const E_VALUE = 100;
/** As is usual for a mismatch of the sample ratio (α = .001). */
const SPLIT_E_VALUE = 1_000;
export const ANY_METRIC = '*';
/** Of the shares that are judged. */
const LEAST_DIFFERENCE = 0.02;
const LEAST_UNITS = 50;
/** Of scores that the two arms got from different judges. */
const LEAST_VARIATION = 0.2;

/** How units are meant to be divided between versions, as weights; null: nobody said. */
export type Split = Readonly<Record<string, number>> | null;

/** Slots, ten minutes: how soon a guard of times is seen to fire, or to be silent again, where nothing is to be decided. */
export const GUARDED_EVERY = 20;

export function guardsTogether(arms: Arms, settings: ComparisonSettings, judged: CountedUnits, { slot, split }: { readonly slot: number; readonly split: Split }): Guard[] {
  const uneven = settings.before_after === null && split !== null ? splitReason(arms, judged.began(), split) : null;
  const ofScores = scoresOf(settings).flatMap((name): Guard[] => {
    const reason = missingReason(arms, name, judged.evidence(name, slot)) ?? judgeReason(arms, name, judged.judges(name));
    return reason === null ? [] : [{ metric: name, reason }];
  });
  return [...(uneven === null ? [] : [{ metric: ANY_METRIC, reason: uneven }]), ...ofScores];
}

/** Whether anything is bet on times that a guard could still speak against. */
export function areTimesGuarded(plan: BeforeAfter | null, slot: number): plan is BeforeAfter {
  return plan !== null && slot < (plan.ended_slot ?? lastSlotOf(plan)) + LONGEST_WAIT + GUARDED_EVERY;
}

/** Of all that was scored under a plan, and in the hour before the change. @param slot reads what arrived before it. */
export async function guardsOverTime(store: Store, key: PromptKey, arms: Arms, settings: ComparisonSettings & { readonly before_after: BeforeAfter }, slot: number): Promise<Guard[]> {
  const { history_slot, until_slot, ended_slot } = settings.before_after;
  // Scores of the last ten minutes may still come.
  const range = { now: slot, from: Math.max(history_slot, until_slot - SLOTS_PER_HOUR), to: Math.min(slot - LONGEST_WAIT, ended_slot ?? Number.POSITIVE_INFINITY) };
  if (range.to <= range.from) return [];
  const guards: Guard[] = [];
  for (const name of scoresOf(settings)) {
    const asked = { ...range, name };
    const reason = missingReason(arms, name, missingEvidence([await selectJudged(store, key, arms, asked)])) ?? judgeReason(arms, name, await selectJudges(store, key, arms, asked));
    if (reason !== null) guards.push({ metric: name, reason });
  }
  return guards;
}

const scoresOf = ({ metrics }: ComparisonSettings): string[] => Object.keys(metrics).filter((name) => !isSignalMetric(name));

function splitReason({ baseline, candidate, factor }: Arms, units: { readonly a: number; readonly b: number }, split: NonNullable<Split>): string | null {
  const [meantA, meantB] = [baseline, candidate].map((version) => (Object.hasOwn(split, version) ? split[version] : undefined));
  if (factor.name !== 'prompt_version' || meantA === undefined || meantB === undefined) return null;
  const meant = meantB / (meantA + meantB);
  if (splitEvidence(units, meant) < SPLIT_E_VALUE) return null;
  const percent = (of: number): string => `${(100 * of).toPrecision(3)} %`;
  return `${candidate} got ${percent(units.b / (units.a + units.b))} of the units, not the ${percent(meant)} that were meant: what chose them may be what differs`;
}

function missingReason({ baseline, candidate }: Arms, name: string, { e_value, share }: ReturnType<typeof missingEvidence>): string | null {
  if (e_value < E_VALUE || Math.abs(share.a - share.b) < LEAST_DIFFERENCE) return null;
  const percent = (of: number): string => `${(100 * of).toFixed(0)} %`;
  return `${candidate} is scored ${share.b < share.a ? 'less' : 'more'} often (${percent(share.b)} of its units have ${name}, ${percent(share.a)} of ${baseline}'s), so the scores are not of like answers`;
}

/** @param judges scores of each arm by evaluator; empty: nobody said who. */
function judgeReason({ baseline, candidate }: Arms, name: string, judges: { readonly a: ReadonlyMap<string, number>; readonly b: ReadonlyMap<string, number> }): string | null {
  const isEnough = [judges.a, judges.b].every((ofArm) => [...ofArm.values()].reduce((sum, count) => sum + count, 0) >= LEAST_UNITS);
  if (!isEnough || variationOf(judges.a, judges.b) < LEAST_VARIATION) return null;
  const first = (ofArm: ReadonlyMap<string, number>): string => [...ofArm].sort(([left, ofLeft], [right, ofRight]) => ofRight - ofLeft || (left < right ? -1 : 1))[0]?.[0] || 'an unnamed judge';
  return `${name} of ${baseline} is judged by ${first(judges.a)}, that of ${candidate} by ${first(judges.b)}`;
}

type Asked = { readonly now: number; readonly from: number; readonly to: number; readonly name: string };

/** All times as one stratum: the arms are of different ones. */
async function selectJudged(store: Store, key: PromptKey, { factor: { sql }, group, baseline, candidate }: Arms, asked: Asked): Promise<Judged> {
  const rows = await store.select<{ value: string; units: number; judged: number }>(
    `SELECT value, count() AS units, countIf(is_judged) AS judged
     FROM (SELECT if(session_id IS NULL, trace_id, concat('s:', assumeNotNull(session_id))) AS unit, any(assumeNotNull(${sql.value})) AS value,
                  max((trace_id, span_id) IN (SELECT call_trace_id, call_span_id FROM scores WHERE project = {project:String} AND environment = {environment:String}
                                              AND prompt_name = {prompt_name:String} AND name = {name:String} AND slot >= {from:UInt32} AND slot < {now:UInt32})) AS is_judged
           FROM calls WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND slot >= {from:UInt32} AND slot < {to:UInt32}
             AND ${ATTRIBUTED} AND NOT is_error AND ${sql.group} = {group:String} AND ${sql.value} IN {values:Array(String)}
           GROUP BY unit HAVING uniqExact(${sql.value}) = 1)
     GROUP BY value`,
    { ...key, ...asked, group, values: [baseline, candidate] },
  );
  const ofArm = (arm: string): Judged['a'] => rows.find(({ value }) => value === arm) ?? { units: 0, judged: 0 };
  return { a: ofArm(baseline), b: ofArm(candidate) };
}

async function selectJudges(store: Store, key: PromptKey, { factor: { sql }, group, baseline, candidate }: Arms, asked: Asked): Promise<{ a: Map<string, number>; b: Map<string, number> }> {
  const rows = await store.select<{ arm: string; judge: string; scores: number }>(
    `SELECT assumeNotNull(${sql.value}) AS arm, coalesce(evaluator, '') AS judge, count() AS scores
     FROM scores WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND name = {name:String}
       AND slot >= {from:UInt32} AND slot < {to:UInt32} AND ${ATTRIBUTED} AND ${sql.group} = {group:String} AND ${sql.value} IN {values:Array(String)}
     GROUP BY arm, judge`,
    { ...key, ...asked, group, values: [baseline, candidate] },
  );
  const ofArm = (value: string): Map<string, number> => new Map(rows.filter(({ arm }) => arm === value).map(({ judge, scores }) => [judge, scores]));
  return { a: ofArm(baseline), b: ofArm(candidate) };
}
