import { isUtf8 } from 'node:buffer';
import type { LogMessage } from '../../schemas/log.ts';
import { expected, learn, writeHead, type Head, type Heads } from './json-heads.ts';
import { readBase64, readBoolean, readDouble, readId, readInteger, readText, readTime, skipScalar } from './json-values.ts';
import { CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, LETTER_N, OPEN_BRACE, OPEN_BRACKET, QUOTE, closeLength, endOfPlain, goesOnWith, peek, skipWord, take, type Walk } from './json-walk.ts';
import { FIXED64, LENGTH, MAX_DEPTH, MAX_ELEMENTS, VARINT } from './wire.ts';
import { viewOf, wordsOf, type Words } from './words.ts';

/**
 * A request in OTLP/JSON as the same request in protobuf, in one walk over its bytes, with no object and hardly a string between them: a collector that only
 * forwards pays half of what decoding and encoding cost. Fields that json.ts does not read are left out here, too.
 *
 * Whatever is not plainly as the specification has it is left to the decoder (null), whose words the sender gets: broken syntax, other types than expected, names
 * of enums, a field twice, ids of no valid length, no spans at all. `test/collector/otlp/json-to-protobuf.test.ts` holds the two against each other.
 */
export function jsonToProtobuf({ signal, body }: Pick<LogMessage, 'signal' | 'body'>): Uint8Array | null {
  if (!isUtf8(body)) return null;
  // No value takes more bytes in protobuf than in JSON, its name included; it is written four bytes at a time.
  const most = body.byteLength + WORD_BYTES;
  if (most > scratch.byteLength && most <= LARGEST_SCRATCH_BYTES) scratch = Buffer.allocUnsafeSlow(most);
  const out = most <= scratch.byteLength ? scratch : Buffer.allocUnsafeSlow(most);
  const json = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const walk: Walk = { json, words: viewOf(json), at: 0, out, outWords: viewOf(out), end: 0, budget: MAX_ELEMENTS, items: 0, lessons: MOST_LESSONS };
  const isWhole = readObject(walk, REQUESTS[signal], 0) && peek(walk) === -1;
  return isWhole && walk.items > 0 ? Uint8Array.prototype.slice.call(out, 0, walk.end) : null;
}

/** Written into by one request after the other, none of which waits for anything meanwhile: what is handed out is a copy, of half the size as a rule. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);
const LARGEST_SCRATCH_BYTES = 1024 * 1024;
const WORD_BYTES = 4;
const MOST_LESSONS = 32;

type Scalar = 'text' | 'base64' | 'trace_id' | 'span_id' | 'time' | 'enum' | 'int64' | 'double' | 'bool';
/** `spelled`: its name as it stands in nearly all JSON, with the quote and the colon behind it. `follower`: the field that came after it the last time. `heads`: of a list of attributes. */
type Field = { readonly name: Uint8Array; readonly spelled: Words; follower: Field | null; readonly number: number; readonly tag: number; readonly type: Scalar | 'message' | 'list'; readonly message: Message | null; readonly heads: Heads<Field> };
/** `byLength`: its fields by the length of their names. `first`: the one that came first the last time. `kind`: of an AnyValue one field at most is set; every value below `nests` is one deeper; an `item` is what is counted. */
type Message = { byLength: readonly (readonly Field[] | undefined)[]; first: Field | null; readonly kind: 'plain' | 'oneof' | 'nests' | 'item' };
type Fields = Readonly<Record<string, readonly [number, Scalar] | readonly [number, 'message' | 'list', Message]>>;

const WIRE: Readonly<Record<Field['type'], number>> = { text: LENGTH, base64: LENGTH, trace_id: LENGTH, span_id: LENGTH, time: FIXED64, enum: VARINT, int64: VARINT, double: FIXED64, bool: VARINT, message: LENGTH, list: LENGTH };

function message(fields: Fields, kind: Message['kind'] = 'plain'): Message {
  const byLength: Field[][] = [];
  for (const [name, [number, type, inner = null]] of Object.entries(fields)) {
    (byLength[name.length] ??= []).push({ name: Buffer.from(name), spelled: wordsOf(viewOf(Buffer.from(`${name}":`))), follower: null, number, tag: (number << 3) | WIRE[type], type, message: inner, heads: { first: null, length: 0 } });
  }
  return { byLength, first: null, kind };
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

/** The content of a message. `depth`: arrays and maps around it. */
function readObject(walk: Walk, message: Message, depth: number): boolean {
  if (depth > MAX_DEPTH || !take(walk, OPEN_BRACE)) return false;
  if (message.kind === 'item') walk.items += 1;
  if (take(walk, CLOSE_BRACE)) return true;
  let set = 0;
  let before: Field | null = null;
  for (;;) {
    if (!take(walk, QUOTE)) return false;
    // Messages of one type are written alike: which field comes next is known from the last one, and only to be confirmed.
    let field: Field | null = before === null ? message.first : before.follower;
    if (field === null || !isSpelled(walk, field)) {
      const from = walk.at;
      const end = endOfPlain(walk);
      if (end < 0 || !take(walk, COLON)) return false;
      field = fieldNamed(walk.json, message, from, end);
      // What nobody reads stands between those that are.
      if (field !== null && before === null) message.first = field;
      else if (field !== null && before !== null) before.follower = field;
    }
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
    before = field ?? before;
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
      return field.message === keyValue ? readAttributes(walk, field, depth) : field.message !== null && readList(walk, field.tag, field.message, depth);
  }
}

/** A list of KeyValues. */
function readAttributes(walk: Walk, { tag, heads }: Field, depth: number): boolean {
  if (!take(walk, OPEN_BRACKET)) return false;
  if (take(walk, CLOSE_BRACKET)) return true;
  let before: Head<Field> | null = null;
  for (;;) {
    if (--walk.budget < 0) return false;
    const { at, end } = walk;
    const head: Head<Field> | null = expected(walk, heads, before);
    if (head !== null && readBehind(walk, head, depth)) {
      before = head;
    } else {
      // Something is odd about the value. What nests is not read a second time, which would take twice as long at each depth.
      if (head !== null && head.value.message !== null) return false;
      walk.at = at;
      walk.end = end;
      if (!readNested(walk, tag, keyValue, depth)) return false;
      if (head === null) before = learn(walk, at, tag, heads, before, valueNamed) ?? before;
    }
    if (take(walk, CLOSE_BRACKET)) return true;
    if (!take(walk, COMMA)) return false;
  }
}

/** The head, and what comes behind it: the value, and the end of both messages. */
function readBehind(walk: Walk, head: Head<Field>, depth: number): boolean {
  const start = walk.end + 2;
  writeHead(walk, head);
  const valueStart = walk.end;
  return readField(walk, head.value, depth) && take(walk, CLOSE_BRACE) && take(walk, CLOSE_BRACE) && closeLength(walk, valueStart, walk.end) && closeLength(walk, start, walk.end);
}

function valueNamed(name: string): Field | null {
  const bytes = Buffer.from(name, 'latin1');
  return fieldNamed(bytes, anyValue, 0, bytes.length);
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

function readNested(walk: Walk, tag: number, message: Message, depth: number): boolean {
  walk.out[walk.end] = tag;
  const start = walk.end + 2;
  walk.end = start;
  return readObject(walk, message, message.kind === 'nests' ? depth + 1 : depth) && closeLength(walk, start, walk.end);
}

function isSpelled(walk: Walk, { spelled }: Field): boolean {
  if (!goesOnWith(walk, spelled)) return false;
  walk.at += spelled.length;
  return true;
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
