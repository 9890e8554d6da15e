import { PermanentError } from '../../schemas/errors.ts';
import { viewOf } from './words.ts';

/**
 * The protobuf wire format, read in place: a cursor over one body, and functions that take the next value from it.
 *
 * Source: protobuf.dev/programming-guides/encoding. Every reader takes the name of the field that it reads, and throws a
 * PermanentError with that name and the byte offset when the body is truncated, overlong, or of another wire type.
 * No reader looks past `end`, and every one moves `position` forward, so a hostile body ends in an error or in a result.
 */
export type Cursor = {
  readonly bytes: Buffer;
  readonly view: DataView;
  position: number;
  /** The first byte after the message being read. */
  end: number;
  /** How many repeated elements (spans, events, links, attributes, array values) may still be read. */
  budget: number;
};

/**
 * The greatest number of repeated elements in one request. Two bytes of protobuf can become an object of 150, so a
 * limit on bytes alone does not bound memory: 64 MiB of empty events would need 5 GB. An honest 64 MiB body has about
 * 40,000 spans and a million attributes.
 */
export const MAX_ELEMENTS = 2_000_000;

/** An AnyValue may hold arrays of AnyValues; deeper than this it is an attack on the stack. */
export const MAX_DEPTH = 64;

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const GROUP_START = 3;
const GROUP_END = 4;
export const FIXED32 = 5;

export function createCursor(body: Uint8Array): Cursor {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return { bytes, view: viewOf(bytes), position: 0, end: body.byteLength, budget: MAX_ELEMENTS };
}

export function malformed(field: string, problem: string, offset: number): PermanentError {
  return new PermanentError(`malformed protobuf: ${field} at byte ${offset}: ${problem}`);
}

/** The next field's tag: its number times 8, plus its wire type. */
export function readTag(cursor: Cursor, message: string): number {
  const { position, bytes } = cursor;
  const first = bytes[position];
  // One byte holds the tags of fields 1 to 15. The loop over a message has checked that this byte exists.
  if (first !== undefined && first < 0x80 && first >= 8) {
    cursor.position = position + 1;
    return first;
  }
  const tag = readVarint(cursor, message);
  if (tag < 8 || tag > 0xffff_ffff) throw malformed(message, `field number ${Math.floor(tag / 8)} does not exist`, position);
  return tag;
}

/** A varint as an unsigned number; exact up to 2^53, which every length, tag and enum is. */
export function readVarint(cursor: Cursor, field: string): number {
  const { bytes, end } = cursor;
  const start = cursor.position;
  let position = start;
  let value = 0;
  let scale = 1;
  for (;;) {
    if (position >= end) throw malformed(field, 'the message ends inside a varint', start);
    const byte = bytes[position++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    scale *= 128;
    if (position - start === 10) throw malformed(field, 'a varint of more than 10 bytes', start);
  }
  if (position - start === 10 && (bytes[position - 1] ?? 0) > 1) throw malformed(field, 'a varint of more than 64 bits', start);
  cursor.position = position;
  return value;
}

/** An int64 varint: a number where that is exact, else a bigint. */
export function readInt64(cursor: Cursor, field: string): number | bigint {
  const start = cursor.position;
  const value = readVarint(cursor, field);
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  // Rare (negative, or beyond 2^53): read again without loss.
  let exact = 0n;
  for (let position = start, shift = 0n; position < cursor.position; position++, shift += 7n) {
    exact |= BigInt((cursor.bytes[position] ?? 0) & 0x7f) << shift;
  }
  return narrowInt64(BigInt.asIntN(64, exact));
}

export function narrowInt64(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** An enum or int32. Values that this version does not know are kept. */
export function readEnum(cursor: Cursor, field: string): number {
  const value = readInt64(cursor, field);
  return typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value));
}

export function readFixed64(cursor: Cursor, field: string): bigint {
  return cursor.view.getBigUint64(take(cursor, 8, field), true);
}

