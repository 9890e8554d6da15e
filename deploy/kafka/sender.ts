import kafkajs, { type CompressionTypes as CompressionType, type Kafka } from 'kafkajs';
import type { KafkaSettings } from '../../schemas/kafka.ts';
import { typedKafkaError } from './client.ts';
import type { OutgoingRecord } from './records.ts';

/**
 * What the log asks of a client that writes: small, so that a faster client than kafkajs fits as well (measured: another one needs a quarter
 * of the processor time; its idempotent mode loses acknowledged messages, so whoever takes it must not turn that on).
 */
export type Sender = {
  /** Resolves when all in-sync replicas have the records. Throws RetryableError or PermanentError; then any part of them may be there. */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  close(): Promise<void>;
};

/** Of the brokers, for the replicas of a record to have it. */
const ACK_TIMEOUT_MS = 15_000;

const { CompressionTypes } = kafkajs;
const COMPRESSION: Readonly<Record<KafkaSettings['compression'], CompressionType>> = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD };

/** @param maxBatchBytes of the records of one partition in one request: the topic refuses more. */
export async function openSender(kafka: Kafka, settings: Pick<KafkaSettings, 'compression'>, maxBatchBytes: number): Promise<Sender> {
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    // A record that is written twice after a lost answer is found by its span ids; nothing depends on it.
    idempotent: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  try {
    await producer.connect();
  } catch (error) {
    throw typedKafkaError('connecting to Kafka', error);
  }
  return {
    async send(topic, records) {
      try {
        for (const round of roundsOf(records, maxBatchBytes)) {
          await producer.send({
            topic,
            acks: -1,
            timeout: ACK_TIMEOUT_MS,
            compression: COMPRESSION[settings.compression],
            messages: round.map(({ partition, value, headers, timestampMs }) => ({ partition, key: null, value, headers: { ...headers }, timestamp: String(timestampMs) })),
          });
        }
      } catch (error) {
        throw typedKafkaError(`writing ${records.length} records to ${topic}`, error);
      }
    },
    close: () => producer.disconnect(),
  };
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
