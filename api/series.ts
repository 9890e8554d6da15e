import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { callMetrics } from '../schemas/call-metrics.ts';
import type { ApiDeps } from './app.ts';
import { readHours } from './hours.ts';
import { readComparison, type Comparison } from './comparisons.ts';
import { measureCalls, measureScores, MetricSummary, stepFor, type Measured, type Selection } from './metrics.ts';
import { NameText, TimeMs } from './parameters.ts';
import { notFoundResponse, problemResponses } from './problem.ts';

export const Point = MetricSummary.pick({ n: true, value: true, low: true, high: true, p50: true, p95: true, p99: true }).extend({ at_ms: z.number() }).openapi('SeriesPoint');

const seriesRoute = createRoute({
  method: 'get',
  path: '/v1/comparisons/{id}/series',
  summary: 'Both arms over time, one metric',
  request: { params: z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) }), query: z.strictObject({ metric: NameText, from: TimeMs.optional(), to: TimeMs.optional() }) },
  responses: {
    200: {
      description: 'From stored calls: it shows what the arms did, the verdict is from the strata.',
      content: { 'application/json': { schema: z.object({ metric: z.string(), from_ms: z.number(), to_ms: z.number(), step_seconds: z.number(), arms: z.array(z.object({ role: z.enum(['baseline', 'candidate']), value: z.string(), points: z.array(Point) })) }) } },
    },
    ...problemResponses,
    ...notFoundResponse,
  },
});

/** How an arm reads from a row of calls or of scores. What is none of these is an attribute that the configuration names. */
const factorColumns: ReadonlyMap<string, string> = new Map([
  ['prompt_version', "coalesce(prompt_version, '')"],
  ['request_model', "coalesce(request_model, '')"],
  ['model', "coalesce(response_model, request_model, '')"],
  ['provider', 'provider'],
  ['app_version', 'service_version'],
  ['prompt_content', "coalesce(prompt_content, '')"],
]);

/** Those that cells are kept by, too. */
const FACTORS_OF_CELLS: ReadonlySet<string> = new Set(['prompt_version', 'request_model', 'model', 'provider']);

export function registerSeries(app: OpenAPIHono, deps: ApiDeps): void {
  app.openapi(seriesRoute, async (context) => {
    const { comparison } = await readComparison(deps, context.req.valid('param').id);
    return context.json(await readSeries(deps, comparison, context.req.valid('query')), 200);
  });
}

export type Series = { metric: string; from_ms: number; to_ms: number; step_seconds: number; arms: { role: 'baseline' | 'candidate'; value: string; points: z.infer<typeof Point>[] }[] };

/** Both arms of a comparison over time: without `from` and `to`, from some time before it opened until now, or until soon after it was closed. */
export async function readSeries({ store, clock }: Pick<ApiDeps, 'store' | 'clock'>, comparison: Comparison, { metric, from, to }: { metric: string; from?: number | undefined; to?: number | undefined }): Promise<Series> {
  // Up to now, so that one sees whether it goes on; a closed comparison ends soon after its last look.
  const ended = comparison.state === 'closed' && comparison.last_look_ms !== null ? comparison.last_look_ms + 1_800_000 : clock();
  const toMs = to ?? Math.min(clock(), Math.max(ended, comparison.opened_ms + 600_000));
  const fromMs = from ?? comparison.opened_ms - Math.max(1_800_000, (toMs - comparison.opened_ms) * 0.3);
  const builtIn = callMetrics.find((candidate) => candidate.name === metric);
  const column = factorColumns.get(comparison.factor) ?? 'factor_attributes[{factor:String}]';
  const from_s = Math.max(0, Math.floor(fromMs / 1000));
  const to_s = Math.max(0, Math.ceil(toMs / 1000));
  const hours = FACTORS_OF_CELLS.has(comparison.factor) ? await readHours(store, { from_s, to_s }) : undefined;
  const selection: Selection = {
    ...(hours === undefined ? {} : { hours }),
    key: column,
    where: `project = {project:String} AND environment = {environment:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}
      ${comparison.prompt === '' ? '' : 'AND prompt_name = {prompt:String}'} AND ${column} IN ({baseline:String}, {candidate:String})
      ${builtIn === undefined ? 'AND name = {metric:String}' : ''}`,
    parameters: {
      project: comparison.project,
      environment: comparison.environment,
      prompt: comparison.prompt,
      baseline: comparison.baseline,
      candidate: comparison.candidate,
      factor: comparison.factor,
      metric,
      from_s,
      to_s,
    },
    limit: 1000,
  };
  const measure = async (timed: Selection): Promise<Measured[]> =>
    column === undefined || column === null ? [] : builtIn === undefined ? measureScores(store, timed) : measureCalls(store, [builtIn], timed);
  // Buckets in which the thinner arm has about 20 values: finer ones show noise, not traffic.
  const thinner = Math.min(...(await measure(selection)).flatMap((row) => row.metrics.map((summary) => summary.n)));
  const step_seconds = stepFor(Math.max(1, (toMs - fromMs) / 1000), Math.min(72, Math.max(14, Number.isFinite(thinner) ? thinner / 20 : 0)));
  const rows = await measure({ ...selection, stepSeconds: step_seconds });
  const arms = (['baseline', 'candidate'] as const).map((role) => ({
    role,
    value: comparison[role],
    points: rows.filter((row) => row.key === comparison[role]).toReversed().flatMap((row) => row.metrics.map((summary) => pointOf(row.bucket_s, summary))),
  }));
  return { metric, from_ms: fromMs, to_ms: toMs, step_seconds, arms };
}

export function pointOf(bucketSeconds: number, { n, value, low, high, p50, p95, p99 }: MetricSummary): z.infer<typeof Point> {
  return { at_ms: bucketSeconds * 1000, n, value, low, high, p50, p95, p99 };
}
