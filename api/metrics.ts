import { z } from '@hono/zod-openapi';
import { callMetrics, COUNTED_SCORE, OF_ALL_CALLS, type CallMetric } from '../schemas/call-metrics.ts';
import { callParts, HOUR_S, labelParts, quantileBins, quantilesOf, scoreParts } from '../schemas/cells.ts';
import { MetricKind } from '../schemas/evidence.ts';
import type { Store } from '../schemas/store.ts';
import type { Covered, Hours } from './hours.ts';
import { asymptoticConfidenceSequence, wilson } from './intervals.ts';

export const MetricSummary = z
  .object({
    name: z.string(),
    kind: MetricKind,
    direction: z.enum(['up', 'down']).openapi({ description: 'which way is worse' }),
    unit: z.enum(['share', 'ms', 'tokens', 'usd', 'score']),
    n: z.number().int(),
    value: z.number().nullable().openapi({ description: 'share, or mean' }),
    low: z.number().nullable(),
    high: z.number().nullable(),
    interval: z.enum(['wilson', 'asymptotic_cs']).nullable().openapi({ description: 'wilson: 95 % at one look. asymptotic_cs: 95 % however often one looks.' }),
    p50: z.number().nullable(),
    p95: z.number().nullable(),
    p99: z.number().nullable(),
  })
  .openapi('MetricSummary');
export type MetricSummary = z.infer<typeof MetricSummary>;

/** Rows of one arm (and one bucket of time, when `stepSeconds` is given). */
export type Measured = { key: string; bucket_s: number; calls: number; metrics: MetricSummary[] };

/** `key` and `where` are SQL of this code, never of a request; what a request says travels in `parameters`. */
export type Selection = {
  key: string;
  where: string;
  parameters: Readonly<Record<string, unknown>>;
  /** Buckets of this length; without it, one row an arm. */
  stepSeconds?: number;
  /** Beside its buckets, each arm as a whole, as bucket 0: one reading of the rows for both. */
  withWhole?: true;
  /** Which hours may be read from cells, where `key` and `where` name only what cells have. */
  hours?: Hours;
  limit: number;
};

/** SQL: what is counted together. Bucket 0, 1970, is no bucket of any call. */
function groupsOf({ withWhole }: Selection, arm: string): string {
  return withWhole === true ? `GROUPING SETS ((${arm}), (${arm}, bucket_s))` : `${arm}, bucket_s`;
}

/** [n, mean, population variance, [p50, p95, p99]]; null stands for NaN of no values. */
type Aggregate = [number, number | null, number | null, (number | null)[]];

function aggregateOf(expression: string): string {
  return `tuple(count(${expression}), avg(${expression}), varPopStable(${expression}), quantiles(0.5, 0.95, 0.99)(${expression}))`;
}

/** Newest buckets first. */
export async function measureCalls(store: Store, metrics: readonly CallMetric[], selection: Selection): Promise<Measured[]> {
  const step = selection.stepSeconds;
  const covered = coveredIn(selection, 'calls');
  if (covered !== null) return callsOfCells(store, metrics, selection, covered);
  const columns = metrics.map((metric, index) => `${aggregateOf(metric.expression)} AS m${index}`);
  const rows = await store.select<Record<string, unknown> & { arm: string; bucket_s: number; calls: number }>(
    `SELECT ${selection.key} AS arm, ${step === undefined ? '0' : `intDiv(toUnixTimestamp(event_time), ${step}) * ${step}`} AS bucket_s, count() AS calls,
       ${columns.join(', ')}
     FROM calls FINAL WHERE role = 'call' AND ${selection.where} GROUP BY ${groupsOf(selection, 'arm')} ORDER BY bucket_s DESC, arm LIMIT ${selection.limit}`,
    selection.parameters,
  );
  return rows.map((row) => ({
    key: row.arm,
    bucket_s: row.bucket_s,
    calls: row.calls,
    // The tuple columns are those of `aggregateOf`, in the order of `metrics`.
    metrics: metrics.map((metric, index) => summaryOf(metric, row[`m${index}`] as Aggregate)),
  }));
}

