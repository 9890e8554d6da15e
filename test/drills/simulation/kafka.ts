import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';
import { createKafka } from '../../../deploy/kafka/client.ts';
import type { OutgoingRecord } from '../../../deploy/kafka/records.ts';
import type { Sender } from '../../../deploy/kafka/sender.ts';
import { KafkaSettings } from '../../../schemas/kafka.ts';
import { createGroup, type CommitRequest, type Group, type JoinRequest, type SyncRequest } from './group.ts';
import { unreachable, type Network, type Service } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * A Kafka broker in memory, under the real client: kafkajs' own consumer (its runner, its group membership, its offsets) and admin run over it; only what would go
 * over a socket is answered here.
 */
export type SimulatedBroker = {
  readonly service: Service;
  readonly group: (name: string) => Group;
  /** The client as the product makes it, of whichever member calls. */
  client(): Kafka;
  sender(): Sender;
  append(topic: string, record: OutgoingRecord): void;
  ends(topic: string): readonly number[];
  /** Away, and back with everything that it had. */
  setAway(isAway: boolean): void;
};

type Stored = { readonly value: Buffer; readonly headers: Readonly<Record<string, string>>; readonly timestampMs: number };
type FetchRequest = { readonly maxWaitTime: number; readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string }[] }[] };
type Answered = { readonly topicName: string; readonly partitions: { readonly partition: number; readonly highWatermark: string; readonly abortedTransactions: never[]; readonly messages: object[] }[] };

const require = createRequire(import.meta.url);
const { KafkaJSConnectionError } = require('kafkajs/src/errors') as { KafkaJSConnectionError: new (why: string) => Error }; // As it fails where there is no connection; the client does not type this path.

type OfGroup = { readonly groupId: string };
type Emitter = { emit(name: string, payload: object): void };

const NODE = 0;
const EARLIEST = -2;
const MESSAGES_IN_FETCH = 50;
const BROKEN = (why: string): Error => new KafkaJSConnectionError(why);

