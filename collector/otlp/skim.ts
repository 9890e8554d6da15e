import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import { decode } from './decode.ts';
import { SPAN_ID_BYTES, TRACE_ID_BYTES, type SpanFault } from './ids.ts';
import { jsonToProtobuf } from './json-to-protobuf.ts';
import { FIXED32, FIXED64, LENGTH, MAX_DEPTH, MAX_ELEMENTS, VARINT } from './wire.ts';

/**
 * What a collector has to know of a request: whether it can be read, how many spans or records it has, and which of
 * them are refused. It walks over every field of the protobuf and makes nothing of it, at a fourteenth of what decoding costs.
 *
 * Whatever it does not know for certain it leaves to the decoder: fields of another wire type, groups, lengths past the end. So it cannot judge otherwise than the decoder, whose words the sender gets; `test/collector/otlp/skim.test.ts` holds the two against each other.
 */
export type Counted = Pick<Decoded, 'signal' | 'received' | 'rejected'> & {
  /** What was sent as JSON. */
  readonly protobuf?: Uint8Array;
};

/** Counts what `decode` would read, with the same errors. Throws PermanentError. */
export function skim(request: Pick<LogMessage, 'signal' | 'encoding' | 'body'>): Counted {
  if (request.encoding === 'protobuf') return count(request.signal, request.body) ?? decode(request);
  const protobuf = jsonToProtobuf(request);
  const counted = protobuf === null ? null : count(request.signal, protobuf);
  return protobuf === null || counted === null ? decode(request) : { ...counted, protobuf };
}

/** A message of OTLP: its fields by number. Others are stepped over. */
type Message = { fields: readonly (Field | undefined)[]; readonly nests: boolean };
/** `isElement`: counts against the budget of repeated elements (wire.ts). */
type Field = { readonly wire: number; readonly message: Message | null; readonly isElement: boolean };

const text: Field = { wire: LENGTH, message: null, isElement: false };
const varint: Field = { wire: VARINT, message: null, isElement: false };
const fixed64: Field = { wire: FIXED64, message: null, isElement: false };
const one = (message: Message): Field => ({ wire: LENGTH, message, isElement: false });
const each = (message: Message): Field => ({ wire: LENGTH, message, isElement: true });

/** `nests`: every value below it is one deeper. */
function message(fields: Readonly<Record<number, Field>>, kind: 'plain' | 'nests' = 'plain'): Message {
  return { fields: Array.from({ length: 16 }, (_, number) => fields[number]), nests: kind === 'nests' };
}

// Source: opentelemetry-proto v1.9; the same fields as protobuf-attributes.ts, protobuf-traces.ts and protobuf-logs.ts read.
const arrayValue = message({}, 'nests');
const keyValueList = message({}, 'nests');
const anyValue = message({ 1: text, 2: varint, 3: varint, 4: fixed64, 5: one(arrayValue), 6: one(keyValueList), 7: text });
const keyValue = message({ 1: text, 2: one(anyValue) });
arrayValue.fields = message({ 1: each(anyValue) }).fields;
keyValueList.fields = message({ 1: each(keyValue) }).fields;
const resource = message({ 1: each(keyValue) });
const scope = message({ 1: text, 2: text, 3: each(keyValue) });
const event = message({ 1: fixed64, 2: text, 3: each(keyValue) });
const link = message({ 1: text, 2: text, 4: each(keyValue) });
const status = message({ 2: text, 3: varint });
const span = message({ 1: text, 2: text, 4: text, 5: text, 6: varint, 7: fixed64, 8: fixed64, 9: each(keyValue), 11: each(event), 13: each(link), 15: one(status) });
const logRecord = message({ 1: fixed64, 2: varint, 5: one(anyValue), 6: each(keyValue), 9: text, 10: text, 11: fixed64, 12: text });
const requestOf = (item: Message): Message => message({ 1: one(message({ 1: one(resource), 2: one(message({ 1: one(scope), 2: each(item) })) })) });
const REQUESTS = { traces: requestOf(span), logs: requestOf(logRecord) } as const;

/** A walk in progress: what was found so far. */
type Walk = {
  readonly bytes: Uint8Array;
  budget: number;
  received: number;
  withoutIds: number;
  readonly rejected: Map<SpanFault, number>;
};

const NO_ID = 0;
/** The fields of a span. A text of the same number in another message is noted down as well, to no effect. */
const TRACE_ID = (1 << 3) | LENGTH;
const SPAN_ID = (2 << 3) | LENGTH;
/** Of a KeyValue, and of an AnyValue. */
const KEY = (1 << 3) | LENGTH;
const VALUE = (2 << 3) | LENGTH;
const STRING_VALUE = (1 << 3) | LENGTH;
const BOOL_VALUE = (2 << 3) | VARINT;
const INT_VALUE = (3 << 3) | VARINT;
const DOUBLE_VALUE = (4 << 3) | FIXED64;

function count(signal: Decoded['signal'], body: Uint8Array): Counted | null {
  const walk: Walk = { bytes: body, budget: MAX_ELEMENTS, received: 0, withoutIds: 0, rejected: new Map() };
  if (!over(walk, REQUESTS[signal], 0, body.byteLength, 0)) return null;
  // It is a request of another signal, which the decoder will explain.
  if (signal === 'traces' && walk.received > 0 && walk.withoutIds === walk.received) return null;
  return { signal, received: walk.received, rejected: walk.rejected };
}

