import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import { Cursor, limitOf, readCursor, TimeMs, writeCursor } from '../parameters.ts';
import { problemResponses } from '../problem.ts';
import { requireScope } from './identity.ts';

const Entry = z
  .object({
    at_ms: z.number(),
    entry_id: z.string(),
    project: z.string().openapi({ description: 'empty: the installation' }),
    actor_kind: z.enum(['key', 'person', 'anyone', 'command', 'system']),
    actor: z.string(),
    actor_id: z.string(),
    address: z.string(),
    action: z.string(),
    target: z.string(),
    result: z.enum(['done', 'refused', 'failed']),
    detail: z.string(),
  })
  .openapi('AuditEntry');

const route = createRoute({
  method: 'get',
  path: '/v1/audit-log',
  summary: 'Who did what, from where, with what result; newest first',
  request: {
    query: z.strictObject({
      actor: z.string().min(1).max(256).optional(),
      action: z.string().min(1).max(128).optional().openapi({ example: 'alerts.acknowledge' }),
      from: TimeMs.optional(),
      to: TimeMs.optional(),
      limit: limitOf({ fallback: 100, maximum: 1000 }),
      cursor: Cursor.optional(),
    }),
  },
  responses: { 200: { description: 'Of all projects.', content: { 'application/json': { schema: z.object({ entries: z.array(Entry), next_cursor: z.string().nullable() }) } } }, ...problemResponses },
});

export function registerAuditLog(app: OpenAPIHono, { store, clock }: { readonly store: Store; readonly clock: Clock }): void {
  app.openapi(route, async (context) => {
    requireScope(context, 'admin');
    const { actor, action, from, to, cursor, limit = 100 } = context.req.valid('query');
    const [beforeMs = '', beforeId = ''] = cursor === undefined ? [] : readCursor(cursor, 2);
    const conditions = ['at_ms >= {from_ms:UInt64}', 'at_ms <= {to_ms:UInt64}'];
    if (actor !== undefined) conditions.push('actor = {actor:String}');
    if (action !== undefined) conditions.push('action = {action:String}');
    if (cursor !== undefined) conditions.push('(at_ms, entry_id) < ({before_ms:UInt64}, {before_id:String})');
    const rows = await store.select<z.infer<typeof Entry>>(
      `SELECT at_ms, entry_id, project, actor_kind, actor, actor_id, address, action, target, result, detail FROM audit_log
       WHERE ${conditions.join(' AND ')} ORDER BY at_ms DESC, entry_id DESC LIMIT {limit:UInt32}`,
      { from_ms: from ?? 0, to_ms: to ?? clock() + 60_000, actor, action, before_ms: /^\d{1,15}$/.test(beforeMs) ? Number(beforeMs) : 0, before_id: beforeId, limit: limit + 1 },
    );
    const entries = rows.slice(0, limit);
    const last = rows.length > limit ? entries.at(-1) : undefined;
    return context.json({ entries, next_cursor: last === undefined ? null : writeCursor([last.at_ms, last.entry_id]) }, 200);
  });
}