/** Labels that are neither good nor bad: the share of each among the labels of its name, as `name=label`. At most 20 labels of a name. */
export async function measureLabels(store: Store, selection: Omit<Selection, 'stepSeconds'>): Promise<Measured[]> {
  const { key, where } = selection;
  const covered = coveredIn(selection, 'scores');
  const ofRows = (condition: string): string => `SELECT arm, name, label, n FROM (${labelParts({ groups: { arm: key }, where: condition })})`;
  const parts = covered === null ? [ofRows(where)] : [
    `SELECT ${key} AS arm, name, toString(assumeNotNull(cells.label)) AS label, toUInt64(n) AS n FROM cells WHERE ${covered.cells} AND cells.label IS NOT NULL AND ${where}`,
    ...(covered.rows === null ? [] : [ofRows(`${where} AND ${covered.rows}`)]),
  ];
  const rows = await store.select<{ arm: string; name: string; label: string; labelled: number; total: number }>(
    `SELECT arm, name, label, sum(n) AS labelled, sum(labelled) OVER (PARTITION BY arm, name) AS total FROM (${parts.join(' UNION ALL ')}) GROUP BY arm, name, label
     ORDER BY name, labelled DESC, label, arm LIMIT 20 BY arm, name LIMIT ${selection.limit}`,
    { ...selection.parameters, ...covered?.parameters },
  );
  return rows.map(({ arm, name, label, labelled, total }) => ({
    key: arm,
    bucket_s: 0,
    calls: total,
    metrics: [summaryOf({ name: `${name}=${label}`, kind: 'rate', direction: 'down', unit: 'share' }, [total, labelled / total, null, []])],
  }));
}

/** Scores of the calls of `selection`, by score name: every score name is a metric. Bucketed by the start of the call that was judged. */
export async function measureScores(store: Store, selection: Selection): Promise<Measured[]> {
  const step = selection.stepSeconds;
  const covered = coveredIn(selection, 'scores');
  if (covered !== null) return scoresOfCells(store, selection, covered);
  const rows = await store.select<{ arm: string; name: string; bucket_s: number; aggregate: Aggregate }>(
    `SELECT ${selection.key} AS arm, name, ${step === undefined ? '0' : `intDiv(intDiv(call_start_ns, 1000000000), ${step}) * ${step}`} AS bucket_s,
       ${aggregateOf('value')} AS aggregate
     FROM scores FINAL WHERE ${selection.where} AND ${COUNTED_SCORE} AND value IS NOT NULL
     GROUP BY ${groupsOf(selection, 'arm, name')} ORDER BY bucket_s DESC, name, arm LIMIT ${selection.limit}`,
    selection.parameters,
  );
  return rows.map((row) => ({
    key: row.arm,
    bucket_s: row.bucket_s,
    calls: row.aggregate[0],
    metrics: [summaryOf(scoreMetric(row.name), row.aggregate)],
  }));
}

const scoreMetric = (name: string) => ({ name, kind: 'score', direction: 'down', unit: 'score' }) as const;

/** Null: there are none, or buckets cut hours into pieces. */
export function coveredIn({ hours, stepSeconds = HOUR_S }: { readonly hours?: Hours | undefined; readonly stepSeconds?: number | undefined }, source: 'calls' | 'scores'): Covered | null {
  return stepSeconds % HOUR_S === 0 ? (hours?.[source] ?? null) : null;
}

type Summed = { arm: string; name: string; bucket_s: number; size: number; mean: number; variance: number; quantile_bins: number[] };

/** SQL: parts of cells and rows, summed up. Spreads add by the distances of the parts' means from the whole's (Chan, Golub, LeVeque 1979). */
function summed(selection: Selection, parts: readonly string[], limit: number): string {
  return `SELECT arm, name, bucket_s, size, mean, variance, ${quantileBins('histogram', 'size')} AS quantile_bins FROM
     (SELECT arm, name, bucket_s, sum(n) AS size, sum(total) / size AS mean, (sum(spread) + arraySum((part, part_mean) -> part * pow(part_mean - mean, 2), groupArray(n), groupArray(total / n))) / size AS variance, mapSort(sumMap(bins)) AS histogram
      FROM (${parts.join(' UNION ALL ')}) GROUP BY ${groupsOf(selection, 'arm, name')})
     ORDER BY bucket_s DESC, name, arm LIMIT ${limit}`;
}

/** SQL: the part of the cells. */
function partOfCells(covered: Covered, { arm, bucket_s }: { arm: string; bucket_s: string }, where: string): string {
  return `SELECT ${arm} AS arm, name, ${bucket_s} AS bucket_s, toUInt64(n) AS n, total, spread, CAST(bins, 'Map(Int16, UInt64)') AS bins FROM cells WHERE ${covered.cells} AND label IS NULL AND n > 0 AND ${where}`;
}

