import { createHash } from 'node:crypto';

/** Rows of `calls` and `scores` as the analyzer writes them. */

export const slotSeconds = 120;

export type CallRow = ReturnType<typeof callRow>;

type CallFacts = {
  project: string;
  at_ms: number;
  id: string;
  prompt: string | null;
  version: string | null;
  model: string;
  duration_ms: number;
  is_error: boolean;
  session: string;
  ttft_ms: number | null;
  output_tokens: number;
};

export function callRow(facts: Partial<CallFacts> & { at_ms: number; id: string }) {
  const { project, at_ms, id, prompt, version, model, duration_ms, is_error, session, ttft_ms, output_tokens } = {
    project: 'default',
    prompt: 'refund-agent' as string | null,
    version: 'v1' as string | null,
    model: 'gpt-4o-2024-08-06',
    duration_ms: 900,
    is_error: false,
    session: facts.id,
    ttft_ms: 240 as number | null,
    output_tokens: 180,
    ...facts,
  };
  const hash = createHash('sha256').update(id).digest('hex');
  const startNs = BigInt(Math.round(at_ms * 1000)) * 1000n;
  return {
    project,
    event_time: String(Math.floor(at_ms / 1000)),
    trace_id: hash.slice(0, 32),
    span_id: hash.slice(32, 48),
    parent_span_id: '',
    start_ns: String(startNs),
    end_ns: String(startNs + BigInt(Math.round(duration_ms * 1e6))),
    received_ms: Math.round(at_ms + duration_ms + 800),
    slot: Math.floor((at_ms + duration_ms + 800) / 1000 / slotSeconds),
    batch: 1,
    revision: 1,
    dialect: 'otel_genai',
    scope_name: 'opentelemetry.instrumentation.openai_v2',
    service_name: 'shop-backend',
    service_version: '2026.6.1',
    environment: 'production',
    operation: 'chat',
    prompt_name: prompt,
    prompt_version: version,
    prompt_version_source: version === null ? 'none' : 'explicit',
    prompt_attribution: prompt === null ? 'none' : 'direct',
    provider: 'openai',
    request_model: 'gpt-4o',
    response_model: is_error ? null : model,
    response_id: is_error ? null : `chatcmpl-${hash.slice(0, 29)}`,
    finish_reason: is_error ? null : 'stop',
    is_error,
    error_type: is_error ? '500' : null,
    status_message: is_error ? 'upstream tool failed' : null,
    is_stream: true,
    ttft_ms: is_error ? null : ttft_ms,
    input_tokens: 1200,
    output_tokens: is_error ? null : output_tokens,
    cache_read_tokens: null,
    cache_write_tokens: null,
    reasoning_tokens: null,
    cost_usd: is_error ? null : (1200 * 2.5 + output_tokens * 10) / 1e6,
    cost_source: 'computed',
    session_id: session,
    user_id: null,
    is_empty: false,
    is_format_valid: is_error ? null : Number.parseInt(hash.slice(48, 50), 16) !== 7,
    stratum_attributes: { 'app.route': '/refund' },
    flags: [] as string[],
  };
}

export function scoreRow(call: CallRow, facts: { name: string; value: number }) {
  return {
    project: call.project,
    event_time: call.event_time,
    score_id: createHash('sha256').update(`${call.trace_id}${facts.name}`).digest('hex').slice(0, 32),
    name: facts.name,
    value: facts.value,
    label: null,
    data_type: 'numeric',
    explanation: null,
    evaluator: 'judge-4o',
    error_type: null,
    trace_id: call.trace_id,
    span_id: call.span_id,
    response_id: null,
    observed_ns: call.end_ns,
    received_ms: call.received_ms,
    join_state: 'joined',
    slot: call.slot,
    batch: 1,
    revision: 1,
    call_trace_id: call.trace_id,
    call_span_id: call.span_id,
    call_start_ns: call.start_ns,
    environment: call.environment,
    operation: call.operation,
    prompt_name: call.prompt_name,
    prompt_version: call.prompt_version,
    prompt_attribution: call.prompt_attribution,
    request_model: call.request_model,
    response_model: call.response_model,
    session_id: call.session_id,
    stratum_attributes: {},
  };
}
