import { decode } from '../../collector/otlp/decode.ts';
import { encodeRequest } from '../../collector/otlp/protobuf-encode.ts';
import { splitRequest } from '../../collector/otlp/split.ts';
import { release } from '../../collector/release.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { Log, LogMessage } from '../../schemas/log.ts';
import { createPlacement, headersOf, type OutgoingRecord } from './records.ts';
import type { Sender } from './sender.ts';
import type { Topics } from './topics.ts';

/**
 * The log over Kafka. A request becomes plain OTLP protobuf in the topics of spans and of logs, as the OpenTelemetry Collector writes
 * them, cut so that all spans of a trace, and the scores that name it, are in partitions of one number. So one analyzer at a time has a
 * whole trace, and what it remembers of it is enough. An append resolves when all in-sync replicas have it.
 */
export type KafkaLogSettings = {
  /** Bytes that may be under way, beyond which an append is refused with RetryableError. */
  readonly maxPendingBytes: number;
  /** After so long the sender is told to come again, though the records may still arrive; their bytes count until that is known. */
  readonly maxWaitMs: number;
};

/** For the keys, headers and lengths of a record and its batch. */
const RECORD_OVERHEAD_BYTES = 2_048;
export const OVERSIZED = 'over_message_limit';

/** `untraced`: the partition of what belongs to no trace; by default they take turns. */
export type RecordCutter = (message: LogMessage, untraced?: number) => OutgoingRecord[];

/** Cuts messages into the records that the topics take. What is not OTLP goes as it is: the analyzer parks it. */
export function createRecordCutter(topics: Pick<Topics, 'shards' | 'maxMessageBytes'>): RecordCutter {
  const placeOf = createPlacement(topics.shards);
  let lastTurn = 0;
  return (message, untraced) => {
    if (untraced === undefined) lastTurn = (lastTurn + 1) % topics.shards;
    const turn = untraced ?? lastTurn;
    const record = (partition: number, body: Uint8Array, encoding: LogMessage['encoding'], rejected: ReadonlyMap<string, number>): OutgoingRecord => ({
      partition,
      value: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
      headers: headersOf({ project: message.project, encoding }, rejected),
      timestampMs: message.received_ms,
    });
    try {
      const { body, rejected } = asProtobuf(message);
      const { pieces, oversized } = splitRequest({ signal: message.signal, body }, (traceId) => (traceId === null ? turn : placeOf(traceId)), topics.maxMessageBytes - RECORD_OVERHEAD_BYTES);
      if (oversized > 0) rejected.set(OVERSIZED, oversized);
      if (pieces.length === 0) return [record(turn, rejected.size > 0 ? new Uint8Array() : body, 'protobuf', rejected)];
      const none = new Map<string, number>();
      return pieces.map((piece, index) => record(piece.place, piece.body, 'protobuf', index === 0 ? rejected : none));
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      return [record(turn, message.body, message.encoding, new Map())];
    }
  };
}

/** JSON loses what was rejected in it; that is carried beside it, for the ledger. */
function asProtobuf(message: LogMessage): { readonly body: Uint8Array; readonly rejected: Map<string, number> } {
  if (message.encoding === 'protobuf') return { body: message.body, rejected: new Map() };
  const decoded = decode(message);
  return { body: encodeRequest(decoded), rejected: new Map(decoded.rejected) };
}

export function createKafkaLog(sender: Sender, topics: Topics, settings: KafkaLogSettings): Log {
  const cut = createRecordCutter(topics);
  const underWay = new Set<Promise<void>>();
  let pendingBytes = 0;
  let pendingMessages = 0;
  let isClosed = false;

  const send = async (message: LogMessage): Promise<void> => {
    const bytes = message.body.byteLength;
    pendingBytes += bytes;
    pendingMessages += 1;
    try {
      const records = cut(message);
      const { body, encoding } = message;
      // JSON that was not made into protobuf is still looked at, for the words of a refusal.
      if (encoding === 'protobuf' && records.every(({ value }) => value.buffer !== body.buffer)) release(body);
      await sender.send(message.signal === 'traces' ? topics.spans : topics.logs, records);
      // The broker has them. That these are given back as well is what keeps V8 from marking its heap several times a second (BENCHMARKS.md).
      if (encoding === 'protobuf') for (const { value } of records) release(value);
    } finally {
      pendingBytes -= bytes;
      pendingMessages -= 1;
    }
  };

  return {
    async append(message) {
      if (isClosed) throw new RetryableError('the collector is shutting down');
      if (pendingBytes > 0 && pendingBytes + message.body.byteLength > settings.maxPendingBytes) {
        throw new RetryableError(`Kafka is behind: ${pendingBytes} bytes wait for its answer`, { retryAfterSeconds: 2 });
      }
      const sent = send(message);
      underWay.add(sent);
      // Its failure is told to the one that appended, below; here it only ends.
      void sent.catch(() => undefined).finally(() => underWay.delete(sent));
      await withinMs(sent, settings.maxWaitMs);
    },
    pending: () => ({ messages: pendingMessages, bytes: pendingBytes }),
    async close() {
      isClosed = true;
      await Promise.allSettled(underWay);
    },
  };
}

async function withinMs(work: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RetryableError(`Kafka has not answered within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
