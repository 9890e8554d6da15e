import { pipeline } from 'node:stream';
import type { Transform } from 'node:stream';
import { createGunzip, createInflate, gunzipSync } from 'node:zlib';
import { release } from './release.ts';

/**
 * What may come in, and how much of it at once. Bodies are read and inflated chunk by chunk; every chunk is counted
 * before it is kept, so memory for bodies is bounded by `maxInFlightBytes` plus one chunk for each open request,
 * whatever a client declares or compresses.
 */
export type AdmissionSettings = {
  /** Bytes of one body, as sent and again after decompression. */
  readonly maxBodyBytes: number;
  /** Bytes of all bodies that are not yet durable, after decompression. */
  readonly maxInFlightBytes: number;
  readonly maxInFlightRequests: number;
};

/** Why a request is not taken: the status, a short reason for the counters, a sentence for the sender. */
export type Refusal = { readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 503; readonly reason: string; readonly message: string };

/** One admitted request's share of the bounds; `release` gives it back, and may be called again without effect. */
export type Ticket = { grow(bytes: number): boolean; shrink(bytes: number): void; release(): void };

export type Admission = {
  /** Null when no further request may be open now. */
  open(): Ticket | null;
  /** What is in flight now. */
  load(): { readonly requests: number; readonly bytes: number };
};

export function createAdmission(settings: Pick<AdmissionSettings, 'maxInFlightBytes' | 'maxInFlightRequests'>): Admission {
  let requests = 0;
  let bytes = 0;

  function open(): Ticket | null {
    if (requests >= settings.maxInFlightRequests) return null;
    requests++;
    let held = 0;
    let isOpen = true;
    return {
      grow(more) {
        if (bytes + more > settings.maxInFlightBytes) return false;
        bytes += more;
        held += more;
        return true;
      },
      shrink(less) {
        bytes -= less;
        held -= less;
      },
      release() {
        if (!isOpen) return;
        isOpen = false;
        requests--;
        bytes -= held;
      },
    };
  }

  return { open, load: () => ({ requests, bytes }) };
}

export const OVERLOADED: Refusal = { status: 503, reason: 'overloaded', message: 'too much is in flight; come back later' };

/** Output of the decompressors. Measured on a body of 158 KB: 480 µs CPU, where the default of 16 KiB costs 1,080. */
const CHUNK_SIZE = 64 * 1024;

/** Gzip bodies of so many bytes as sent, and after it, are inflated in one go: 170 µs CPU for 158 KB. It holds up everything else for 3 ms at most. */
const AT_ONCE_BYTES = 256 * 1024;
const INFLATED_AT_ONCE_BYTES = 1024 * 1024;

/** The decompressor for each Content-Encoding. Null: the body is plain. */
const DECOMPRESSORS: ReadonlyMap<string, (() => Transform) | null> = new Map([
  ['', null],
  ['identity', null],
  ['gzip', () => createGunzip({ chunkSize: CHUNK_SIZE })],
  ['deflate', () => createInflate({ chunkSize: CHUNK_SIZE })],
]);

const CONTENT_ENCODINGS = [...DECOMPRESSORS.keys()].filter((name) => name !== '');

/** What the headers alone decide, before a byte of the body is read. */
export function refuseByHeaders(headers: { contentLength: string | undefined; contentEncoding: string }, settings: Pick<AdmissionSettings, 'maxBodyBytes'>): Refusal | null {
  if (!DECOMPRESSORS.has(headers.contentEncoding)) {
    return { status: 415, reason: 'content_encoding', message: `Content-Encoding must be one of ${CONTENT_ENCODINGS.join(', ')}` };
  }
  if (Number(headers.contentLength ?? 0) > settings.maxBodyBytes) return tooLarge(settings.maxBodyBytes, 'as sent');
  return null;
}

/**
 * The whole body, decompressed, or why not. Never keeps more than `maxBodyBytes`, beside what was read of a gzip body to see whether it is small,
 * and stops reading at the first chunk past a bound.
 */
