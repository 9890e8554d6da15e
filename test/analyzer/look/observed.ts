import type { CallObservation, ScoreObservation, Seen } from '../../../analyzer/look/observations.ts';
import { SLOT_MS } from '../../../analyzer/slots.ts';

/** Observations as the look reads them, all alike but for what a test is about. */

let made = 0;
const id = (digits: number): string => (made += 1).toString(16).padStart(digits, '0');

export const FIRST_SLOT = 59_000_000;
export const atSlot = (slot: number): number => (FIRST_SLOT + slot) * SLOT_MS;

/** What a test says of one, all in one object. */
export type Change<Observation extends { readonly seen: Seen }> = Partial<Omit<Observation, 'seen'> & Seen>;

const SEEN: Seen = { version: 'v1', request_model: 'm', response_model: 'm-1', operation: 'chat', route: '', provider: 'p', service_name: 's', app_version: '1', prompt_content: '', attributes: {} };

/** @param slot counted from FIRST_SLOT. The call starts with it unless said otherwise. */
export function call(slot: number, change: Change<CallObservation> = {}): CallObservation {
  const { seen, own } = apart(SEEN, change);
  return {
    slot: FIRST_SLOT + slot,
    trace_id: id(32),
    span_id: id(16),
    session_id: null,
    start_ms: atSlot(slot),
    seen,
    is_error: false,
    duration_ms: 1000,
    ttft_ms: null,
    input_tokens: null,
    output_tokens: null,
    cost_usd: null,
    finish_reason: null,
    is_empty: null,
    is_format_valid: null,
    ...own,
  };
}

/** A score of a call, that arrived in a slot. */
export function scoreOf(judged: CallObservation, slot: number, value: number, change: Change<ScoreObservation> = {}): ScoreObservation {
  const { trace_id, span_id, session_id, start_ms } = judged;
  const { seen, own } = apart(judged.seen, change);
  return { slot: FIRST_SLOT + slot, name: 'quality', value, data_type: 'numeric', evaluator: 'judge', trace_id, span_id, session_id, start_ms, seen, ...own };
}

function apart<Own>(before: Seen, change: Partial<Seen> & Own): { readonly seen: Seen; readonly own: Omit<Own, keyof Seen> } {
  const { version, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes } = { ...before, ...change };
  const own = Object.fromEntries(Object.entries(change).filter(([key]) => !(key in before))) as Omit<Own, keyof Seen>; // What is left of the type, which the compiler cannot tell of a generic one.
  return { seen: { version, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes }, own };
}
