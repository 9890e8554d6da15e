import type { Attributes, OtlpSpan } from '../../schemas/otlp.ts';

/**
 * Which ids are valid. Source: trace.proto, "the ID is invalid if all bytes are zeroes" and "if its length is not 16
 * (8) bytes". Readers hand ids on as lower-case hex of whatever length the wire had ("" where there was none).
 */
export const TRACE_ID_BYTES = 16;
export const SPAN_ID_BYTES = 8;
const TRACE_ID_DIGITS = 2 * TRACE_ID_BYTES;
const SPAN_ID_DIGITS = 2 * SPAN_ID_BYTES;
const ZERO_TRACE_ID = '0'.repeat(TRACE_ID_DIGITS);
const ZERO_SPAN_ID = '0'.repeat(SPAN_ID_DIGITS);

export type SpanFault = 'bad_trace_id' | 'zero_trace_id' | 'bad_span_id' | 'zero_span_id';

/** Why a span cannot be kept, or null. */
export function spanFault(span: OtlpSpan): SpanFault | null {
  if (span.trace_id.length !== TRACE_ID_DIGITS) return 'bad_trace_id';
  if (span.span_id.length !== SPAN_ID_DIGITS) return 'bad_span_id';
  if (span.trace_id === ZERO_TRACE_ID) return 'zero_trace_id';
  if (span.span_id === ZERO_SPAN_ID) return 'zero_span_id';
  return null;
}

export function traceIdOrNull(hex: string): string | null {
  return hex.length === TRACE_ID_DIGITS && hex !== ZERO_TRACE_ID ? hex : null;
}

export function spanIdOrNull(hex: string): string | null {
  return hex.length === SPAN_ID_DIGITS && hex !== ZERO_SPAN_ID ? hex : null;
}

/** Before logs.proto had `event_name` (v1.5), SDKs wrote the attribute. */
export function eventNameOf(attributes: Attributes): string {
  const name = attributes.get('event.name');
  return typeof name === 'string' ? name : '';
}
