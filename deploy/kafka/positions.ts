import type { Kafka } from 'kafkajs';
import type { Clock } from '../../schemas/clock.ts';
import type { PartitionLag } from '../operations/metrics.ts';

/**
 * How far each partition has been read, held against where it ends: up to when everything that was appended is in the store.
 *
 * A partition that is read to its end has passed the moment at which it was asked for its end, less the time that a message may be on its way
 * (it is stamped before it is appended). One that is not has passed the stamp of the last message that was written. What takes
 * longer on its way is late, and enters the slot that is open then: slots that are closed never change (analyzer/ingest).
 */
export const ON_THE_WAY_MS = 2_000;

type Position = { readonly next: bigint; readonly stampMs: number | null };

/** What the client commits, before it goes on from the beginning of a partition, where what was to be read next is not there any more. */
const RESET = -2n;

/**
 * @param onMissed hears of messages that the broker deleted, by its retention, before anybody had read them; null: how many is not known. It may hear
 * again of a partition in which nothing came since, after a restart.
 */
export async function createPositions(kafka: Kafka, settings: { readonly group: string; readonly topics: readonly string[] }, onMissed: (topic: string, partition: number, messages: number | null) => void) {
  const admin = kafka.admin();
  await admin.connect();
  const known = new Map<string, Position>();
  /** Where each partition ended when that was last asked. */
  const ends = new Map<string, bigint>();
  /** Where the group stood before we joined it. */
  const before = new Map<string, bigint>();
  const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;

  const committed = async (topic: string): Promise<{ partition: number; offset: bigint }[]> => {
    const [answer] = await admin.fetchOffsets({ groupId: settings.group, topics: [topic] });
    return (answer?.partitions ?? []).map(({ partition, offset }) => ({ partition, offset: BigInt(offset) }));
  };
  for (const topic of settings.topics) {
    // A new cluster may not have found the coordinator of a new group yet, which stands nowhere.
    const stood = await committed(topic).catch(() => []);
    for (const { partition, offset } of stood) if (offset >= 0n) before.set(keyOf(topic, partition), offset);
  }

  /** Where the group stands in partitions that nothing has been read from yet. */
  const recall = async (topic: string, shards: readonly number[], lows: ReadonlyMap<number, bigint>): Promise<void> => {
    const isUnknown = (partition: number): boolean => shards.includes(partition) && !known.has(keyOf(topic, partition));
    if (!shards.some(isUnknown)) return;
    for (const { partition, offset } of await committed(topic)) {
      if (!isUnknown(partition)) continue;
      const low = lows.get(partition) ?? 0n;
      known.set(keyOf(topic, partition), { next: offset < 0n ? low : offset, stampMs: null });
      const stood = before.get(keyOf(topic, partition));
      if (offset === RESET) onMissed(topic, partition, stood === undefined ? null : Number(low - stood));
    }
  };

  /** Where the partition begins now, after what was read: what lies between is gone. */
  const begin = (topic: string, partition: number, low: bigint): void => {
    const position = known.get(keyOf(topic, partition));
    if (position === undefined || position.next >= low) return;
    known.set(keyOf(topic, partition), { ...position, next: low });
    onMissed(topic, partition, Number(low - position.next));
  };

  return {
    /** Learns where the group stands in these shards, which are ours from now on. Throws what the broker answers. */
    async took(shards: readonly number[]): Promise<void> {
      for (const topic of settings.topics) {
        const found = await admin.fetchTopicOffsets(topic);
        await recall(topic, shards, new Map(found.map(({ partition, low }) => [partition, BigInt(low)])));
      }
    },
    /** A batch begins here; where the one before ended earlier, the broker is asked whether that is because it deleted what was between. */
    async reached(topic: string, partition: number, offset: bigint): Promise<void> {
      const position = known.get(keyOf(topic, partition));
      if (position === undefined || position.next >= offset) return;
      const found = (await admin.fetchTopicOffsets(topic)).find((one) => one.partition === partition);
      if (found !== undefined) begin(topic, partition, least(BigInt(found.low), offset));
    },
    moved: (topic: string, partition: number, position: Position): void => void known.set(keyOf(topic, partition), position),
    /** Forgets the partitions of shards that are not among these. */
    keep(shards: ReadonlySet<number>): void {
      for (const key of known.keys()) if (!shards.has(Number(key.slice(key.lastIndexOf('/') + 1)))) known.delete(key);
    },
    async passed(shards: readonly number[], clock: Clock): Promise<Map<number, number>> {
      const askedMs = clock();
      const marks = new Map<number, number[]>();
      for (const topic of settings.topics) {
        const found = await admin.fetchTopicOffsets(topic);
        await recall(topic, shards, new Map(found.map(({ partition, low }) => [partition, BigInt(low)])));
        for (const { partition, low, high } of found) {
          if (!shards.includes(partition)) continue;
          ends.set(keyOf(topic, partition), BigInt(high));
          begin(topic, partition, BigInt(low));
          const position = known.get(keyOf(topic, partition));
          if (position === undefined) continue;
          const mark = position.next >= BigInt(high) ? askedMs : position.stampMs;
          if (mark !== null) marks.set(partition, [...(marks.get(partition) ?? []), mark - ON_THE_WAY_MS]);
        }
      }
      // Of both topics, or nothing is known.
      return new Map([...marks].filter(([, ofTopics]) => ofTopics.length === settings.topics.length).map(([shard, ofTopics]) => [shard, Math.min(...ofTopics)]));
    },
    /** Messages of these shards that are not stored, as of the last `passed`. */
    lag(shards: readonly number[]): PartitionLag[] {
      return settings.topics.flatMap((topic) =>
        shards.flatMap((partition) => {
          const [position, end] = [known.get(keyOf(topic, partition)), ends.get(keyOf(topic, partition))];
          return position === undefined || end === undefined ? [] : [{ topic, partition, messages: Math.max(0, Number(end - position.next)) }];
        }),
      );
    },
    close: () => admin.disconnect(),
  };
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
