import { callMetrics, LATENCY_MS, OF_ALL_CALLS } from '../schemas/call-metrics.ts';
import { callParts, quantileBins, quantilesOf } from '../schemas/cells.ts';
import type { Store } from '../schemas/store.ts';
import type { Covered } from './hours.ts';

/** What the prompts of a project did in a window, from hourly cells where there are, and stored calls. */

export type PromptTraffic = {
  name: string;
  environment: string;
  calls: number;
  error_rate: number;
  latency_p95_ms: number | null;
  first_seen_ms: number;
  last_seen_ms: number;
  /** [version, calls, first_seen_ms, last_seen_ms], newest first, 50 at most. */
  versions: [string, number, number, number][];
  version_count: number;
  models: string[];
  /** Calls by number of the step since 1970. */
  buckets: Record<string, number>;
};

type Order = { readonly project: string; readonly environment: string | undefined; readonly from_s: number; readonly to_s: number; readonly step: number; readonly limit: number; readonly covered: Covered | null };

const VERSIONS = 'arraySlice(arraySort(v -> (-v.3, v.1), groupArray((version, part_calls, first_ms, last_ms))), 1, 50) AS versions';
const WHOLE = `name, environment, sum(part_calls) AS calls, count() AS version_count, sum(errors) / calls AS error_rate, min(first_ms) AS first_seen_ms, max(last_ms) AS last_seen_ms, ${VERSIONS},
  arraySlice(arraySort(groupUniqArrayArray(part_models)), 1, 20) AS models, sumMap(part_buckets) AS buckets`;
const BUSIEST = 'GROUP BY name, environment ORDER BY calls DESC, name, environment LIMIT {limit:UInt32}';
const LATENCY = 'latency';

/** Busiest first, and how many calls name no prompt. */
export async function readOverview(store: Store, { covered, ...order }: Order): Promise<{ prompts: PromptTraffic[]; unattributed: number }> {
  const where = `project = {project:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32} ${order.environment === undefined ? '' : 'AND environment = {environment:String}'}`;
  const parameters = { project: order.project, from_s: order.from_s, to_s: order.to_s, limit: order.limit, step: order.step, ...(order.environment === undefined ? {} : { environment: order.environment }), ...covered?.parameters };
  return covered === null ? fromCalls(store, where, parameters) : fromCells(store, covered, where, parameters);
}

async function fromCalls(store: Store, where: string, parameters: Readonly<Record<string, unknown>>): Promise<{ prompts: PromptTraffic[]; unattributed: number }> {
  const [prompts, unattributed] = await Promise.all([
    store.select<PromptTraffic>(
      `SELECT ${WHOLE}, quantileMerge(0.95)(p95) AS latency_p95_ms
       FROM (SELECT assumeNotNull(prompt_name) AS name, environment, coalesce(prompt_version, '') AS version, count() AS part_calls, countIf(is_error) AS errors,
               quantileState(0.95)(${LATENCY_MS}) AS p95,
               toUnixTimestamp(min(event_time)) * 1000 AS first_ms, toUnixTimestamp(max(event_time)) * 1000 AS last_ms,
               groupUniqArray(20)(coalesce(response_model, request_model, '')) AS part_models,
               sumMap(map(intDiv(toUnixTimestamp(event_time), {step:UInt32}), toUInt64(1))) AS part_buckets
             FROM calls FINAL WHERE role = 'call' AND ${where} AND prompt_name IS NOT NULL GROUP BY name, environment, version)
       ${BUSIEST}`,
      parameters,
    ),
    store.select<{ count: number }>(`SELECT count() AS count FROM calls FINAL WHERE role = 'call' AND ${where} AND prompt_name IS NULL`, parameters),
  ]);
  return { prompts, unattributed: unattributed[0]?.count ?? 0 };
}

