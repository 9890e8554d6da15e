import type { Cells, Scale } from '../analyzer/statistics/types.ts';
import { COUNTED_SCORE, OF_ALL_CALLS, type CallMetric } from '../schemas/call-metrics.ts';
import { BINS_PER_SCALE, callUnits, HOUR_S, offsetOf, scoreUnits } from '../schemas/cells.ts';
import type { Store } from '../schemas/store.ts';
import { coveredIn, type Selection } from './metrics.ts';

/** Counts by bin of two arms in each stratum, in the bins of `analyzer/statistics/badness.ts`: from hourly cells where there are, and stored rows. */

export type Arms = { readonly a: string; readonly b: string };

type Order = {
  /** Null: a score. */
  readonly metric: CallMetric | null;
  readonly arms: Arms;
  /** Length of a stratum, which divides an hour or is whole ones; null: time is not held. */
  readonly windowSeconds: number | null;
  readonly isModelHeld: boolean;
  /** SQL: the attributes that are held. */
  readonly attributesHeld: string;
};

const MOST_CELLS = 200_000;

/**
 * A unit is a session, or a trace where none is known. It counts once among the calls of one version, provider, model, operation and route within
 * an hour, and within a stratum, by the first of them: so that hours can be read from cells. A stratum is a window, model, operation and route.
 */
export async function readCells(store: Store, selection: Selection, { metric, arms, windowSeconds, isModelHeld, attributesHeld }: Order): Promise<{ scale: Scale; strata: Cells[] }> {
  const { key, where } = selection;
  const source = metric === null ? 'scores' : 'calls';
  const scale = metric === null ? await scaleOf(store, selection) : { kind: metric.kind, direction: metric.direction };
  const bounds = { minimum: scale.minimum ?? 0, maximum: scale.maximum ?? 1 };
  const offset = metric === null ? offsetOf(bounds) : 0;
  const covered = offset === null ? null : coveredIn({ hours: selection.hours, stepSeconds: windowSeconds ?? HOUR_S }, source);

  const within = Math.min(HOUR_S, windowSeconds ?? HOUR_S);
  // A failed call often does not say who answered, so the model that was asked for tells strata apart.
  const model = isModelHeld ? "coalesce(request_model, response_model, '')" : "''";
  // Strata by their hashes: texts take three times as long.
  const groups = {
    at: `toUInt32(intDiv(toUnixTimestamp(event_time), ${within}) * ${within})`,
    is_b: `${key} = {b:String}`,
    alike: `cityHash64(${model}, operation, ${attributesHeld})`,
    served: `cityHash64(coalesce(prompt_version, ''), provider, coalesce(request_model, response_model, ''), ${metric?.name === OF_ALL_CALLS ? "''" : "coalesce(response_model, '')"}${metric === null ? ', intDiv(call_start_ns, 3600000000000)' : ''})`,
  };
  const ofRows = (condition: string): string => `SELECT at, is_b, alike, units FROM (${metric === null ? scoreUnits({ groups, where: condition }, bounds) : callUnits([metric], { groups, where: condition })})`;
  const ofCells = `SELECT ${groups.at} AS at, ${groups.is_b} AS is_b, ${groups.alike} AS alike, mapApply((bin, count) -> (bin - ${offset ?? 0}, toUInt64(count)), mapFilter((bin, count) -> bin < ${(offset ?? 0) + BINS_PER_SCALE} ${metric === null ? `AND bin >= ${offset ?? 0}` : ''}, units)) AS units`;
  const parts =
    covered === null
      ? [ofRows(where)]
      : [`${ofCells} FROM cells WHERE ${covered.cells} AND name = {metric:String} AND notEmpty(units) AND ${where}`, ...(covered.rows === null ? [] : [ofRows(`${where} AND ${covered.rows}`)])];
  const window = windowSeconds === null ? '0' : `intDiv(at, ${windowSeconds})`;
  const rows = await store.select<{ stratum: string; bin: number; a: number; b: number }>(
    `SELECT concat(toString(window), ' ', toString(alike)) AS stratum, any(window) AS first_window, bin, sumIf(count, NOT is_b) AS a, sumIf(count, is_b) AS b
     FROM (SELECT ${window} AS window, alike, is_b, mapKeys(units) AS bins, mapValues(units) AS counts FROM (${parts.join(' UNION ALL ')})) ARRAY JOIN bins AS bin, counts AS count
     GROUP BY stratum, bin ORDER BY first_window, stratum, bin LIMIT ${MOST_CELLS}`,
    { ...selection.parameters, ...covered?.parameters, ...arms },
  );
  const strata = new Map<string, { bins: number[]; a: number[]; b: number[] }>();
  for (const { stratum, bin, a, b } of rows) {
    const cells = strata.get(stratum) ?? { bins: [], a: [], b: [] };
    strata.set(stratum, cells);
    cells.bins.push(bin);
    cells.a.push(a);
    cells.b.push(b);
  }
  return { scale, strata: [...strata.values()] };
}

/** From 0 (or -1, or the smallest seen) to the first of 1, 5, 10, 100 that holds all that was seen. */
async function scaleOf(store: Store, { where, parameters, hours }: Selection): Promise<Scale> {
  const covered = coveredIn({ hours }, 'scores');
  const ofRows = (condition: string): string => `SELECT min(value) AS low, max(value) AS high FROM scores FINAL WHERE ${condition} AND ${COUNTED_SCORE}`;
  const parts = covered === null ? [ofRows(where)] : [`SELECT toNullable(least) AS low, toNullable(most) AS high FROM cells WHERE ${covered.cells} AND n > 0 AND label IS NULL AND ${where}`, ...(covered.rows === null ? [] : [ofRows(`${where} AND ${covered.rows}`)])];
  const [seen] = await store.select<{ least: number | null; most: number | null }>(`SELECT min(low) AS least, max(high) AS most FROM (${parts.join(' UNION ALL ')})`, { ...parameters, ...covered?.parameters });
  const least = seen?.least ?? 0;
  const most = seen?.most ?? 1;
  return { kind: 'score', direction: 'down', minimum: least >= 0 ? 0 : least >= -1 ? -1 : least, maximum: [1, 5, 10, 100].find((end) => most <= end) ?? most };
}
