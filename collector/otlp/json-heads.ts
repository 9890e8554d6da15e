import { goesOnWith, type Walk } from './json-walk.ts';
import { viewOf, wordsOf, type Words } from './words.ts';

/**
 * How attributes begin, `{"key":"gen_ai.request.model","value":{"stringValue":`, is the same in span after span. Where a list goes on as one did before, its bytes are compared and those of
 * protobuf copied, which takes a third less time in all than to read them. Equal bytes say the same, so nothing but time depends on what was learned.
 */
export type Head<Value> = {
  readonly json: Words;
  /** The bytes of protobuf: the tags of attribute and value with room for a byte of length each, and the key. */
  readonly written: number;
  readonly writtenWords: Int32Array;
  /** The field that the value comes in. */
  readonly value: Value;
  next: Head<Value> | null;
};

/** What lists of one kind begin their attributes with, in an order of which each has a part. */
export type Heads<Value> = { first: Head<Value> | null; length: number };

/** So many that a list may have and this one has not are passed over. */
const MOST_PASSED = 6;
/** Beyond it one begins anew. A span has 128 attributes at most, unless its SDK is told otherwise (OpenTelemetry specification, common attribute limits). */
const MOST_HEADS = 160;
const HEAD = /^\{"key":"([\x20\x21\x23-\x5b\x5d-\x7f]{1,100})","value":\{"(\w{1,20})":/;
const LONGEST_HEAD = 150;

/** The one that the JSON goes on with, of those behind `before` (null: of all). */
export function expected<Value>(walk: Walk, heads: Heads<Value>, before: Head<Value> | null): Head<Value> | null {
  let head = before === null ? heads.first : before.next;
  for (let passed = 0; head !== null && passed < MOST_PASSED; passed += 1) {
    if (goesOnWith(walk, head.json)) return head;
    head = head.next;
  }
  return null;
}

export function writeHead<Value>(walk: Walk, { json, written, writtenWords }: Head<Value>): void {
  const { end, outWords } = walk;
  for (let index = 0; index < writtenWords.length; index += 1) outWords.setInt32(end + index * 4, writtenWords[index] ?? 0, true);
  walk.at += json.length;
  walk.end = end + written;
}

/** How the attribute begins that was read from `from` on: it is expected behind `before` from now on. Null: it is odd, or enough was learned of this request. */
export function learn<Value>(walk: Walk, from: number, tag: number, heads: Heads<Value>, before: Head<Value> | null, valueNamed: (name: string) => Value | null): Head<Value> | null {
  if (walk.lessons <= 0) return null;
  walk.lessons -= 1;
  const [text, key, name] = HEAD.exec(walk.json.toString('latin1', from, from + LONGEST_HEAD)) ?? [];
  const value = name === undefined ? null : valueNamed(name);
  if (text === undefined || key === undefined || value === null) return null;
  const isFull = heads.length >= MOST_HEADS;
  if (isFull) {
    heads.first = null;
    heads.length = 0;
  }
  const protobuf = Buffer.from([tag, 0, 0x0a, key.length, ...Buffer.from(key, 'latin1'), 0x12, 0]);
  // Up to three bytes too many, which what comes next is written over.
  const padded = Buffer.concat([protobuf, Buffer.alloc(-protobuf.length & 3)]);
  const follows = isFull ? null : before;
  const head: Head<Value> = { json: wordsOf(walk.words, from, text.length), written: protobuf.length, writtenWords: wordsOf(viewOf(padded)).words, value, next: follows === null ? heads.first : follows.next };
  if (follows === null) heads.first = head;
  else follows.next = head;
  heads.length += 1;
  return head;
}
