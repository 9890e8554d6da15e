import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { effectsOf, type ShownEffect } from '../analyzer/statistics/shown-effects.ts';
import { referenceOfCells } from '../analyzer/statistics/reference.ts';
import type { Cells } from '../analyzer/statistics/types.ts';
import { callMetrics, modelOf } from '../schemas/call-metrics.ts';
import type { ApiDeps } from './app.ts';
import { readHours, RolledUp } from './hours.ts';
import { readCells, type Arms } from './cells.ts';
import { measureCalls, measureScores, MetricSummary, stepFor, type Selection } from './metrics.ts';
import { MetricEffect } from './results.ts';
import { NameText, TimeMs, windowOf } from './parameters.ts';
import { ProblemError, problemResponses } from './problem.ts';

/**
 * Any two versions, models, slices or periods of a prompt side by side, because somebody wondered. It stakes no α, opens no comparison and pages nobody:
 * who asks often enough finds something by chance alone, so every answer calls itself exploratory.
 */

const Factor = z.enum(['prompt_version', 'model', 'slice', 'period']);

const Answer = z
  .object({
    status: z.literal('exploratory').openapi({ description: 'never a verdict: it was chosen after the fact, and there may have been many like it' }),
    method: z.enum(['concurrent_strata', 'strata_over_time']).openapi({ description: 'concurrent_strata: within the same minutes, model and route. strata_over_time: within the same model and route, but at different times' }),
    says: z.string().openapi({ description: 'the result and what it is worth, in words' }),
    prompt: z.string(),
    environment: z.string(),
    factor: Factor,
    metric: z.string(),
    from_ms: z.number(),
    to_ms: z.number(),
    a: MetricSummary.nullable().openapi({ description: 'by itself, over all its calls; null: none' }),
    b: MetricSummary.nullable(),
    units: z.object({ a: z.number().int(), b: z.number().int() }).openapi({ description: 'sessions, or traces, each counted once within an hour and a stratum, by its first call of one version and model there' }),
    effects: z.array(MetricEffect).openapi({ description: 'b against a within strata; empty: no stratum has both' }),
    strata: z.object({ window_seconds: z.number().int().nullable().openapi({ description: 'length of a stratum; null: time is not held' }), both: z.number().int(), all: z.number().int(), compared_share: z.number().nullable() }).openapi({ description: '`compared_share`: of the units, how many stand in strata that have both' }),
    caveats: z.array(z.string()),
    rolled_up: RolledUp,
  })
  .openapi('Exploration');

const route = createRoute({
  method: 'get',
  path: '/v1/compare',
  summary: 'Any two versions, models, slices or periods of a prompt, on demand: exploratory',
  request: {
    query: z.strictObject({
      prompt: NameText,
      a: NameText.openapi({ description: 'a version, a model, a value of the attribute, or a period as `from/to`', example: 'v1' }),
      b: NameText.openapi({ description: 'what is held against it', example: 'v2' }),
      factor: Factor.optional().openapi({ description: 'what a and b are; default prompt_version' }),
      attribute: NameText.optional().openapi({ description: 'of a slice: the attribute whose values a and b are; one of those that only like calls are compared within (`strata.attributes`)', example: 'app.route' }),
      metric: NameText.optional().openapi({ description: 'built in, or the name of a score; default error_rate' }),
      environment: NameText.optional().openapi({ description: 'default production' }),
      from: TimeMs.optional(),
      to: TimeMs.optional(),
    }),
  },
  responses: { 200: { description: 'With 95 % intervals that hold however often one looks, though not however many questions one asks.', content: { 'application/json': { schema: Answer } } }, ...problemResponses },
});

/** No finer than ten minutes: strata with one arm say nothing. */
const SHORTEST_WINDOW_S = 600;
const MOST_WINDOWS = 48;