/** @param topics with their partitions. */
export function createSimulatedBroker(time: VirtualTime, network: Network, topics: ReadonlyMap<string, number>, onAssigned: (group: string, assigned: ReadonlyMap<string, Buffer>) => void): SimulatedBroker {
  const service: Service = { name: 'the broker', latencyMs: 3, isAway: false, cutFrom: new Set() };
  const log = new Map([...topics].map(([topic, partitions]) => [topic, Array.from({ length: partitions }, (): Stored[] => [])]));
  const groups = new Map<string, Group>();
  let waiting: { readonly wanted: ReadonlySet<string>; readonly wake: () => void }[] = [];
  let lastMember = 0;

  const partitionOf = (topic: string, partition: number): Stored[] => {
    const found = log.get(topic)?.[partition];
    if (found === undefined) throw new Error(`there is no ${topic}/${partition}`);
    return found;
  };
  const group = (name: string): Group => {
    const found = groups.get(name) ?? createGroup(time, () => `member-${(lastMember += 1)}`, (assigned) => onAssigned(name, assigned));
    groups.set(name, found);
    return found;
  };
  const append = (topic: string, { partition, value, headers, timestampMs }: OutgoingRecord): void => {
    // As a network would: whoever sent it may give its memory back.
    partitionOf(topic, partition).push({ value: Buffer.from(value), headers, timestampMs });
    const key = `${topic}/${partition}`;
    const woken = waiting.filter(({ wanted }) => wanted.has(key));
    if (woken.length === 0) return;
    waiting = waiting.filter((each) => !woken.includes(each));
    for (const { wake } of woken) wake();
  };
  const read = ({ topics: wanted }: FetchRequest): Answered[] =>
    wanted.map(({ topic, partitions }) => ({
      topicName: topic,
      partitions: partitions.map(({ partition, fetchOffset }) => {
        const records = partitionOf(topic, partition);
        const from = Number(fetchOffset);
        const messages = records.slice(from, from + MESSAGES_IN_FETCH).map(({ value, headers, timestampMs }, index) => ({ offset: String(from + index), key: null, value, headers, timestamp: String(timestampMs), attributes: 0 }));
        return { partition, highWatermark: String(records.length), abortedTransactions: [], messages };
      }),
    }));
  const fetch = async (request: FetchRequest): Promise<{ responses: Answered[] }> => {
    const first = read(request);
    if (first.some(({ partitions }) => partitions.some(({ messages }) => messages.length > 0))) return { responses: first };
    await new Promise<void>((wake) => {
      const wanted = new Set(request.topics.flatMap(({ topic, partitions }) => partitions.map(({ partition }) => `${topic}/${partition}`)));
      const entry = { wanted, wake };
      waiting.push(entry);
      time.after(request.maxWaitTime, null, () => {
        waiting = waiting.filter((each) => each !== entry);
        wake();
      });
    });
    return { responses: read(request) };
  };
  const metadata = {
    controllerId: NODE,
    brokers: [{ nodeId: NODE, host: 'simulated', port: 1 }],
    topicMetadata: [...topics].map(([topic, partitions]) => ({ topic, partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({ partitionErrorCode: 0, partitionId, leader: NODE, replicas: [NODE], isr: [NODE], offlineReplicas: [] })) })),
  };

  /** The broker as one client sees it, which hears of its own requests. */
  const nodeFor = (emitter: Emitter | null) => {
    const told = <Request, Answer>(apiName: string, work: (request: Request) => Answer | Promise<Answer>) => async (request: Request): Promise<Answer> => {
      const sentMs = time.now();
      const answered = (): void => emitter?.emit('network.request', { apiName, duration: time.now() - sentMs });
      try {
        const answer = await network.ask(service, () => work(request), BROKEN);
        answered();
        return answer;
      } catch (error) {
        // A refusal is an answer; of silence nothing is heard.
        if (!(error instanceof KafkaJSConnectionError)) answered();
        throw error;
      }
    };
    return {
      nodeId: NODE,
      isConnected: () => true,
      metadata: told('Metadata', () => metadata),
      findGroupCoordinator: told('FindCoordinator', () => ({ coordinator: { nodeId: NODE, host: 'simulated', port: 1 } })),
      joinGroup: told('JoinGroup', (request: JoinRequest & OfGroup) => group(request.groupId).join(request)),
      syncGroup: told('SyncGroup', (request: SyncRequest & OfGroup) => group(request.groupId).sync(request)),
      heartbeat: told('Heartbeat', (request: OfGroup & { memberId: string; groupGenerationId: number }) => group(request.groupId).heartbeat(request)),
      leaveGroup: told('LeaveGroup', (request: OfGroup & { memberId: string }) => group(request.groupId).leave(request)),
      offsetCommit: told('OffsetCommit', (request: CommitRequest & OfGroup) => group(request.groupId).commit(request)),
      offsetFetch: told('OffsetFetch', (request: OfGroup & { topics: readonly { topic: string; partitions: readonly { partition: number }[] }[] }) => ({
        responses: request.topics.map(({ topic, partitions }) => ({ topic, partitions: partitions.map(({ partition }) => ({ partition, offset: group(request.groupId).committed(topic, partition), metadata: null })) })),
      })),
      listOffsets: told('ListOffsets', (request: { topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[] }) => ({
        responses: request.topics.map(({ topic, partitions }) => ({ topic, partitions: partitions.map(({ partition, timestamp }) => ({ partition, offset: String(timestamp === EARLIEST ? 0 : partitionOf(topic, partition).length) })) })),
      })),
      fetch: told('Fetch', fetch),
    };
  };
  /** In the place of connections. */
  const poolOf = (node: ReturnType<typeof nodeFor>) => ({
    metadata,
    hasConnectedBrokers: () => true,
    connect: async () => undefined,
    disconnect: async () => undefined,
    removeBroker: () => undefined,
    refreshMetadata: () => node.metadata(undefined),
    refreshMetadataIfNecessary: async () => undefined,
    getNodeIds: () => [String(NODE)],
    findBroker: async () => node,
    withBroker: (work: (given: { nodeId: string; broker: typeof node }) => unknown) => work({ nodeId: String(NODE), broker: node }),
  });

  return {
    service,
    group,
    append,
    client() {
      const kafka = createKafka(KafkaSettings.parse({ brokers: ['simulated:1'] }), () => undefined);
      const makes = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === 'private:Kafka:createCluster');
      if (makes === undefined) throw new Error('kafkajs makes its clusters in another way now');
      const hidden = kafka as unknown as Record<symbol, (settings: { instrumentationEmitter?: Emitter }) => object>; // What the client keeps to itself, behind a symbol.
      const make = hidden[makes];
      hidden[makes] = (settings) => {
        const cluster = make?.(settings);
        if (cluster === undefined) throw new Error('kafkajs makes no cluster');
        const node = nodeFor(settings.instrumentationEmitter ?? null);
        // Its own asks each leader, and takes a time that grows with the square of the partitions.
        const fetchTopicsOffset = async (wanted: readonly { topic: string; partitions: readonly { partition: number }[]; fromBeginning: boolean }[]) =>
          (await node.listOffsets({ topics: wanted.map(({ topic, partitions, fromBeginning }) => ({ topic, partitions: partitions.map(({ partition }) => ({ partition, timestamp: fromBeginning ? EARLIEST : -1 })) })) })).responses;
        return Object.assign(cluster, { brokerPool: poolOf(node), fetchTopicsOffset });
      };
      return kafka;
    },
    sender: () => ({
      async send(topic, records) {
        await network.ask(service, () => records.forEach((record) => append(topic, record)), unreachable);
      },
      close: async () => undefined,
    }),
    ends: (topic) => (log.get(topic) ?? []).map((records) => records.length),
    setAway(isAway) {
      service.isAway = isAway;
      if (!isAway) for (const each of groups.values()) each.cameBack();
    },
  };
}
