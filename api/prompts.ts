import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { callMetrics } from '../schemas/call-metrics.ts';
import { HOUR_S } from '../schemas/cells.ts';
import type { ApiDeps } from './app.ts';
import { Comparison, countOpenComparisons, readComparisons } from './comparisons.ts';
import { readHours, RolledUp } from './hours.ts';
import { coveredIn, measureCalls, measureLabels, measureScores, MetricSummary, stepFor, type Measured, type Selection } from './metrics.ts';
import { readOverview, readVersions } from './overview.ts';
import { limitOf, NameText, TimeMs, windowOf } from './parameters.ts';
import { notFoundResponse, ProblemError, problemResponses } from './problem.ts';
import { Point, pointOf } from './series.ts';

const PromptVersion = z.object({ version: z.string(), calls: z.number().int(), first_seen_ms: z.number(), last_seen_ms: z.number() });

const Prompt = z
  .object({
    name: z.string(),
    environment: z.string(),
    calls: z.number().int(),
    error_rate: z.number(),
    latency_p95_ms: z.number().nullable(),
    first_seen_ms: z.number(),
    last_seen_ms: z.number(),
    versions: z.array(PromptVersion).openapi({ description: 'in the window, newest first; at most 50' }),
    version_count: z.number().int().openapi({ description: 'of all versions in the window' }),
    models: z.array(z.string()),
    calls_over_time: z.array(z.number().int()).openapi({ description: 'calls in each step of the window (an hour where most of it is rolled up), oldest first' }),
    comparisons: z.array(Comparison).openapi({ description: 'open ones, newest first; at most ten, and those that were alerted on before others' }),
  })
  .openapi('Prompt');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/prompts',
  summary: 'Prompts that had calls, busiest first',
  request: { query: z.strictObject({ environment: NameText.optional(), from: TimeMs.optional(), to: TimeMs.optional(), limit: limitOf({ fallback: 200, maximum: 500 }) }) },
  responses: {
    200: {
      description: 'Without `from`, the last 24 hours. One entry for each prompt and environment.',
      content: {
        'application/json': {
          schema: z.object({ from_ms: z.number(), to_ms: z.number(), step_seconds: z.number(), prompts: z.array(Prompt), open_comparisons: z.number().int().openapi({ description: 'of all prompts' }), unattributed_calls: z.number().int().openapi({ description: 'calls that name no prompt' }), rolled_up: RolledUp }),
        },
      },
    },
    ...problemResponses,
  },
});

const VersionDetail = PromptVersion.extend({
  metrics: z.array(MetricSummary),
  series: z.record(z.string(), z.array(Point)).openapi({ description: 'by metric, oldest first' }),
}).openapi('PromptVersionDetail');

const oneRoute = createRoute({
  method: 'get',
  path: '/v1/prompts/{name}',
  summary: 'The versions of one prompt side by side',
  request: {
    params: z.object({ name: NameText.openapi({ param: { name: 'name', in: 'path' }, description: 'percent-encoded; may contain `/`' }) }),
    query: z.strictObject({ environment: NameText.optional(), from: TimeMs.optional(), to: TimeMs.optional() }),
  },
  responses: {
    200: {
      description: 'Each metric with a 95 % interval of its own. Two intervals that overlap decide nothing; comparisons do.',
      content: {
        'application/json': {
          schema: z.object({
            name: z.string(),
            environment: z.string(),
            environments: z.array(z.string()),
            from_ms: z.number(),
            to_ms: z.number(),
            step_seconds: z.number(),
            calls: z.number().int().openapi({ description: 'of all versions in the window' }),
            version_count: z.number().int(),
            versions: z.array(VersionDetail).openapi({ description: 'newest first; at most 12' }),
            comparisons: z.array(Comparison),
            rolled_up: RolledUp,
          }),
        },
      },
    },
    ...problemResponses,
    ...notFoundResponse,
  },
});

/** Open ones of a prompt that are listed; a page shows one. */
const COMPARISONS_OF_EACH = 10;
/** Versions shown side by side; the rest are in the list of /v1/prompts. */
const maxVersions = 12;

/** From so many hours of cells on, a course in steps of an hour says enough, and costs the same with a thousand times the calls. */
const HOURS_THAT_TELL = 12;

