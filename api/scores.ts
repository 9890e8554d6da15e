import { createRoute, z, type OpenAPIHono, type RouteConfig } from '@hono/zod-openapi';
import { ScoreId, ScoreReceipt, ScoreSubmissions } from '../schemas/score-submission.ts';
import type { ApiDeps } from './app.ts';
import { limitOf, NameText, TimeMs, windowOf } from './parameters.ts';
import { Problem, problemResponses } from './problem.ts';

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
    evaluator: nullableText.openapi({ description: 'who judged: `name@version`, `name`, or a kind; people are not named' }),
    evaluator_kind: z.enum(['human', 'llm', 'code', 'api']).nullable(),
    error_type: nullableText,
    target: z.enum(['span', 'response', 'trace', 'session', 'run']).openapi({ description: 'what is judged, as its sender named it' }),
    trace_id: nullableText,
    span_id: nullableText,
    response_id: nullableText,
    target_session_id: nullableText,
    run_id: nullableText,
    observed_time_ns: z.string(),
    received_time_ms: z.number(),
    join_state: z.enum(['joined', 'pending', 'ambiguous']).openapi({ description: 'pending: its call has not come. ambiguous: calls of several versions fit, so it is not compared.' }),
    is_deleted: z.boolean().openapi({ description: 'hidden from metrics; listed with `deleted=true` only' }),
    flags: z.array(z.string()).openapi({ description: 'why it is not compared: type_conflict (another type than the first score of its name), name_over_limit' }),
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
      score_id: NameText.optional(),
      session_id: NameText.optional().openapi({ description: 'of the score itself or of the call that it judges' }),
      join_state: z.enum(['joined', 'pending', 'ambiguous']).optional(),
      deleted: z.enum(['true', 'false']).optional().openapi({ description: 'default false: without those that were deleted' }),
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

/** The collector takes them (collector/rest/scores.ts); here they are only described. */
const submission: RouteConfig = {
  method: 'post',
  path: '/v1/scores',
  summary: 'Send scores',
  request: { body: { required: true, content: { 'application/json': { schema: ScoreSubmissions } } } },
  responses: {
    200: { description: 'They are durable. Ids are those that were sent, or derived ones.', content: { 'application/json': { schema: ScoreReceipt } } },
    ...problemResponses,
    // The collector answers, as the SDKs that send scores read it.
    400: { description: 'Which score does not fit, and why; none was taken.', content: { 'application/json': { schema: Problem } } },
  },
};

const deletion: RouteConfig = {
  method: 'delete',
  path: '/v1/scores/{score_id}',
  summary: 'Hide a score, for good',
  request: { params: z.object({ score_id: ScoreId }) },
  responses: { 200: { description: 'It is hidden, or will be when it comes.', content: { 'application/json': { schema: ScoreReceipt } } }, ...problemResponses },
};

export function registerScores(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  for (const described of [submission, deletion]) app.openAPIRegistry.registerPath(described);
  app.openapi(route, async (context) => {
    const query = context.req.valid('query');
    // A correction or deletion that came before its score is not one itself.
    const conditions = ['project = {project:String}', "change = 'judgement'"];
    if (query.deleted !== 'true') conditions.push('deleted_slot = 0');
    const parameters: Record<string, unknown> = { project: settings.project, limit: query.limit ?? (query.trace_id === undefined ? 100 : 1000) };
    if (query.trace_id !== undefined) {
      conditions.push('(trace_id = {trace_id:String} OR call_trace_id = {trace_id:String})');
      parameters.trace_id = query.trace_id.toLowerCase();
    }
    if (query.session_id !== undefined) {
      conditions.push('(target_session_id = {session_id:String} OR session_id = {session_id:String})');
      parameters.session_id = query.session_id;
    }
    for (const name of ['name', 'prompt_name', 'prompt_version', 'score_id', 'join_state'] as const) {
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
      `SELECT project, score_id, name, value, label, data_type, explanation, evaluator, evaluator_kind, error_type, target, trace_id, span_id, response_id, target_session_id, run_id,
         toString(observed_ns) AS observed_time_ns, received_ms AS received_time_ms, join_state, toBool(deleted_slot > 0) AS is_deleted, flags,
         nullIf(call_trace_id, '') AS call_trace_id, nullIf(call_span_id, '') AS call_span_id, prompt_name, prompt_version
       FROM (SELECT * FROM scores FINAL WHERE ${conditions.join(' AND ')}
             ORDER BY event_time DESC, score_id DESC LIMIT {limit:UInt32})
       ORDER BY event_time DESC, score_id DESC`,
      parameters,
    );
    return context.json({ scores }, 200);
  });
}
