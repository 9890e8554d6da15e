import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import { describe, expect, it, vi } from 'vitest';
import { decode } from '../../collector/otlp/decode.ts';
import { encodeRequest } from '../../collector/otlp/protobuf-encode.ts';
import { createKafka } from '../../deploy/kafka/client.ts';
import { createKafkaLog, createRecordCutter } from '../../deploy/kafka/log.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { startConsumer, type Shard } from '../../deploy/kafka/consumer.ts';
import { createTopicParking } from '../../deploy/kafka/parking.ts';
import { createPlacement } from '../../deploy/kafka/records.ts';
import type { Reading } from '../../analyzer/ingest/reading.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { logContract } from '../contracts/log.ts';
import { tracesBody, nameOf, spans } from '../deploy/server-process.ts';
import { openBothEnds, settingsFor } from './both-ends.ts';
import { withBroker, type Broker } from './broker.ts';

// Each test has topics of its own, which take their time to come up.
vi.setConfig({ testTimeout: 120_000 });

let broker: Broker;
withBroker((started) => (broker = started));

logContract('kafka', async (consume) => {
  const settings = settingsFor(broker, randomUUID());
  const warn = (): void => undefined;
  const kafka = createKafka(settings, warn);
  const topics = await prepareTopics(kafka, settings);
  const sender = await openSender(settings, topics.maxMessageBytes);
  const log = createKafkaLog(sender, topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 20_000 });
  const messages = new Map<Reading, LogMessage>();
  const shard: Shard = {
    read(message) {
      const reading: Reading = { project: message.project, signal: message.signal, stampMs: message.received_ms, received: 1, counts: [], take: () => ({ calls: [], relatives: [], scores: [], contents: [], assignments: [] }) };
      messages.set(reading, message);
      return reading;
    },
    async write(batch) {
      if (batch.length > 0) await consume(batch.flatMap((reading) => messages.get(reading) ?? []));
    },
    idle: async () => undefined,
  };
  const consumer = await startConsumer(
    { kafka, topics, sender, cut: createRecordCutter(topics), parking: createTopicParking(sender, topics.parked), clock: Date.now, warn, missed: () => undefined, openShard: async () => shard },
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
              if (ofGroup?.partitions.find((one) => one.partition === partition)?.offset !== high) throw new Error(`${topic}/${partition} is not read to its end`);
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


describe('topics that somebody else writes', () => {
  it.each(['protobuf', 'json'] as const)('are read as they are (%s, gzip): each span comes once, in the shard of its trace, with the stamp of its record', async (encoding) => {
    const { kafka, topics, came, close } = await openBothEnds(broker);
    const sent = spans(40);
    const json = Buffer.from(tracesBody(sent, Date.now()));
    const value = encoding === 'json' ? json : Buffer.from(encodeRequest(decode({ signal: 'traces', encoding: 'json', body: json })));
    const stamp = Date.now() - 5_000;
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: topics.spans, compression: kafkajs.CompressionTypes.GZIP, messages: [{ value, partition: 1, timestamp: String(stamp) }] });
    await producer.disconnect();
    await vi.waitFor(() => expect(came.flatMap((one) => one.spans).sort()).toEqual(sent.map(nameOf).sort()), { timeout: 10_000, interval: 50 });
    const placeOf = createPlacement(topics.shards);
    for (const { shard, message, spans: names } of came) {
      for (const name of names) expect(placeOf(name.slice(0, 32))).toBe(shard);
      expect(message).toMatchObject({ project: 'of-the-configuration', received_ms: stamp });
    }
    await close();
  });

  it('may hold what nobody can read: it is parked with the reason, and what is behind it goes on', async () => {
    const { kafka, topics, came, close } = await openBothEnds(broker);
    const sent = spans(1);
    const [span] = sent;
    const partition = createPlacement(topics.shards)(span?.trace_id ?? '');
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: topics.spans, messages: [{ value: 'this is no span', partition, headers: { theirs: 'kept' } }, { value: tracesBody(sent, Date.now()), partition }] });
    await producer.disconnect();
    await vi.waitFor(() => expect(came.flatMap((one) => one.spans)).toEqual(sent.map(nameOf)), { timeout: 10_000, interval: 50 });
    const parked: { value: string; headers: Record<string, string> }[] = [];
    const reader = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
    await reader.connect();
    await reader.subscribe({ topics: [topics.parked], fromBeginning: true });
    await reader.run({ eachMessage: async ({ message }) => void parked.push({ value: String(message.value), headers: Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)])) }) });
    await vi.waitFor(() => expect(parked).toMatchObject([{ value: 'this is no span', headers: { theirs: 'kept', 'culprit-source': `${topics.spans}/${partition}/0`, 'culprit-reason': expect.stringContaining('malformed') } }]), { timeout: 10_000, interval: 50 });
    await reader.disconnect();
    await close();
  });
});

