/**
 * OTLP as decoded: what the collector reads from the wire, and what the analyzer's dialects read from.
 *
 * Source: opentelemetry-proto v1 (trace.proto, logs.proto, common.proto). Ids are lower-case hex; times are nanoseconds
 * since the Unix epoch as bigint, because a double keeps only 256 ns at today's date.
 */

/** An AnyValue. int64 beyond 2^53 stays exact as a bigint; an unset value is null; a kvlist is a Map. */
export type AttributeValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly AttributeValue[]
  | ReadonlyMap<string, AttributeValue>;

/** The last of two equal keys wins, as in the OpenTelemetry SDKs. */
export type Attributes = ReadonlyMap<string, AttributeValue>;

export type OtlpScope = { readonly name: string; readonly version: string; readonly attributes: Attributes };

export type OtlpEvent = { readonly name: string; readonly time_ns: bigint; readonly attributes: Attributes };

export type OtlpLink = { readonly trace_id: string; readonly span_id: string; readonly attributes: Attributes };

export type OtlpSpan = {
  /** 32 lower-case hex digits. */
  readonly trace_id: string;
  /** 16 lower-case hex digits. */
  readonly span_id: string;
  /** 16 lower-case hex digits; null for a root (absent, empty or all zeros on the wire). */
  readonly parent_span_id: string | null;
  readonly name: string;
  /** SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly start_ns: bigint;
  readonly end_ns: bigint;
  readonly attributes: Attributes;
  readonly events: readonly OtlpEvent[];
  readonly links: readonly OtlpLink[];
  /** StatusCode: 0 unset, 1 ok, 2 error. */
  readonly status_code: number;
  readonly status_message: string;
};

export type OtlpLogRecord = {
  readonly time_ns: bigint;
  readonly observed_time_ns: bigint;
  /** `event_name`, else the attribute `event.name`, else "". */
  readonly event_name: string;
  /** Lower-case hex; null where the record carries no (or an all-zero) id. */
  readonly trace_id: string | null;
  readonly span_id: string | null;
  readonly severity_number: number;
  readonly body: AttributeValue;
  readonly attributes: Attributes;
};

export type ResourceSpans = { readonly resource: Attributes; readonly scope: OtlpScope; readonly spans: readonly OtlpSpan[] };

export type ResourceLogs = { readonly resource: Attributes; readonly scope: OtlpScope; readonly records: readonly OtlpLogRecord[] };

/** What was refused inside a well-formed request, counted by reason ("zero_trace_id", "zero_span_id", "bad_id_length"). */
export type Rejections = ReadonlyMap<string, number>;

/** A decoded request: one entry for each (resource, scope) pair, in wire order. `rejected` spans or records are not in `groups`. */
export type DecodedTraces = { readonly signal: 'traces'; readonly groups: readonly ResourceSpans[]; readonly received: number; readonly rejected: Rejections };
export type DecodedLogs = { readonly signal: 'logs'; readonly groups: readonly ResourceLogs[]; readonly received: number; readonly rejected: Rejections };
export type Decoded = DecodedTraces | DecodedLogs;
