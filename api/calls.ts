import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { LlmCall } from '../schemas/call.ts';
import type { ApiDeps } from './app.ts';
import { Cursor, limitOf, NameText, readCursor, TimeMs, windowOf, writeCursor } from './parameters.ts';
import { problemResponses } from './problem.ts';

const nullableText = z.string().nullable();
const nullableNumber = z.number().nullable();

const Call = z
  .object({
    project: z.string(),
    trace_id: z.string(),
    span_id: z.string(),
    parent_span_id: nullableText,
    start_time_ns: z.string().openapi({ description: 'nanoseconds since the epoch, as decimal text' }),
    end_time_ns: z.string(),
    received_time_ms: z.number(),
    duration_ms: nullableNumber,
    dialect: z.string(),
    scope_name: z.string(),
    service_name: z.string(),
    service_version: z.string(),
    environment: z.string(),
    operation: z.string(),
    prompt_name: nullableText,
    prompt_version: nullableText,
    prompt_version_source: z.enum(['explicit', 'commit', 'hash', 'label', 'template_fp', 'system_fp', 'app_version', 'none']),
    prompt_label: nullableText,
    prompt_fingerprint: nullableText,
    prompt_attribution: z.enum(['direct', 'inherited', 'ambiguous', 'none']),
    provider: z.string(),
    request_model: nullableText,
    response_model: nullableText,
    response_id: nullableText,
    finish_reason: z.enum(['stop', 'length', 'tool_call', 'content_filter', 'error', 'compaction', 'other', 'unknown']).nullable(),
    is_error: z.boolean(),
    error_type: nullableText,
    status_message: nullableText,
    is_stream: z.boolean().nullable(),
    is_cache_hit: z.boolean(),
    is_experiment: z.boolean(),
    ttft_ms: nullableNumber,
    input_tokens: nullableNumber,
    output_tokens: nullableNumber,
    cache_read_tokens: nullableNumber,
    cache_write_tokens: nullableNumber,
    reasoning_tokens: nullableNumber,
    cost_usd: nullableNumber,
    cost_source: z.enum(['reported', 'computed']).nullable(),
    session_id: nullableText,
    user_id: nullableText,
    is_empty: z.boolean().nullable(),
    is_format_valid: z.boolean().nullable(),
    stratum_attributes: z.record(z.string(), z.string()),
    factor_attributes: z.record(z.string(), z.string()),
    prompt_content: nullableText,
    flags: z.array(z.string()),
  })
  .openapi('LlmCall');

const route = createRoute({
  method: 'get',
  path: '/v1/calls',
  summary: 'LLM calls, newest first: one record for each inference, duplicates and wrappers resolved',
  request: {
    query: z.strictObject({
      trace_id: z.string().min(1).max(128).optional(),
      span_id: z.string().min(1).max(128).optional(),
      prompt_name: NameText.optional(),
      prompt_version: NameText.optional(),
      model: NameText.optional().openapi({ description: 'the model that answered, else the one that was asked for' }),
      environment: NameText.optional(),
      is_error: z.enum(['true', 'false']).optional(),
      from: TimeMs.optional(),
      to: TimeMs.optional(),
      limit: limitOf({ fallback: 100, maximum: 1000 }),
      cursor: Cursor.optional(),
    }),
  },
  responses: {
    200: {
      description: 'Without `trace_id`, the last 24 hours unless `from` is named.',
      content: { 'application/json': { schema: z.object({ calls: z.array(Call), next_cursor: nullableText }) } },
    },
    ...problemResponses,
  },
});

/** A row as the SELECT below names it. Booleans come as JSON booleans, 64-bit times as text. */
type CallRow = Omit<LlmCall, 'duration_ms' | 'parent_span_id'> & { parent_span_id: string; event_s: number };

/**
 * FINAL gives the newest revision of each span: the sorting key holds nothing that changes about one. The bloom filter on
 * trace_id is safe under FINAL for the same reason.
 */