describe('a broker that deletes what nobody has read', () => {
  it('is found out, at the start and while it is read', async () => {
    const { settings, kafka, topics, came, missed, close } = await openBothEnds(broker);
    const [partition, stamp] = [1, Date.now()];
    const placeOf = createPlacement(topics.shards);
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const send = async (count: number): Promise<void> => {
      const here = spans(60).filter((span) => placeOf(span.trace_id) === partition).slice(0, count);
      await producer.send({ topic: topics.spans, messages: here.map((span) => ({ value: tracesBody([span], stamp), partition })) });
    };
    const admin = kafka.admin();
    await admin.connect();
    await send(2);
    await vi.waitFor(() => expect(came.length).toBe(2), { timeout: 20_000, interval: 50 });
    expect(missed).toEqual([]);
    await close();

    await send(3);
    // The client deletes only of topics that it has asked for.
    await admin.fetchTopicOffsets(topics.spans);
    await admin.deleteTopicRecords({ topic: topics.spans, partitions: [{ partition, offset: '4' }] });
    const again = await openBothEnds(broker, settings);
    await vi.waitFor(() => expect([again.came.length, again.missed]).toEqual([1, [2]]), { timeout: 20_000, interval: 50 });
    await send(1);
    await vi.waitFor(() => expect([again.came.length, again.missed]).toEqual([2, [2]]), { timeout: 20_000, interval: 50 });
    await again.close();
    await admin.disconnect();
    await producer.disconnect();
  });
});

describe('the collector\'s end', () => {
  it('cuts a request that is larger than the topic takes, and names what was rejected in it', async () => {
    const { topics, sender, came, close } = await openBothEnds(broker);
    const log = createKafkaLog(sender, topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 20_000 });
    const sent = spans(16_000);
    const body = Buffer.from(tracesBody([...sent, { trace_id: '0'.repeat(32), span_id: '0'.repeat(16) }], Date.now()));
    await log.append({ signal: 'traces', project: 'large', received_ms: Date.now(), encoding: 'json', body });
    await vi.waitFor(() => expect(came.reduce((sum, one) => sum + one.spans.length, 0)).toBe(sent.length), { timeout: 20_000, interval: 100 });
    // 3 MB and more of protobuf in each third.
    expect(came.length).toBeGreaterThan(topics.shards);
    expect(came.flatMap(({ rejected }) => [...rejected])).toEqual([['zero_trace_id', 1]]);
    expect(new Set(came.map(({ message }) => `${message.project} ${message.encoding}`))).toEqual(new Set(['large protobuf']));
    await close();
  });
});

describe('codecs', () => {
  it.each(['None', 'GZIP', 'Snappy', 'LZ4'] as const)('takes back what it compressed with %s through a real broker', async (name) => {
    const settings = settingsFor(broker, randomUUID());
    const kafka = createKafka(settings, () => undefined);
    const topics = await prepareTopics(kafka, settings);
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const values = Array.from({ length: 50 }, (_, index) => Buffer.from(`value ${index} `.repeat(400)));
    await producer.send({ topic: topics.spans, compression: kafkajs.CompressionTypes[name], messages: values.map((value) => ({ value, partition: 0 })) });
    const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
    const got: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [topics.spans], fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void got.push(String(message.value)) });
    await vi.waitFor(() => expect(got).toEqual(values.map(String)), { timeout: 10_000, interval: 50 });
    await consumer.disconnect();
    await producer.disconnect();
  });
});
