import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { asError, PermanentError } from '../schemas/errors.ts';
import { ComparisonName, ComparisonSettings, Evidence, isSetAside } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import { readEvidence } from './evidence.ts';
import { limitOf, NameText } from './parameters.ts';
import { notFoundResponse, ProblemError, problemResponses } from './problem.ts';
import type { MetricVerdict } from './metric-verdicts.ts';
import { MetricResult, type ReadResults } from './results.ts';
import { createTellUnreadable, type Unreadable } from './unreadable.ts';
import { Verdict } from './verdict.ts';

export const Comparison = ComparisonName.extend({
  opened_ms: z.number(),
  state: z.enum(['open', 'closed']),
  reason: z.string(),
  alpha: z.number(),
  threshold: z.number().openapi({ description: '1/α: what the weighted sum is held against' }),
  e_value: z.number().nullable(),
  peak_e_value: z.number().nullable(),
  metrics: z.record(z.string(), z.number()).openapi({ description: 'evidence of each metric by itself, at the last look' }),
  looks: z.number().int(),
  last_look_ms: z.number().nullable(),
  verdict: Verdict,
  alert_id: z.string().nullable(),
}).openapi('Comparison');
export type Comparison = z.infer<typeof Comparison>;

const Look = z.object({ slot: z.number().int(), at_ms: z.number(), e_value: z.number(), metrics: z.record(z.string(), z.number()) });

const id = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const json = <T extends z.ZodType>(schema: T, description: string) => ({ 200: { description, content: { 'application/json': { schema } } }, ...problemResponses });

const listRoute = createRoute({
  method: 'get',
  path: '/v1/comparisons',
  summary: 'Comparisons, newest first',
  request: { query: z.strictObject({ prompt: NameText.optional(), environment: NameText.optional(), state: z.enum(['open', 'closed']).optional(), limit: limitOf({ fallback: 100, maximum: 500 }) }) },
  responses: json(
    z.object({ comparisons: z.array(Comparison), unreadable: z.number().int().openapi({ description: 'comparisons whose stored settings cannot be read, which are left out; none is expected' }) }),
    'Each with its evidence at the last look.',
  ),
});
const oneRoute = createRoute({
  method: 'get',
  path: '/v1/comparisons/{id}',
  summary: 'One comparison with the result of each metric',
  request: { params: id },
  responses: { ...json(Comparison.extend({ results: z.array(MetricResult), settings: ComparisonSettings }), 'Effects are stratified and valid however often one looks.'), ...notFoundResponse },
});
const evidenceRoute = createRoute({
  method: 'get',
  path: '/v1/comparisons/{id}/evidence',
  summary: 'Everything that is needed to recompute the e-value (`culprit verify`)',
  request: { params: id },
  responses: { ...json(Evidence, 'culprit.evidence/1'), ...notFoundResponse },
});
const looksRoute = createRoute({
  method: 'get',
  path: '/v1/comparisons/{id}/looks',
  summary: 'The evidence over time, oldest first',
  request: { params: id, query: z.strictObject({ limit: limitOf({ fallback: 400, maximum: 5000 }) }) },
  responses: { ...json(z.object({ looks: z.array(Look), total: z.number().int() }), 'Thinned evenly to `limit` looks; the last and the highest are always among them.'), ...notFoundResponse },
});
export function registerComparisons(app: OpenAPIHono, deps: ApiDeps, readResults: ReadResults): void {
  const tellUnreadable = createTellUnreadable(deps);
  app.openapi(listRoute, async (context) => {
    const query = context.req.valid('query');
    const { found, unreadable } = await lookUp(deps, { ...query, limit: query.limit ?? 100 });
    tellUnreadable(unreadable, context.req);
    return context.json({ comparisons: found.map(({ comparison }) => comparison), unreadable: unreadable.length }, 200);
  });

  app.openapi(oneRoute, async (context) => {
    const { comparison, settings } = await readComparison(deps, context.req.valid('param').id);
    const results = await readResults({ comparison, settings });
    return context.json({ ...comparison, verdict: verdictOf(comparison, results), results, settings }, 200);
  });

  app.openapi(evidenceRoute, async (context) => {
    const found = await readComparison(deps, context.req.valid('param').id);
    return context.json(await readEvidence(deps, found), 200);
  });

  app.openapi(looksRoute, async (context) => {
    const { comparison } = await readComparison(deps, context.req.valid('param').id);
    const limit = context.req.valid('query').limit ?? 400;
    return context.json(await readLooks(deps, comparison.id, limit), 200);
  });
}

