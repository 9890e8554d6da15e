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

export async function createPositions(kafka: Kafka, settings: { readonly group: string; readonly topics: readonly string[] }) {
  const admin = kafka.admin();
  await admin.connect();
  const known = new Map<string, Position>();
  /** Where each partition ended when that was last asked. */
  const ends = new Map<string, bigint>();
  const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;

  /** Where the group stands in partitions that nothing has been read from yet. */
  const recall = async (topic: string, shards: readonly number[], lows: ReadonlyMap<number, bigint>): Promise<void> => {
    const unknown = shards.filter((shard) => !known.has(keyOf(topic, shard)));
    if (unknown.length === 0) return;
    const [answer] = await admin.fetchOffsets({ groupId: settings.group, topics: [topic] });
    for (const { partition, offset } of answer?.partitions ?? []) {
      if (!unknown.includes(partition) || known.has(keyOf(topic, partition))) continue;
      const committed = BigInt(offset);
      known.set(keyOf(topic, partition), { next: committed < 0n ? (lows.get(partition) ?? 0n) : committed, stampMs: null });
    }
  };

  return {
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
        for (const { partition, high } of found) {
          if (!shards.includes(partition)) continue;
          ends.set(keyOf(topic, partition), BigInt(high));
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
