import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { ApiDeps } from './app.ts';
import { notFoundResponse, ProblemError, problemResponses } from './problem.ts';

const Content = z
  .object({
    trace_id: z.string(),
    span_id: z.string(),
    mode: z.enum(['hashed', 'stored']).openapi({ description: 'stored: the text, after redaction. hashed: the SHA-256 of it, in hex.' }),
    input: z.string().nullable().openapi({ description: 'Messages as canonical JSON, or plain text; null: not on the wire, or over the limit.' }),
    output: z.string().nullable(),
    over_limit: z.array(z.enum(['input', 'output'])).openapi({ description: 'What was too long (256 KiB) to be kept.' }),
  })
  .openapi('CallContent');

const Id = z.string().min(1).max(128);

const route = createRoute({
  method: 'get',
  path: '/v1/calls/{trace_id}/{span_id}/content',
  summary: 'The messages of a call, where content is stored',
  request: { params: z.object({ trace_id: Id, span_id: Id }) },
  responses: { 200: { description: 'What was kept of the messages.', content: { 'application/json': { schema: Content } } }, ...problemResponses, ...notFoundResponse },
});

type Row = z.infer<typeof Content>;

export function registerContent(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const { mode, days } = settings.content;
    if (mode === 'off') throw new ProblemError(404, 'Message content is not stored here: `content` is off. Set it to hashed or stored; then it is kept of calls that arrive from then on.');
    const { trace_id, span_id } = context.req.valid('param');
    const rows = await store.select<Row>(
      // The engine drops expired rows when it likes: they are gone for readers at once.
      `SELECT trace_id, span_id, mode, input, output, over_limit FROM contents FINAL
       WHERE project = {project:String} AND trace_id = {trace_id:String} AND span_id = {span_id:String} AND event_time > {oldest_s:UInt32}
       ORDER BY end_ns DESC LIMIT 1`,
      { project: settings.project, trace_id: trace_id.toLowerCase(), span_id: span_id.toLowerCase(), oldest_s: Math.max(0, Math.floor(clock() / 1000) - days * 86_400) },
    );
    const [row] = rows;
    if (row === undefined) {
      throw new ProblemError(404, `There is no content of this call: its messages were not on the wire, it arrived while content was off, or more than ${days} days ago.`);
    }
    context.header('cache-control', 'no-store');
    return context.json({ ...row, over_limit: [...row.over_limit] }, 200);
  });
}
