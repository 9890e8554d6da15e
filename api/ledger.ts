import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { LEDGER } from '../schemas/ledger.ts';
import type { ApiDeps } from './app.ts';
import { problemResponses } from './problem.ts';

const Entry = z.object({ signal: z.string(), reason: z.string(), count: z.number().int() });

const Ledger = z
  .object({
    received: z.number().int(),
    stored: z.number().int(),
    duplicate: z.number().int(),
    ignored: z.number().int(),
    rejected: z.number().int(),
    waiting: z.number().int().openapi({ description: 'calls that still wait for a relative of theirs; they are in the store' }),
    balanced: z.boolean().openapi({ description: 'received = stored + duplicate + ignored + rejected + waiting' }),
    difference: z.number().int().openapi({ description: 'received minus the sum; 0 when balanced' }),
    by_outcome: z.record(z.string(), z.array(Entry)).openapi({ description: 'received, stored, duplicate, ignored, rejected: each by signal and reason' }),
    scores: z
      .object({ joined: z.number().int(), pending: z.number().int(), ambiguous: z.number().int(), deleted: z.number().int(), not_compared: z.number().int() })
      .openapi({ description: 'the scores that are kept, each once. pending: what they judge has not come. ambiguous: it has several versions. not_compared: joined, but of another type than their name (flags).' }),
    parked: z.object({ messages: z.number().int(), records: z.number().int() }).openapi({ description: 'what could not be stored and is kept aside: GET /v1/parked. Its records are among the rejected, as unstorable.' }),
    by_hour: z.array(z.object({ hour_ms: z.number(), outcome: z.string(), count: z.number().int() })).openapi({ description: 'the last 48 hours' }),
  })
  .openapi('Ledger');

const route = createRoute({
  method: 'get',
  path: '/v1/ledger',
  summary: 'What became of every span and log record that was taken',
  request: { query: z.strictObject({}) },
  responses: { 200: { description: 'All time, from durable rows.', content: { 'application/json': { schema: Ledger } } }, ...problemResponses },
});

export function registerLedger(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const { project } = settings;
    const [rows, hours, provisional, places, [parked = { messages: 0, records: 0 }]] = await Promise.all([
      store.select<{ signal: string; outcome: string; reason: string; count: number }>(
        `SELECT signal, outcome, reason, sum(count) AS count FROM ${LEDGER} WHERE project = {project:String}
         GROUP BY signal, outcome, reason ORDER BY outcome, signal, count DESC, reason LIMIT 2000`,
        { project },
      ),
      store.select<{ hour_ms: number; outcome: string; count: number }>(
        `SELECT toUnixTimestamp(hour) * 1000 AS hour_ms, outcome, sum(count) AS count FROM ${LEDGER}
         WHERE project = {project:String} AND hour >= {from_s:UInt32} GROUP BY hour, outcome ORDER BY hour, outcome LIMIT 500`,
        { project, from_s: Math.max(0, Math.floor(clock() / 1000) - 48 * 3600) },
      ),
      // The inner query finds the few spans that ever were provisional by the index on slot; FINAL then says which still are.
      store.select<{ count: number }>(
        `SELECT count() AS count FROM calls FINAL WHERE project = {project:String} AND slot = 0 AND role = 'call' AND (event_time, trace_id, span_id) IN
           (SELECT event_time, trace_id, span_id FROM calls WHERE project = {project:String} AND slot = 0 AND role = 'call')`,
        { project },
      ),
      store.select<{ place: string; count: number }>(
        `SELECT multiIf(deleted_slot > 0, 'deleted', notEmpty(flags) AND join_state = 'joined', 'not_compared', join_state) AS place, count() AS count
         FROM scores FINAL WHERE project = {project:String} AND change = 'judgement' GROUP BY place`,
        { project },
      ),
      store.select<{ messages: number; records: number }>(`SELECT count() AS messages, sum(parked.records) AS records FROM parked FINAL WHERE project = {project:String} AND state = 'parked'`, { project }),
    ]);
    const scored = (place: string): number => places.find((row) => row.place === place)?.count ?? 0;
    const scores = { joined: scored('joined'), pending: scored('pending'), ambiguous: scored('ambiguous'), deleted: scored('deleted'), not_compared: scored('not_compared') };
    const total = (outcome: string): number => rows.filter((row) => row.outcome === outcome).reduce((sum, row) => sum + row.count, 0);
    const waiting = provisional[0]?.count ?? 0;
    const counts = {
      received: total('received'),
      // A provisional call was written, hence counted as stored, when it came; until it is complete it is shown as waiting.
      stored: total('stored') - waiting,
      duplicate: total('duplicate'),
      ignored: total('ignored'),
      rejected: total('rejected'),
      waiting,
    };
    const difference = counts.received - counts.stored - counts.duplicate - counts.ignored - counts.rejected - counts.waiting;
    const by_outcome: Record<string, z.infer<typeof Entry>[]> = { received: [], stored: [], duplicate: [], ignored: [], rejected: [] };
    for (const { outcome, signal, reason, count } of rows) (by_outcome[outcome] ??= []).push({ signal, reason, count });
    return context.json({ ...counts, balanced: difference === 0, difference, by_outcome, scores, parked, by_hour: hours }, 200);
  });
}
