import { Producer } from '@platformatic/kafka';
import type { KafkaSettings } from '../../schemas/kafka.ts';
import { secured, typedKafkaError } from './client.ts';
import type { OutgoingRecord } from './records.ts';

/**
 * What the log asks of a client that writes. It is @platformatic/kafka here, which needs a quarter of the processor time of kafkajs for it (BENCHMARKS.md); kafkajs reads,
 * since it comes back from a restart of the brokers by itself. Never turn on `idempotent` in its version 1: acknowledged records vanish
 * where more than one request is under way. Nothing here depends on it, since a record that is written twice is found by its span ids.
 *
 * While requests are under way, what comes is gathered into the next: so one request, and one batch for each partition, carry what many senders wait for.
 */
export type Sender = {
  /** Resolves when all in-sync replicas have the records. Throws RetryableError or PermanentError; then any part of them may be there. */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  close(): Promise<void>;
};

/** Of the brokers, for the replicas of a record to have it. */
const ACK_TIMEOUT_MS = 15_000;
const RETRIES = 8;
const RETRY_DELAY_MS = 200;
/** Requests of one topic at a time; with a third, each carries less and costs as much. */
const UNDER_WAY = 2;
/** Bytes of one request, beyond which the next begins. */
const REQUEST_BYTES = 4 * 1024 * 1024;

type Waiting = { readonly records: readonly OutgoingRecord[]; readonly bytes: number; readonly done: () => void; readonly failed: (error: unknown) => void };
type Lane = { waiting: Waiting[]; underWay: number };

/** @param maxBatchBytes of the records of one partition in one request: the topic refuses more. */
export async function openSender(settings: KafkaSettings, maxBatchBytes: number): Promise<Sender> {
  const { ssl, sasl } = secured(settings);
  const producer = new Producer<Buffer, Buffer, string, string>({
    clientId: settings.client_id,
    bootstrapBrokers: settings.brokers,
    acks: -1,
    compression: settings.compression,
    timeout: ACK_TIMEOUT_MS,
    requestTimeout: ACK_TIMEOUT_MS,
    retries: RETRIES,
    retryDelay: RETRY_DELAY_MS,
    autocreateTopics: false,
    ...(ssl === null ? {} : { tls: ssl }),
    ...(sasl === null ? {} : { sasl: { ...sasl, mechanism: MECHANISMS[sasl.mechanism] } }),
    serializers: { headerKey: bytesOf, headerValue: bytesOf },
  });
  // A broker that goes away while we log in has its connection closed, and then its failure told to nobody, which would end the process. Whoever waited has heard of it.
  producer.connections.on('connecting', ({ connection }) => void connection.on('error', () => undefined));
  try {
    await producer.metadata({ topics: [] });
  } catch (error) {
    await producer.close();
    throw typedKafkaError('connecting to Kafka', error);
  }

  const write = async (topic: string, records: readonly OutgoingRecord[]): Promise<void> => {
    for (const round of roundsOf(records, maxBatchBytes)) {
      await producer.send({ messages: round.map(({ partition, value, headers, timestampMs }) => ({ topic, partition, value, headers, timestamp: BigInt(timestampMs) })) });
    }
  };

  const lanes = new Map<string, Lane>();
  const next = (topic: string, lane: Lane): void => {
    while (lane.underWay < UNDER_WAY && lane.waiting.length > 0) void carry(topic, lane, takeFrom(lane));
  };
  /** Never rejects: each that waits is told. */
  const carry = async (topic: string, lane: Lane, taken: readonly Waiting[]): Promise<void> => {
    lane.underWay += 1;
    try {
      await write(topic, taken.flatMap(({ records }) => records));
      for (const { done } of taken) done();
    } catch (error) {
      for (const { failed } of taken) failed(error);
    } finally {
      lane.underWay -= 1;
      next(topic, lane);
    }
  };

  return {
    async send(topic, records) {
      if (records.length === 0) return;
      let lane = lanes.get(topic);
      if (lane === undefined) lanes.set(topic, (lane = { waiting: [], underWay: 0 }));
      const { waiting } = lane;
      const written = new Promise<void>((done, failed) => waiting.push({ records, bytes: bytesIn(records), done, failed }));
      next(topic, lane);
      try {
        await written;
      } catch (error) {
        throw typedKafkaError(`writing ${records.length} records to ${topic}`, error);
      }
    },
    close: () => producer.close(),
  };
}

const MECHANISMS = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;

function bytesOf(text: string | undefined): Buffer {
  return Buffer.from(text ?? '');
}

function bytesIn(records: readonly OutgoingRecord[]): number {
  return records.reduce((sum, { value }) => sum + value.byteLength, 0);
}

/** What the next request carries: at least one of those that wait. */
function takeFrom(lane: Lane): Waiting[] {
  let bytes = 0;
  const end = lane.waiting.findIndex((one, index) => (bytes += one.bytes) > REQUEST_BYTES && index > 0);
  return lane.waiting.splice(0, end < 0 ? lane.waiting.length : end);
}

/** All records of a partition in a request are one batch, and its size is what a topic limits. Each round has a batch for each partition. */
export function roundsOf(records: readonly OutgoingRecord[], maxBatchBytes: number): OutgoingRecord[][] {
  const rounds: OutgoingRecord[][] = [];
  const at = new Map<number, { round: number; bytes: number }>();
  for (const record of records) {
    const place = at.get(record.partition) ?? { round: 0, bytes: 0 };
    const bytes = record.value.byteLength;
    const isFull = place.bytes > 0 && place.bytes + bytes > maxBatchBytes;
    const next = isFull ? { round: place.round + 1, bytes } : { round: place.round, bytes: place.bytes + bytes };
    at.set(record.partition, next);
    (rounds[next.round] ??= []).push(record);
  }
  return rounds;
}
