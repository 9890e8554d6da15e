/// <reference lib="es2024.string" />
import type { Decoded } from '../../schemas/otlp.ts';
import type { Answer } from '../intake.ts';
import { field, varint } from './protobuf-writer.ts';
import { createCursor, LENGTH, readTag, readText } from './wire.ts';

/**
 * What is sent back, in the encoding of the request. Source: OTLP specification 1.11, "OTLP/HTTP Response".
 * Full success is an empty message; partial success counts what was refused; a failure is a google.rpc.Status.
 */

/** The media type of the answer is the request's. */
export type Wire = { readonly encoding: 'protobuf' | 'json'; readonly mediaType: string };

export const PROTOBUF: Wire = { encoding: 'protobuf', mediaType: 'application/x-protobuf' };
export const JSON_TEXT: Wire = { encoding: 'json', mediaType: 'application/json' };

/** OTLP limits an answer to 4 MiB; a person reads the first lines. */
const MAX_MESSAGE_LENGTH = 1024;

/** google.rpc.Code for the statuses that are sent. */
const CODES: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14 };
const UNKNOWN = 2;

const RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo';
const BAD_REQUEST = 'type.googleapis.com/google.rpc.BadRequest';

/** 200: everything was taken, or everything but what `decoded.rejected` counts. */
export function success(wire: Wire, decoded: Decoded | null): Answer {
  const rejected = decoded === null ? 0 : [...decoded.rejected.values()].reduce((sum, count) => sum + count, 0);
  if (decoded === null || rejected === 0) return answer(200, wire, wire.encoding === 'json' ? '{}' : new Uint8Array(0));
  const reasons = [...decoded.rejected].map(([reason, count]) => `${reason}: ${count}`).join(', ');
  const message = clip(`${rejected} of ${decoded.received} refused (${reasons})`);
  if (wire.encoding === 'protobuf') {
    return answer(200, wire, field(1, Buffer.concat([Buffer.from([1 << 3]), varint(rejected), field(2, message)])));
  }
  const count = decoded.signal === 'traces' ? { rejectedSpans: String(rejected) } : { rejectedLogRecords: String(rejected) };
  return answer(200, wire, JSON.stringify({ partialSuccess: { ...count, errorMessage: message } }));
}

/** 4xx and 5xx. Bad data (400) also carries the BadRequest detail that the specification asks for. */
export function failure(wire: Wire, status: number, problem: string, headers: Record<string, string> = {}): Answer {
  const message = clip(problem);
  const code = CODES[status] ?? UNKNOWN;
  if (wire.encoding === 'json') {
    const details = status === 400 ? { details: [{ '@type': BAD_REQUEST, fieldViolations: [{ description: message }] }] } : {};
    return answer(status, wire, JSON.stringify({ code, message, ...details }), headers);
  }
  const parts = [Buffer.from([1 << 3, code]), field(2, message)];
  if (status === 400) parts.push(field(3, Buffer.concat([field(1, BAD_REQUEST), field(2, field(1, field(2, message)))])));
  return answer(status, wire, Buffer.concat(parts), headers);
}

/** Code and message of a google.rpc.Status that `failure` wrote. */
export function statusOf(body: Uint8Array): { readonly code: number; readonly message: string } {
  const [, code = UNKNOWN] = body;
  const cursor = createCursor(body.subarray(2));
  return { code, message: cursor.end > 0 && readTag(cursor, 'Status') === ((2 << 3) | LENGTH) ? readText(cursor, 'Status.message') : '' };
}

/** The same Status with a google.rpc.RetryInfo among its details. */
export function withRetryDelay(body: Uint8Array, seconds: number): Uint8Array {
  const retryInfo = field(1, Buffer.concat([Buffer.from([1 << 3]), varint(seconds)]));
  return Buffer.concat([body, field(3, Buffer.concat([field(1, RETRY_INFO), field(2, retryInfo)]))]);
}

function answer(status: number, wire: Wire, body: string | Uint8Array, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': wire.mediaType, ...headers }, body: typeof body === 'string' ? Buffer.from(body) : body };
}

function clip(message: string): string {
  return message.length <= MAX_MESSAGE_LENGTH ? message.toWellFormed() : `${message.slice(0, MAX_MESSAGE_LENGTH - 1).toWellFormed()}…`;
}
