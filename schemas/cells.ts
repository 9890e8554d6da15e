import { callMetrics, COUNTED_SCORE, OF_ALL_CALLS, type CallMetric } from './call-metrics.ts';
import type { MetricKind } from './evidence.ts';

/**
 * Hourly cells: what the rows of one hour amount to, metric by metric. The roll-up (analyzer/roll-up) and whoever reads the part of a
 * window that has none (api/hours.ts) make them from rows by the SELECTs here, so both say the same.
 *
 * A part is n, total, spread (sum of squared distances from the part's mean) and counts by bin: parts of any rows add up to that of all of them.
 */
export type CellSource = 'calls' | 'scores';

export const HOUR_S = 3600;
/** The hour in which a moment lies; both in s. */
export const hourOf = (seconds: number): number => Math.floor(seconds / HOUR_S) * HOUR_S;
/** SQL: the hour that a row of calls or scores is filed under. */
export const EVENT_HOUR = `intDiv(toUnixTimestamp(event_time), ${HOUR_S}) * ${HOUR_S}`;

/** Rows of the ledger that say up to which batch of a shard an hour of event time was written into. They count nothing and are of no project. */
export const WRITTEN = { project: '', outcome: 'written' } as const;

/** Distributions are kept by floor(16·log2 x): sixteen bins an octave. */
const BINS_PER_OCTAVE = 16;
const ZERO_BIN = -32_768;
/** A value is read as the geometric middle of its bin, so a quantile is off by half a bin at most: 2.2 %. */
export const QUANTILE_ERROR = 2 ** (1 / (2 * BINS_PER_OCTAVE)) - 1;

const SHARES = [0.5, 0.95, 0.99] as const;

/** SQL: the bins of the two values around each of p50, p95 and p99, for `quantilesOf`. `bins` and `n` are SQL as well. */
export function quantileBins(bins: string, n: string): string {
  return `if(${n} = 0, [], arrayMap(rank -> mapKeys(${bins})[arrayFirstIndex(seen -> seen > rank, arrayCumSum(mapValues(${bins})))], arrayFlatten(arrayMap(share -> [floor(share * (${n} - 1)), ceil(share * (${n} - 1))], [${SHARES.join(', ')}]))))`;
}

/** p50, p95 and p99 of `n` values, linear between two of them, as the engine's own `quantile` is. */
export function quantilesOf(bins: readonly number[], n: number): (number | null)[] {
  return SHARES.map((share, index) => {
    const [low, high] = [bins[2 * index], bins[2 * index + 1]];
    if (low === undefined || high === undefined) return null;
    const rank = share * (n - 1);
    return middleOf(low) + (rank - Math.floor(rank)) * (middleOf(high) - middleOf(low));
  });
}

const middleOf = (bin: number): number => (bin === ZERO_BIN ? 0 : 2 ** ((bin + 0.5) / BINS_PER_OCTAVE));

/** SQL of what rows are counted together by, by alias. */
export type Grouping = Readonly<Record<string, string>>;
type Rows = { readonly groups: Grouping; readonly where: string };

const NO_BINS = "CAST(map(), 'Map(Int16, UInt64)')";
const columnsOf = (groups: Grouping): string => Object.entries(groups).map(([alias, sql]) => `${sql} AS ${alias}`).join(', ');
const aliasesOf = (groups: Grouping): string => Object.keys(groups).join(', ');

/** SELECT of parts: the aliases of `groups`, name, n, total, spread, least, most, first_s, last_s, bins. */
export function callParts(metrics: readonly CallMetric[], { groups, where }: Rows): string {
  const parts = metrics.map(({ name, kind, expression }) => {
    const bins = kind === 'distribution' ? `sumMapIf(map(${valueBin(`assumeNotNull(${expression})`)}, toUInt64(1)), isNotNull(${expression}))` : NO_BINS;
    return `('${name}', ${measuresOf(expression, kind)}, ${bins})`;
  });
  return `SELECT ${aliasesOf(groups)}, ${PART_COLUMNS} FROM (SELECT ${columnsOf(groups)}, ${SEEN}, [${parts.join(', ')}] AS parts FROM calls FINAL WHERE role = 'call' AND ${where} GROUP BY ${aliasesOf(groups)}) ARRAY JOIN parts AS part WHERE part.2 > 0`;
}

/** The same of scores, by name: their values; scores have no bins, as nothing asks for their quantiles. */
export function scoreParts({ groups, where }: Rows): string {
  return `SELECT ${aliasesOf(groups)}, ${PART_COLUMNS} FROM (SELECT ${columnsOf(groups)}, ${SEEN}, (name, ${measuresOf('value', 'score')}, ${NO_BINS}) AS part FROM scores FINAL WHERE ${COUNTED_SCORE} AND value IS NOT NULL AND ${where} GROUP BY ${aliasesOf(groups)}, name)`;
}

const SEEN = 'toUnixTimestamp(min(event_time)) AS first_s, toUnixTimestamp(max(event_time)) AS last_s';
const PART_COLUMNS = 'part.1 AS name, part.2 AS n, part.3 AS total, part.4 AS spread, part.5 AS least, part.6 AS most, first_s, last_s, part.7 AS bins';

