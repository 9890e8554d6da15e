import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { binOf } from '../analyzer/statistics/badness.ts';
import type { Worse } from '../analyzer/statistics/plan-answer.ts';
import { changeOf, plansOver, typicalOf } from '../analyzer/statistics/plan-answer.ts';
import { referenceOf } from '../analyzer/statistics/reference.ts';
import type { Metric } from '../analyzer/statistics/types.ts';
import { callMetrics } from '../schemas/call-metrics.ts';
import { BUILT_IN_METRICS, metricSettingsFor } from '../schemas/metric-settings.ts';
import { PlanAnswer } from '../schemas/plan.ts';
import type { ApiDeps } from './app.ts';
import { readComparison, readComparisons } from './comparisons.ts';
import { NameText } from './parameters.ts';
import { ProblemError, problemResponses } from './problem.ts';

const numberText = (from: number, to: number) =>
  z.string().max(40).transform(Number).refine((number) => Number.isFinite(number) && number >= from && number <= to, `must be a number from ${from} to ${to}`).openapi({ type: 'number', minimum: from, maximum: to });

const planRoute = createRoute({
  method: 'get',
  path: '/v1/plan',
  summary: 'How long until a change would be found',
  request: {
    query: z.strictObject({
      prompt: NameText,
      metric: NameText,
      environment: NameText.optional(),
      worse: numberText(0, 1e9).optional().openapi({ type: 'number', description: 'by so much in its own unit, of distributions by that share of it' }),
      times: numberText(0, 1e9).optional().openapi({ type: 'number', description: 'times as much (of what is worse when less: divided by it)' }),
      share: numberText(1e-6, 1 - 1e-6).optional(),
      score_sampling: numberText(1e-6, 1).optional().openapi({ type: 'number', description: 'share of units that are judged; left out: as in the history' }),
      calls_per_hour: numberText(1e-6, 1e9).optional().openapi({ type: 'number', description: 'left out: as in the history, by hour of the day' }),
      runs: numberText(20, 2000).optional(),
      seed: numberText(0, 2 ** 31).optional(),
    }),
  },
  responses: { 200: { description: 'From simulated rollouts of the traffic of the last week, bet on by the code that bets on real ones.', content: { 'application/json': { schema: PlanAnswer } } }, ...problemResponses },
});

const WINDOW_S = 7 * 86_400;
const MAX_VALUES = 5_000;
const FEWEST_VALUES = 50;

/** One plan at a time: each takes a second or so of the process, in small pieces. */
export function registerPlan(app: OpenAPIHono, deps: ApiDeps): void {
  let waiting: Promise<unknown> = Promise.resolve();
  let queued = 0;
  app.openapi(planRoute, async (context) => {
    if (queued >= 8) throw new ProblemError(503, 'Eight plans are being made already; ask again in a few seconds.');
    queued += 1;
    const answer = waiting.then(() => answerOf(deps, context.req.valid('query')));
    waiting = answer.catch(() => null).finally(() => (queued -= 1));
    return context.json(await answer, 200);
  });
}

type Query = { prompt: string; metric: string; environment?: string | undefined; worse?: number | undefined; times?: number | undefined; share?: number | undefined; score_sampling?: number | undefined; calls_per_hour?: number | undefined; runs?: number | undefined; seed?: number | undefined };

async function answerOf(deps: ApiDeps, query: Query): Promise<z.infer<typeof PlanAnswer>> {
  const worse = worseOf(query);
  const history = await historyOf(deps, query);
  const frozen = await settingsOf(deps, query, history);
  const { metric, alpha, stake, weight, models, tolerance } = frozen;
  const baseline = referenceOf(history.values.map((value) => binOf(metric, value)));
  const found = { ...metric, tail: metric.kind === 'distribution', reference: metric.kind === 'rate' ? null : (metric.reference ?? baseline) };
  const units_per_hour = query.calls_per_hour === undefined ? history.units_per_hour.map((rate) => rate * (query.score_sampling ?? history.sampling)) : [query.calls_per_hour * history.units_per_call * (query.score_sampling ?? history.sampling)];
  try {
    const typical = typicalOf(found, baseline);
    const { change, changed } = changeOf(found, typical, worse);
    const plans = await plansOver(
      {
        metric: found, tolerance, baseline, change, share: query.share ?? 0.1, units_per_hour, start_hour: Math.floor(deps.clock() / 3_600_000) % 24,
        budget: { alpha, stake, weight, models }, seed: query.seed ?? 1, runs: Math.round(query.runs ?? 200),
      },
      () => new Promise((resolve) => setImmediate(resolve)),
    );
    return {
      schema: 'culprit.plan/1', prompt: query.prompt, environment: history.environment, metric: query.metric, kind: metric.kind, direction: metric.direction,
      baseline: typical, changed, tolerance, alpha, weight, models, units_per_hour, plan: plans.plan, by_share: [...plans.by_share],
    };
  } catch (error) {
    if (error instanceof RangeError) throw new ProblemError(400, error.message);
    throw error;
  }
}

