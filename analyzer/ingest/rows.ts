import type { LlmCall } from '../../schemas/call.ts';
import { targetKind, type Score } from '../../schemas/score.ts';
import type { FiledScore } from './draft.ts';
import type { Role } from './nesting.ts';
import type { Relative } from '../normalise.ts';
import type { CallContent } from '../signals/content.ts';

/** Rows as the tables of schemas/clickhouse take them. */

const AHEAD_MS = 10 * 60_000;
const BEHIND_MS = 7 * 86_400_000;

/**
 * The second that a record is filed under (partition, sort key, TTL): its own time, or its arrival where its clock is
 * more than 10 minutes ahead or 7 days behind, so that a broken clock cannot make partitions or outlive its retention.
 */
function eventSeconds(time_ns: string, received_ms: number): number {
  const ms = msOf(time_ns);
  const believable = ms <= received_ms + AHEAD_MS && ms >= received_ms - BEHIND_MS;
  return Math.floor((believable ? ms : received_ms) / 1000);
}

/** Whole milliseconds of nanoseconds as decimal text: exact, and without a BigInt for each call. */
export function msOf(time_ns: string): number {
  return Number(time_ns.slice(0, -6));
}

export function callEventSeconds(call: LlmCall): number {
  return eventSeconds(call.start_time_ns, call.received_time_ms);
}

export function scoreEventSeconds(score: Score): number {
  return eventSeconds(score.observed_time_ns, score.received_time_ms);
}

/** Where a row stands: `event_s` is the second that it is filed under; what slots and revisions mean is in draft.ts. */
export type Filing = { readonly slot: number; readonly revision: number; readonly event_s: number };
export type CallFiling = Filing & { readonly role: Role; readonly reason: string };

/** Written out, field by field: one shape for all rows makes building and writing them several times as fast as spreading. */
export function callRow(call: LlmCall, filing: CallFiling, former_role: Role | '', batch: number) {
  return {
    project: call.project,
    event_time: filing.event_s,
    trace_id: call.trace_id,
    span_id: call.span_id,
    parent_span_id: call.parent_span_id ?? '',
    start_ns: call.start_time_ns,
    end_ns: call.end_time_ns,
    received_ms: call.received_time_ms,
    slot: filing.slot,
    batch,
    revision: filing.revision,
    role: filing.role,
    former_role,
    reason: filing.reason,
    dialect: call.dialect,
    scope_name: call.scope_name,
    service_name: call.service_name,
    service_version: call.service_version,
    environment: call.environment,
    operation: call.operation,
    prompt_name: call.prompt_name,
    prompt_version: call.prompt_version,
    prompt_version_source: call.prompt_version_source,
    prompt_label: call.prompt_label,
    prompt_fingerprint: call.prompt_fingerprint,
    prompt_content: call.prompt_content ?? null,
    prompt_attribution: call.prompt_attribution,
    provider: call.provider,
    request_model: call.request_model,
    response_model: call.response_model,
    response_id: call.response_id,
    finish_reason: call.finish_reason,
    is_error: call.is_error,
    error_type: call.error_type,
    status_message: call.status_message,
    is_stream: call.is_stream,
    is_cache_hit: call.is_cache_hit,
    is_experiment: call.is_experiment,
    ttft_ms: call.ttft_ms,
    input_tokens: call.input_tokens,
    output_tokens: call.output_tokens,
    cache_read_tokens: call.cache_read_tokens,
    cache_write_tokens: call.cache_write_tokens,
    reasoning_tokens: call.reasoning_tokens,
    cost_usd: call.cost_usd,
    cost_source: call.cost_source,
    session_id: call.session_id,
    user_id: call.user_id,
    is_empty: call.is_empty,
    is_format_valid: call.is_format_valid,
    stratum_attributes: call.stratum_attributes,
    factor_attributes: call.factor_attributes ?? {},
    mix_attributes: call.mix_attributes ?? {},
    flags: call.flags,
  };
}

/** What a score needs to know of its call. */
export type CallFacts = Pick<
  LlmCall,
  | 'project'
  | 'trace_id'
  | 'span_id'
  | 'start_time_ns'
  | 'environment'
  | 'operation'
  | 'prompt_name'
  | 'prompt_version'
  | 'prompt_attribution'
  | 'request_model'
  | 'response_model'
  | 'response_id'
  | 'session_id'
  | 'stratum_attributes'
  | 'is_experiment'
  | 'provider'
  | 'service_name'
  | 'service_version'
  | 'prompt_content'
  | 'factor_attributes'
>;

export function factsOf(call: CallFacts): CallFacts {
  return {
    project: call.project,
    trace_id: call.trace_id,
    span_id: call.span_id,
    start_time_ns: call.start_time_ns,
    environment: call.environment,
    operation: call.operation,
    prompt_name: call.prompt_name,
    prompt_version: call.prompt_version,
    prompt_attribution: call.prompt_attribution,
    request_model: call.request_model,
    response_model: call.response_model,
    response_id: call.response_id,
    session_id: call.session_id,
    stratum_attributes: call.stratum_attributes,
    is_experiment: call.is_experiment,
    provider: call.provider,
    service_name: call.service_name,
    service_version: call.service_version,
    prompt_content: call.prompt_content ?? null,
    factor_attributes: call.factor_attributes ?? {},
  };
}

/** A score, with what it says of its call once it is credited to one. */
export function scoreRow({ score, place, stored }: FiledScore, batch: number) {
  const call = place.kind === 'joined' ? place.call : null;
  return {
    project: score.project,
    event_time: stored.event_s,
    score_id: score.score_id,
    name: score.name,
    value: score.value,
    bet_value: stored.bet_value,
    label: score.label,
    data_type: score.data_type,
    explanation: score.explanation,
    evaluator: score.evaluator,
    evaluator_kind: score.evaluator_kind,
    error_type: score.error_type,
    target: targetKind(score),
    trace_id: score.trace_id,
    span_id: score.span_id,
    response_id: score.response_id,
    target_session_id: score.target_session_id,
    run_id: score.run_id,
    observed_ns: score.observed_time_ns,
    received_ms: score.received_time_ms,
    change: score.change,
    deleted_slot: stored.deleted_slot,
    flags: score.flags,
    join_state: place.kind,
    slot: stored.slot,
    batch,
    revision: stored.revision,
    call_trace_id: call?.trace_id ?? '',
    call_span_id: call?.span_id ?? '',
    call_start_ns: call?.start_time_ns ?? '0',
    environment: call?.environment ?? '',
    operation: call?.operation ?? '',
    prompt_name: call?.prompt_name ?? null,
    prompt_version: call?.prompt_version ?? null,
    prompt_attribution: call?.prompt_attribution ?? 'none',
    request_model: call?.request_model ?? null,
    response_model: call?.response_model ?? null,
    session_id: call?.session_id ?? null,
    stratum_attributes: call?.stratum_attributes ?? {},
    is_experiment: call?.is_experiment ?? false,
    provider: call?.provider ?? '',
    service_name: call?.service_name ?? '',
    service_version: call?.service_version ?? '',
    prompt_content: call?.prompt_content ?? null,
    factor_attributes: call?.factor_attributes ?? {},
  };
}

export function relativeRow({ start_time_ns: _start_time_ns, ...relative }: Relative) {
  return { ...relative, parent_span_id: relative.parent_span_id ?? '' };
}

export type ContentOf = { readonly call: LlmCall; readonly content: CallContent };

export function contentRow({ call, content }: ContentOf) {
  return { project: call.project, event_time: callEventSeconds(call), trace_id: call.trace_id, span_id: call.span_id, end_ns: call.end_time_ns, ...content };
}
