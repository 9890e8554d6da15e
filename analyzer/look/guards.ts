import type { ComparisonSettings, Guard } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { isSignalMetric } from '../metrics/index.ts';
import type { Arms } from './before-after.ts';
import { ATTRIBUTED, type PromptKey } from './observations.ts';
import { LONGEST_WAIT } from './tape.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { splitEvidence } from '../statistics/split.ts';
import { missingEvidence, variationOf, type Judged } from '../statistics/missing.ts';

/**
 * What is no ground to decide on: units that were not divided as they were meant to be; scores that one arm has less often, or from another judge. A metric with a guard that fires is
 * undecided, whatever its evidence, until the guard is silent again.
 */

/** Slots of one stratum, five minutes. */
const STRETCH = 10;
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

/** @param slot reads what arrived before it. */
export async function guardsOf(store: Store, key: PromptKey, arms: Arms, settings: ComparisonSettings, { slot, split }: { readonly slot: number; readonly split: Split }): Promise<Guard[]> {
  const uneven = settings.before_after === null && split !== null ? await splitReason(store, key, arms, { split, from: settings.opened_slot + 1, to: slot }) : null;
  return [...(uneven === null ? [] : [{ metric: ANY_METRIC, reason: uneven }]), ...(await scoreGuards(store, key, arms, settings, slot))];
}

async function splitReason(store: Store, key: PromptKey, arms: Arms, { split, from, to }: { readonly split: NonNullable<Split>; readonly from: number; readonly to: number }): Promise<string | null> {
  const { baseline, candidate, factor } = arms;
  const [meantA, meantB] = [baseline, candidate].map((version) => (Object.hasOwn(split, version) ? split[version] : undefined));
  if (factor.name !== 'prompt_version' || meantA === undefined || meantB === undefined) return null;
  const rows = await store.select<{ version: string; units: number }>(
    `SELECT version, count() AS units
     FROM (SELECT if(session_id IS NULL, trace_id, concat('s:', assumeNotNull(session_id))) AS unit, any(assumeNotNull(prompt_version)) AS version
           FROM calls WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND slot >= {from:UInt32} AND slot < {to:UInt32}
             AND ${ATTRIBUTED} AND prompt_version IN {values:Array(String)} GROUP BY unit HAVING uniqExact(prompt_version) = 1)
     GROUP BY version`,
    { ...key, from, to, values: [baseline, candidate] },
  );
  const unitsOf = (value: string): number => rows.find(({ version }) => version === value)?.units ?? 0;
  const units = { a: unitsOf(baseline), b: unitsOf(candidate) };
  const meant = meantB / (meantA + meantB);
  if (splitEvidence(units, meant) < SPLIT_E_VALUE) return null;
  const percent = (of: number): string => `${(100 * of).toPrecision(3)} %`;
  return `${candidate} got ${percent(units.b / (units.a + units.b))} of the units, not the ${percent(meant)} that were meant: what chose them may be what differs`;
}

async function scoreGuards(store: Store, key: PromptKey, arms: Arms, settings: ComparisonSettings, slot: number): Promise<Guard[]> {
  const names = Object.keys(settings.metrics).filter((name) => !isSignalMetric(name));
  if (names.length === 0) return [];
  const plan = settings.before_after;
  // Scores of the last ten minutes may still come.
  const range = { now: slot, from: plan === null ? settings.opened_slot + 1 : Math.max(plan.history_slot, plan.until_slot - SLOTS_PER_HOUR), to: slot - LONGEST_WAIT };
  if (range.to <= range.from) return [];
  const guards: Guard[] = [];
  for (const name of names) {
    const reason = (await missingReason(store, key, arms, { ...range, name, isOverTime: plan !== null })) ?? (await judgeReason(store, key, arms, { ...range, name }));
    if (reason !== null) guards.push({ metric: name, reason });
  }
  return guards;
}

type Asked = { readonly now: number; readonly from: number; readonly to: number; readonly name: string };