function worseOf({ worse, times }: Query): Worse {
  if (worse !== undefined && times === undefined) return { by: 'worse', size: worse };
  if (times !== undefined && worse === undefined) return { by: 'times', size: times };
  throw new ProblemError(400, 'Say by how much it gets worse, once: `worse` or `times`.');
}

type History = { readonly environment: string; readonly values: readonly number[]; readonly units_per_hour: readonly number[]; readonly sampling: number; readonly units_per_call: number; readonly models: number };

/** Of the version with most calls in the last week: its values, and the whole prompt's traffic. @throws ProblemError 400 where there is too little. */
async function historyOf({ store, clock, settings }: ApiDeps, { prompt, metric, environment }: Query): Promise<History> {
  const now_s = Math.floor(clock() / 1000);
  const where = `project = {project:String} AND prompt_name = {prompt:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}`;
  const parameters = { project: settings.project, prompt, from_s: Math.max(0, now_s - WINDOW_S), to_s: now_s, limit: MAX_VALUES };
  const [busiest] = await store.select<{ environment: string; version: string; calls: number }>(
    `SELECT environment, coalesce(prompt_version, '') AS version, count() AS calls FROM calls FINAL WHERE role = 'call' AND ${where} ${environment === undefined ? '' : 'AND environment = {environment:String}'}
     GROUP BY environment, version ORDER BY calls DESC, environment, version LIMIT 1`,
    { ...parameters, ...(environment === undefined ? {} : { environment }) },
  );
  if (busiest === undefined) throw new ProblemError(400, `No call of a prompt ${JSON.stringify(prompt)} in the last seven days; GET /v1/prompts lists those that were.`);
  const ofPrompt = { ...parameters, environment: busiest.environment, version: busiest.version, metric };
  const hours = await store.select<{ hour: number; units: number; calls: number; models: number }>(
    `SELECT intDiv(toUnixTimestamp(event_time), 3600) AS hour, uniqExact(coalesce(session_id, trace_id)) AS units, count() AS calls, uniqExact(coalesce(response_model, request_model, '')) AS models
     FROM calls FINAL WHERE role = 'call' AND ${where} AND environment = {environment:String} GROUP BY hour ORDER BY hour`,
    ofPrompt,
  );
  const known = callMetrics.find(({ name }) => name === metric);
  const values = known === undefined
    ? await store.select<{ value: number; unit: string }>(
        `SELECT assumeNotNull(scores.value) AS value, coalesce(session_id, call_trace_id) AS unit FROM scores FINAL WHERE project = {project:String} AND prompt_name = {prompt:String} AND environment = {environment:String}
         AND prompt_version = {version:String} AND name = {metric:String} AND join_state = 'joined' AND deleted_slot = 0 AND empty(flags) AND scores.value IS NOT NULL
         AND call_start_ns >= toUInt64({from_s:UInt32}) * 1000000000 ORDER BY cityHash64(score_id) LIMIT {limit:UInt32}`,
        ofPrompt,
      )
    : await store.select<{ value: number; unit: string }>(
        `SELECT assumeNotNull(measured) AS value, '' AS unit FROM (SELECT ${known.expression} AS measured, trace_id, span_id FROM calls FINAL WHERE role = 'call' AND ${where} AND environment = {environment:String} AND coalesce(prompt_version, '') = {version:String})
         WHERE measured IS NOT NULL ORDER BY cityHash64(trace_id, span_id) LIMIT {limit:UInt32}`,
        ofPrompt,
      );
  if (values.length < FEWEST_VALUES) throw new ProblemError(400, `${metric} of ${prompt} ${busiest.version} was seen ${values.length} times in the last seven days; a plan needs ${FEWEST_VALUES}. \`culprit plan\` with --baseline and --calls-per-hour needs no history.`);
  const units = hours.reduce((sum, row) => sum + row.units, 0);
  const calls = hours.reduce((sum, row) => sum + row.calls, 0);
  const judged = known === undefined ? await judgedShare({ store }, ofPrompt, units) : Math.min(1, values.length / Math.min(MAX_VALUES, busiest.calls));
  return {
    environment: busiest.environment, values: values.map(({ value }) => value), units_per_hour: rhythmOf(hours, now_s), sampling: Math.max(1e-6, judged), units_per_call: units / calls,
    models: Math.max(...hours.map((row) => row.models)),
  };
}

