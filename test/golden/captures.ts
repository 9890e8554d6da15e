import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decode } from '../../collector/otlp/decode.ts';
import type { Attributes, OtlpLogRecord, OtlpScope, OtlpSpan } from '../../schemas/otlp.ts';

/**
 * Requests of real SDKs, byte for byte as they were sent, and what a correct reader makes of each call in them.
 * `…_on` says where the wire has the value: on the call itself, on a span above it, or nowhere.
 */
export type ExpectedCall = {
  span_name: string;
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  duration_ms: number;
  prompt_name: string | null;
  prompt_version: string | null;
  prompt_tags_on: 'self' | 'ancestor' | 'none';
  request_model: string | null;
  response_model: string | null;
  provider: string | null;
  operation: string | null;
  response_id: string | null;
  input_tokens: number | null;
  output_tokens: number | null;
  cached_input_tokens: number | null;
  finish_reasons: readonly string[] | null;
  is_error: boolean;
  error_type: string | null;
  is_streaming: boolean | null;
  ttft_ms_if_emitted: number | null;
  session_id: string | null;
  session_id_on: 'self' | 'ancestor' | 'none';
  user_id: string | null;
  user_id_on: 'self' | 'ancestor' | 'none';
  environment: string | null;
};

/** A span that carries tags and is no call. */
export type Trap = { span_name: string; trace_id: string; span_id: string };

/** `duplicates`: spans that tell a call of `calls` again. */
export type Capture = { gzip: boolean; calls: readonly ExpectedCall[]; traps: readonly Trap[]; duplicates?: readonly Trap[] };

const path = (client: string, name: string) => fileURLToPath(new URL(`${client}/${name}`, import.meta.url));

export function readCapture(client: string): Capture {
  // Written by us, beside the bytes.
  return JSON.parse(readFileSync(path(client, 'expected.json'), 'utf8')) as Capture;
}

export function readSpans(client: string, file: string): { resource: Attributes; scope: OtlpScope; span: OtlpSpan }[] {
  const body = readBody(client, file);
  const decoded = decode({ signal: 'traces', encoding: body[0] === OPENING_BRACE ? 'json' : 'protobuf', body });
  return decoded.signal === 'traces' ? decoded.groups.flatMap(({ resource, scope, spans }) => spans.map((span) => ({ resource, scope, span }))) : [];
}

export function readRecords(client: string, file: string): { resource: Attributes; scope: OtlpScope; record: OtlpLogRecord }[] {
  const decoded = decode({ signal: 'logs', encoding: 'protobuf', body: readBody(client, file) });
  return decoded.signal === 'logs' ? decoded.groups.flatMap(({ resource, scope, records }) => records.map((record) => ({ resource, scope, record }))) : [];
}

const OPENING_BRACE = 0x7b;

function readBody(client: string, file: string): Uint8Array {
  const bytes = readFileSync(path(client, file));
  return readCapture(client).gzip ? gunzipSync(bytes) : bytes;
}
