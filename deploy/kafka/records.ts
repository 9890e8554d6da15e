import type { IHeaders } from 'kafkajs';
import type { LogMessage } from '../../schemas/log.ts';
import { murmur2 } from './murmur2.ts';

/** How a message of the log is written as a record of Kafka, and read back; and in which partition it belongs. */

/** A record of ours. What the OpenTelemetry Collector writes has none of these headers. */
const HEADERS = { project: 'culprit-project', home: 'culprit-home', encoding: 'culprit-encoding', rejected: 'culprit-rejected' } as const;

export type OutgoingRecord = {
  readonly partition: number;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** The arrival of the message, ms. */
  readonly timestampMs: number;
};

export type IncomingRecord = { readonly value: Buffer | null; readonly headers?: IHeaders | undefined; readonly timestamp: string };

/** `isHome`: somebody has seen to it that all its spans belong in its partition. */
export type ReadRecord = { readonly message: LogMessage; readonly isHome: boolean; readonly rejected: ReadonlyMap<string, number> };

/** `rejected`: spans of the request that are not in the body, by reason. */
export function headersOf(message: Pick<LogMessage, 'project' | 'encoding'>, rejected: ReadonlyMap<string, number>): Record<string, string> {
  return {
    [HEADERS.project]: message.project,
    [HEADERS.home]: '1',
    ...(message.encoding === 'json' ? { [HEADERS.encoding]: 'json' } : {}),
    ...(rejected.size === 0 ? {} : { [HEADERS.rejected]: JSON.stringify([...rejected]) }),
  };
}

/** @param beside.nowMs no stamp is later: a producer whose clock runs ahead must not close slots that are still to come. */
export function readRecord(record: IncomingRecord, beside: { readonly signal: LogMessage['signal']; readonly project: string; readonly nowMs: number }): ReadRecord {
  const body = record.value ?? Buffer.alloc(0);
  const header = (name: string): string | null => textOf(record.headers?.[name]);
  const stamp = Number(record.timestamp);
  return {
    message: {
      signal: beside.signal,
      project: header(HEADERS.project) ?? beside.project,
      received_ms: Number.isFinite(stamp) && stamp > 0 ? Math.min(stamp, beside.nowMs) : beside.nowMs,
      // No protobuf request begins with "{", which is no field of it.
      encoding: header(HEADERS.encoding) === 'json' || (header(HEADERS.home) === null && body[0] === 0x7b) ? 'json' : 'protobuf',
      body,
    },
    isHome: header(HEADERS.home) !== null,
    rejected: rejectedOf(header(HEADERS.rejected)),
  };
}

function textOf(value: IHeaders[string]): string | null {
  const first = Array.isArray(value) ? value[0] : value;
  return first === undefined ? null : first.toString();
}

function rejectedOf(text: string | null): ReadonlyMap<string, number> {
  if (text === null) return new Map();
  try {
    const entries: unknown = JSON.parse(text);
    if (!Array.isArray(entries)) return new Map();
    return new Map(entries.filter((entry): entry is [string, number] => Array.isArray(entry) && typeof entry[0] === 'string' && Number.isSafeInteger(entry[1])));
  } catch {
    // Not of our writing.
    return new Map();
  }
}

/**
 * The partition of a trace: that of a record whose key is the trace id in lower-case hex, as Kafka's own clients choose it. So an
 * OpenTelemetry Collector that partitions by trace id, and hashes as they do, puts spans where ours does.
 */
export function createPlacement(shards: number): (traceId: string) => number {
  return (traceId) => murmur2(traceId) % shards;
}

/** In their order, as many at a time as have so many bytes: at least one. */
export function* chunksOf<Each extends Pick<IncomingRecord, 'value'>>(records: readonly Each[], maxBytes: number): Generator<readonly Each[]> {
  let chunk: Each[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = record.value?.byteLength ?? 0;
    if (chunk.length > 0 && bytes + size > maxBytes) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(record);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