const columns = `project, toUnixTimestamp(event_time) AS event_s, trace_id, span_id, parent_span_id,
  toString(start_ns) AS start_time_ns, toString(end_ns) AS end_time_ns, received_ms AS received_time_ms,
  dialect, scope_name, service_name, service_version, environment, operation, prompt_name, prompt_version,
  prompt_version_source, prompt_label, prompt_fingerprint, prompt_attribution, provider, request_model, response_model, response_id, finish_reason,
  is_error, error_type, status_message, is_stream, is_cache_hit, is_experiment, ttft_ms, input_tokens, output_tokens, cache_read_tokens,
  cache_write_tokens, reasoning_tokens, cost_usd, cost_source, session_id, user_id, is_empty, is_format_valid,
  stratum_attributes, factor_attributes, prompt_content, flags`;

export function registerCalls(app: OpenAPIHono, { store, clock, settings }: ApiDeps): void {
  app.openapi(route, async (context) => {
    const query = context.req.valid('query');
    const limit = query.limit ?? (query.trace_id === undefined ? 100 : 1000);
    const conditions = ['project = {project:String}', "role = 'call'"];
    const parameters: Record<string, unknown> = { project: settings.project, limit: limit + 1 };
    const where = (condition: string, name: string, value: unknown): void => {
      conditions.push(condition);
      parameters[name] = value;
    };
    if (query.trace_id !== undefined) where('trace_id = {trace_id:String}', 'trace_id', query.trace_id.toLowerCase());
    if (query.span_id !== undefined) where('span_id = {span_id:String}', 'span_id', query.span_id.toLowerCase());
    if (query.prompt_name !== undefined) where('prompt_name = {prompt_name:String}', 'prompt_name', query.prompt_name);
    if (query.prompt_version !== undefined) where('prompt_version = {prompt_version:String}', 'prompt_version', query.prompt_version);
    if (query.model !== undefined) where('coalesce(response_model, request_model) = {model:String}', 'model', query.model);
    if (query.environment !== undefined) where('environment = {environment:String}', 'environment', query.environment);
    if (query.is_error !== undefined) where('is_error = {is_error:Bool}', 'is_error', query.is_error === 'true');
    if (query.trace_id === undefined || query.from !== undefined || query.to !== undefined) {
      const window = windowOf(query, clock(), query.trace_id === undefined ? settings.defaultWindowMs : Number.MAX_SAFE_INTEGER);
      where('event_time >= {from_s:UInt32}', 'from_s', window.from_s);
      where('event_time <= {to_s:UInt32}', 'to_s', Math.min(window.to_s, 4_294_967_295));
    }
    if (query.cursor !== undefined) {
      const [event_s, start_ns, trace_id, span_id] = readCursor(query.cursor, 4);
      if (!/^\d{1,10}$/.test(event_s ?? '') || !/^\d{1,20}$/.test(start_ns ?? '')) readCursor('', 4);
      conditions.push('(toUnixTimestamp(event_time), start_ns, trace_id, span_id) < ({c_event:UInt32}, {c_start:UInt64}, {c_trace:String}, {c_span:String})');
      Object.assign(parameters, { c_event: event_s, c_start: start_ns, c_trace: trace_id, c_span: span_id });
    }
    const rows = await store.select<CallRow>(
      `SELECT ${columns} FROM calls FINAL WHERE ${conditions.join(' AND ')}
       ORDER BY event_time DESC, start_ns DESC, trace_id DESC, span_id DESC LIMIT {limit:UInt32}
       SETTINGS use_skip_indexes_if_final = 1`,
      parameters,
    );
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    const next_cursor = last ? writeCursor([last.event_s, last.start_time_ns, last.trace_id, last.span_id]) : null;
    return context.json({ calls: page.map(toCall), next_cursor }, 200);
  });
}

function toCall({ event_s: _event_s, parent_span_id, ...row }: CallRow): z.infer<typeof Call> {
  const elapsedNs = BigInt(row.end_time_ns) - BigInt(row.start_time_ns);
  return {
    ...row,
    parent_span_id: parent_span_id === '' ? null : parent_span_id,
    duration_ms: row.end_time_ns === '0' || elapsedNs <= 0n ? null : Number(elapsedNs) / 1e6,
    stratum_attributes: { ...row.stratum_attributes },
    factor_attributes: { ...row.factor_attributes },
    prompt_content: row.prompt_content ?? null,
    flags: [...row.flags],
  };
}
