import { splitEvidence } from '../../analyzer/statistics/split.ts';
import { modelOf, OF_ALL_CALLS } from '../../schemas/call-metrics.ts';
import { EVENT_HOUR, unitOf } from '../../schemas/cells.ts';
import type { Store } from '../../schemas/store.ts';
import { readHours } from '../hours.ts';
import type { RolledOut } from './records.ts';

/** What share of a prompt's traffic a version takes, as it is seen. */

/** Units (sessions, else traces) of the candidate, and of all versions of the prompt. */
export type Units = { readonly candidate: number; readonly all: number };
/** A stretch of time with one share. */
export type Plateau = Units & { readonly from_ms: number };

/** As is usual for a mismatch of the sample ratio (α = .001), and as the guards of a comparison have it. */
const E_VALUE = 1_000;
/** Below it, it is no other share, however certain: two points, of small shares a fifth. */
const leastDifference = (share: number): number => Math.min(0.02, share / 5, Math.max(0.005, (1 - share) / 5));

export const shareOf = ({ candidate, all }: Units): number => (all === 0 ? 0 : candidate / all);

/** Whether what was seen is another share than `share`, in [0, 1]: proved, and by more than a trifle. */
export function isOtherShare(seen: Units, share: number): boolean {
  // Of nothing, and of all, one unit would be proof.
  const meant = Math.min(0.999, Math.max(0.001, share));
  return Math.abs(shareOf(seen) - share) > leastDifference(share) && splitEvidence({ a: seen.all - seen.candidate, b: seen.candidate }, meant) >= E_VALUE;
}

/** The units of one version, by period: each lasts from its beginning to that of the next one, the last one to `to_ms`. A call counts where it began. */
export type Count = Pick<RolledOut, 'environment' | 'prompt' | 'candidate'> & { readonly beginnings_ms: readonly number[]; readonly to_ms: number };

/**
 * Of each count its periods, all read at once: from hourly cells, and from stored calls where hours have none, are not over, or are of two periods. A unit
 * counts once among the calls of an hour that are alike, as cells have it (schemas/cells.ts), so that shares do not hang on what is rolled up.
 */
export async function readUnits(store: Store, project: string, counts: readonly Count[]): Promise<Units[][]> {
  if (counts.length === 0) return [];
  const seconds = (ms: number): number => Math.max(0, Math.floor(ms / 1000));
  const beginnings = counts.map(({ beginnings_ms }) => beginnings_ms.map(seconds));
  const ends = counts.map(({ to_ms }) => Math.ceil(to_ms / 1000));
  const edges = [...beginnings.flat(), ...ends];
  const [from_s, end_s] = [edges.reduce((least, edge) => Math.min(least, edge)), ends.reduce((most, end) => Math.max(most, end))];
  const { calls: covered } = await readHours(store, { from_s, to_s: end_s - 1, edges });
  const where = 'project = {project:String} AND event_time >= {from:UInt32} AND event_time < {to:UInt32} AND (environment, prompt_name) IN (SELECT environment, prompt_name FROM counts)';
  const version = "coalesce(prompt_version, '')";
  const alike = `cityHash64(${EVENT_HOUR}, ${version}, ${modelOf(OF_ALL_CALLS)}, provider, operation, stratum_attributes, ${unitOf('trace_id')})`;
  // Calls once for each count that they are in, with the number of its period.
  const counted = (seen: string, candidate: string, all: string): string => `
    SELECT number, arrayLastIndex(beginning -> beginning <= at, beginnings) AS period, ${candidate} AS candidate_units, ${all} AS all_units
    FROM (${seen}) AS seen INNER JOIN counts USING (environment, prompt_name) WHERE at >= beginnings[1] AND at < ending GROUP BY number, period`;
  const ofRows = (condition: string): string =>
    counted(`SELECT environment, assumeNotNull(calls.prompt_name) AS prompt_name, ${version} AS version, toUnixTimestamp(event_time) AS at, ${alike} AS unit FROM calls FINAL WHERE role = 'call' AND ${where} ${condition}`, 'uniqExactIf(unit, version = candidate)', 'uniqExact(unit)');
  const ofCells = (cells: string): string =>
    counted(`SELECT environment, prompt_name, ${version} AS version, toUnixTimestamp(event_time) AS at, arraySum(mapValues(cells.units)) AS units FROM cells WHERE ${cells} AND cells.name = '${OF_ALL_CALLS}' AND notEmpty(cells.units) AND ${where}`, 'sumIf(units, version = candidate)', 'sum(units)');
  const parts = covered === null ? [ofRows('')] : [ofCells(covered.cells), ...(covered.rows === null ? [] : [ofRows(`AND ${covered.rows}`)])];
  const rows = await store.select<Units & { number: number; period: number }>(
    `WITH counts AS (SELECT each.1 AS number, each.2 AS environment, each.3 AS prompt_name, each.4 AS candidate, each.5 AS beginnings, each.6 AS ending FROM
       (SELECT arrayJoin(arrayZip(range(${counts.length}), {environments:Array(String)}, {prompts:Array(String)}, {candidates:Array(String)}, {beginnings:Array(Array(UInt32))}, {ends:Array(UInt32)})) AS each))
     SELECT number, period, toUInt64(sum(candidate_units)) AS candidate, toUInt64(sum(all_units)) AS all FROM (${parts.join(' UNION ALL ')}) GROUP BY number, period`,
    { project, from: from_s, to: end_s, environments: counts.map(({ environment }) => environment), prompts: counts.map(({ prompt }) => prompt), candidates: counts.map(({ candidate }) => candidate), beginnings, ends, ...covered?.parameters },
  );
  const found = new Map(rows.map(({ number, period, candidate, all }) => [`${number} ${period}`, { candidate, all }]));
  return beginnings.map((periods, number) => periods.map((_, index) => found.get(`${number} ${index + 1}`) ?? { candidate: 0, all: 0 }));
}

/** Neighbours with one share are one stretch: unless each is proved to have another one than the other has, since a unit or two have whatever share they have. */
export function plateausOf(periods: readonly Plateau[]): Plateau[] {
  const plateaus: Plateau[] = [];
  for (const period of periods.filter(({ all }) => all > 0)) {
    const last = plateaus.at(-1);
    if (last === undefined || (isOtherShare(period, shareOf(last)) && isOtherShare(last, shareOf(period)))) plateaus.push(period);
    else plateaus[plateaus.length - 1] = { from_ms: last.from_ms, candidate: last.candidate + period.candidate, all: last.all + period.all };
  }
  return plateaus;
}

/** Whether somebody is rolling it out: it takes some of the traffic, and no stretch had more of it than the last one. */
export function isGrowing(plateaus: readonly Plateau[]): boolean {
  const last = plateaus.at(-1);
  return last !== undefined && last.candidate > 0 && plateaus.every((each) => shareOf(each) <= shareOf(last));
}
