import { splitEvidence } from '../../analyzer/statistics/split.ts';
import type { Store } from '../../schemas/store.ts';
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

/** By period: each lasts from its beginning to that of the next one, the last one to `to_ms`. A call counts where it began. */
export async function readUnits(store: Store, { project, environment, prompt, candidate }: Omit<RolledOut, 'baseline'>, beginnings_ms: readonly number[], to_ms: number): Promise<Units[]> {
  const beginnings = beginnings_ms.map((ms) => Math.max(0, Math.floor(ms / 1000)));
  const rows = await store.select<Units & { period: number }>(
    `SELECT arrayLastIndex(beginning -> beginning <= at, {beginnings:Array(UInt32)}) AS period, uniqExactIf(unit, version = {candidate:String}) AS candidate, uniqExact(unit) AS all
     FROM (SELECT toUnixTimestamp(event_time) AS at, coalesce(prompt_version, '') AS version, cityHash64(if(session_id IS NULL, trace_id, concat('s:', assumeNotNull(session_id)))) AS unit FROM calls FINAL
           WHERE project = {project:String} AND role = 'call' AND environment = {environment:String} AND prompt_name = {prompt:String} AND event_time >= {from:UInt32} AND event_time < {to:UInt32})
     GROUP BY period`,
    { project, environment, prompt, candidate, beginnings, from: Math.min(...beginnings), to: Math.ceil(to_ms / 1000) },
  );
  return beginnings.map((_, index) => {
    const row = rows.find(({ period }) => period === index + 1);
    return { candidate: row?.candidate ?? 0, all: row?.all ?? 0 };
  });
}

/** Neighbours with one share are one stretch. */
export function plateausOf(periods: readonly Plateau[]): Plateau[] {
  const plateaus: Plateau[] = [];
  for (const period of periods.filter(({ all }) => all > 0)) {
    const last = plateaus.at(-1);
    if (last === undefined || isOtherShare(period, shareOf(last))) plateaus.push(period);
    else plateaus[plateaus.length - 1] = { from_ms: last.from_ms, candidate: last.candidate + period.candidate, all: last.all + period.all };
  }
  return plateaus;
}

/** Whether somebody is rolling it out: it takes some of the traffic, and no stretch had more of it than the last one. */
export function isGrowing(plateaus: readonly Plateau[]): boolean {
  const last = plateaus.at(-1);
  return last !== undefined && last.candidate > 0 && plateaus.every((each) => shareOf(each) <= shareOf(last));
}