const bucketOf = (seconds: string, step: number | undefined): string => (step === undefined ? 'toUInt32(0)' : `toUInt32(intDiv(${seconds}, ${step}) * ${step})`);

const aggregateOfSum = ({ size, mean, variance, quantile_bins }: Summed): Aggregate => [size, mean, variance, quantilesOf(quantile_bins, size)];

async function callsOfCells(store: Store, metrics: readonly CallMetric[], selection: Selection, covered: Covered): Promise<Measured[]> {
  const { key, where, stepSeconds } = selection;
  const wanted = [...metrics, ...callMetrics.filter(({ name }) => name === OF_ALL_CALLS && !metrics.some((metric) => metric.name === name))];
  const groups = { arm: key, bucket_s: bucketOf('toUnixTimestamp(event_time)', stepSeconds) };
  const parts = [
    partOfCells(covered, groups, `name IN {metric_names:Array(String)} AND ${where}`),
    ...(covered.rows === null ? [] : [`SELECT arm, name, bucket_s, n, total, spread, bins FROM (${callParts(wanted, { groups, where: `${where} AND ${covered.rows}` })})`]),
  ];
  const rows = await store.select<Summed>(summed(selection, parts, selection.limit * wanted.length), { ...selection.parameters, ...covered.parameters, metric_names: wanted.map(({ name }) => name) });
  const found = new Map<string, Map<string, Summed>>();
  for (const row of rows) {
    const id = JSON.stringify([row.bucket_s, row.arm]);
    found.set(id, (found.get(id) ?? new Map<string, Summed>()).set(row.name, row));
  }
  return [...found.values()].flatMap((byName) => {
    const all = byName.get(OF_ALL_CALLS);
    if (all === undefined) return [];
    const metricsOf = metrics.map((metric) => {
      const row = byName.get(metric.name);
      return summaryOf(metric, row === undefined ? NOTHING : aggregateOfSum(row));
    });
    return [{ key: all.arm, bucket_s: all.bucket_s, calls: all.size, metrics: metricsOf }];
  });
}

const NOTHING: Aggregate = [0, null, null, []];

async function scoresOfCells(store: Store, selection: Selection, covered: Covered): Promise<Measured[]> {
  const { key, where, stepSeconds } = selection;
  const parts = [
    partOfCells(covered, { arm: key, bucket_s: bucketOf('toUnixTimestamp(start_hour)', stepSeconds) }, where),
    ...(covered.rows === null ? [] : [`SELECT arm, name, bucket_s, n, total, spread, bins FROM (${scoreParts({ groups: { arm: key, bucket_s: bucketOf('intDiv(call_start_ns, 1000000000)', stepSeconds) }, where: `${where} AND ${covered.rows}` })})`]),
  ];
  const rows = await store.select<Summed>(summed(selection, parts, selection.limit), { ...selection.parameters, ...covered.parameters });
  return rows.map((row) => ({ key: row.arm, bucket_s: row.bucket_s, calls: row.size, metrics: [summaryOf(scoreMetric(row.name), aggregateOfSum(row))] }));
}

function summaryOf(metric: Omit<CallMetric, 'expression' | 'unit'> & { unit: MetricSummary['unit'] }, [n, mean, variance, quantiles]: Aggregate): MetricSummary {
  const value = n === 0 ? null : mean;
  const interval = value === null ? null : metric.kind === 'rate' ? wilson(n, value) : asymptoticConfidenceSequence(n, value, variance ?? 0);
  return {
    name: metric.name,
    kind: metric.kind,
    direction: metric.direction,
    unit: metric.unit,
    n,
    value,
    low: interval?.low ?? null,
    high: interval?.high ?? null,
    interval: interval?.method ?? null,
    p50: metric.kind === 'distribution' ? (quantiles[0] ?? null) : null,
    p95: metric.kind === 'distribution' ? (quantiles[1] ?? null) : null,
    p99: metric.kind === 'distribution' ? (quantiles[2] ?? null) : null,
  };
}

/** A bucket that divides the clock evenly, so that about `buckets` of them cover the window. */
export function stepFor(windowSeconds: number, buckets: number): number {
  const steps = [10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
  return steps.find((step) => windowSeconds / step <= buckets) ?? 7 * 86_400;
}
