import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { Route } from '../schemas/routes.ts';
import type { Store } from '../schemas/store.ts';
import type { ApiDeps } from './app.ts';
import type { SinkStatus } from './sinks/lane.ts';

/** Who was told of an alert, and how the sinks do. */

export const Told = z
  .object({
    sink: z.string(),
    sequence: z.number().int().openapi({ description: 'of the transition' }),
    outcome: z.enum(['delivered', 'retry', 'failed', 'withheld', 'postponed']),
    detail: z.string(),
    attempts: z.number().int(),
    at_ms: z.number(),
    until_ms: z.number().nullable().openapi({ description: 'when it is looked at again, where it was postponed' }),
  })
  .openapi('Told');
type Told = z.infer<typeof Told>;

/** @param transitionIds of one alert, oldest first. */
export async function readTold(store: Store, transitionIds: readonly string[], nowMs: number): Promise<Told[]> {
  type Row = { transition_id: string; sink: string; last_outcome: Told['outcome']; last_detail: string; attempts: number; last_ms: number; last_until_ms: number };
  const rows = await store.select<Row>(
    `SELECT transition_id, sink, argMax(outcome, (attempt, deliveries.at_ms)) AS last_outcome, argMax(detail, (attempt, deliveries.at_ms)) AS last_detail, max(attempt) AS attempts,
            max(deliveries.at_ms) AS last_ms, argMax(until_ms, (attempt, deliveries.at_ms)) AS last_until_ms
     FROM deliveries WHERE transition_id IN {ids:Array(String)} GROUP BY transition_id, sink ORDER BY sink LIMIT 1000`,
    { ids: transitionIds },
  );
  const newest = new Map<string, Told>();
  const ordered = rows.map((row) => ({ ...row, sequence: transitionIds.indexOf(row.transition_id) + 1 })).sort((one, other) => one.sequence - other.sequence);
  for (const { sink, sequence, last_outcome, last_detail, attempts, last_ms, last_until_ms } of ordered) {
    // What followed was withheld only because the beginning was: the reason for that is what one wants to know.
    if (last_outcome === 'withheld' && newest.has(sink)) continue;
    newest.set(sink, { sink, sequence, outcome: last_outcome, detail: last_detail, attempts, at_ms: last_ms, until_ms: last_outcome === 'postponed' && last_until_ms > nowMs ? last_until_ms : null });
  }
  return [...newest.values()];
}

export type SinkOverview = { readonly sinks: readonly (SinkStatus & { readonly kind: string })[]; readonly routes: readonly Route[] };

const Overview = z
  .object({
    sinks: z.array(z.object({ name: z.string(), kind: z.string(), state: z.enum(['open', 'disabled']), waiting: z.number().int(), last_problem: z.string().nullable() })),
    routes: z.array(z.object({ match: z.array(z.string()), sinks: z.array(z.string()), continue: z.boolean(), group_by: z.array(z.string()), escalate: z.array(z.object({ after_s: z.number(), sinks: z.array(z.string()) })) })),
  })
  .openapi('SinkOverview', { example: { sinks: [{ name: 'on-call', kind: 'pagerduty', state: 'open', waiting: 0, last_problem: null }], routes: [{ match: ['severity=page'], sinks: ['on-call'], continue: true, group_by: [], escalate: [] }] } });

const route = createRoute({
  method: 'get',
  path: '/v1/sinks',
  summary: 'Where alerts go, and how those do that are told',
  responses: { 200: { description: 'In the order of the configuration. Addresses and secrets are not shown.', content: { 'application/json': { schema: Overview } } } },
});

export function registerSinks(app: OpenAPIHono, { sinks }: ApiDeps): void {
  app.openapi(route, (context) => {
    const overview = sinks();
    return context.json(
      {
        sinks: overview.sinks.map(({ sink, kind, state, waiting, last_problem }) => ({ name: sink, kind, state, waiting, last_problem })),
        routes: overview.routes.map((each) => ({ ...each, match: [...each.match], sinks: [...each.sinks], group_by: [...each.group_by], escalate: each.escalate.map((step) => ({ ...step })) })),
      },
      200,
    );
  });
}
