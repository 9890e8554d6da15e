import type { LlmCall } from '../../schemas/call.ts';
import { isPromptFlag, isTagged } from './ancestry.ts';

/**
 * One record out of two spans of the same inference: the call that counts, with what it lacks taken from the other. What both have stays as
 * the call has it, but for four things that the other may know better: a prompt that stands on the other itself, where the call only
 * inherited one; a cost that the other reports, where the call's is computed; reasoning that the call left out of its output; and the session, where the other began first: the outer library is told more
 * (a thread of LangGraph), and which of them counts is a matter of arrival.
 *
 * @returns the call itself where the other has nothing to add.
 */
export function merge(call: LlmCall, other: LlmCall): LlmCall {
  const merged: LlmCall = {
    ...call,
    ...promptOf(call, other),
    ...costOf(call, other),
    ...timesOf(call, other),
    service_name: call.service_name || other.service_name,
    service_version: call.service_version || other.service_version,
    environment: call.environment === 'default' ? other.environment : call.environment,
    provider: call.provider === 'unknown' ? other.provider : call.provider,
    request_model: call.request_model ?? other.request_model,
    response_model: call.response_model ?? other.response_model,
    response_id: call.response_id ?? other.response_id,
    finish_reason: call.finish_reason === null || call.finish_reason === 'unknown' ? (other.finish_reason ?? call.finish_reason) : call.finish_reason,
    is_stream: call.is_stream ?? other.is_stream,
    is_cache_hit: call.is_cache_hit || other.is_cache_hit,
    is_experiment: call.is_experiment || other.is_experiment,
    ttft_ms: call.ttft_ms ?? other.ttft_ms,
    input_tokens: call.input_tokens ?? other.input_tokens,
    output_tokens: countsThoughts(call, other) ? other.output_tokens : (call.output_tokens ?? other.output_tokens),
    cache_read_tokens: call.cache_read_tokens ?? other.cache_read_tokens,
    cache_write_tokens: call.cache_write_tokens ?? other.cache_write_tokens,
    reasoning_tokens: call.reasoning_tokens ?? other.reasoning_tokens,
    session_id: sessionOf(call, other),
    user_id: call.user_id ?? other.user_id,
    is_empty: call.is_empty ?? other.is_empty,
    is_format_valid: call.is_format_valid ?? other.is_format_valid,
    // Why it failed, not whether: an outer library can fail on an answer that was good.
    error_type: call.is_error ? (call.error_type ?? other.error_type) : call.error_type,
    status_message: call.is_error ? (call.status_message ?? other.status_message) : call.status_message,
    stratum_attributes: withKeysOf(other.stratum_attributes, call.stratum_attributes),
    ...(other.mix_attributes === undefined ? {} : { mix_attributes: withKeysOf(other.mix_attributes, call.mix_attributes ?? {}) }),
    ...(other.factor_attributes === undefined ? {} : { factor_attributes: withKeysOf(other.factor_attributes, call.factor_attributes ?? {}) }),
  };
  return isSame(call, merged) ? call : merged;
}

type Prompt = Pick<LlmCall, 'prompt_name' | 'prompt_version' | 'prompt_version_source' | 'prompt_label' | 'prompt_attribution' | 'prompt_fingerprint' | 'flags'>;

/** Name and version always come from one span, with what it says of their origin. */
function promptOf(call: LlmCall, other: LlmCall): Prompt {
  const from = takesPrompt(call, other) ? other : call;
  const isSamePrompt = call.prompt_name === other.prompt_name && call.prompt_version === other.prompt_version;
  return {
    prompt_name: from.prompt_name,
    prompt_version: from.prompt_version,
    prompt_version_source: from.prompt_version_source,
    prompt_label: from.prompt_label ?? (isSamePrompt ? other.prompt_label : null),
    prompt_attribution: from.prompt_attribution,
    prompt_fingerprint: call.prompt_fingerprint ?? other.prompt_fingerprint,
    flags: from === call ? call.flags : [...call.flags.filter((flag) => !isPromptFlag(flag)), ...other.flags.filter(isPromptFlag)],
  };
}

function takesPrompt(call: LlmCall, other: LlmCall): boolean {
  if (!isTagged(other)) return false;
  if (!isTagged(call)) return true;
  const isWhole = other.prompt_name !== null && other.prompt_version !== null;
  if (call.prompt_attribution === 'inherited' && other.prompt_attribution === 'direct') return isWhole;
  const isCompleted = call.prompt_version === null ? call.prompt_name === other.prompt_name : call.prompt_name === null && call.prompt_version === other.prompt_version;
  return isWhole && isCompleted;
}

function sessionOf(call: LlmCall, other: LlmCall): string | null {
  if (call.session_id === null || other.session_id === null || call.session_id === other.session_id) return call.session_id ?? other.session_id;
  return BigInt(other.start_time_ns) < BigInt(call.start_time_ns) ? other.session_id : call.session_id;
}

/** Of a call whose span is only a moment of it the other may know when it began. */
function timesOf(call: LlmCall, other: LlmCall): Pick<LlmCall, 'start_time_ns' | 'duration_ms'> {
  const took_ns = BigInt(call.end_time_ns) - BigInt(other.start_time_ns);
  if (call.start_time_ns !== call.end_time_ns || took_ns <= 0n) return { start_time_ns: call.start_time_ns, duration_ms: call.duration_ms };
  return { start_time_ns: other.start_time_ns, duration_ms: Number(took_ns) / 1e6 };
}

/** The other knows of reasoning that the call left out of its output. */
function countsThoughts(call: LlmCall, other: LlmCall): boolean {
  return call.reasoning_tokens === null && other.reasoning_tokens !== null && call.output_tokens !== null && other.output_tokens === call.output_tokens + other.reasoning_tokens;
}

function costOf(call: LlmCall, other: LlmCall): Pick<LlmCall, 'cost_usd' | 'cost_source'> {
  const isReportedByOther = other.cost_source === 'reported' && (other.cost_usd ?? 0) > 0;
  const isOfMoreTokens = other.cost_source === 'computed' && countsThoughts(call, other);
  const takesOther = call.cost_usd === null || (call.cost_source === 'computed' && (isReportedByOther || isOfMoreTokens));
  const { cost_usd, cost_source } = takesOther ? other : call;
  return { cost_usd, cost_source };
}

/** The very same object where there is nothing to add. */
function withKeysOf(other: Readonly<Record<string, string>>, own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.keys(other).some((key) => !(key in own)) ? { ...other, ...own } : own;
}

function isSame(call: LlmCall, merged: LlmCall): boolean {
  return Object.entries(call).every(([key, value]) => Object.is(value, Reflect.get(merged, key)));
}
