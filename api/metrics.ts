import { z } from '@hono/zod-openapi';
import { MetricKind } from '../schemas/evidence.ts';
import type { Store } from '../schemas/store.ts';
import { asymptoticConfidenceSequence, wilson } from './intervals.ts';

/** How each built-in metric reads from a row of `calls`. NULL: the call says nothing of it. All but errors are of successful calls. */
export type CallMetric = { name: string; kind: MetricKind; direction: 'up' | 'down'; unit: 'share' | 'ms' | 'tokens' | 'usd'; expression: string };

export const callMetrics: readonly CallMetric[] = [
  { name: 'error_rate', kind: 'rate', direction: 'up', unit: 'share', expression: 'toFloat64(is_error)' },
  { name: 'latency', kind: 'distribution', direction: 'up', unit: 'ms', expression: 'if(is_error OR end_ns < start_ns, NULL, toFloat64(end_ns - start_ns) / 1e6)' },
  { name: 'ttft', kind: 'distribution', direction: 'up', unit: 'ms', expression: 'if(is_error, NULL, toFloat64(ttft_ms))' },
  { name: 'cost', kind: 'distribution', direction: 'up', unit: 'usd', expression: 'if(is_error, NULL, toFloat64(cost_usd))' },
  { name: 'format', kind: 'rate', direction: 'up', unit: 'share', expression: 'if(is_error, NULL, toFloat64(NOT is_format_valid))' },
  { name: 'truncated', kind: 'rate', direction: 'up', unit: 'share', expression: "if(is_error, NULL, toFloat64(finish_reason = 'length'))" },
  { name: 'content_filter', kind: 'rate', direction: 'up', unit: 'share', expression: "if(is_error, NULL, toFloat64(finish_reason = 'content_filter'))" },
  { name: 'empty', kind: 'rate', direction: 'up', unit: 'share', expression: 'if(is_error, NULL, toFloat64(is_empty))' },
  { name: 'input_tokens', kind: 'distribution', direction: 'up', unit: 'tokens', expression: 'if(is_error, NULL, toFloat64(input_tokens))' },
  { name: 'output_tokens', kind: 'distribution', direction: 'up', unit: 'tokens', expression: 'if(is_error, NULL, toFloat64(output_tokens))' },
];

/**
 * SQL: the model of a row, for one metric. A failed call often does not say who answered, so errors stand under the model that was asked
 * for: under the one that answered, hardly any would be seen.
 */
export const modelOf = (metric: string): string => (metric === 'error_rate' ? "coalesce(request_model, response_model, '')" : "coalesce(response_model, request_model, '')");

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

/** What judges stand by, of the type that its name has. */
export const COUNTED = `join_state = 'joined' AND error_type IS NULL AND deleted_slot = 0 AND empty(flags)`;

/** Labels that are neither good nor bad: the share of each among the labels of its name, as `name=label`. At most 20 labels of a name. */
export async function measureLabels(store: Store, selection: Omit<Selection, 'stepSeconds'>): Promise<Measured[]> {
  const rows = await store.select<{ arm: string; name: string; label: string; labelled: number; total: number }>(
    `SELECT arm, name, label, labelled, sum(labelled) OVER (PARTITION BY arm, name) AS total FROM
       (SELECT ${selection.key} AS arm, name, assumeNotNull(label) AS label, count() AS labelled FROM scores FINAL
        WHERE ${selection.where} AND ${COUNTED} AND data_type = 'categorical' AND scores.label IS NOT NULL GROUP BY arm, name, label)
     ORDER BY name, labelled DESC, label, arm LIMIT 20 BY arm, name LIMIT ${selection.limit}`,
    selection.parameters,
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
  const rows = await store.select<{ arm: string; name: string; bucket_s: number; aggregate: Aggregate }>(
    `SELECT ${selection.key} AS arm, name, ${step === undefined ? '0' : `intDiv(intDiv(call_start_ns, 1000000000), ${step}) * ${step}`} AS bucket_s,
       ${aggregateOf('value')} AS aggregate
     FROM scores FINAL WHERE ${selection.where} AND ${COUNTED} AND value IS NOT NULL
     GROUP BY ${groupsOf(selection, 'arm, name')} ORDER BY bucket_s DESC, name, arm LIMIT ${selection.limit}`,
    selection.parameters,
  );
  return rows.map((row) => ({
    key: row.arm,
    bucket_s: row.bucket_s,
    calls: row.aggregate[0],
    metrics: [summaryOf({ name: row.name, kind: 'score', direction: 'down', unit: 'score' }, row.aggregate)],
  }));
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