/**
 * Walks over the message that lies in [from, end). False where only the decoder can tell. `depth`: arrays and maps around it.
 *
 * One function, with nothing but numbers in its loop: it runs for each of the hundred fields of a span.
 */
function over(walk: Walk, message: Message, from: number, end: number, depth: number): boolean {
  const { bytes } = walk;
  const { fields } = message;
  let position = from;
  let traceId = NO_ID;
  let traceIdEnd = NO_ID;
  let spanId = NO_ID;
  let spanIdEnd = NO_ID;
  while (position < end) {
    let tag = bytes[position++] ?? 0;
    if (tag >= 0x80) {
      // Fields from 16 on. Whatever needs a third byte, no version of OTLP has.
      const second = position < end ? (bytes[position++] ?? 0) : 0x80;
      if (second >= 0x80) return false;
      tag = (tag & 0x7f) | (second << 7);
    }
    if (tag < 8) return false;
    const field = fields[tag >>> 3];
    if (field !== undefined && field.wire !== (tag & 7)) return false;
    switch (tag & 7) {
      case LENGTH: {
        let length = position < end ? (bytes[position++] ?? 0) : 0x80;
        if (length >= 0x80) {
          length &= 0x7f;
          for (let shift = 7; ; shift += 7) {
            if (position >= end || shift > 21) return false;
            const byte = bytes[position++] ?? 0;
            length |= (byte & 0x7f) << shift;
            if (byte < 0x80) break;
          }
        }
        const start = position;
        position += length;
        if (position > end) return false;
        if (field === undefined) break;
        if (field.isElement && --walk.budget < 0) return false;
        const inner = field.message;
        if (inner === keyValue && isPlain(bytes, start, position)) break;
        if (inner !== null) {
          const innerDepth = inner.nests ? depth + 1 : depth;
          if (innerDepth > MAX_DEPTH || !over(walk, inner, start, position, innerDepth)) return false;
        } else if (tag === TRACE_ID) {
          traceId = start;
          traceIdEnd = position;
        } else if (tag === SPAN_ID) {
          spanId = start;
          spanIdEnd = position;
        }
        break;
      }
      case VARINT: {
        const start = position;
        let byte = 0x80;
        while (byte >= 0x80) {
          if (position >= end || position - start === 10) return false;
          byte = bytes[position++] ?? 0;
        }
        // A varint has 64 bits, of which the tenth byte holds one.
        if (position - start === 10 && byte > 1) return false;
        break;
      }
      case FIXED64:
        position += 8;
        break;
      case FIXED32:
        position += 4;
        break;
      default:
        return false;
    }
  }
  if (position !== end) return false;
  if (message === logRecord) walk.received += 1;
  else if (message === span) judge(walk, { traceId, traceIdEnd, spanId, spanIdEnd });
  return true;
}

/**
 * Whether an attribute is written as nearly all are: a key and then a string, a number or a truth value, which fill it to its last byte. Such a one
 * cannot be malformed, and need not be walked over. Lengths of more than two bytes take the long way.
 */
function isPlain(bytes: Uint8Array, from: number, end: number): boolean {
  const keyBytes = bytes[from + 1] ?? 0x80;
  let position = from + 2 + keyBytes;
  if (bytes[from] !== KEY || keyBytes >= 0x80 || position + 2 >= end || bytes[position] !== VALUE) return false;
  let length = bytes[position + 1] ?? 0;
  position += 2;
  if (length >= 0x80) {
    const second = bytes[position++] ?? 0x80;
    if (second >= 0x80) return false;
    length = (length & 0x7f) | (second << 7);
  }
  if (position + length !== end || length < 2) return false;
  const tag = bytes[position++] ?? 0;
  switch (tag) {
    case STRING_VALUE: {
      let textBytes = bytes[position++] ?? 0x80;
      if (textBytes >= 0x80) {
        const second = bytes[position++] ?? 0x80;
        if (second >= 0x80) return false;
        textBytes = (textBytes & 0x7f) | (second << 7);
      }
      return position + textBytes === end;
    }
    case DOUBLE_VALUE:
      return position + 8 === end;
    case INT_VALUE:
    case BOOL_VALUE: {
      const last = end - 1;
      if (end - position > 9 || (bytes[last] ?? 0x80) >= 0x80) return false;
      while (position < last && (bytes[position] ?? 0) >= 0x80) position += 1;
      return position === last;
    }
    default:
      return false;
  }
}

/** By the rules of `spanFault` and `decode`. */
function judge(walk: Walk, at: { readonly traceId: number; readonly traceIdEnd: number; readonly spanId: number; readonly spanIdEnd: number }): void {
  walk.received += 1;
  const traceIdBytes = at.traceIdEnd - at.traceId;
  const spanIdBytes = at.spanIdEnd - at.spanId;
  if (traceIdBytes === 0 && spanIdBytes === 0) walk.withoutIds += 1;
  let fault: SpanFault;
  if (traceIdBytes !== TRACE_ID_BYTES) fault = 'bad_trace_id';
  else if (spanIdBytes !== SPAN_ID_BYTES) fault = 'bad_span_id';
  else if (isZero(walk.bytes, at.traceId, at.traceIdEnd)) fault = 'zero_trace_id';
  else if (isZero(walk.bytes, at.spanId, at.spanIdEnd)) fault = 'zero_span_id';
  else return;
  walk.rejected.set(fault, (walk.rejected.get(fault) ?? 0) + 1);
}

function isZero(bytes: Uint8Array, from: number, end: number): boolean {
  for (let position = from; position < end; position += 1) if (bytes[position] !== 0) return false;
  return true;
}
