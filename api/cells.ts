import type { Cells, Scale } from '../analyzer/statistics/types.ts';
import type { Store } from '../schemas/store.ts';
import { COUNTED, type CallMetric, type Selection } from './metrics.ts';

/** Counts by bin of two arms in each stratum, made on demand from stored calls, in the bins of `analyzer/statistics/badness.ts`. */

export type Arms = { readonly a: string; readonly b: string };

type Order = {
  /** Null: a score. */
  readonly metric: CallMetric | null;
  readonly arms: Arms;
  /** Length of a stratum; null: time is not held. */
  readonly windowSeconds: number | null;
  readonly isModelHeld: boolean;
};

const MOST_CELLS = 200_000;

/** A unit is a session, or a trace where none is known, and counts once, by its first call. A stratum is a window, model, operation and route. */
export async function readCells(store: Store, selection: Selection, { metric, arms, windowSeconds, isModelHeld }: Order): Promise<{ scale: Scale; strata: Cells[] }> {
  const isScore = metric === null;
  const start = isScore ? 'call_start_ns' : 'start_ns';
  const value = isScore ? 'value' : metric.expression;
  const window = windowSeconds === null ? '0' : `intDiv(toUnixTimestamp(event_time), ${windowSeconds})`;
  // A failed call often does not say who answered, so the model that was asked for tells strata apart.
  const model = isModelHeld ? "coalesce(request_model, response_model, '')" : "''";
  const unit = `if(coalesce(session_id, '') = '', ${isScore ? 'call_trace_id' : 'trace_id'}, assumeNotNull(session_id))`;
  // Units and strata by their hashes: among a week's units two share one in a case of a hundred million, and texts take three times as long.
  const firsts = `SELECT argMin((${selection.key} = {b:String}, ${window}, cityHash64(${model}, operation, stratum_attributes), assumeNotNull(${value})), ${start}) AS first
    FROM ${isScore ? 'scores' : 'calls'} FINAL WHERE ${selection.where} AND ${isScore ? COUNTED : "role = 'call'"} AND isNotNull(${value}) GROUP BY cityHash64(${unit})`;
  const scale = metric === null ? await scaleOf(store, selection) : { kind: metric.kind, direction: metric.direction };
  const rows = await store.select<{ stratum: string; bin: number; a: number; b: number }>(
    `SELECT concat(toString(first.2), ' ', toString(first.3)) AS stratum, any(first.2) AS window, ${binOf(scale)} AS bin, countIf(NOT first.1) AS a, countIf(first.1) AS b FROM (${firsts}) GROUP BY stratum, bin ORDER BY window, stratum, bin LIMIT ${MOST_CELLS}`,
    { ...selection.parameters, ...arms },
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

/** SQL: the bin of the value of a unit, as `binOf` of the statistics has it. */
function binOf({ kind, minimum = 0, maximum = 1 }: Scale): string {
  switch (kind) {
    case 'rate':
      return 'toInt32(round(50 * first.4))';
    case 'score':
      return `toInt32(round(50 * (1 - least(1, greatest(0, (first.4 - ${minimum}) / ${maximum - minimum})))))`;
    case 'distribution':
      return 'if(first.4 <= 0, -1000, greatest(-999, toInt32(round(8 * log2(first.4)))))';
  }
}

/** From 0 (or -1, or the smallest seen) to the first of 1, 5, 10, 100 that holds all that was seen. */
async function scaleOf(store: Store, selection: Selection): Promise<Scale> {
  const [seen] = await store.select<{ least: number | null; most: number | null }>(`SELECT min(value) AS least, max(value) AS most FROM scores FINAL WHERE ${selection.where} AND ${COUNTED}`, selection.parameters);
  const least = seen?.least ?? 0;
  const most = seen?.most ?? 1;
  return { kind: 'score', direction: 'down', minimum: least >= 0 ? 0 : least >= -1 ? -1 : least, maximum: [1, 5, 10, 100].find((end) => most <= end) ?? most };
}