export function registerPrompts(app: OpenAPIHono, deps: ApiDeps): void {
  const { store, clock, settings } = deps;

  app.openapi(listRoute, async (context) => {
    const query = context.req.valid('query');
    const { from_s, to_s } = windowOf(query, clock(), settings.defaultWindowMs);
    const hours = await readHours(store, { from_s, to_s });
    const step = Math.max(stepFor(to_s - from_s, 150), (hours.told?.hours ?? 0) < HOURS_THAT_TELL ? 0 : HOUR_S);
    const covered = coveredIn({ hours, stepSeconds: step }, 'calls');
    const [{ prompts: rows, unattributed }, comparisons, open] = await Promise.all([
      readOverview(store, { project: settings.project, environment: query.environment, from_s, to_s, step, limit: query.limit ?? 200, covered }),
      readComparisons(deps, { state: 'open', environment: query.environment, ofEachPrompt: COMPARISONS_OF_EACH, limit: 1_000 }),
      countOpenComparisons(deps, query.environment),
    ]);
    const firstBucket = Math.floor(from_s / step);
    const lastBucket = Math.min(Math.floor(to_s / step), Math.floor(clock() / 1000 / step));
    const prompts = rows.map(({ buckets, versions, ...row }) => ({
      ...row,
      models: row.models.filter((model) => model !== ''),
      versions: versions.map(([version, calls, first_seen_ms, last_seen_ms]) => ({ version, calls, first_seen_ms, last_seen_ms })),
      calls_over_time: Array.from({ length: Math.max(0, lastBucket - firstBucket + 1) }, (_, index) => buckets[String(firstBucket + index)] ?? 0),
      comparisons: comparisons.filter((comparison) => comparison.prompt === row.name && comparison.environment === row.environment).toSorted((one, other) => other.opened_ms - one.opened_ms),
    }));
    return context.json({ from_ms: from_s * 1000, to_ms: to_s * 1000, step_seconds: step, prompts, open_comparisons: open, unattributed_calls: unattributed, rolled_up: covered === null ? null : hours.told }, 200);
  });

  app.openapi(oneRoute, async (context) => {
    const { name } = context.req.valid('param');
    const query = context.req.valid('query');
    const { from_s, to_s } = windowOf(query, clock(), settings.defaultWindowMs);
    const hours = await readHours(store, { from_s, to_s });
    const [known, here] = await Promise.all([
      store.select<{ environment: string; calls: number }>(
        `SELECT environment, sum(calls) AS calls FROM versions WHERE project = {project:String} AND prompt_name = {name:String} AND factor = 'prompt_version' GROUP BY environment ORDER BY calls DESC, environment LIMIT 50`,
        { project: settings.project, name },
      ),
      readVersions(store, { project: settings.project, name, from_s, to_s, most: maxVersions, covered: hours.calls }),
    ]);
    const environments = [...new Set([...here, ...known].map((row) => row.environment))];
    const environment = query.environment ?? environments[0];
    if (environment === undefined || (known.length === 0 && here.length === 0)) {
      throw new ProblemError(404, `No call of a prompt ${JSON.stringify(name)} was seen; GET /v1/prompts lists those that were. A \`/\` in a name is sent as %2F.`);
    }
    const where = 'project = {project:String} AND environment = {environment:String} AND prompt_name = {name:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}';
    const parameters = { project: settings.project, environment, name, from_s, to_s };
    const ofEnvironment = here.filter((row) => row.environment === environment);
    const whole = { calls: ofEnvironment[0]?.all_calls ?? 0, version_count: ofEnvironment[0]?.all_versions ?? 0 };
    const seen = ofEnvironment.map(({ version, calls, first_seen_ms, last_seen_ms }) => ({ version, calls, first_seen_ms, last_seen_ms }));
    // The part of the window that has calls, so that two hours of traffic are not three points of a day.
    const begun_s = Math.max(from_s, seen.reduce((least, row) => Math.min(least, row.first_seen_ms / 1000), to_s));
    const step_seconds = stepFor(Math.max(1, Math.min(to_s, clock() / 1000) - begun_s), 32);
    const shown: Selection = {
      key: "coalesce(prompt_version, '')",
      where: `${where} AND coalesce(prompt_version, '') IN {versions:Array(String)}`,
      parameters: { ...parameters, versions: seen.map((row) => row.version) },
      limit: 5000,
      hours,
    };
    const timed: Selection = { ...shown, stepSeconds: step_seconds, withWhole: true };
    const [calls, scores, labels, comparisons] = await Promise.all([measureCalls(store, callMetrics, timed), measureScores(store, timed), measureLabels(store, shown), readComparisons(deps, { prompt: name, environment, limit: 20 })]);
    const measured = [...calls, ...scores, ...labels];
    const versions = seen.map((version) => {
      const own = measured.filter((row) => row.key === version.version);
      return {
        ...version,
        metrics: own.filter((row) => row.bucket_s === 0).flatMap((row) => row.metrics).filter((metric) => metric.n > 0),
        series: seriesOf(own.filter((row) => row.bucket_s > 0)),
      };
    });
    return context.json({ name, environment, environments, from_ms: from_s * 1000, to_ms: to_s * 1000, step_seconds, ...whole, versions, comparisons, rolled_up: hours.told }, 200);
  });
}

function seriesOf(rows: readonly Measured[]): z.infer<typeof VersionDetail>['series'] {
  const series: z.infer<typeof VersionDetail>['series'] = {};
  for (const row of rows.toReversed()) {
    for (const metric of row.metrics) {
      if (metric.n > 0) (series[metric.name] ??= []).push(pointOf(row.bucket_s, metric));
    }
  }
  return series;
}