function measuresOf(value: string, kind: MetricKind): string {
  const spread = kind === 'rate' ? 'toFloat64(0)' : `ifNull(varPopStable(${value}), 0) * count(${value})`;
  return `count(${value}), ifNull(sum(${value}), 0), ${spread}, ifNull(min(${value}), 0), ifNull(max(${value}), 0)`;
}

const valueBin = (value: string): string => `if(${value} <= 0, toInt16(${ZERO_BIN}), toInt16(greatest(${ZERO_BIN + 1}, floor(${BINS_PER_OCTAVE} * log2(${value})))))`;

/** SQL: what a unit is: a session, or a trace where none is known. */
export const unitOf = (trace: string): string => `cityHash64(if(coalesce(session_id, '') = '', ${trace}, assumeNotNull(session_id)))`;

/**
 * SELECT of units: the aliases of `groups`, name, units. A unit counts once in a group, by the first call that has a value, in the bins of
 * analyzer/statistics/badness.ts. Of calls that start in the same nanosecond, which clocks of milliseconds make common, a hash decides, so that it is always the same one.
 */
export function callUnits(metrics: readonly CallMetric[], { groups, where }: Rows): string {
  const rows = `calls FINAL WHERE role = 'call' AND ${where}`;
  const firsts = metrics.map(({ expression }, index) => `argMin(${expression}, start_ns + cityHash64(trace_id, span_id) % 1000) AS first${index}`);
  const units = metrics.map(({ name, kind }, index) => `('${name}', sumMapIf(map(${unitBin(kind, `assumeNotNull(first${index})`)}, toUInt64(1)), isNotNull(first${index})))`);
  const counted = `SELECT group_id, part.1 AS name, part.2 AS units FROM (SELECT group_id, [${units.join(', ')}] AS parts FROM (SELECT ${groupIdOf(groups)} AS group_id, ${firsts.join(', ')} FROM ${rows} GROUP BY group_id, ${unitOf('trace_id')}) GROUP BY group_id) ARRAY JOIN parts AS part`;
  return withGroups(counted, groups, rows);
}

/** Of scores, by name. Without a scale in the bins of each one that is usual and holds the value: which one counts shows only when all values are known. */
export function scoreUnits({ groups, where }: Rows, scale?: ScoreScale): string {
  const rows = `scores FINAL WHERE ${COUNTED_SCORE} AND scores.value IS NOT NULL AND ${where}`;
  const scales = scale === undefined ? SCORE_SCALES.map((each) => ({ ...each, offset: offsetOf(each) ?? 0 })) : [{ ...scale, offset: 0 }];
  const bins = scales.map(({ minimum, maximum, offset }) => `if(first >= ${minimum} AND first <= ${maximum}, [toInt32(${offset} + round(50 * (1 - (first - ${minimum}) / ${maximum - minimum})))], [])`);
  const counted = `SELECT group_id, name, sumMap(mapFromArrays(bins, arrayMap(bin -> toUInt64(1), bins))) AS units FROM
    (SELECT group_id, name, arrayConcat(${bins.join(', ')}) AS bins FROM (SELECT ${groupIdOf(groups)} AS group_id, name, argMin(assumeNotNull(scores.value), call_start_ns + cityHash64(score_id) % 1000) AS first FROM ${rows} GROUP BY group_id, name, ${unitOf('call_trace_id')})) GROUP BY group_id, name`;
  return withGroups(counted, groups, rows);
}

/** Units are many, and their groups' texts long: they are told apart by hashes, which takes an eighth of the time, and get the texts at the end. */
const groupIdOf = (groups: Grouping): string => `cityHash64(${Object.values(groups).map((sql) => `isNull(${sql}), assumeNotNull(${sql})`).join(', ')})`;

function withGroups(counted: string, groups: Grouping, rows: string): string {
  return `SELECT ${aliasesOf(groups)}, name, units FROM (${counted}) AS counted INNER JOIN
    (SELECT ${groupIdOf(Object.fromEntries(Object.keys(groups).map((alias) => [alias, alias])))} AS group_id, ${aliasesOf(groups)} FROM (SELECT ${columnsOf(groups)} FROM ${rows} GROUP BY ${aliasesOf(groups)})) AS named ON named.group_id = counted.group_id`;
}

/** Labels that are neither good nor bad: the aliases of `groups`, name, label, n. */
export function labelParts({ groups, where }: Rows): string {
  return `SELECT ${columnsOf(groups)}, name, toString(assumeNotNull(scores.label)) AS label, count() AS n FROM scores FINAL WHERE ${COUNTED_SCORE} AND data_type = 'categorical' AND scores.label IS NOT NULL AND ${where} GROUP BY ${aliasesOf(groups)}, name, label`;
}

const unitBin = (kind: MetricKind, value: string): string => (kind === 'rate' ? `toInt32(round(50 * ${value}))` : `if(${value} <= 0, toInt32(-1000), greatest(-999, toInt32(round(8 * log2(${value})))))`);

export type ScoreScale = { readonly minimum: number; readonly maximum: number };

