import { BACKSLASH, LETTER_F, LETTER_N, LETTER_T, LETTER_U, MINUS, NINE, POINT, QUOTE, SPACE, ZERO, closeLength, endOfPlain, peek, skipWord, take, writeVarint, type Walk } from './json-walk.ts';

/**
 * The values of OTLP/JSON, read from the bytes of a request and written as fields of protobuf behind what is written already: one function for each type, in the same rules as
 * json-fields.ts. Each leaves `at` behind the value and answers true, or answers false where the decoder has to look: the walk is over then.
 */

/** What the letter after a backslash stands for; 0: nothing. */
const ESCAPES = new Uint8Array(128);
for (const [letter, byte] of [['"', 0x22], ['\\', 0x5c], ['/', 0x2f], ['b', 0x08], ['f', 0x0c], ['n', 0x0a], ['r', 0x0d], ['t', 0x09]] as const) ESCAPES[letter.charCodeAt(0)] = byte;

/** The bytes at which plain text stops: a quote, a backslash, and what may not stand in JSON, the end included. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) => (byte === QUOTE || byte === BACKSLASH || byte < SPACE ? 1 : 0));

/** Whether one of these four bytes is a stop: subtracting n leaves a highest bit that was not there where a byte is below n, and only there. */
function hasStop(word: number): boolean {
  const quote = word ^ 0x22222222;
  const backslash = word ^ 0x5c5c5c5c;
  return ((((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash) | ((word - 0x20202020) & ~word)) & 0x80808080) !== 0;
}

/** Its length is what is left when the escapes are gone: as with messages, there is room for one byte of it. */
export function readText(walk: Walk, tag: number): boolean {
  if (!take(walk, QUOTE)) return false;
  const { json, out, words, outWords } = walk;
  const last = json.length - 4;
  out[walk.end++] = tag;
  const start = walk.end + 1;
  let end = start;
  let at = walk.at;
  for (;;) {
    for (let word = 0; at <= last && !hasStop((word = words.getInt32(at, true))); at += 4, end += 4) outWords.setInt32(end, word, true);
    let byte = json[at++] ?? 0;
    for (; STOPS[byte] === 0; byte = json[at++] ?? 0) out[end++] = byte;
    if (byte === QUOTE) {
      walk.at = at;
      return closeLength(walk, start, end);
    }
    if (byte !== BACKSLASH) return false;
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

/** The value of a hex digit; -1: it is none. */
const HEX_DIGITS = Int8Array.from({ length: 256 }, (_, byte) => '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase()));

function hexDigit(byte: number): number {
  return HEX_DIGITS[byte] ?? -1;
}

/** Empty: none. */
export function readId(walk: Walk, tag: number, digits: number): boolean {
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

export function readBase64(walk: Walk, tag: number): boolean {
  if (!take(walk, QUOTE)) return false;
  const from = walk.at;
  const end = endOfPlain(walk);
  if (end < 0) return false;
  walk.out[walk.end++] = tag;
  const start = walk.end + 1;
  return closeLength(walk, start, start + walk.out.write(walk.json.toString('latin1', from, end), start, 'base64'));
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

export function readTime(walk: Walk, tag: number): boolean {
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

export function readInteger(walk: Walk, tag: number, isEnum: boolean): boolean {
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

export function readDouble(walk: Walk, tag: number): boolean {
  const isQuoted = peek(walk) === QUOTE;
  const value = isQuoted ? (NOT_FINITE.find(([word]) => skipWord(walk, word))?.[1] ?? null) : readNumber(walk);
  if (value === null) return false;
  walk.out[walk.end] = tag;
  walk.out.writeDoubleLE(value, walk.end + 1);
  walk.end += 9;
  return true;
}

export function readBoolean(walk: Walk, tag: number): boolean {
  const isTrue = peek(walk) === LETTER_T;
  if (!skipWord(walk, isTrue ? 'true' : 'false')) return false;
  walk.out[walk.end++] = tag;
  walk.out[walk.end++] = isTrue ? 1 : 0;
  return true;
}

/** A field that nobody reads. Objects and arrays are left to the decoder. */
export function skipScalar(walk: Walk): boolean {
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