export function registerCompare(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const { prompt, a, b, factor = 'prompt_version', attribute = '', metric = 'error_rate', environment = 'production', ...window } = context.req.valid('query');
    if (a === b) throw new ProblemError(400, 'b: is what a is; name two different ones', [{ path: 'b', message: 'is what a is', fix: 'Name two different ones.' }]);
    if ((factor === 'slice') !== (attribute !== '')) throw new ProblemError(400, 'attribute: names what a slice is of', [{ path: 'attribute', message: 'names what a slice is of', fix: 'Send factor=slice and an attribute, like app.route, together.' }]);
    const periods = factor === 'period' ? { a: periodOf('a', a), b: periodOf('b', b) } : null;
    const { from_s, to_s } = periods === null ? windowOf(window, clock(), settings.defaultWindowMs) : { from_s: Math.min(periods.a.from_s, periods.b.from_s), to_s: Math.max(periods.a.to_s, periods.b.to_s) };
    const builtIn = callMetrics.find(({ name }) => name === metric);
    const arms = { prompt_version: "coalesce(prompt_version, '')", model: modelOf(metric), slice: 'stratum_attributes[{attribute:String}]' };
    const key = factor !== 'period' ? arms[factor] : "multiIf(event_time >= {a_from:UInt32} AND event_time < {a_to:UInt32}, 'a', event_time >= {b_from:UInt32} AND event_time < {b_to:UInt32}, 'b', '')";
    const names = periods === null ? { a, b } : { a: 'a', b: 'b' };
    const hours = await readHours(store, { from_s, to_s, ...(periods === null ? {} : { edges: [periods.a, periods.b].flatMap((period) => [period.from_s, period.to_s]) }) });
    const selection: Selection = {
      hours,
      key,
      where: `project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt:String} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}
        AND ${key} IN ({a:String}, {b:String}) ${builtIn === undefined ? 'AND name = {metric:String}' : ''}`,
      parameters: { project: settings.project, environment, prompt, metric, attribute, from_s, to_s, ...names, ...(periods === null ? {} : { a_from: periods.a.from_s, a_to: periods.a.to_s, b_from: periods.b.from_s, b_to: periods.b.to_s }) },
      limit: 10,
    };
    const windowSeconds = periods === null ? Math.max(SHORTEST_WINDOW_S, stepFor(to_s - from_s, MOST_WINDOWS)) : null;
    const [rows, { scale, strata }] = await Promise.all([
      builtIn === undefined ? measureScores(store, selection) : measureCalls(store, [builtIn], selection),
      readCells(store, selection, { metric: builtIn ?? null, arms: names, windowSeconds, isModelHeld: factor !== 'model', attributesHeld: factor === 'slice' ? "mapFilter((own, value) -> own != {attribute:String}, stratum_attributes)" : 'stratum_attributes' }),
    ]);
    const summary = (arm: keyof Arms): MetricSummary | null => rows.find((row) => row.key === names[arm])?.metrics[0] ?? null;
    const together = strata.filter((cells) => sum(cells.a) > 0 && sum(cells.b) > 0);
    const units = unitsOf(strata);
    const effects = effectsOf({ ...scale, reference: referenceOfCells(together.map(({ bins, a: own, b: other }) => ({ bins, a: own, b: other.map(() => 0) }))) }, together);
    const compared = unitsOf(together);
    const answer = {
      status: 'exploratory' as const,
      method: periods === null ? ('concurrent_strata' as const) : ('strata_over_time' as const),
      prompt,
      environment,
      factor,
      metric,
      from_ms: from_s * 1000,
      to_ms: to_s * 1000,
      a: summary('a'),
      b: summary('b'),
      units,
      effects,
      strata: { window_seconds: windowSeconds, both: together.length, all: strata.length, compared_share: units.a + units.b === 0 ? null : (compared.a + compared.b) / (units.a + units.b) },
      caveats: caveatsOf({ factor, metric, units, compared }),
      rolled_up: hours.told,
    };
    return context.json({ ...answer, says: saysOf(effects[0], { a, b, metric, units }) }, 200);
  });
}

/** `2026-06-01T08:00:00Z/2026-06-01T09:00:00Z`, or milliseconds, in whole seconds; its end is not part of it. */
function periodOf(name: 'a' | 'b', text: string): { from_s: number; to_s: number } {
  const [from, to, ...more] = text.split('/').map((end) => TimeMs.safeParse(end));
  if (from?.success !== true || to?.success !== true || more.length > 0 || from.data >= to.data) {
    throw new ProblemError(400, `${name}: is no period`, [{ path: name, message: 'is no period', fix: 'Send two times with a slash between them: 2026-06-01T08:00:00Z/2026-06-01T09:00:00Z.' }]);
  }
  return { from_s: Math.floor(from.data / 1000), to_s: Math.ceil(to.data / 1000) };
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
const unitsOf = (strata: readonly Cells[]): { a: number; b: number } => ({ a: strata.reduce((total, { a }) => total + sum(a), 0), b: strata.reduce((total, { b }) => total + sum(b), 0) });

type Said = { factor: z.infer<typeof Factor>; metric: string; units: { a: number; b: number }; compared: { a: number; b: number } };

function caveatsOf({ factor, metric, units, compared }: Said): string[] {
  const all = units.a + units.b;
  return [
    'Chosen after the fact: of twenty such questions about nothing, one finds something. Take it for an idea, not for a proof.',
    ...(factor === 'period' ? ['The two are of different times: whatever else changed between them counts in.'] : []),
    ...(factor === 'model' && metric === 'error_rate' ? ['Models are those that were asked for, since a failed call often does not say which one answered.'] : []),
    ...(all > 0 && compared.a + compared.b < all / 2 ? ['More than half of the units stand where only one of the two had calls, and say nothing here.'] : []),
  ];
}

function saysOf(effect: ShownEffect | undefined, { a, b, metric, units }: { a: string; b: string; metric: string; units: { a: number; b: number } }): string {
  if (units.a === 0 && units.b === 0) return `No ${metric} of ${a} or ${b} was measured here.`;
  if (units.a === 0 || units.b === 0) return `Nothing of ${units.a === 0 ? a : b} was measured here.`;
  if (effect === undefined) return `${a} and ${b} never had calls of the same kind at the same time, so nothing is compared; each by itself is shown.`;
  const { kind, low, high } = effect;
  const unchanged = kind === 'difference' ? 0 : 1;
  if (low === null || high === null) return `Too little of ${metric} was measured to bound the difference.`;
  if (low <= unchanged && high >= unchanged) return `No difference in ${metric} can be told: the interval holds “the same”.`;
  return `${metric} is ${low > unchanged ? 'higher' : 'lower'} in ${b} than in ${a}, as far as this goes.`;
}
