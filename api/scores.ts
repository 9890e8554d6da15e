import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { ApiDeps } from './app.ts';
import { limitOf, NameText, TimeMs, windowOf } from './parameters.ts';
import { problemResponses } from './problem.ts';

const nullableText = z.string().nullable();

const Score = z
  .object({
    project: z.string(),
    score_id: z.string(),
    name: z.string(),
    value: z.number().nullable(),
    label: nullableText,
    data_type: z.enum(['numeric', 'boolean', 'categorical']),
    explanation: nullableText,
    evaluator: nullableText,
    error_type: nullableText,
    trace_id: nullableText,
    span_id: nullableText,
    response_id: nullableText,
    observed_time_ns: z.string(),
    received_time_ms: z.number(),
    join_state: z.string().openapi({ description: 'joined, pending (its call has not come), ambiguous (several calls fit)' }),
    call_trace_id: nullableText,
    call_span_id: nullableText,
    prompt_name: nullableText,
    prompt_version: nullableText,
  })
  .openapi('Score');
type Score = z.infer<typeof Score>;

const route = createRoute({
  method: 'get',
  path: '/v1/scores',
  summary: 'Quality scores, newest first',
  request: {
    query: z.strictObject({
      trace_id: z.string().min(1).max(128).optional().openapi({ description: 'of the score itself or of the call that it judges' }),
      name: NameText.optional(),
      prompt_name: NameText.optional(),
      prompt_version: NameText.optional(),
      from: TimeMs.optional(),
      to: TimeMs.optional(),
      limit: limitOf({ fallback: 100, maximum: 1000 }),
    }),
  },
  responses: {
    200: { description: 'Without `trace_id`, the last 24 hours unless `from` is named.', content: { 'application/json': { schema: z.object({ scores: z.array(Score) }) } } },
    ...problemResponses,
  },
});

export function registerScores(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const query = context.req.valid('query');
    const conditions = ['project = {project:String}'];
    const parameters: Record<string, unknown> = { project: settings.project, limit: query.limit ?? (query.trace_id === undefined ? 100 : 1000) };
    if (query.trace_id !== undefined) {
      conditions.push('(trace_id = {trace_id:String} OR call_trace_id = {trace_id:String})');
      parameters.trace_id = query.trace_id.toLowerCase();
    }
    for (const name of ['name', 'prompt_name', 'prompt_version'] as const) {
      if (query[name] === undefined) continue;
      conditions.push(`${name} = {${name}:String}`);
      parameters[name] = query[name];
    }
    if (query.trace_id === undefined || query.from !== undefined || query.to !== undefined) {
      const window = windowOf(query, clock(), query.trace_id === undefined ? settings.defaultWindowMs : Number.MAX_SAFE_INTEGER);
      conditions.push('event_time >= {from_s:UInt32}', 'event_time <= {to_s:UInt32}');
      Object.assign(parameters, { from_s: window.from_s, to_s: Math.min(window.to_s, 4_294_967_295) });
    }
    const scores = await store.select<Score>(
      `SELECT project, score_id, name, value, label, data_type, explanation, evaluator, error_type, trace_id, span_id, response_id,
         toString(observed_ns) AS observed_time_ns, received_ms AS received_time_ms, join_state,
         nullIf(call_trace_id, '') AS call_trace_id, nullIf(call_span_id, '') AS call_span_id, prompt_name, prompt_version
       FROM (SELECT * FROM scores FINAL WHERE ${conditions.join(' AND ')}
             ORDER BY event_time DESC, score_id DESC LIMIT {limit:UInt32})
       ORDER BY event_time DESC, score_id DESC`,
      parameters,
    );
    return context.json({ scores }, 200);
  });
}
