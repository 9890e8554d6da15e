import { isUtf8 } from 'node:buffer';
import type { LogMessage } from '../../schemas/log.ts';
import { FIXED64, LENGTH, MAX_DEPTH, MAX_ELEMENTS, VARINT } from './wire.ts';

/**
 * A request in OTLP/JSON as the same request in protobuf, in one walk over its bytes, with no object and hardly a string between them: a collector that only
 * forwards pays half of what decoding and encoding cost. Fields that json.ts does not read are left out here, too.
 *
 * Whatever is not plainly as the specification has it is left to the decoder (null), whose words the sender gets: broken syntax, other types than expected, names
 * of enums, a field twice, ids of no valid length, no spans at all. `test/collector/otlp/json-to-protobuf.test.ts` holds the two against each other.
 */
export function jsonToProtobuf({ signal, body }: Pick<LogMessage, 'signal' | 'body'>): Uint8Array | null {
  if (!isUtf8(body)) return null;
  // No value takes more bytes in protobuf than in JSON, its name included.
  const walk: Walk = { json: Buffer.from(body.buffer, body.byteOffset, body.byteLength), at: 0, out: Buffer.allocUnsafe(body.byteLength), end: 0, budget: MAX_ELEMENTS, items: 0 };
  const isWhole = readObject(walk, REQUESTS[signal], 0) && peek(walk) === -1;
  return isWhole && walk.items > 0 ? walk.out.subarray(0, walk.end) : null;
}

type Walk = {
  readonly json: Buffer;
  /** What is to be read next. */
  at: number;
  readonly out: Buffer;
  /** Where the next byte goes. */
  end: number;
  /** How many repeated elements may still come (wire.ts). */
  budget: number;
  /** Spans or log records so far. */
  items: number;
};

type Scalar = 'text' | 'base64' | 'trace_id' | 'span_id' | 'time' | 'enum' | 'int64' | 'double' | 'bool';
type Field = { readonly name: Uint8Array; readonly number: number; readonly tag: number; readonly type: Scalar | 'message' | 'list'; readonly message: Message | null };
/** `byLength`: its fields by the length of their names. `kind`: of an AnyValue one field at most is set; every value below `nests` is one deeper; an `item` is what is counted. */
type Message = { byLength: readonly (readonly Field[] | undefined)[]; readonly kind: 'plain' | 'oneof' | 'nests' | 'item' };
type Fields = Readonly<Record<string, readonly [number, Scalar] | readonly [number, 'message' | 'list', Message]>>;

const WIRE: Readonly<Record<Field['type'], number>> = { text: LENGTH, base64: LENGTH, trace_id: LENGTH, span_id: LENGTH, time: FIXED64, enum: VARINT, int64: VARINT, double: FIXED64, bool: VARINT, message: LENGTH, list: LENGTH };

function message(fields: Fields, kind: Message['kind'] = 'plain'): Message {
  const byLength: Field[][] = [];
  for (const [name, [number, type, inner = null]] of Object.entries(fields)) {
    (byLength[name.length] ??= []).push({ name: Buffer.from(name), number, tag: (number << 3) | WIRE[type], type, message: inner });
  }
  return { byLength, kind };
}