export function readDouble(cursor: Cursor, field: string): number {
  return cursor.view.getFloat64(take(cursor, 8, field), true);
}

/** UTF-8; what is not valid becomes U+FFFD, so no unpaired surrogate can come out. */
export function readText(cursor: Cursor, field: string): string {
  const length = readLength(cursor, field);
  if (length === 0) return '';
  const start = take(cursor, length, field);
  return cursor.bytes.toString('utf8', start, start + length);
}

/** An id as lower-case hex. */
export function readHex(cursor: Cursor, field: string): string {
  const length = readLength(cursor, field);
  // An id has 8 or 16 bytes. A longer one is refused later, by its length; there is no need to spell out megabytes.
  const start = take(cursor, length, field);
  return cursor.bytes.toString('hex', start, start + Math.min(length, 33));
}

export function readBytes(cursor: Cursor, field: string): Uint8Array {
  const length = readLength(cursor, field);
  const start = take(cursor, length, field);
  // A copy: a view would keep the whole body alive for as long as the attribute.
  return new Uint8Array(cursor.bytes.subarray(start, start + length));
}

/** Steps into a nested message and returns the end of the outer one, to be given back to `leave`. */
export function enter(cursor: Cursor, field: string): number {
  const length = readLength(cursor, field);
  const outer = cursor.end;
  cursor.end = cursor.position + length;
  return outer;
}

export function leave(cursor: Cursor, outer: number): void {
  cursor.position = cursor.end;
  cursor.end = outer;
}

/** Counts one repeated element. */
export function spend(cursor: Cursor, field: string): void {
  if (--cursor.budget < 0) throw malformed(field, `more than ${MAX_ELEMENTS} spans, events, links and attributes in one request`, cursor.position);
}

/**
 * Steps over a field that is not read. `fields` names those that the message has, so that a known field of another wire
 * type is an error (as in the OpenTelemetry Collector), not silently lost data.
 */
export function skip(cursor: Cursor, tag: number, message: string, fields: readonly string[]): void {
  const name = fields[tag >>> 3];
  if (name) throw malformed(`${message}.${name}`, `wire type ${tag & 7} is not the field's`, cursor.position);
  skipValue(cursor, tag & 7, message, 0);
}

function skipValue(cursor: Cursor, wireType: number, field: string, depth: number): void {
  switch (wireType) {
    case VARINT:
      readVarint(cursor, field);
      return;
    case FIXED64:
      take(cursor, 8, field);
      return;
    case LENGTH:
      take(cursor, readLength(cursor, field), field);
      return;
    case FIXED32:
      take(cursor, 4, field);
      return;
    case GROUP_START:
      if (depth >= MAX_DEPTH) throw malformed(field, `groups nested deeper than ${MAX_DEPTH}`, cursor.position);
      for (;;) {
        if (cursor.position >= cursor.end) throw malformed(field, 'the message ends inside a group', cursor.position);
        const inner = readTag(cursor, field) & 7;
        if (inner === GROUP_END) return;
        skipValue(cursor, inner, field, depth + 1);
      }
    default:
      throw malformed(field, `wire type ${wireType} does not exist here`, cursor.position);
  }
}

function readLength(cursor: Cursor, field: string): number {
  const { position } = cursor;
  const first = cursor.bytes[position];
  let length: number;
  if (first !== undefined && first < 0x80 && position < cursor.end) {
    cursor.position = position + 1;
    length = first;
  } else {
    length = readVarint(cursor, field);
  }
  if (length > cursor.end - cursor.position) {
    throw malformed(field, `a length of ${length} bytes where ${cursor.end - cursor.position} are left`, position);
  }
  return length;
}

/** Moves past `length` bytes and returns where they start. */
function take(cursor: Cursor, length: number, field: string): number {
  const start = cursor.position;
  if (length > cursor.end - start) throw malformed(field, `${length} bytes wanted where ${cursor.end - start} are left`, start);
  cursor.position = start + length;
  return start;
}
