import type { Admin, Kafka } from 'kafkajs';
import kafkajs from 'kafkajs';
import { MAX_SHARDS } from '../../analyzer/ingest/shards.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { KafkaSettings } from '../../schemas/kafka.ts';
import { typedKafkaError } from './client.ts';
import { later } from './later.ts';

/** What the log needs of its topics, checked at the start of a role. */
export type Topics = {
  readonly spans: string;
  readonly logs: string;
  readonly parked: string;
  readonly duties: string;
  /** Partitions of the log: spans and log records of a trace are in partitions of one number. */
  readonly shards: number;
  /** The largest batch that both topics of the log take. */
  readonly maxMessageBytes: number;
};

const HOUR_MS = 3_600_000;
const LEADER_ATTEMPTS = 50;
const LEADER_WAIT_MS = 200;
/** Kafka's own default of max.message.bytes. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

/** Creates what is missing, if it may. Throws PermanentError where the topics cannot be used, saying what to do. */
export async function prepareTopics(kafka: Kafka, settings: KafkaSettings): Promise<Topics> {
  const admin = kafka.admin({ retry: { retries: 5, initialRetryTime: 200, maxRetryTime: 1_000 } });
  const { spans, logs, parked, duties } = settings.topics;
  try {
    await admin.connect();
    const present = new Set(await admin.listTopics());
    const missing = [spans, logs, parked, duties].filter((topic) => !present.has(topic));
    if (missing.length > 0 && !settings.topics.create) {
      throw new PermanentError(`the topics ${missing.join(', ')} are not there, and kafka.topics.create is off: create them, ${spans} and ${logs} with equal numbers of partitions`);
    }
    await create(admin, missing, settings);
    const [ofSpans, ofLogs] = await Promise.all([spans, logs].map((topic) => partitionsOf(admin, topic)));
    if (ofSpans !== ofLogs) {
      throw new PermanentError(`${spans} has ${ofSpans} partitions and ${logs} has ${ofLogs}: spans and scores of a trace must meet in one partition, so give both the same number`);
    }
    if ((ofSpans ?? 0) > MAX_SHARDS) throw new PermanentError(`${spans} has ${ofSpans} partitions: more than ${MAX_SHARDS} are not supported`);
    const limits = await Promise.all([spans, logs].map((topic) => maxMessageBytesOf(admin, topic)));
    return { spans, logs, parked, duties, shards: ofSpans ?? 1, maxMessageBytes: Math.min(...limits) };
  } catch (error) {
    if (error instanceof PermanentError) throw error;
    const typed = typedKafkaError(`asking the Kafka brokers ${settings.brokers.join(', ')} for their topics`, error);
    throw new PermanentError(`${typed.message}; are kafka.brokers, kafka.tls and kafka.sasl right, and do the brokers run?`, { cause: error });
  } finally {
    await admin.disconnect();
  }
}

async function create(admin: Admin, missing: readonly string[], { topics }: KafkaSettings): Promise<void> {
  if (missing.length === 0) return;
  try {
    await admin.createTopics({
      // Its own waiting fails where the broker that it asks has not heard of the topic yet; `partitionsOf` waits.
      waitForLeaders: false,
      topics: missing.map((topic) => ({
        topic,
        numPartitions: topic === topics.spans || topic === topics.logs ? topics.partitions : 1,
        replicationFactor: topics.replication === 0 ? -1 : topics.replication,
        configEntries: [{ name: 'retention.ms', value: String(topics.retention_hours * HOUR_MS) }],
      })),
    });
  } catch (error) {
    const causes = error instanceof kafkajs.KafkaJSAggregateError ? error.errors.map(String) : [error instanceof Error ? error.message : String(error)];
    // Another process of ours was faster.
    if (causes.every((cause) => cause.includes('already exists'))) return;
    throw new PermanentError(`the topics ${missing.join(', ')} could not be created: ${causes.join('; ')}`, { cause: error });
  }
}

/** Waits until each has a leader: a topic that has just been created is not known to all brokers. */
async function partitionsOf(admin: Admin, topic: string): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const partitions = topics[0]?.partitions ?? [];
      if (partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)) {
        // Asks each leader, which refuses for a moment yet after a topic was created: and a write that some of them refuse is repeated whole.
        await admin.fetchTopicOffsets(topic);
        return partitions.length;
      }
      if (attempt === LEADER_ATTEMPTS) throw new Error(`${topic} has partitions without a leader`);
    } catch (error) {
      // The client trips over an answer without the topic: a TypeError.
      const isPassing = error instanceof TypeError || (error instanceof kafkajs.KafkaJSProtocolError && error.retriable);
      if (attempt === LEADER_ATTEMPTS || !isPassing) throw error;
    }
    await later(LEADER_WAIT_MS);
  }
}

async function maxMessageBytesOf(admin: Admin, topic: string): Promise<number> {
  try {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['max.message.bytes'] }] });
    const value = Number(resources[0]?.configEntries[0]?.configValue);
    return Number.isFinite(value) && value > 0 ? value : DEFAULT_MAX_MESSAGE_BYTES;
  } catch {
    // Some brokers let nobody ask; what they all take is the default.
    return DEFAULT_MAX_MESSAGE_BYTES;
  }
}