// Source: opentelemetry-proto v1.9; the same fields as json.ts reads.
const arrayValue = message({}, 'nests');
const keyValueList = message({}, 'nests');
const anyValue = message({ stringValue: [1, 'text'], boolValue: [2, 'bool'], intValue: [3, 'int64'], doubleValue: [4, 'double'], arrayValue: [5, 'message', arrayValue], kvlistValue: [6, 'message', keyValueList], bytesValue: [7, 'base64'] }, 'oneof');
const keyValue = message({ key: [1, 'text'], value: [2, 'message', anyValue] });
arrayValue.byLength = message({ values: [1, 'list', anyValue] }).byLength;
keyValueList.byLength = message({ values: [1, 'list', keyValue] }).byLength;
const resource = message({ attributes: [1, 'list', keyValue] });
const scope = message({ name: [1, 'text'], version: [2, 'text'], attributes: [3, 'list', keyValue] });
const event = message({ timeUnixNano: [1, 'time'], name: [2, 'text'], attributes: [3, 'list', keyValue] });
const link = message({ traceId: [1, 'trace_id'], spanId: [2, 'span_id'], attributes: [4, 'list', keyValue] });
const status = message({ message: [2, 'text'], code: [3, 'enum'] });
const span = message(
  {
    traceId: [1, 'trace_id'], spanId: [2, 'span_id'], parentSpanId: [4, 'span_id'], name: [5, 'text'], kind: [6, 'enum'], startTimeUnixNano: [7, 'time'], endTimeUnixNano: [8, 'time'],
    attributes: [9, 'list', keyValue], events: [11, 'list', event], links: [13, 'list', link], status: [15, 'message', status],
  },
  'item',
);
const logRecord = message(
  {
    timeUnixNano: [1, 'time'], severityNumber: [2, 'enum'], body: [5, 'message', anyValue], attributes: [6, 'list', keyValue], traceId: [9, 'trace_id'], spanId: [10, 'span_id'],
    observedTimeUnixNano: [11, 'time'], eventName: [12, 'text'],
  },
  'item',
);
const REQUESTS = {
  traces: message({ resourceSpans: [1, 'list', message({ resource: [1, 'message', resource], scopeSpans: [2, 'list', message({ scope: [1, 'message', scope], spans: [2, 'list', span] })] })] }),
  logs: message({ resourceLogs: [1, 'list', message({ resource: [1, 'message', resource], scopeLogs: [2, 'list', message({ scope: [1, 'message', scope], logRecords: [2, 'list', logRecord] })] })] }),
} as const;

const [QUOTE, BACKSLASH, COMMA, COLON, MINUS, POINT, ZERO, NINE] = [0x22, 0x5c, 0x2c, 0x3a, 0x2d, 0x2e, 0x30, 0x39];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const [SPACE, LETTER_N, LETTER_T, LETTER_F, LETTER_U] = [0x20, 0x6e, 0x74, 0x66, 0x75];

