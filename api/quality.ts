import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { LIMIT_FLAGS } from '../schemas/call-flags.ts';
import type { ApiDeps } from './app.ts';
import { TimeMs, windowOf } from './parameters.ts';
import { problemResponses } from './problem.ts';

/** How good the telemetry is that all else rests on: what is tagged, how late it comes, and from whom. */

const Quality = z
  .object({
    from_ms: z.number(),
    to_ms: z.number(),
    calls: z.number().int(),
    unnamed: z.number().int().openapi({ description: 'calls that name no prompt: nothing is compared there' }),
    unversioned: z.number().int().openapi({ description: 'calls of a prompt without a version' }),
    ambiguous: z.number().int().openapi({ description: 'calls whose span names several prompts' }),
    over_limit: z.number().int().openapi({ description: 'calls of too many prompts or versions, filed under (other)' }),
    without_model: z.number().int().openapi({ description: 'calls that succeeded and do not say which model answered' }),
    lateness_ms: z.object({ p50: z.number().nullable(), p95: z.number().nullable(), p99: z.number().nullable() }).openapi({ description: 'from the end of a call to its arrival here' }),
    clock_ahead: z.number().int().openapi({ description: 'calls that arrived before they ended, by the clock of their sender' }),
    services: z.array(z.object({ service: z.string(), dialect: z.string(), calls: z.number().int(), unnamed: z.number().int(), unversioned: z.number().int(), lateness_p95_ms: z.number().nullable() })).openapi({ description: 'who sent them, busiest first; at most 50' }),
  })
  .openapi('Quality');

const route = createRoute({
  method: 'get',
  path: '/v1/quality',
  summary: 'How well the calls are tagged, and how late they come',
  request: { query: z.strictObject({ from: TimeMs.optional(), to: TimeMs.optional() }) },
  responses: { 200: { description: 'Without `from`, the last 24 hours.', content: { 'application/json': { schema: Quality } } }, ...problemResponses },
});

type Row = z.infer<typeof Quality>['services'][number] & { ambiguous: number; over_limit: number; without_model: number; ahead: number; overall: (number | null)[] };

export function registerQuality(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const { from_s, to_s } = windowOf(context.req.valid('query'), clock(), settings.defaultWindowMs);
    const late = 'toFloat64(received_ms) - toFloat64(end_ns) / 1e6';
    // Of these the attribution is ambiguous, too (analyzer/ingest/cardinality.ts).
    const beyond = 'hasAny(flags, {limit_flags:Array(String)})';
    const rows = await store.select<Row>(
      `SELECT service, dialect, sum(part) AS calls, sum(no_name) AS unnamed, sum(no_version) AS unversioned, sum(several) AS ambiguous, sum(beyond) AS over_limit, sum(no_model) AS without_model, sum(early) AS ahead,
         quantileMerge(0.95)(lateness) AS lateness_p95_ms, quantilesMerge(0.5, 0.95, 0.99)(latenesses) OVER () AS overall FROM
         (SELECT service_name AS service, dialect, count() AS part, countIf(prompt_name IS NULL) AS no_name, countIf(prompt_name IS NOT NULL AND prompt_version IS NULL) AS no_version,
            countIf(${beyond}) AS beyond, countIf(prompt_attribution = 'ambiguous' AND NOT ${beyond}) AS several, countIf(NOT is_error AND response_model IS NULL) AS no_model, countIf(end_ns > received_ms * 1000000) AS early,
            quantileState(0.95)(${late}) AS lateness, quantilesState(0.5, 0.95, 0.99)(${late}) AS latenesses
          FROM calls FINAL WHERE project = {project:String} AND role = 'call' AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32} GROUP BY service, dialect)
       GROUP BY service, dialect, latenesses ORDER BY calls DESC, service, dialect LIMIT 1000`,
      { project: settings.project, from_s, to_s, limit_flags: LIMIT_FLAGS },
    );
    const total = (name: 'calls' | 'unnamed' | 'unversioned' | 'ambiguous' | 'over_limit' | 'without_model' | 'ahead'): number => rows.reduce((sum, row) => sum + row[name], 0);
    const [p50 = null, p95 = null, p99 = null] = rows[0]?.overall ?? [];
    const services = rows.slice(0, 50).map(({ service, dialect, calls, unnamed, unversioned, lateness_p95_ms }) => ({ service, dialect, calls, unnamed, unversioned, lateness_p95_ms }));
    return context.json(
      { from_ms: from_s * 1000, to_ms: to_s * 1000, calls: total('calls'), unnamed: total('unnamed'), unversioned: total('unversioned'), ambiguous: total('ambiguous'), over_limit: total('over_limit'), without_model: total('without_model'), lateness_ms: { p50, p95, p99 }, clock_ahead: total('ahead'), services },
      200,
    );
  });
}
