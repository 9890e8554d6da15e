import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { PermanentError } from '../schemas/errors.ts';
import type { ApiDeps } from './app.ts';
import { limitOf } from './parameters.ts';
import { notFoundResponse, Problem, ProblemError, problemResponses } from './problem.ts';

/** Messages that could not be stored: what is kept of them, and a way to take them again once the fault is mended. */

const Parked = z
  .object({
    id: z.string(),
    state: z.enum(['parked', 'replayed']),
    signal: z.enum(['traces', 'logs']),
    received_ms: z.number(),
    changed_ms: z.number().openapi({ description: 'when it was parked or replayed' }),
    records: z.number().int().openapi({ description: 'spans or log records in it' }),
    bytes: z.number().int(),
    is_whole: z.boolean().openapi({ description: 'false: its body was not kept (content is not stored, or there was no room for it), so it cannot be replayed' }),
    reason: z.string(),
  })
  .openapi('Parked');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/parked',
  summary: 'Messages that could not be stored, newest first',
  request: { query: z.strictObject({ limit: limitOf({ fallback: 100, maximum: 500 }) }) },
  responses: { 200: { description: 'As long as they are kept.', content: { 'application/json': { schema: z.object({ parked: z.array(Parked) }) } } }, ...problemResponses },
});

const id = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const replayRoute = createRoute({
  method: 'post',
  path: '/v1/parked/{id}/replay',
  summary: 'Take a message as if it came now',
  // A body of JSON, which no page of another origin can send unasked.
  request: { params: id, body: { required: true, content: { 'application/json': { schema: z.strictObject({}) } } } },
  responses: {
    200: { description: 'It is stored.', content: { 'application/json': { schema: Parked } } },
    409: { description: 'It was replayed before, its body was not kept, or it still cannot be stored.', content: { 'application/problem+json': { schema: Problem } } },
    ...problemResponses,
    ...notFoundResponse,
  },
});

const COLUMNS = `parked_id AS id, state, signal, received_ms, changed_ms, records, bytes, toBool(notEmpty(body) OR state = 'replayed') AS is_whole, reason`;

type Row = z.infer<typeof Parked>;

export function registerParked(app: OpenAPIHono, { store, clock, settings, replay }: ApiDeps): void {
  app.openapi(listRoute, async (context) => {
    const { limit = 100 } = context.req.valid('query');
    const parked = await store.select<Row>(`SELECT ${COLUMNS} FROM parked FINAL WHERE project = {project:String} ORDER BY changed_ms DESC, parked_id LIMIT {limit:UInt32}`, { project: settings.project, limit });
    return context.json({ parked }, 200);
  });

  app.openapi(replayRoute, async (context) => {
    const { project } = settings;
    const { id: parked_id } = context.req.valid('param');
    const [row] = await store.select<Row & { encoding: 'protobuf' | 'json'; body: string }>(`SELECT ${COLUMNS}, encoding, body FROM parked FINAL WHERE project = {project:String} AND parked_id = {parked_id:String}`, { project, parked_id });
    if (row === undefined) throw new ProblemError(404, `No message ${JSON.stringify(parked_id)} is parked; GET /v1/parked lists them.`);
    const { encoding, body, ...parked } = row;
    if (parked.state === 'replayed') throw new ProblemError(409, 'It was replayed already.');
    if (!parked.is_whole) throw new ProblemError(409, 'Its body was not kept: that takes content: stored, and room for it.');
    try {
      await replay({ project, signal: parked.signal, encoding, received_ms: clock(), body: Buffer.from(body, 'base64') });
    } catch (error) {
      if (error instanceof PermanentError) throw new ProblemError(409, 'It still cannot be stored; GET /v1/parked says why.');
      throw error;
    }
    const changed_ms = clock();
    // Where this is lost, replaying it again finds duplicates.
    await store.insert('parked', [{ project, parked_id, signal: parked.signal, encoding, received_ms: parked.received_ms, changed_ms, state: 'replayed', records: parked.records, bytes: parked.bytes, reason: parked.reason, body: '' }]);
    return context.json({ ...parked, state: 'replayed' as const, changed_ms }, 200);
  });
}