async function missingReason(store: Store, key: PromptKey, arms: Arms, { isOverTime, ...asked }: Asked & { readonly isOverTime: boolean }): Promise<string | null> {
  const { sql } = arms.factor;
  const { group, baseline, candidate } = arms;
  const rows = await store.select<{ stretch: number; value: string; units: number; judged: number }>(
    `SELECT stretch, value, count() AS units, countIf(is_judged) AS judged
     FROM (SELECT if(session_id IS NULL, trace_id, concat('s:', assumeNotNull(session_id))) AS unit, any(assumeNotNull(${sql.value})) AS value, intDiv(min(slot), {stretch_slots:UInt32}) AS stretch,
                  max((trace_id, span_id) IN (SELECT call_trace_id, call_span_id FROM scores WHERE project = {project:String} AND environment = {environment:String}
                                              AND prompt_name = {prompt_name:String} AND name = {name:String} AND slot >= {from:UInt32} AND slot < {now:UInt32})) AS is_judged
           FROM calls WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND slot >= {from:UInt32} AND slot < {to:UInt32}
             AND ${ATTRIBUTED} AND NOT is_error AND ${sql.group} = {group:String} AND ${sql.value} IN {values:Array(String)}
           GROUP BY unit HAVING uniqExact(${sql.value}) = 1)
     GROUP BY stretch, value ORDER BY stretch, value`,
    { ...key, ...asked, group, values: [baseline, candidate], stretch_slots: STRETCH },
  );
  const strata = new Map<number, { a: Judged['a']; b: Judged['b'] }>();
  const none = { units: 0, judged: 0 };
  for (const { stretch, value, units, judged } of rows) {
    // The last stretch is not over yet: its border would depend on when one looks.
    if (!isOverTime && (stretch + 1) * STRETCH > asked.to) continue;
    const at = isOverTime ? 0 : stretch;
    const stratum = strata.get(at) ?? { a: none, b: none };
    const arm = value === candidate ? 'b' : 'a';
    strata.set(at, { ...stratum, [arm]: { units: stratum[arm].units + units, judged: stratum[arm].judged + judged } });
  }
  const { e_value, share } = missingEvidence([...strata.values()]);
  if (e_value < E_VALUE || Math.abs(share.a - share.b) < LEAST_DIFFERENCE) return null;
  const percent = (of: number): string => `${(100 * of).toFixed(0)} %`;
  return `${candidate} is scored ${share.b < share.a ? 'less' : 'more'} often (${percent(share.b)} of its units have ${asked.name}, ${percent(share.a)} of ${baseline}'s), so the scores are not of like answers`;
}

async function judgeReason(store: Store, key: PromptKey, arms: Arms, asked: Asked): Promise<string | null> {
  const { sql } = arms.factor;
  const { group, baseline, candidate } = arms;
  const rows = await store.select<{ arm: string; judge: string; scores: number }>(
    `SELECT assumeNotNull(${sql.value}) AS arm, coalesce(evaluator, '') AS judge, count() AS scores
     FROM scores WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND name = {name:String}
       AND slot >= {from:UInt32} AND slot < {to:UInt32} AND ${ATTRIBUTED} AND ${sql.group} = {group:String} AND ${sql.value} IN {values:Array(String)}
     GROUP BY arm, judge ORDER BY scores DESC, judge`,
    { ...key, ...asked, group, values: [baseline, candidate] },
  );
  const judgesOf = (value: string): Map<string, number> => new Map(rows.filter(({ arm }) => arm === value).map(({ judge, scores }) => [judge, scores]));
  const [before, after] = [judgesOf(baseline), judgesOf(candidate)];
  const isEnough = [before, after].every((judges) => [...judges.values()].reduce((sum, count) => sum + count, 0) >= LEAST_UNITS);
  if (!isEnough || variationOf(before, after) < LEAST_VARIATION) return null;
  const first = (judges: ReadonlyMap<string, number>): string => [...judges.keys()][0] || 'an unnamed judge';
  return `${asked.name} of ${baseline} is judged by ${first(before)}, that of ${candidate} by ${first(after)}`;
}
