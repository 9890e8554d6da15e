import { isSame, type Words } from './words.ts';

/** A request in JSON that is being written as protobuf (json-to-protobuf.ts): where both stand, and the steps that all values are made of. */
export type Walk = {
  readonly json: Buffer;
  /** The same bytes, to be read four at a time. */
  readonly words: DataView;
  /** What is to be read next. */
  at: number;
  readonly out: Buffer;
  readonly outWords: DataView;
  /** Where the next byte goes. */
  end: number;
  /** How many repeated elements may still come (wire.ts). */
  budget: number;
  /** Spans or log records so far. */
  items: number;
  /** How many beginnings of attributes may still be learned (json-heads.ts), which takes longer than to read them. */
  lessons: number;
};

export const [QUOTE, BACKSLASH, COMMA, COLON, MINUS, POINT, ZERO, NINE] = [0x22, 0x5c, 0x2c, 0x3a, 0x2d, 0x2e, 0x30, 0x39];
export const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
export const [SPACE, LETTER_N, LETTER_T, LETTER_F, LETTER_U] = [0x20, 0x6e, 0x74, 0x66, 0x75];

/** The next byte that is no white space; -1 at the end. */
export function peek(walk: Walk): number {
  const { json } = walk;
  let byte = json[walk.at] ?? -1;
  while (byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = json[++walk.at] ?? -1;
  return byte;
}

export function take(walk: Walk, byte: number): boolean {
  // Nearly always without white space before it.
  if (walk.json[walk.at] !== byte && peek(walk) !== byte) return false;
  walk.at += 1;
  return true;
}

/** Behind the opening quote: where a text ends that has no escape, as no name of a field has. -1: it has. */
export function endOfPlain(walk: Walk): number {
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

/** Whether these bytes come next. */
export function goesOnWith({ at, words }: Walk, expected: Words): boolean {
  return at + expected.length <= words.byteLength && isSame(expected, words, at);
}

export function skipWord(walk: Walk, word: string): boolean {
  for (let index = 0; index < word.length; index += 1) if (walk.json[walk.at + index] !== word.charCodeAt(index)) return false;
  walk.at += word.length;
  return true;
}

/** What was written from `start` to `end` is the content of a field, before which there is room for one byte of its length: what is longer is moved, which costs less than to measure it first. */
export function closeLength(walk: Walk, start: number, end: number): true {
  const length = end - start;
  const more = lengthOfVarint(length) - 1;
  if (more > 0) walk.out.copyWithin(start + more, start, end);
  walk.end = start - 1;
  writeVarint(walk, length);
  walk.end += length;
  return true;
}

function lengthOfVarint(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

export function writeVarint(walk: Walk, value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) walk.out[walk.end++] = (rest % 128) | 0x80;
  walk.out[walk.end++] = rest;
}
