import { PermanentError } from '../../schemas/errors.ts';
import { isJson } from './json-fields.ts';
import type { Json } from './json-fields.ts';
import { MAX_ELEMENTS } from './wire.ts';

/**
 * A body to a JSON object, with two things that JSON.parse alone would get wrong: 64-bit integers written as numbers
 * lose digits (256 ns of a time, the end of a large id), and "[{},{},…" costs twenty times its size in memory.
 */

/** Under this size, twenty-fold is no danger, and the count is not worth its time. */
const COUNTED_FROM_BYTES = 1024 * 1024;
/** A JSON attribute is four containers and members: {"key":…,"value":{"stringValue":…}}. */
const MAX_TOKENS = 4 * MAX_ELEMENTS;

/**
 * The 64-bit fields, where a number of 16 digits or more follows. Only a real key can match: inside a string, the quote
 * before the colon would have a backslash before it.
 */
const LONG_INTEGER = /("(?:startTimeUnixNano|endTimeUnixNano|timeUnixNano|observedTimeUnixNano|intValue)"\s*:\s*)(-?\d{16,20})(?=[\s,}])/g;

/** Throws PermanentError. Bytes that are no UTF-8 become U+FFFD. */
export function parseJson(body: Uint8Array): Json {
  // A request without telemetry is a success, and some senders leave its body empty.
  if (body.byteLength === 0) return {};
  if (body.byteLength > COUNTED_FROM_BYTES) refuseTooManyTokens(body);
  // TextDecoder drops a byte order mark, which JSON.parse would refuse.
  const text = new TextDecoder().decode(body).replace(LONG_INTEGER, '$1"$2"');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PermanentError(`malformed JSON: ${cause instanceof Error ? cause.message : 'unreadable'}`, { cause });
  }
  if (!isJson(value)) throw new PermanentError('malformed JSON: the body is not an object');
  return value;
}

function refuseTooManyTokens(body: Uint8Array): void {
  const [quote, backslash, comma, bracket, brace] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b];
  let tokens = 0;
  let isInString = false;
  for (let index = 0; index < body.length; index++) {
    const byte = body[index];
    if (isInString) {
      if (byte === backslash) index++;
      else if (byte === quote) isInString = false;
    } else if (byte === quote) {
      isInString = true;
    } else if (byte === comma || byte === bracket || byte === brace) {
      tokens++;
    }
  }
  if (tokens > MAX_TOKENS) throw new PermanentError(`malformed JSON: more than ${MAX_TOKENS} values in one request`);
}