/** The next byte that is no white space; -1 at the end. */
function peek(walk: Walk): number {
  const { json } = walk;
  let byte = json[walk.at] ?? -1;
  while (byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = json[++walk.at] ?? -1;
  return byte;
}

function take(walk: Walk, byte: number): boolean {
  // Nearly always without white space before it.
  if (walk.json[walk.at] !== byte && peek(walk) !== byte) return false;
  walk.at += 1;
  return true;
}

/** The content of a message. `depth`: arrays and maps around it. */
function readObject(walk: Walk, message: Message, depth: number): boolean {
  if (depth > MAX_DEPTH || !take(walk, OPEN_BRACE)) return false;
  if (message.kind === 'item') walk.items += 1;
  if (take(walk, CLOSE_BRACE)) return true;
  let set = 0;
  for (;;) {
    if (!take(walk, QUOTE)) return false;
    const from = walk.at;
    const end = endOfPlain(walk);
    if (end < 0 || !take(walk, COLON)) return false;
    const field = fieldNamed(walk.json, message, from, end);
    if (field === null) {
      if (!skipScalar(walk)) return false;
    } else if (peek(walk) === LETTER_N) {
      if (!skipWord(walk, 'null')) return false;
    } else {
      // JSON takes the last of two, protobuf all elements of both; and of an AnyValue the decoder takes the first.
      if ((set & (1 << field.number)) !== 0 || (message.kind === 'oneof' && set !== 0)) return false;
      set |= 1 << field.number;
      if (!readField(walk, field, depth)) return false;
    }
    if (take(walk, CLOSE_BRACE)) return true;
    if (!take(walk, COMMA)) return false;
  }
}

function readField(walk: Walk, field: Field, depth: number): boolean {
  switch (field.type) {
    case 'text':
      return readText(walk, field.tag);
    case 'base64':
      return readBase64(walk, field.tag);
    case 'trace_id':
      return readId(walk, field.tag, 32);
    case 'span_id':
      return readId(walk, field.tag, 16);
    case 'time':
      return readTime(walk, field.tag);
    case 'enum':
    case 'int64':
      return readInteger(walk, field.tag, field.type === 'enum');
    case 'double':
      return readDouble(walk, field.tag);
    case 'bool':
      return readBoolean(walk, field.tag);
    case 'message':
      return field.message !== null && readNested(walk, field.tag, field.message, depth);
    case 'list':
      return field.message !== null && readList(walk, field.tag, field.message, depth);
  }
}

function readList(walk: Walk, tag: number, element: Message, depth: number): boolean {
  if (!take(walk, OPEN_BRACKET)) return false;
  if (take(walk, CLOSE_BRACKET)) return true;
  for (;;) {
    if (--walk.budget < 0 || !readNested(walk, tag, element, depth)) return false;
    if (take(walk, CLOSE_BRACKET)) return true;
    if (!take(walk, COMMA)) return false;
  }
}

/** Its length is known at its end: there is room for one byte of it, and what is longer is moved, which costs less than to measure it first. */
function readNested(walk: Walk, tag: number, message: Message, depth: number): boolean {
  const { out } = walk;
  out[walk.end] = tag;
  const start = walk.end + 2;
  walk.end = start;
  if (!readObject(walk, message, message.kind === 'nests' ? depth + 1 : depth)) return false;
  const length = walk.end - start;
  if (length >= 0x80) {
    const more = lengthOfVarint(length) - 1;
    out.copyWithin(start + more, start, walk.end);
    walk.end = start - 1;
    writeVarint(walk, length);
    walk.end += length;
  } else out[start - 1] = length;
  return true;
}

/** Behind the opening quote: where a text ends that has no escape, as no name of a field has. -1: it has. */
function endOfPlain(walk: Walk): number {
  const { json } = walk;
  for (let at = walk.at; at < json.length; at += 1) {
    const byte = json[at] ?? 0;
    if (byte === QUOTE) {
      walk.at = at + 1;
      return at;
    }
    if (byte === BACKSLASH || byte < SPACE) return -1;
  }
  return -1;
}

function fieldNamed(json: Uint8Array, message: Message, from: number, end: number): Field | null {
  const candidates = message.byLength[end - from];
  if (candidates === undefined) return null;
  next: for (const field of candidates) {
    const { name } = field;
    for (let index = 0; index < name.length; index += 1) if (json[from + index] !== name[index]) continue next;
    return field;
  }
  return null;
}

/** What the letter after a backslash stands for; 0: nothing. */
const ESCAPES = new Uint8Array(128);
for (const [letter, byte] of [['"', 0x22], ['\\', 0x5c], ['/', 0x2f], ['b', 0x08], ['f', 0x0c], ['n', 0x0a], ['r', 0x0d], ['t', 0x09]] as const) ESCAPES[letter.charCodeAt(0)] = byte;

/** Read and written in one loop. Its length is what is left when the escapes are gone: as with messages, there is room for one byte of it. */
function readText(walk: Walk, tag: number): boolean {
  if (!take(walk, QUOTE)) return false;
  const { json, out } = walk;
  out[walk.end++] = tag;
  const start = walk.end + 1;
  let end = start;
  let at = walk.at;
  while (at < json.length) {
    const byte = json[at++] ?? 0;
    if (byte === QUOTE) {
      walk.at = at;
      return closeText(walk, start, end);
    }
    if (byte < SPACE) return false;
    if (byte !== BACKSLASH) {
      out[end++] = byte;
      continue;
    }
    const letter = json[at++] ?? 0;
    const plain = letter < 128 ? (ESCAPES[letter] ?? 0) : 0;
    if (plain !== 0) {
      out[end++] = plain;
      continue;
    }
    if (letter !== LETTER_U) return false;
    const code = readFourDigits(json, at);
    if (code < 0) return false;
    at += 4;
    if (code < 0x80) out[end++] = code;
    else if (code < 0x800) {
      out[end++] = 0xc0 | (code >> 6);
      out[end++] = 0x80 | (code & 0x3f);
    } else if (code < 0xd800 || code > 0xdfff) {
      out[end++] = 0xe0 | (code >> 12);
      out[end++] = 0x80 | ((code >> 6) & 0x3f);
      out[end++] = 0x80 | (code & 0x3f);
    } else {
      const low = json[at] === BACKSLASH && json[at + 1] === LETTER_U ? readFourDigits(json, at + 2) : -1;
      // Half a character: no UTF-8 has it.
      if (code > 0xdbff || low < 0xdc00 || low > 0xdfff) return false;
      at += 6;
      end += out.write(String.fromCharCode(code, low), end);
    }
  }
  return false;
}

function closeText(walk: Walk, start: number, end: number): boolean {
  const length = end - start;
  const more = lengthOfVarint(length) - 1;
  if (more > 0) walk.out.copyWithin(start + more, start, end);
  walk.end = start - 1;
  writeVarint(walk, length);
  walk.end += length;
  return true;
}

function readFourDigits(json: Uint8Array, from: number): number {
  let code = 0;
  for (let at = from; at < from + 4; at += 1) {
    const digit = hexDigit(json[at] ?? 0);
    if (digit < 0) return -1;
    code = code * 16 + digit;
  }
  return code;
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Empty: none. */
function readId(walk: Walk, tag: number, digits: number): boolean {
  const { json, out } = walk;
  if (!take(walk, QUOTE)) return false;
  if (json[walk.at] === QUOTE) {
    walk.at += 1;
    return true;
  }
  if (json[walk.at + digits] !== QUOTE) return false;
  out[walk.end++] = tag;
  out[walk.end++] = digits >> 1;
  for (const end = walk.at + digits; walk.at < end; walk.at += 2) {
    const [high, low] = [hexDigit(json[walk.at] ?? 0), hexDigit(json[walk.at + 1] ?? 0)];
    if (high < 0 || low < 0) return false;
    out[walk.end++] = high * 16 + low;
  }
  walk.at += 1;
  return true;
}

function readBase64(walk: Walk, tag: number): boolean {
  if (!take(walk, QUOTE)) return false;
  const from = walk.at;
  const end = endOfPlain(walk);
  if (end < 0) return false;
  walk.out[walk.end++] = tag;
  const start = walk.end + 1;
  return closeText(walk, start, start + walk.out.write(walk.json.toString('latin1', from, end), start, 'base64'));
}

const MAX_DIGITS = 20;
/** So many are surely no more than 64 bits, and exact in halves. */
const HALVED_DIGITS = 19;
/** So many digits are exact in a double. */
const EXACT_DIGITS = 15;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/** A whole number, in quotes or not: where its digits, with their sign, end. -1: it is something else. */
function endOfInteger(walk: Walk): number {
  const { json } = walk;
  const isQuoted = peek(walk) === QUOTE;
  if (isQuoted) walk.at += 1;
  let at = walk.at;
  if (json[at] === MINUS) at += 1;
  const first = at;
  while ((json[at] ?? 0) >= ZERO && (json[at] ?? 0) <= NINE) at += 1;
  const digits = at - first;
  if (digits === 0 || digits > MAX_DIGITS) return -1;
  if (isQuoted) return json[at] === QUOTE ? at : -1;
  const next = json[at] ?? 0;
  // 012, 1.5 and 1e3 are for the decoder.
  return (json[first] === ZERO && digits > 1) || next === POINT || (next | 0x20) === 0x65 ? -1 : at;
}

function closeInteger(walk: Walk, end: number): true {
  walk.at = walk.json[end] === QUOTE ? end + 1 : end;
  return true;
}

function textOf(walk: Walk, end: number): string {
  return walk.json.toString('latin1', walk.at, end);
}

function readTime(walk: Walk, tag: number): boolean {
  const { json, out } = walk;
  const end = endOfInteger(walk);
  if (end < 0 || json[walk.at] === MINUS) return false;
  out[walk.end] = tag;
  if (end - walk.at > HALVED_DIGITS) {
    const value = BigInt(textOf(walk, end));
    if (value > UINT64_MAX) return false;
    out.writeBigUInt64LE(value, walk.end + 1);
    walk.end += 9;
    return closeInteger(walk, end);
  }
  // In halves that are exact in a double: the last nine digits, and those before them.
  const middle = Math.max(walk.at, end - 9);
  let billions = 0;
  for (let at = walk.at; at < middle; at += 1) billions = billions * 10 + ((json[at] ?? 0) - ZERO);
  let rest = 0;
  for (let at = middle; at < end; at += 1) rest = rest * 10 + ((json[at] ?? 0) - ZERO);
  const high = Math.floor(billions / 65_536) * 1e9;
  const low = (high % 65_536) * 65_536 + (billions % 65_536) * 1e9 + rest;
  out.writeUInt32LE(low % 2 ** 32, walk.end + 1);
  out.writeUInt32LE(Math.floor(high / 65_536) + Math.floor(low / 2 ** 32), walk.end + 5);
  walk.end += 9;
  return closeInteger(walk, end);
}

function readInteger(walk: Walk, tag: number, isEnum: boolean): boolean {
  const { json, out } = walk;
  const isQuoted = peek(walk) === QUOTE;
  const end = endOfInteger(walk);
  if (end < 0) return false;
  const isNegative = json[walk.at] === MINUS;
  // An enum in a string is its name; and nobody knows of one below zero, or of one beyond 32 bits.
  if (isEnum && (isQuoted || isNegative || end - walk.at > 9)) return false;
  out[walk.end++] = tag;
  if (isNegative || end - walk.at > EXACT_DIGITS) {
    const value = BigInt(textOf(walk, end));
    if (value < INT64_MIN || value > INT64_MAX) return false;
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) out[walk.end++] = Number(rest & 0x7fn) | 0x80;
    out[walk.end++] = Number(rest);
  } else {
    let value = 0;
    for (let at = walk.at; at < end; at += 1) value = value * 10 + ((json[at] ?? 0) - ZERO);
    writeVarint(walk, value);
  }
  return closeInteger(walk, end);
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const LONGEST_NUMBER = 64;

function readNumber(walk: Walk): number | null {
  peek(walk);
  let end = walk.at;
  while (isOfNumber(walk.json[end] ?? 0) && end - walk.at <= LONGEST_NUMBER) end += 1;
  const text = textOf(walk, end);
  if (!NUMBER.test(text)) return null;
  walk.at = end;
  return Number(text);
}

function isOfNumber(byte: number): boolean {
  return (byte >= ZERO && byte <= NINE) || byte === POINT || byte === MINUS || byte === 0x2b || (byte | 0x20) === 0x65;
}

const NOT_FINITE: readonly (readonly [string, number])[] = [['"NaN"', Number.NaN], ['"Infinity"', Number.POSITIVE_INFINITY], ['"-Infinity"', Number.NEGATIVE_INFINITY]];

function readDouble(walk: Walk, tag: number): boolean {
  const isQuoted = peek(walk) === QUOTE;
  const value = isQuoted ? (NOT_FINITE.find(([word]) => skipWord(walk, word))?.[1] ?? null) : readNumber(walk);
  if (value === null) return false;
  walk.out[walk.end] = tag;
  walk.out.writeDoubleLE(value, walk.end + 1);
  walk.end += 9;
  return true;
}

function readBoolean(walk: Walk, tag: number): boolean {
  const isTrue = peek(walk) === LETTER_T;
  if (!skipWord(walk, isTrue ? 'true' : 'false')) return false;
  walk.out[walk.end++] = tag;
  walk.out[walk.end++] = isTrue ? 1 : 0;
  return true;
}

/** A field that nobody reads. Objects and arrays are left to the decoder. */
function skipScalar(walk: Walk): boolean {
  switch (peek(walk)) {
    case QUOTE: {
      // Written over by what comes next.
      const { end } = walk;
      const isText = readText(walk, 0);
      walk.end = end;
      return isText;
    }
    case LETTER_T:
      return skipWord(walk, 'true');
    case LETTER_F:
      return skipWord(walk, 'false');
    case LETTER_N:
      return skipWord(walk, 'null');
    default:
      return readNumber(walk) !== null;
  }
}

function skipWord(walk: Walk, word: string): boolean {
  for (let index = 0; index < word.length; index += 1) if (walk.json[walk.at + index] !== word.charCodeAt(index)) return false;
  walk.at += word.length;
  return true;
}

function lengthOfVarint(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

function writeVarint(walk: Walk, value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) walk.out[walk.end++] = (rest % 128) | 0x80;
  walk.out[walk.end++] = rest;
}