export async function readBody(
  chunks: AsyncIterable<Uint8Array>,
  request: { contentEncoding: string; ticket: Ticket },
  settings: Pick<AdmissionSettings, 'maxBodyBytes'>,
): Promise<Buffer | Refusal> {
  const { maxBodyBytes } = settings;
  let sentBytes = 0;
  async function* sent(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sentBytes += chunk.length;
      if (sentBytes > maxBodyBytes) return;
      yield chunk;
    }
  }

  // 1. Small gzip bodies, which most senders send, are inflated in one go.
  const begun: Uint8Array[] = [];
  const rest = sent();
  try {
    if (request.contentEncoding === 'gzip') {
      const begunBytes = await takeFrom(rest, begun, request.ticket);
      if (begunBytes === null) return OVERLOADED;
      if (begunBytes <= AT_ONCE_BYTES && sentBytes <= maxBodyBytes) {
        const body = gunzipAtOnce(Buffer.concat(begun, begunBytes), maxBodyBytes);
        if (body !== null) {
          request.ticket.shrink(begunBytes);
          return request.ticket.grow(body.length) ? body : OVERLOADED;
        }
      }
    }
  } catch (error) {
    return unreadable(error);
  }

  // 2. All others chunk by chunk.
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  try {
    for await (const chunk of decompressed(joined(begun, rest, request.ticket), request.contentEncoding)) {
      keptBytes += chunk.length;
      if (keptBytes > maxBodyBytes) return tooLarge(maxBodyBytes, 'decompressed');
      if (!request.ticket.grow(chunk.length)) return OVERLOADED;
      kept.push(chunk);
    }
  } catch (error) {
    if (sentBytes <= maxBodyBytes) return unreadable(error);
  }
  if (sentBytes > maxBodyBytes) return tooLarge(maxBodyBytes, 'as sent');
  const body = Buffer.concat(kept, keptBytes);
  for (const chunk of kept) release(chunk);
  return body;
}

/** Adds chunks to `begun`, until there are no more or they are over AT_ONCE_BYTES. Answers their bytes, or null where there is no room for them. */
async function takeFrom(chunks: AsyncGenerator<Uint8Array>, begun: Uint8Array[], ticket: Ticket): Promise<number | null> {
  let bytes = 0;
  while (bytes <= AT_ONCE_BYTES) {
    const next = await chunks.next();
    if (next.done === true) break;
    if (!ticket.grow(next.value.length)) return null;
    begun.push(next.value);
    bytes += next.value.length;
  }
  return bytes;
}

/**
 * Null where the body is larger than its last four bytes say (RFC 1952, ISIZE; a body of several members is, and a hostile one), or too large
 * for one go, or wrong in any way: then it is inflated chunk by chunk, or refused there. Never makes more than INFLATED_AT_ONCE_BYTES.
 */
function gunzipAtOnce(sent: Buffer, maxBodyBytes: number): Buffer | null {
  const claimed = sent.length < 18 ? Infinity : sent.readUInt32LE(sent.length - 4);
  if (claimed > Math.min(INFLATED_AT_ONCE_BYTES, maxBodyBytes)) return null;
  try {
    // A chunk that holds all of it and a byte more is filled in one call, and never copied.
    return gunzipSync(sent, { maxOutputLength: claimed + 1, chunkSize: Math.max(claimed + 1, 64) });
  } catch {
    return null;
  }
}

/** What was begun counts until it is handed on, and is let go then. */
async function* joined(begun: Uint8Array[], rest: AsyncGenerator<Uint8Array>, ticket: Ticket): AsyncGenerator<Uint8Array> {
  for (let chunk = begun.shift(); chunk !== undefined; chunk = begun.shift()) {
    ticket.shrink(chunk.length);
    yield chunk;
  }
  yield* rest;
}

/** Reads a body to its end and keeps nothing, so that the connection can serve the next request. */
export async function discardBody(chunks: AsyncIterable<Uint8Array>, settings: Pick<AdmissionSettings, 'maxBodyBytes'>): Promise<Refusal | null> {
  let sentBytes = 0;
  try {
    for await (const chunk of chunks) {
      sentBytes += chunk.length;
      if (sentBytes > settings.maxBodyBytes) return tooLarge(settings.maxBodyBytes, 'as sent');
    }
  } catch (error) {
    return unreadable(error);
  }
  return null;
}

function decompressed(sent: AsyncGenerator<Uint8Array>, contentEncoding: string): AsyncIterable<Uint8Array> {
  const create = DECOMPRESSORS.get(contentEncoding);
  if (!create) return sent;
  // An error of either side comes out of the iteration, and leaving it early ends both: the callback has nothing to do.
  return pipeline(sent, create(), () => undefined);
}

function tooLarge(maxBodyBytes: number, how: 'as sent' | 'decompressed'): Refusal {
  return { status: 413, reason: 'too_large', message: `the body is over ${maxBodyBytes} bytes ${how}; send smaller batches` };
}

function unreadable(error: unknown): Refusal {
  const message = error instanceof Error ? error.message : String(error);
  const isZlib = error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
  return isZlib
    ? { status: 400, reason: 'compression', message: `the body cannot be decompressed: ${message}` }
    : { status: 400, reason: 'connection', message: `the body did not arrive whole: ${message}` };
}
