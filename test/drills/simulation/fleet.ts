import { createKafkaLog, createRecordCutter } from '../../../deploy/kafka/log.ts';
import { startConsumer, type LogConsumer } from '../../../deploy/kafka/consumer.ts';
import { shareDuty, type Duty } from '../../../deploy/kafka/duty.ts';
import type { Topics } from '../../../deploy/kafka/topics.ts';
import { createTick, type IngestShard } from '../../../deploy/roles/analyzer.ts';
import { repeat } from '../../../deploy/running.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import type { Log } from '../../../schemas/log.ts';
import type { SimulatedBroker } from './kafka.ts';
import type { SimulatedStore } from './store.ts';
import type { Member, VirtualTime } from './virtual-time.ts';

/** The roles as processes of a simulation: the product's own code over a broker and a store in memory, started, stopped and killed. */
export type Process = { readonly member: Member; readonly role: 'collector' | 'analyzer' | 'api' };
export type Analyzer = Process & { readonly role: 'analyzer'; owned(): readonly number[] };

export type Fleet = {
  readonly collectors: readonly (Process & { readonly log: Log | null })[];
  readonly analyzers: readonly Analyzer[];
  readonly apis: readonly Process[];
  /** Those that deliver, as they think. */
  readonly delivering: ReadonlySet<Member>;
  start(role: Process['role']): void;
  /** SIGKILL. */
  kill(process: Process): void;
  /** SIGTERM: gone when it has ended by itself. */
  stop(process: Process): void;
};

const TICK_MS = 500;
const CONCURRENT_BATCHES = 8;
/** As the one who watches over processes does it. */
const START_AGAIN_MS = 2_000;
const GROUP = 'culprit';

type Running = Process & { readonly end: () => Promise<void>; readonly log: Log | null; readonly owned: () => readonly number[] };
/** What a start brings, step by step, so that it can be ended at any of them. */
type Parts = { log: Log | null; consumer: LogConsumer<IngestShard> | null; readonly undo: (() => Promise<unknown>)[] };

export function createFleet(time: VirtualTime, { broker, store, topics }: { readonly broker: SimulatedBroker; readonly store: SimulatedStore; readonly topics: Topics }): Fleet {
  const running = new Set<Running>();
  const delivering = new Set<Member>();
  let started = 0;
  const warn = (): void => undefined;

  const startCollector = ({ undo }: Parts): Log => {
    const log = createKafkaLog(broker.sender(), topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 8_000 });
    undo.push(() => log.close());
    return log;
  };
  const startAnalyzer = async (parts: Parts): Promise<void> => {
    const sender = broker.sender();
    const consumer = await startConsumer<IngestShard>(
      { kafka: broker.client(), topics, sender, cut: createRecordCutter(topics), parking: { park: async () => undefined }, clock: Date.now, warn, missed: warn, openShard: store.openShard },
      { group: GROUP, project: 'default', concurrency: CONCURRENT_BATCHES },
    );
    parts.consumer = consumer;
    parts.undo.push(() => consumer.close());
    const look = {
      advance: async (untilMs: number) => {
        store.looked(slotOf(untilMs));
        return [];
      },
      close: async () => undefined,
    };
    const ticks = createTick({ store: store.store, consumer, shards: topics.shards, look }, { warn });
    const ticking = repeat(ticks.tick, { everyMs: TICK_MS, onError: warn });
    parts.undo.push(() => ticking.close());
  };
  const startApi = async (member: Member, { undo }: Parts): Promise<void> => {
    const duty: Duty = await shareDuty({ kafka: broker.client(), clock: Date.now, warn }, { group: `${GROUP}-api`, topic: topics.duties }, { taken: () => delivering.add(member), lost: () => delivering.delete(member) });
    undo.push(() => duty.close());
  };

  const start = (role: Process['role']): void => {
    const member: Member = { name: `${role} ${(started += 1)}`, state: 'alive', frozenUntilMs: 0, clockOffMs: 0 };
    const parts: Parts = { log: null, consumer: null, undo: [] };
    const process: Running = {
      member,
      role,
      get log() {
        return parts.log;
      },
      owned: () => parts.consumer?.owned() ?? [],
      async end() {
        for (const step of parts.undo.reverse()) await step();
      },
    };
    running.add(process);
    void time.as(member, async () => {
      try {
        if (role === 'collector') parts.log = startCollector(parts);
        else if (role === 'analyzer') await startAnalyzer(parts);
        else await startApi(member, parts);
      } catch {
        // Where the brokers are away a process does not start.
        kill(process);
        time.after(START_AGAIN_MS, null, () => start(role));
      }
    });
  };
  const kill = (process: Process): void => {
    process.member.state = 'dead';
    delivering.delete(process.member);
    for (const each of running) if (each.member === process.member) running.delete(each);
  };
  const of = <Role extends Process['role']>(role: Role) => [...running].filter((each): each is Running & { role: Role } => each.role === role && each.member.state === 'alive');
  return {
    get collectors() {
      return of('collector');
    },
    get analyzers() {
      return of('analyzer');
    },
    get apis() {
      return of('api');
    },
    delivering,
    start,
    kill,
    stop(process) {
      const found = [...running].find((each) => each.member === process.member);
      if (found !== undefined) void time.as(process.member, () => found.end().then(() => kill(process), () => kill(process)));
    },
  };
}
