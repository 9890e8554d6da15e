import { readText } from './wire.ts';
import type { Cursor } from './wire.ts';

/**
 * Attribute keys, each as one string however often it occurs. The same few dozen keys stand in every span; a string seen
 * before costs no allocation, and has its hash for the Map already.
 * A table of fixed size, two entries a slot, where the newest win: hostile keys can slow it down, never make it grow.
 */
const SLOTS = 1024;
const MAX_KEY_BYTES = 64;

type Entry = { readonly text: string; readonly bytes: Uint8Array };

export function createKeys(): { read(cursor: Cursor, field: string): string } {
  const entries: (Entry | undefined)[] = Array.from({ length: SLOTS * 2 }, () => undefined);

  function read(cursor: Cursor, field: string): string {
    const { bytes, position, end } = cursor;
    const length = bytes[position] ?? 0;
    // Longer keys, and a length of more than one byte, take the plain way; so does anything malformed.
    if (length === 0 || length > MAX_KEY_BYTES || position + 1 + length > end) return readText(cursor, field);
    const start = position + 1;
    // Two places for each key, so that two keys of one slot, met in turns, do not push each other out.
    const slot = slotOf(bytes, start, length) * 2;
    const newer = entries[slot];
    if (newer !== undefined && isSame(newer.bytes, bytes, start, length)) {
      cursor.position = start + length;
      return newer.text;
    }
    const older = entries[slot + 1];
    if (older !== undefined && isSame(older.bytes, bytes, start, length)) {
      cursor.position = start + length;
      return older.text;
    }
    const text = readText(cursor, field);
    entries[slot + 1] = newer;
    entries[slot] = { text, bytes: new Uint8Array(bytes.subarray(start, start + length)) };
    return text;
  }

  return { read };
}

/** Keys of one dialect share their beginning ("gen_ai.usage."), so the end and the middle tell them apart. */
function slotOf(bytes: Uint8Array, start: number, length: number): number {
  const last = start + length - 1;
  let hash = length;
  hash = hash * 31 + (bytes[last] ?? 0);
  hash = hash * 31 + (bytes[last - 1] ?? 0);
  hash = hash * 31 + (bytes[last - 3] ?? 0);
  hash = hash * 31 + (bytes[start + (length >> 1)] ?? 0);
  hash = hash * 31 + (bytes[start + (length >> 2)] ?? 0);
  return (hash ^ (hash >>> 10)) & (SLOTS - 1);
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}
