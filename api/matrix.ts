import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { callMetrics, modelOf } from '../schemas/call-metrics.ts';
import type { ApiDeps } from './app.ts';
import { readHours, RolledUp } from './hours.ts';
import { measureCalls, measureScores, MetricSummary, type Selection } from './metrics.ts';
import { NameText, TimeMs, windowOf } from './parameters.ts';
import { problemResponses } from './problem.ts';

/** Versions of a prompt by its models: one metric in each cell. */

const Cell = z.object({ version: z.string(), model: z.string(), calls: z.number().int(), summary: MetricSummary }).openapi('MatrixCell');

const route = createRoute({
  method: 'get',
  path: '/v1/prompts/{name}/matrix',
  summary: 'Versions by models of one prompt, a metric in each cell',
  request: {
    params: z.object({ name: NameText.openapi({ param: { name: 'name', in: 'path' }, description: 'percent-encoded; may contain `/`' }) }),
    query: z.strictObject({ metric: NameText.optional().openapi({ description: 'default error_rate' }), environment: NameText.optional().openapi({ description: 'default production' }), from: TimeMs.optional(), to: TimeMs.optional() }),
  },
  responses: {
    200: {
      description: 'Each cell by itself, with a 95 % interval; busiest versions and models first, at most 12 of each. Of error_rate the models are those that were asked for, since a failed call often does not say who answered.',
      content: { 'application/json': { schema: z.object({ metric: z.string(), versions: z.array(z.string()), models: z.array(z.string()), cells: z.array(Cell), rolled_up: RolledUp }) } },
    },
    ...problemResponses,
  },
});

const MOST = 12;

export function registerMatrix(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const { name } = context.req.valid('param');
    const { metric = 'error_rate', environment = 'production', ...window } = context.req.valid('query');
    const { from_s, to_s } = windowOf(window, clock(), settings.defaultWindowMs);
    const builtIn = callMetrics.find((candidate) => candidate.name === metric);
    const hours = await readHours(store, { from_s, to_s });
    const selection: Selection = {
      hours,
      key: `toJSONString([coalesce(prompt_version, ''), ${modelOf(metric)}])`,
      where: `project = {project:String} AND environment = {environment:String} AND prompt_name = {name:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32} ${builtIn === undefined ? 'AND name = {metric:String}' : ''}`,
      parameters: { project: settings.project, environment, name, metric, from_s, to_s },
      limit: 2000,
    };
    const rows = builtIn === undefined ? await measureScores(store, selection) : await measureCalls(store, [builtIn], selection);
    const cells = rows.flatMap(({ key, calls, metrics: [summary] }) => {
      // The key is made by the SELECT above: a pair of texts.
      const [version = '', model = ''] = JSON.parse(key) as string[];
      return summary === undefined ? [] : [{ version, model, calls, summary }];
    });
    const versions = busiest(cells, ({ version }) => version);
    const models = busiest(cells, ({ model }) => model);
    return context.json({ metric, versions, models, cells: cells.filter(({ version, model }) => versions.includes(version) && models.includes(model)), rolled_up: hours.told }, 200);
  });
}

function busiest<Counted extends { readonly calls: number }>(cells: readonly Counted[], nameOf: (cell: Counted) => string): string[] {
  const calls = new Map<string, number>();
  for (const cell of cells) calls.set(nameOf(cell), (calls.get(nameOf(cell)) ?? 0) + cell.calls);
  return [...calls].sort(([one, more], [other, less]) => less - more || (one < other ? -1 : 1)).slice(0, MOST).map(([name]) => name);
}