/** Share of the prompt's units that have a score of the name. */
async function judgedShare({ store }: Pick<ApiDeps, 'store'>, parameters: Readonly<Record<string, unknown>>, units: number): Promise<number> {
  const [row] = await store.select<{ judged: number }>(
    `SELECT uniqExact(intDiv(call_start_ns, 3600000000000), coalesce(session_id, call_trace_id)) AS judged FROM scores FINAL WHERE project = {project:String} AND prompt_name = {prompt:String} AND environment = {environment:String}
     AND name = {metric:String} AND join_state = 'joined' AND deleted_slot = 0 AND call_start_ns >= toUInt64({from_s:UInt32}) * 1000000000`,
    parameters,
  );
  return Math.min(1, (row?.judged ?? 0) / Math.max(1, units));
}

/** Units an hour by hour of the day, over the days that were seen; one mean where it was less than a day. */
function rhythmOf(hours: readonly { readonly hour: number; readonly units: number }[], now_s: number): number[] {
  const first = hours[0]?.hour ?? 0;
  const seen = Math.max(now_s / 3600 - first, 1 / 60);
  if (seen < 24) return [hours.reduce((sum, { units }) => sum + units, 0) / Math.max(1, Math.min(seen, (hours.at(-1)?.hour ?? first) - first + 1))];
  const days = Math.max(1, Math.round(seen / 24));
  return Array.from({ length: 24 }, (_, hour) => hours.filter((row) => row.hour % 24 === hour).reduce((sum, { units }) => sum + units, 0) / days);
}

type Frozen = { readonly metric: Metric; readonly alpha: number; readonly stake: number; readonly weight: number; readonly models: number; readonly tolerance: number };

/** As the prompt's newest comparison has it, and where there is none, as one would be opened by default. */
async function settingsOf(deps: ApiDeps, { prompt, metric }: Query, { environment, values, models }: History): Promise<Frozen> {
  const [newest] = await readComparisons(deps, { prompt, environment, limit: 1 });
  if (newest !== undefined) {
    const { settings } = await readComparison(deps, newest.id);
    const known = Object.hasOwn(settings.metrics, metric) ? settings.metrics[metric] : undefined;
    if (known !== undefined && known.weight > 0) return { metric: { ...known, reference: null }, alpha: settings.alpha, stake: 1, weight: known.weight, models, tolerance: known.tolerance };
  }
  const { weight, tolerance, kind, direction } = metricSettingsFor({ metrics: {}, prompts: {} }, prompt, metric, 'score');
  if (weight === 0) throw new ProblemError(400, `${metric} is shown and not bet on, so no change of it is ever told.`);
  const all = Object.values(BUILT_IN_METRICS).reduce((sum, each) => sum + each.weight, 4);
  const maximum = kind === 'score' ? [1, 5, 10, 100].find((usual) => values.every((value) => value <= usual)) : undefined;
  return { metric: { kind, direction, reference: null, ...(maximum === undefined ? {} : { maximum }) }, alpha: DEFAULT_ALPHA, stake: 1, weight: (0.8 * weight) / all, models, tolerance };
}
const DEFAULT_ALPHA = 0.01;
