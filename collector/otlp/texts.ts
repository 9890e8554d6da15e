import { readText } from './wire.ts';
import type { Cursor } from './wire.ts';
import { isSame, wordsOf, type Words } from './words.ts';

/**
 * Texts that are met again and again, each as one string: attribute keys, of which every span has the same few dozen, and values such as the name of a model. One that
 * was seen before costs no allocation, has its hash for a Map already, and whoever remembers a call remembers no copy of it.
 *
 * A table of fixed size, two entries a slot, where the newest win: hostile texts can slow it down, never make it grow. A text enters when it is met for the second
 * time, so that ids, which are met once, push nothing out.
 */
const SLOTS = 1024;
const MAX_BYTES = 64;

type Entry = Words & { readonly text: string };

export function createTexts(): { read(cursor: Cursor, field: string): string } {
  const entries: (Entry | undefined)[] = Array.from({ length: SLOTS * 2 }, () => undefined);
  /** What was last met in each slot, by hash. */
  const met = new Int32Array(SLOTS);

  function read(cursor: Cursor, field: string): string {
    const { bytes, view, position, end } = cursor;
    const length = bytes[position] ?? 0;
    // Longer texts, and a length of more than one byte, take the plain way; so does anything malformed.
    if (length === 0 || length > MAX_BYTES || position + 1 + length > end) return readText(cursor, field);
    const start = position + 1;
    const hash = hashOf(bytes, start, length);
    const slot = (hash ^ (hash >>> 10)) & (SLOTS - 1);
    // Two places in each slot, so that two texts, met in turns, do not push each other out.
    const newer = entries[slot * 2];
    if (newer !== undefined && newer.length === length && isSame(newer, view, start)) {
      cursor.position = start + length;
      return newer.text;
    }
    const older = entries[slot * 2 + 1];
    if (older !== undefined && older.length === length && isSame(older, view, start)) {
      cursor.position = start + length;
      return older.text;
    }
    const text = readText(cursor, field);
    if (met[slot] === hash) {
      entries[slot * 2 + 1] = newer;
      entries[slot * 2] = { text, ...wordsOf(view, start, length) };
    }
    met[slot] = hash;
    return text;
  }

  return { read };
}

/** 32 bits. Keys of one dialect share their beginning ("gen_ai.usage."), so the end and the middle tell them apart. */
function hashOf(bytes: Uint8Array, start: number, length: number): number {
  const last = start + length - 1;
  let hash = length;
  hash = hash * 31 + (bytes[last] ?? 0);
  hash = hash * 31 + (bytes[last - 1] ?? 0);
  hash = hash * 31 + (bytes[last - 3] ?? 0);
  hash = hash * 31 + (bytes[start + (length >> 1)] ?? 0);
  hash = hash * 31 + (bytes[start + (length >> 2)] ?? 0);
  return hash | 0;
}