/** The evidence after each look, oldest first, thinned evenly to `limit`. */
export async function readLooks({ store }: Pick<ApiDeps, 'store'>, comparisonId: string, limit: number): Promise<{ looks: z.infer<typeof Look>[]; total: number }> {
  const rows = await store.select<z.infer<typeof Look> & { total: number }>(
    `SELECT slot, at_ms, e_value, metrics, total FROM
       (SELECT slot, toUnixTimestamp(at) * 1000 AS at_ms, e_value, metrics, count() OVER () AS total, row_number() OVER (ORDER BY slot DESC) - 1 AS age,
               row_number() OVER (ORDER BY e_value DESC, slot) AS height
        FROM looks FINAL WHERE comparison_id = {id:String})
     WHERE age % greatest(1, toUInt64(ceil(total / {limit:UInt32}))) = 0 OR height = 1 ORDER BY slot`,
    { id: comparisonId, limit },
  );
  return { looks: rows.map(({ total: _total, ...look }) => look), total: rows[0]?.total ?? 0 };
}

/** Not worse only where every metric that could page is; regressed only where an alert says so. */
export function verdictOf(comparison: Comparison, results: readonly Pick<MetricVerdict, 'weight' | 'verdict'>[]): z.infer<typeof Verdict> {
  const staked = results.filter((result) => result.weight > 0 && result.verdict !== 'no_data');
  if (comparison.verdict !== 'undecided' || staked.length === 0) return comparison.verdict;
  return staked.every((result) => result.verdict === 'not_worse') ? 'not_worse' : 'undecided';
}

type ComparisonRow = {
  comparison_id: string;
  project: string;
  environment: string;
  prompt_name: string;
  factor: string;
  baseline: string;
  candidate: string;
  epoch: number;
  opened_ms: number;
  state: 'open' | 'closed';
  reason: string;
  settings: string;
};
type LookRow = { comparison_id: string; last_e_value: number; peak_e_value: number; last_metrics: Record<string, number>; looks: number; last_look_ms: number };

export type Found = { comparison: Comparison; settings: ComparisonSettings };

/** Throws ProblemError 404 where the project has no such comparison, PermanentError where its settings cannot be read. */
export async function readComparison(deps: ApiDeps, comparisonId: string): Promise<Found> {
  const { found: [found], unreadable: [unreadable] } = await lookUp(deps, { id: comparisonId, limit: 1 });
  if (unreadable !== undefined) throw unreadable.error;
  if (found === undefined) throw new ProblemError(404, `There is no comparison ${JSON.stringify(comparisonId)}; GET /v1/comparisons lists them.`);
  return found;
}

export async function readComparisons(deps: ApiDeps, filter: ComparisonFilter): Promise<Comparison[]> {
  return (await findComparisons(deps, filter)).map((found) => found.comparison);
}

/** Of prompts: watches over models have none. */
const OF_PROMPTS = `prompt_name != '' AND factor != 'unknown'`;

export async function countOpenComparisons({ store, settings }: Pick<ApiDeps, 'store' | 'settings'>, environment: string | undefined): Promise<number> {
  const [row] = await store.select<{ open: number }>(
    `SELECT count() AS open FROM comparisons FINAL WHERE project = {project:String} AND ${OF_PROMPTS} AND state = 'open' ${environment === undefined ? '' : 'AND environment = {environment:String}'}`,
    { project: settings.project, ...(environment === undefined ? {} : { environment }) },
  );
  return row?.open ?? 0;
}

type ComparisonFilter = {
  id?: string; candidate?: string | undefined; baseline?: string | undefined; factor?: string | undefined; prompt?: string | undefined; environment?: string | undefined; state?: string | undefined; limit: number;
  /** The newest of each environment, prompt, candidate and baseline, of these candidates only. */
  among?: readonly { readonly prompt: string; readonly candidate: string }[];
  /** As many of each prompt and environment, those that were alerted on first: a prompt whose every call is a version has a thousand, and would leave no room for the others. */
  ofEachPrompt?: number;
};

/** Those that can be read: what is wrong with one must not keep the others from being shown. */
export async function findComparisons(deps: Pick<ApiDeps, 'store' | 'settings'>, filter: ComparisonFilter): Promise<Found[]> {
  return (await lookUp(deps, filter)).found;
}

