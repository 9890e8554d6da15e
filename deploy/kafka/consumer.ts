import kafkajs, { type Consumer, type EachBatchPayload, type Kafka } from 'kafkajs';
import type { Reading } from '../../analyzer/ingest/reading.ts';
import type { Clock } from '../../schemas/clock.ts';
import { asError, PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { createRefusals } from '../../schemas/parking.ts';
import type { PartitionLag } from '../operations/metrics.ts';
import { onClockSetBack } from './clock-steps.ts';
import { createHoldings } from './holdings.ts';
import { later } from './later.ts';
import { createLease } from './lease.ts';
import { createPositions } from './positions.ts';
import type { RecordCutter } from './log.ts';
import type { Parking } from './parking.ts';
import { chunksOf, readRecord, type ReadRecord } from './records.ts';
import type { Sender } from './sender.ts';
import { createShardAssigner } from './shard-assigner.ts';
import type { Topics } from './topics.ts';

/**
 * The analyzer's end of the log. A *shard* is the partitions of one number, of spans and of log records; each belongs to one member of the
 * consumer group at a time, which has opened it from the store before it takes anything out of it.
 *
 * For each batch: 1. read; what cannot be read is parked; 2. send home what lies in another trace's partition (a Collector that does not partition by
 * trace wrote it); 3. write, as often as it takes; 4. move the offset. So whatever fails, the same messages come again, and are known.
 * While it writes, nothing more is fetched: a slow store makes Kafka hold, not this process.
 *
 * A group that is being shared out anew waits until every member has finished its batch, so two members never write one shard, unless one is taken
 * for dead and is not: it was frozen, or nobody heard of it over the network. So a shard asks before each insert, not only before each batch, whether it may (`mayWrite`).
 */
export type Shard = {
  read(message: LogMessage, rejected: ReadonlyMap<string, number>): Reading;
  write(batch: readonly Reading[]): Promise<unknown>;
  /** Resolves when nothing that was begun before is under way. */
  idle(): Promise<void>;
};

/** Throws RetryableError where another member may have the shard by now. */
export type MayWrite = () => Promise<void>;

export type ConsumerDeps<Opened extends Shard> = {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly sender: Sender;
  readonly cut: RecordCutter;
  readonly parking: Parking;
  readonly clock: Clock;
  readonly warn: (message: string, error?: unknown) => void;
  /** Hears of messages that the broker deleted before they were read; of at least so many. */
  readonly missed: (messages: number) => void;
  /** Takes up what an earlier owner left. */
  readonly openShard: (shard: number, mayWrite: MayWrite) => Promise<Opened>;
};

export type LogConsumer<Opened extends Shard> = {
  /** The shards that are ours now. */
  owned(): readonly number[];
  shard(number: number): Promise<Opened>;
  /** Up to when each of our shards has been read and written: every message stamped before is in the store, but for those that were long on their way. */
  passed(): Promise<ReadonlyMap<number, number>>;
  /** Of our shards, as of the last `passed`. */
  lag(): readonly PartitionLag[];
  close(): Promise<void>;
};

const MAX_BATCH_BYTES = 8 * 1024 * 1024;
const SESSION_TIMEOUT_MS = 6_000;
const HEARTBEAT_MS = 1_000;
/** So long a group that is being shared out anew waits for a member to finish its batch. */
const REBALANCE_TIMEOUT_MS = 30_000;
/** So long without an answer of the coordinator, and nothing is written before there is one. What was sent until then has the other half to arrive. */
const HEARD_OF_MS = SESSION_TIMEOUT_MS / 2;
const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 5_000;
const RESTART_MS = 1_000;
/** A tick of the shard's last owner, which no rebalance waits for, may still be written (holdings.ts). */
const TAKE_OVER_GRACE_MS = 1_000;

/** Requests whose answer says that we are a member, if it is no error. */
const OF_THE_COORDINATOR = new Set(['Heartbeat', 'SyncGroup']);

type Batch = EachBatchPayload['batch'];

export async function startConsumer<Opened extends Shard>(deps: ConsumerDeps<Opened>, settings: { readonly group: string; readonly project: string; readonly concurrency: number }): Promise<LogConsumer<Opened>> {
  const { topics, clock, warn } = deps;
  const positions = await createPositions(deps.kafka, { group: settings.group, topics: [topics.spans, topics.logs] }, (topic, partition, messages) => {
    warn(`${messages ?? 'some'} messages of ${topic}/${partition} are lost: the broker deleted them, by the retention of the topic, before they were read`);
    deps.missed(messages ?? 1);
  });
  const unknown = (error: unknown): void => warn('whether the broker deleted messages that were not read is not known', error);
  let owned: readonly number[] = [];
  let member = '';
  const elapsed = (): number => performance.now();
  const lease = createLease(clock, elapsed, { longestWaitMs: REBALANCE_TIMEOUT_MS - SESSION_TIMEOUT_MS });
  /** Asks the coordinator whether it knows us. */
  let ask: () => Promise<void> = async () => undefined;
  let consumer: Consumer | null = null;
  let isClosed = false;
  let taking: Promise<void> = Promise.resolve();
  const refusals = createRefusals();

  const shards = createHoldings<Opened>({ open: (number, isHeld) => deps.openShard(number, () => mayWrite(number, isHeld)), idle: (opened) => opened.idle() }, { graceMs: TAKE_OVER_GRACE_MS });
  const shardOf = async (number: number): Promise<Opened> => {
    // A tick that began before the group was shared out anew would take up what another one is at.
    if (!owned.includes(number)) throw new RetryableError(`shard ${number} is not ours`);
    return shards.open(number);
  };
  const mayWrite = async (number: number, isHeld: () => boolean): Promise<void> => {
    if (lease.ageMs() > HEARD_OF_MS) await ask();
    if (!isHeld() || lease.ageMs() > HEARD_OF_MS) throw new RetryableError(`shard ${number} may be that of another analyzer by now: the group has not heard of this one for ${Math.round(lease.ageMs())} ms`);
  };

  /** Who was thought dead has another name now; meanwhile its shards may have been another's. */
  const assigned = (memberId: string, now: readonly number[]): void => {
    const kept = memberId === member ? new Set(now) : new Set<number>();
    shards.keep(kept);
    positions.keep(kept);
    member = memberId;
    owned = [...now];
    lease.renewed();
    taking = positions.took(owned).catch(unknown);
  };

  const takeBatch = async ({ batch, heartbeat, resolveOffset, commitOffsetsIfNecessary, isRunning, isStale }: EachBatchPayload): Promise<void> => {
    /** Why another member goes on from here. */
    let lost: Error | null = null;
    const throwIfLost = (): void => {
      if (lost !== null) throw lost;
    };
    const beat = async (): Promise<void> => {
      try {
        // The client asks once in a while only; what it heard renews the lease by its event.
        await heartbeat();
      } catch (error) {
        // It waits for us to finish.
        if (isRebalancing(error)) lease.awaited();
        lost ??= asError(error);
      }
    };
    ask = beat;
    const beating = setInterval(() => void beat(), HEARTBEAT_MS);
    /** As often as it takes; another member goes on with it where the group is shared out anew. */
    const persist = async <Result>(attempt: string, work: () => Promise<Result>): Promise<Result> => {
      for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(LONGEST_RETRY_MS, waitMs * 2)) {
        if (lease.ageMs() > HEARD_OF_MS) await beat();
        throwIfLost();
        try {
          return await work();
        } catch (error) {
          if (error instanceof PermanentError) throw error;
          warn(`${attempt} failed and is tried again in ${waitMs} ms`, error);
          await untilThenOr(waitMs, () => lost !== null || !isRunning());
          if (!isRunning()) throw error;
        }
      }
    };
    try {
      // If what was to be read next is deleted, the client goes on from where the partition begins. What it was is known until our first commit.
      await taking;
      await positions.reached(batch.topic, batch.partition, BigInt(batch.messages[0]?.offset ?? 0)).catch(unknown);
      const shard = await persist(`taking up shard ${batch.partition}`, () => shardOf(batch.partition));
      for (const messages of chunksOf(batch.messages, MAX_BATCH_BYTES)) {
        if (!isRunning() || isStale()) return;
        await takeMessages(shard, batch, messages, persist);
        const last = messages.at(-1);
        if (last === undefined) continue;
        resolveOffset(last.offset);
        const next = String(BigInt(last.offset) + 1n);
        await commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset: next }] }] });
        positions.moved(batch.topic, batch.partition, { next: BigInt(next), stampMs: Math.min(clock(), Number(last.timestamp)) });
        throwIfLost();
      }
    } finally {
      clearInterval(beating);
    }
  };

  const takeMessages = async (shard: Opened, batch: Batch, messages: readonly Batch['messages'][number][], persist: <Result>(attempt: string, work: () => Promise<Result>) => Promise<Result>): Promise<void> => {
    const { topic, partition } = batch;
    const signal = topic === topics.spans ? 'traces' : 'logs';
    const park = (record: Batch['messages'][number], error: PermanentError): Promise<void> =>
      persist('parking a message', () => deps.parking.park(record, { topic, partition, offset: record.offset, reason: error.message }));
    const readings: { readonly record: Batch['messages'][number]; readonly reading: Reading }[] = [];
    for (const record of messages) {
      const read = readRecord(record, { signal, project: settings.project, nowMs: clock() });
      const strangers = read.isHome ? [] : strangersIn(read, partition);
      if (strangers.length > 0) {
        await persist('sending spans to the partition of their trace', () => deps.sender.send(topic, strangers));
        continue;
      }
      try {
        readings.push({ record, reading: shard.read(read.message, read.rejected) });
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        await park(record, error);
      }
    }
    try {
      await persist('writing a batch', () => shard.write(readings.map(({ reading }) => reading)));
      refusals.taken();
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      // Taken apart, so that one bad message fails alone.
      for (const { record, reading } of readings) {
        const refusal = await persist('writing a message', () => shard.write([reading]).then(refusals.taken, refusals.judge));
        if (refusal instanceof PermanentError) await park(record, refusal);
      }
    }
  };

  /** The records that a message becomes, where it is not whole and at home here. */
  const strangersIn = ({ message }: ReadRecord, partition: number) => {
    const records = deps.cut(message, partition);
    const [only] = records;
    return records.length === 0 || (records.length === 1 && only?.partition === partition) ? [] : records;
  };

  const start = async (): Promise<void> => {
    const started = deps.kafka.consumer({
      groupId: settings.group,
      partitionAssigners: [createShardAssigner(() => owned)],
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxBytesPerPartition: 4 * 1024 * 1024,
      maxBytes: 32 * 1024 * 1024,
      maxWaitTimeInMs: 250,
      allowAutoTopicCreation: false,
      // By default it starts itself again even after it was told to disconnect, and the process never ends.
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 10, restartOnFailure: async () => !isClosed },
    });
    consumer = started;
    started.on(started.events.GROUP_JOIN, ({ payload }) => assigned(payload.memberId, shardsIn(payload.memberAssignment)));
    started.on(started.events.REQUEST, ({ payload }) => {
      if (OF_THE_COORDINATOR.has(payload.apiName)) lease.answered(payload.duration);
    });
    started.on(started.events.HEARTBEAT, lease.renewed);
    started.on(started.events.CRASH, ({ payload }) => {
      warn('the consumer of the log ended and is started again', payload.error);
      // Some failures it comes back from by itself; after the others it would be silent for ever.
      if (!payload.restart && !isClosed) restartLater(started);
    });
    await started.connect();
    await started.subscribe({ topics: [topics.spans, topics.logs], fromBeginning: true });
    await started.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: settings.concurrency, eachBatch: takeBatch });
  };
  const beginAnew = async (ended: Consumer): Promise<void> => {
    if (isClosed || consumer !== ended) return;
    try {
      await ended.disconnect();
      if (!isClosed) await start();
      // Told to end meanwhile.
      if (isClosed) await consumer.disconnect();
    } catch (error) {
      warn('the consumer of the log could not be started, and is tried again', error);
      restartLater(consumer);
    }
  };
  /** One after another: of two at once each would begin one, and both would be members of the group. */
  let restarting: Promise<void> = Promise.resolve();
  const restart = (ended: Consumer): void => void (restarting = restarting.then(() => beginAnew(ended)));
  const restartLater = (ended: Consumer): void => void setTimeout(() => restart(ended), RESTART_MS).unref();
  await start();
  const watch = onClockSetBack(clock, elapsed, () => {
    warn('the clock was set back: the consumer of the log is started again');
    if (consumer !== null) restart(consumer);
  });

  return {
    owned: () => owned,
    shard: shardOf,
    passed: () => positions.passed(owned, clock),
    lag: () => positions.lag(owned),
    async close() {
      isClosed = true;
      watch.close();
      await consumer?.disconnect();
      await positions.close();
    },
  };
}

function isRebalancing(error: unknown): boolean {
  return error instanceof kafkajs.KafkaJSProtocolError && error.type === 'REBALANCE_IN_PROGRESS';
}

function shardsIn(assignment: Readonly<Record<string, readonly number[]>>): number[] {
  return [...new Set(Object.values(assignment).flat())].sort((one, other) => one - other);
}

/** Waits, but no longer than until `isOver`. */
async function untilThenOr(waitMs: number, isOver: () => boolean): Promise<void> {
  const end = performance.now() + waitMs;
  while (performance.now() < end && !isOver()) await later(50);
}
