import { z } from '@hono/zod-openapi';
import { HOUR_S, hourOf, WRITTEN, type CellSource } from '../schemas/cells.ts';
import type { Store } from '../schemas/store.ts';

/**
 * Which hours of a window are read from cells (analyzer/roll-up), and what is left for the rows: hours that are not over, not rolled up, or
 * written into since, and what the ends of the window leave of an hour. Asked once for each answer, so that all of it is of one moment.
 */
export type Hours = { readonly [Source in CellSource]: Covered | null } & { readonly told: RolledUp };

/** Conditions in SQL, for columns of cells and of rows. `rows` is null where cells have all of the window. */
export type Covered = { readonly cells: string; readonly rows: string | null; readonly parameters: Readonly<Record<string, unknown>> };

export const RolledUp = z
  .object({ hours: z.number().int(), from_ms: z.number(), to_ms: z.number() })
  .nullable()
  .openapi('RolledUp', { description: 'whole hours of calls that were read from hourly cells, and from when until when they are; their p50, p95 and p99 are within 2.2 %, all else is exact. null: all was read from stored calls' });
export type RolledUp = z.infer<typeof RolledUp>;

type Window = {
  readonly from_s: number;
  /** The last second of it. */
  readonly to_s: number;
  /** Moments at which something else begins within the window: an hour is on one side of each. */
  readonly edges?: readonly number[];
};

export async function readHours(store: Store, { from_s, to_s, edges = [] }: Window): Promise<Hours> {
  const end_s = to_s + 1;
  const first = Math.ceil(from_s / HOUR_S) * HOUR_S;
  const last = hourOf(end_s) - HOUR_S;
  if (last < first) return NONE;
  const found = await store.select<{ source: CellSource; hour: number; version: number }>(
    `SELECT of_hour.source AS source, toUnixTimestamp(of_hour.hour) AS hour, of_hour.version AS version
     FROM (SELECT source, hour, argMax(state, at_us) AS state, argMax(version, at_us) AS version, argMax(batches, at_us) AS batches FROM cell_hours WHERE hour >= {first:UInt32} AND hour <= {last:UInt32} GROUP BY source, hour) AS of_hour
     LEFT JOIN (SELECT signal, hour, groupArray((shard, last)) AS last FROM (SELECT signal, hour, shard, max(last_batch) AS last FROM ledger
                WHERE project = {project:String} AND hour >= {first:UInt32} AND hour <= {last:UInt32} AND outcome = {outcome:String} GROUP BY signal, hour, shard) GROUP BY signal, hour) AS written
     ON written.signal = of_hour.source AND written.hour = of_hour.hour
     WHERE of_hour.state = 'sealed' OR (of_hour.state = 'whole' AND arrayAll(each -> of_hour.batches[each.1] >= each.2, written.last)) ORDER BY source, hour`,
    { ...WRITTEN, first, last },
  );
  const whole = found.filter(({ hour }) => edges.every((edge) => edge <= hour || edge >= hour + HOUR_S));
  const of = (source: CellSource): Covered | null => coveredBy(source, whole.filter((row) => row.source === source), { from_s, end_s });
  const hours = whole.filter(({ source }) => source === 'calls').map(({ hour }) => hour);
  return { calls: of('calls'), scores: of('scores'), told: hours.length === 0 ? null : { hours: hours.length, from_ms: (hours[0] ?? 0) * 1000, to_ms: ((hours.at(-1) ?? 0) + HOUR_S) * 1000 } };
}

const NONE: Hours = { calls: null, scores: null, told: null };

function coveredBy(source: CellSource, hours: readonly { readonly hour: number; readonly version: number }[], { from_s, end_s }: { from_s: number; end_s: number }): Covered | null {
  if (hours.length === 0) return null;
  // What lies between them, as ranges of seconds: numbers of ours, never of a request.
  const gaps: string[] = [];
  let at = from_s;
  for (const { hour } of [...hours, { hour: end_s }]) {
    if (hour > at) gaps.push(`event_time >= ${at} AND event_time < ${hour}`);
    at = hour + HOUR_S;
  }
  return {
    cells: `cells.source = '${source}' AND cells.event_time >= ${hours[0]?.hour ?? 0} AND cells.event_time <= ${hours.at(-1)?.hour ?? 0} AND (cells.event_time, cells.version) IN (SELECT toDateTime(pair.1, 'UTC'), pair.2 FROM (SELECT arrayJoin(arrayZip({${source}_hours:Array(UInt32)}, {${source}_versions:Array(UInt64)})) AS pair))`,
    rows: gaps.length === 0 ? null : `(${gaps.map((gap) => `(${gap})`).join(' OR ')})`,
    parameters: { [`${source}_hours`]: hours.map(({ hour }) => hour), [`${source}_versions`]: hours.map(({ version }) => version) },
  };
}