async function lookUp({ store, settings }: Pick<ApiDeps, 'store' | 'settings'>, filter: ComparisonFilter): Promise<{ found: Found[]; unreadable: Unreadable[] }> {
  // Watches over models, which have no prompt, are read by id.
  const conditions = ['project = {project:String}', filter.id === undefined ? OF_PROMPTS : 'true'];
  const columns = { id: 'comparison_id', prompt: 'prompt_name', environment: 'environment', state: 'state', candidate: 'candidate', baseline: 'baseline', factor: 'factor' } as const;
  const parameters: Record<string, unknown> = { project: settings.project, limit: filter.limit };
  for (const name of ['id', 'prompt', 'environment', 'state', 'candidate', 'baseline', 'factor'] as const) {
    if (filter[name] === undefined) continue;
    conditions.push(`${columns[name]} = {${name}:String}`);
    parameters[name] = filter[name];
  }
  if (filter.among !== undefined) {
    conditions.push('(prompt_name, candidate) IN (SELECT each.1, each.2 FROM (SELECT arrayJoin(arrayZip({prompts:Array(String)}, {candidates:Array(String)})) AS each))');
    Object.assign(parameters, { prompts: filter.among.map(({ prompt }) => prompt), candidates: filter.among.map(({ candidate }) => candidate) });
  }
  const newest = filter.among === undefined ? '' : 'LIMIT 1 BY environment, prompt_name, factor, candidate, baseline';
  const alertedFirst = filter.ofEachPrompt === undefined ? '' : 'comparison_id IN (SELECT comparison_id FROM alert_transitions WHERE project = {project:String}) DESC,';
  const ofEachPrompt = filter.ofEachPrompt === undefined ? '' : 'LIMIT {of_each:UInt32} BY environment, prompt_name';
  if (filter.ofEachPrompt !== undefined) parameters['of_each'] = filter.ofEachPrompt;
  const rows = await store.select<ComparisonRow>(
    `SELECT comparison_id, project, environment, prompt_name, factor, baseline, candidate, epoch, opened_ms, state, reason, settings
     FROM comparisons FINAL WHERE ${conditions.join(' AND ')} ORDER BY ${alertedFirst} opened_ms DESC, comparison_id ${newest} ${ofEachPrompt} LIMIT {limit:UInt32}`,
    parameters,
  );
  if (rows.length === 0) return { found: [], unreadable: [] };
  const ids = rows.map((row) => row.comparison_id);
  const [looks, alerts] = await Promise.all([
    store.select<LookRow>(
      `SELECT comparison_id, argMax(e_value, slot) AS last_e_value, max(e_value) AS peak_e_value, argMax(metrics, slot) AS last_metrics, count() AS looks, toUnixTimestamp(max(at)) * 1000 AS last_look_ms
       FROM looks FINAL WHERE comparison_id IN {ids:Array(String)} GROUP BY comparison_id`,
      { ids },
    ),
    store.select<{ comparison_id: string; last_alert_id: string; is_accusation: 0 | 1 }>(
      `SELECT comparison_id, argMax(alert_id, at_ms) AS last_alert_id,
         argMax(JSONExtractString(body, 'evidence', 'grade') != 'alone' AND JSONExtractString(body, 'culprit', 'factor') != 'mix' AND NOT startsWith(reason, 'revised'), (at_ms, sequence)) AS is_accusation FROM alert_transitions
       WHERE project = {project:String} AND comparison_id IN {ids:Array(String)} GROUP BY comparison_id`,
      { project: settings.project, ids },
    ),
  ]);
  const lookOf = new Map(looks.map((look) => [look.comparison_id, look]));
  const alertOf = new Map(alerts.map((alert) => [alert.comparison_id, alert]));
  const unreadable: Unreadable[] = [];
  const found = rows.flatMap((row): Found[] => {
    let frozen: ComparisonSettings;
    try {
      // Written by the analyzer with this very schema, frozen when the comparison opened.
      frozen = ComparisonSettings.parse(JSON.parse(row.settings));
    } catch (cause) {
      unreadable.push({ id: row.comparison_id, error: new PermanentError(`the settings of comparison ${row.comparison_id} cannot be read: ${asError(cause).message}`, { cause }) });
      return [];
    }
    const look = lookOf.get(row.comparison_id);
    const alert = alertOf.get(row.comparison_id);
    const alert_id = alert?.last_alert_id ?? null;
    const comparison: Comparison = {
      id: row.comparison_id,
      project: row.project,
      environment: row.environment,
      prompt: row.prompt_name,
      factor: row.factor,
      baseline: row.baseline,
      candidate: row.candidate,
      epoch: row.epoch,
      opened_ms: row.opened_ms,
      state: row.state,
      reason: row.reason,
      alpha: frozen.alpha,
      threshold: 1 / frozen.alpha,
      e_value: look?.last_e_value ?? null,
      peak_e_value: look?.peak_e_value ?? null,
      metrics: look?.last_metrics ?? {},
      looks: look?.looks ?? 0,
      last_look_ms: look?.last_look_ms ?? null,
      // One that was taken back, or that had nothing to be compared with, proves nothing.
      verdict: alert?.is_accusation === 1 ? 'regressed' : look === undefined && !isSetAside(row) ? 'no_data' : 'undecided',
      alert_id,
    };
    return [{ comparison, settings: frozen }];
  });
  return { found, unreadable };
}
