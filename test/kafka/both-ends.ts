import { randomUUID } from 'node:crypto';
import { decode } from '../../collector/otlp/decode.ts';
import { createKafka } from '../../deploy/kafka/client.ts';
import { startConsumer, type Shard } from '../../deploy/kafka/consumer.ts';
import { createRecordCutter } from '../../deploy/kafka/log.ts';
import { createTopicParking } from '../../deploy/kafka/parking.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Broker } from './broker.ts';

/** Topics and a group of its own for each suffix. */
export function settingsFor(broker: Broker, suffix: string): KafkaSettings {
  return KafkaSettings.parse({ brokers: [broker.address], group: `group-${suffix}`, topics: { spans: `spans-${suffix}`, logs: `logs-${suffix}`, parked: `parked-${suffix}`, duties: `duties-${suffix}`, partitions: 3 } });
}

/** The log with both ends, by default over topics of its own: what came out, by shard. */
export async function openBothEnds(broker: Broker, settings: KafkaSettings = settingsFor(broker, randomUUID())) {
  const kafka = createKafka(settings, () => undefined);
  const topics = await prepareTopics(kafka, settings);
  const sender = await openSender(settings, topics.maxMessageBytes);
  const came: { readonly shard: number; readonly message: LogMessage; readonly spans: readonly string[]; readonly rejected: ReadonlyMap<string, number> }[] = [];
  const missed: number[] = [];
  const consumer = await startConsumer<Shard>(
    {
      kafka, topics, sender, cut: createRecordCutter(topics), parking: createTopicParking(sender, topics.parked), clock: Date.now, warn: () => undefined, missed: (messages) => void missed.push(messages),
      openShard: async (shard) => ({
        read(message, rejected) {
          const decoded = decode(message);
          const spans = decoded.signal === 'traces' ? decoded.groups.flatMap((group) => group.spans.map(({ trace_id, span_id }) => `${trace_id}/${span_id}`)) : [];
          came.push({ shard, message, spans, rejected });
          return { project: message.project, signal: message.signal, stampMs: message.received_ms, received: spans.length, counts: [], take: () => ({ calls: [], relatives: [], scores: [], contents: [], assignments: [] }) };
        },
        write: async () => undefined,
        idle: async () => undefined,
      }),
    },
    { group: settings.group, project: 'of-the-configuration', concurrency: 3 },
  );
  const close = async (): Promise<void> => {
    await consumer.close();
    await sender.close();
  };
  return { settings, kafka, topics, sender, came, missed, close };
}