async function fromCells(store: Store, covered: Covered, where: string, parameters: Readonly<Record<string, unknown>>): Promise<{ prompts: PromptTraffic[]; unattributed: number }> {
  const model = "coalesce(response_model, request_model, '')";
  const bucket = 'toUInt32(intDiv(toUnixTimestamp(event_time), {step:UInt32}))';
  const groups = { prompt: "coalesce(prompt_name, '')", environment: 'environment', version: "coalesce(prompt_version, '')", model, bucket };
  const parts = (metrics: readonly string[], named: string): string => {
    const ofCells = `SELECT prompt_name AS prompt, environment, prompt_version AS version, ${model} AS model, ${bucket} AS bucket, name AS metric, toUInt64(n) AS n, total, CAST(bins, 'Map(Int16, UInt64)') AS bins, first_s, last_s
       FROM cells WHERE ${covered.cells} AND name IN (${metrics.map((name) => `'${name}'`).join(', ')}) AND n > 0 AND ${where} AND prompt_name ${named} ''`;
    const ofRows = `SELECT prompt, environment, version, model, bucket, name AS metric, n, total, bins, first_s, last_s
       FROM (${callParts(callMetrics.filter(({ name }) => metrics.includes(name)), { groups, where: `${where} AND ${covered.rows ?? ''} AND coalesce(prompt_name, '') ${named} ''` })})`;
    return covered.rows === null ? ofCells : `${ofCells} UNION ALL ${ofRows}`;
  };
  const isCount = `metric = '${OF_ALL_CALLS}'`;
  const [prompts, unattributed] = await Promise.all([
    store.select<Omit<PromptTraffic, 'latency_p95_ms'> & { timed: number; quantile_bins: number[] }>(
      `SELECT ${WHOLE}, sum(part_timed) AS timed, ${quantileBins('mapSort(sumMap(part_bins))', 'timed')} AS quantile_bins
       FROM (SELECT prompt AS name, environment, version, sumIf(n, ${isCount}) AS part_calls, sumIf(total, ${isCount}) AS errors, sumIf(n, NOT ${isCount}) AS part_timed, sumMapIf(bins, NOT ${isCount}) AS part_bins,
               min(first_s) * 1000 AS first_ms, max(last_s) * 1000 AS last_ms, groupUniqArray(20)(model) AS part_models, sumMapIf(map(bucket, n), ${isCount}) AS part_buckets
             FROM (${parts([OF_ALL_CALLS, LATENCY], '!=')}) GROUP BY name, environment, version)
       ${BUSIEST}`,
      parameters,
    ),
    store.select<{ count: number }>(`SELECT sum(n) AS count FROM (${parts([OF_ALL_CALLS], '=')})`, parameters),
  ]);
  return {
    prompts: prompts.map(({ timed, quantile_bins, ...prompt }) => ({ ...prompt, latency_p95_ms: quantilesOf(quantile_bins, timed)[1] ?? null })),
    unattributed: unattributed[0]?.count ?? 0,
  };
}

export type VersionTraffic = {
  environment: string;
  version: string;
  calls: number;
  first_seen_ms: number;
  last_seen_ms: number;
  /** Of the prompt in this environment, over all its versions, and how many these are. */
  all_calls: number;
  all_versions: number;
};

/** The newest versions of a prompt in each environment, busiest environment first: which one is shown is known only when all are. */
export async function readVersions(store: Store, { covered, most, ...parameters }: { readonly project: string; readonly name: string; readonly from_s: number; readonly to_s: number; readonly most: number; readonly covered: Covered | null }): Promise<VersionTraffic[]> {
  const where = 'project = {project:String} AND prompt_name = {name:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}';
  const ofRows = (condition: string): string =>
    `SELECT environment, coalesce(prompt_version, '') AS version, count() AS n, toUnixTimestamp(min(event_time)) AS first_s, toUnixTimestamp(max(event_time)) AS last_s FROM calls FINAL WHERE role = 'call' AND ${condition} GROUP BY environment, version`;
  const parts =
    covered === null
      ? [ofRows(where)]
      : [`SELECT environment, prompt_version AS version, toUInt64(n) AS n, first_s, last_s FROM cells WHERE ${covered.cells} AND cells.name = '${OF_ALL_CALLS}' AND n > 0 AND ${where}`, ...(covered.rows === null ? [] : [ofRows(`${where} AND ${covered.rows}`)])];
  return store.select<VersionTraffic>(
    `SELECT environment, version, sum(n) AS calls, min(first_s) * 1000 AS first_seen_ms, max(last_s) * 1000 AS last_seen_ms, sum(calls) OVER (PARTITION BY environment) AS all_calls, count() OVER (PARTITION BY environment) AS all_versions
     FROM (${parts.join(' UNION ALL ')}) GROUP BY environment, version ORDER BY all_calls DESC, environment, first_seen_ms DESC, version LIMIT ${most} BY environment LIMIT ${50 * most}`,
    { ...parameters, ...covered?.parameters },
  );
}