/** Those that scores are usually given on. Units on another one are counted from rows. */
const SCORE_SCALES: readonly ScoreScale[] = [0, -1].flatMap((minimum) => [1, 5, 10, 100].map((maximum) => ({ minimum, maximum })));

/** More than the bins of a scale, 0 to 50. */
export const BINS_PER_SCALE = 100;

/** Where the bins of a scale begin among those of the units of a score; null: cells do not have it. */
export function offsetOf(scale: ScoreScale): number | null {
  const at = SCORE_SCALES.findIndex(({ minimum, maximum }) => minimum === scale.minimum && maximum === scale.maximum);
  return at === -1 ? null : at * BINS_PER_SCALE;
}

/** What tells the cells of an hour apart. */
const DIMENSIONS: Grouping = {
  project: 'project',
  environment: 'environment',
  prompt_name: "coalesce(prompt_name, '')",
  prompt_version: "coalesce(prompt_version, '')",
  request_model: 'request_model',
  response_model: 'response_model',
  provider: 'provider',
  operation: 'operation',
  stratum_attributes: 'stratum_attributes',
};
const HOUR = 'event_time >= {hour:UInt32} AND event_time < {hour:UInt32} + 3600';
const START_HOUR: Readonly<Record<CellSource, string>> = { calls: 'toUInt32({hour:UInt32})', scores: 'toUInt32(intDiv(call_start_ns, 3600000000000) * 3600)' };
const OF_CELL = "prompt_version, ifNull(request_model, '\\0'), ifNull(response_model, '\\0'), provider, operation, stratum_attributes, start_hour, ifNull(label, '\\0')";

/** SELECT of how many cells an hour ({hour}, in s) would have. */
export function countCells(source: CellSource): string {
  const groups = { ...DIMENSIONS, start_hour: START_HOUR[source], ...(source === 'scores' ? { name: 'name' } : {}) };
  const rows = source === 'calls' ? "calls FINAL WHERE role = 'call'" : `scores FINAL WHERE ${COUNTED_SCORE}`;
  return `SELECT count() AS cells FROM (SELECT ${columnsOf(groups)} FROM ${rows} AND ${HOUR} GROUP BY ${aliasesOf(groups)})`;
}

/** INSERT of the cells of an hour ({hour}, in s), as those of {version}. */
export function rollUp(source: CellSource): string {
  const rows = { groups: { ...DIMENSIONS, start_hour: START_HOUR[source] }, where: HOUR };
  const group = `${aliasesOf(rows.groups)}, name`;
  const none = 'toUInt64(0) AS n, 0. AS total, 0. AS spread, 0. AS least, 0. AS most, toUInt32(0) AS first_s, toUInt32(0) AS last_s';
  const noLabel = "CAST(NULL, 'Nullable(String)') AS label";
  const noUnits = "CAST(map(), 'Map(Int32, UInt64)') AS units";
  const parts = source === 'calls' ? callParts(callMetrics, rows) : scoreParts(rows);
  // A unit counts once among calls that are alike: failed ones often do not say who answered, so for errors that tells no two apart.
  const ofErrors = { where: HOUR, groups: { ...rows.groups, request_model: 'coalesce(request_model, response_model)', response_model: "CAST(NULL, 'Nullable(String)')" } };
  const units =
    source === 'scores'
      ? [scoreUnits(rows)]
      : [callUnits(callMetrics.filter(({ name }) => name === OF_ALL_CALLS), ofErrors), callUnits(callMetrics.filter(({ name }) => name !== OF_ALL_CALLS), rows)];
  const measures = 'n, total, spread, least, most, first_s, last_s';
  const all = [
    `SELECT ${group}, ${noLabel}, ${measures}, bins, ${noUnits} FROM (${parts})`,
    ...units.map((each) => `SELECT ${group}, ${noLabel}, ${none}, ${NO_BINS} AS bins, units FROM (${each}) WHERE notEmpty(units)`),
    ...(source === 'calls' ? [] : [`SELECT ${group}, toNullable(label) AS label, n, 0. AS total, 0. AS spread, 0. AS least, 0. AS most, toUInt32(0) AS first_s, toUInt32(0) AS last_s, ${NO_BINS} AS bins, ${noUnits} FROM (${labelParts(rows)})`]),
  ];
  return `INSERT INTO cells (project, source, environment, prompt_name, name, event_time, cell_id, prompt_version, request_model, response_model, provider, operation, stratum_attributes, start_hour, label, version, n, total, spread, least, most, first_s, last_s, bins, units)
    SELECT project, '${source}', environment, prompt_name, name, toDateTime({hour:UInt32}, 'UTC'), cityHash64(${OF_CELL}), prompt_version, request_model, response_model, provider, operation, stratum_attributes, toDateTime(start_hour, 'UTC'), label, {version:UInt64},
      sum(n), sum(total), sum(spread), minIf(least, n > 0), maxIf(most, n > 0), minIf(first_s, n > 0), max(last_s), sumMap(bins), sumMap(units)
    FROM (${all.join(' UNION ALL ')}) GROUP BY ${group}, label SETTINGS max_threads = 1`;
}
