import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createKafka } from '../../deploy/kafka/client.ts';
import { createKafkaLog, createRecordCutter } from '../../deploy/kafka/log.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { startConsumer, type Shard } from '../../deploy/kafka/consumer.ts';
import { createTopicParking } from '../../deploy/kafka/parking.ts';
import type { Reading } from '../../analyzer/ingest/reading.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { logContract } from '../contracts/log.ts';
import { startBroker, whyNoBroker, type Broker } from './broker.ts';

const missing = whyNoBroker();
let broker: Broker;
beforeAll(async () => {
  if (missing === null) broker = await startBroker();
}, 120_000);
afterAll(() => broker?.remove());
beforeEach((context) => {
  if (missing !== null) context.skip(missing);
});

const settingsFor = (suffix: string) =>
  KafkaSettings.parse({ brokers: [broker.address], group: `group-${suffix}`, topics: { spans: `spans-${suffix}`, logs: `logs-${suffix}`, parked: `parked-${suffix}`, duties: `duties-${suffix}`, partitions: 3 } });

logContract('kafka', async (consume) => {
  const settings = settingsFor(randomUUID());
  const warn = (): void => undefined;
  const kafka = createKafka(settings, warn);
  const topics = await prepareTopics(kafka, settings);
  const sender = await openSender(kafka, settings, topics.maxMessageBytes);
  const log = createKafkaLog(sender, topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 20_000 });
  const messages = new Map<Reading, LogMessage>();
  const shard: Shard = {
    read(message) {
      const reading: Reading = { project: message.project, signal: message.signal, stampMs: message.received_ms, received: 1, calls: [], relatives: [], scores: [], contents: [], counts: [] };
      messages.set(reading, message);
      return reading;
    },
    async write(batch) {
      if (batch.length > 0) await consume(batch.flatMap((reading) => messages.get(reading) ?? []));
    },
  };
  const consumer = await startConsumer(
    { kafka, topics, sender, cut: createRecordCutter(topics), parking: createTopicParking(sender, topics.parked), clock: Date.now, warn, openShard: async () => shard },
    { group: settings.group, project: 'default', concurrency: 3 },
  );
  const admin = kafka.admin();
  await admin.connect();
  return {
    log,
    async drained() {
      await vi.waitFor(
        async () => {
          for (const topic of [topics.spans, topics.logs]) {
            const ends = await admin.fetchTopicOffsets(topic);
            const [ofGroup] = await admin.fetchOffsets({ groupId: settings.group, topics: [topic] });
            for (const { partition, high } of ends) {
              if (high === '0') continue;
              expect(ofGroup?.partitions.find((one) => one.partition === partition)?.offset, `${topic}/${partition}`).toBe(high);
            }
          }
        },
        { timeout: 20_000, interval: 50 },
      );
    },
    async close() {
      await log.close();
      await consumer.close();
      await sender.close();
      await admin.disconnect();
    },
  };
});

describe('codecs', () => {
  it.each(['None', 'GZIP', 'Snappy', 'LZ4'] as const)('takes back what it compressed with %s through a real broker', async (name) => {
    const settings = settingsFor(randomUUID());
    const kafka = createKafka(settings, () => undefined);
    const topics = await prepareTopics(kafka, settings);
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const values = Array.from({ length: 50 }, (_, index) => Buffer.from(`value ${index} `.repeat(400)));
    await producer.send({ topic: topics.spans, compression: kafkajs.CompressionTypes[name], messages: values.map((value) => ({ value, partition: 0 })) });
    const consumer = kafka.consumer({ groupId: randomUUID() });
    const got: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [topics.spans], fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void got.push(String(message.value)) });
    await vi.waitFor(() => expect(got).toEqual(values.map(String)), { timeout: 10_000, interval: 50 });
    await consumer.disconnect();
    await producer.disconnect();
  });
});
