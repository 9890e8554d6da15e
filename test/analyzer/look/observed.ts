import type { CallObservation, ScoreObservation } from '../../../analyzer/look/observations.ts';
import { SLOT_MS } from '../../../analyzer/slots.ts';

/** Observations as the look reads them, all alike but for what a test is about. */

let made = 0;
const id = (digits: number): string => (made += 1).toString(16).padStart(digits, '0');

export const FIRST_SLOT = 59_000_000;
export const atSlot = (slot: number): number => (FIRST_SLOT + slot) * SLOT_MS;

/** @param slot counted from FIRST_SLOT. The call starts with it unless said otherwise. */
export function call(slot: number, change: Partial<CallObservation> = {}): CallObservation {
  return {
    slot: FIRST_SLOT + slot,
    version: 'v1',
    trace_id: id(32),
    span_id: id(16),
    session_id: null,
    start_ms: atSlot(slot),
    request_model: 'm',
    response_model: 'm-1',
    operation: 'chat',
    route: '',
    provider: 'p',
    service_name: 's',
    app_version: '1',
    prompt_content: '',
    attributes: {},
    is_error: false,
    duration_ms: 1000,
    ttft_ms: null,
    input_tokens: null,
    output_tokens: null,
    cost_usd: null,
    finish_reason: null,
    is_empty: null,
    is_format_valid: null,
    ...change,
  };
}

/** A score of a call, that arrived in a slot. */
export function scoreOf(judged: CallObservation, slot: number, value: number, change: Partial<ScoreObservation> = {}): ScoreObservation {
  const { version, trace_id, span_id, session_id, start_ms, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes } = judged;
  return { slot: FIRST_SLOT + slot, name: 'quality', value, data_type: 'numeric', evaluator: 'judge', version, trace_id, span_id, session_id, start_ms, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes, ...change };
}
