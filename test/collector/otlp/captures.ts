import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** What real clients sent, byte for byte; the .json beside a body is a copy decoded by somebody else's decoder, with hex ids. */
export function captured(name: string): Buffer {
  return readFileSync(new URL(`../captures/${name}`, import.meta.url));
}

export function plain(name: string): Buffer {
  const body = captured(name);
  return body[0] === 0x1f ? gunzipSync(body) : body;
}
