import { Hono } from 'hono';
import type { CollectorEnvironment } from '../collector/server.ts';
import type { Access } from '../api/access/access.ts';
import type { Config } from '../schemas/config.ts';
import type { Log } from '../schemas/log.ts';
import type { Store } from '../schemas/store.ts';
import { createAccessFor, refuseOpenNetwork } from './access.ts';
import { PermanentError } from '../schemas/errors.ts';
import { createKafka } from './kafka/client.ts';
import { startConsumer, type LogConsumer } from './kafka/consumer.ts';
import { shareDuty } from './kafka/duty.ts';
import { createKafkaLog, createRecordCutter } from './kafka/log.ts';
import { createTopicParking, type Parking } from './kafka/parking.ts';
import { createPresence } from './kafka/presence.ts';
import { openSender } from './kafka/sender.ts';
import { prepareTopics } from './kafka/topics.ts';
import { listen, listenGrpc } from './listen.ts';
import { createOperations } from './operations/operations.ts';
import type { Metrics } from './operations/metrics.ts';
import { refuseOwnSpans, traced, tracedRequests } from './operations/tracing.ts';
import type { IngestShard } from './roles/analyzer.ts';
import { createCollectorFor } from './roles/collector.ts';
import { repeat, startInOrder, type createUndo, type RunningServer, type ServerDependencies } from './running.ts';
import type { ServerStore } from './store-server.ts';

/**
 * One role in a process, over Kafka and a ClickHouse server; any number of each. `server.ts` has all of them in one process. What only one role needs is loaded by it:
 * a collector is small because it has neither the analyzer nor the pages in memory.
 */

const TICK_MS = 500;
const NEWS_MS = 1_000;
const ACCESS_MS = 2_000;
/** A sender is told to come again before its own time-out (10 s in most SDKs). */
const APPEND_WAIT_MS = 8_000;
/** Batches that are read and written at the same time, of different partitions. */
const CONCURRENT_BATCHES = 8;

export function startCollectorRole(config: Config, deps: ServerDependencies): Promise<RunningServer> {
  return startInOrder(async (undo) => {
    const { metrics, ...operations } = createOperations('collector', config);
    const operationsUrl = await operations.listen(undo);
    const access = await openAccess(config.clickhouse.url === undefined ? KEYS_OF_THE_CONFIGURATION : await openStore(config, metrics, undo), config, deps, undo);
    const kafka = await openKafka(config, deps, undo);
    const log = openLog(kafka, config, undo);
    const presence = createPresence(kafka.client);
    undo.push(() => presence.close());
    const collector = createCollectorFor({ log, access }, config, deps);
    const app = new Hono<CollectorEnvironment>();
    app.use('*', refuseOwnSpans, tracedRequests(deps.tracer));
    app.route('/', operations.probes);
    app.route('/', collector.app);
    const listener = await listen(app, config, () => collector.load().requests);
    undo.push(() => listener.close());
    const grpc = await listenGrpc(collector.app, config);
    undo.push(() => grpc.close());
    metrics.watchCollector(collector);
    operations.started({ kafka: presence.ask }, undo);
    return { url: listener.url, grpc: grpc.address, operations: operationsUrl, close: undo.unwind };
  });
}

export function startAnalyzerRole(config: Config, deps: ServerDependencies): Promise<Pick<RunningServer, 'operations' | 'close'>> {
  return startInOrder(async (undo) => {
    const { createTick, LOOKS, openIngestShard } = await import('./roles/analyzer.ts');
    const { shareInserts } = await import('./roles/shared-inserts.ts');
    const { createRollUpFor, createSelfWatchFor, ROLL_UP_MS, SELF_WATCH_MS } = await import('./pipeline.ts');
    const { createLooking, startLookThread } = await import('./look-thread.ts');
    const { metrics, ...operations } = createOperations('analyzer', config);
    const operationsUrl = await operations.listen(undo);
    const store = await openStore(config, metrics, undo);
    const { client: kafka, topics, sender } = await openKafka(config, deps, undo);
    const inserts = shareInserts(store);
    const flagged = metrics.countFlags();
    let consumer: LogConsumer<IngestShard> | null = null;
    consumer = await startConsumer<IngestShard>(
      {
        kafka,
        topics,
        sender,
        cut: createRecordCutter(topics),
        parking: counted(createTopicParking(sender, topics.parked), metrics),
        clock: deps.clock,
        warn: deps.warn,
        missed: metrics.missed,
        openShard: async (shard, mayWrite) => {
          const opened = await openIngestShard(store, inserts, config, { shard, sharedBy: consumer?.owned().length ?? topics.shards, mayWrite, flagged }, deps.clock());
          return { ...opened, write: (batch) => traced(deps.tracer, 'write batch', { 'culprit.shard': shard, 'culprit.messages': batch.length }, () => opened.write(batch)) };
        },
      },
      { group: config.kafka.group, project: config.project, concurrency: CONCURRENT_BATCHES },
    );
    const running = consumer;
    undo.push(() => running.close());
    const look = createLooking(() => startLookThread(store, config));
    undo.push(() => look.close());
    const ticks = createTick({ store, consumer: running, shards: topics.shards, look }, deps);
    const ticking = repeat(ticks.tick, { everyMs: TICK_MS, onError: (error) => deps.warn('the clock of the log stands still, and is tried again', error) });
    undo.push(() => ticking.close());
    const selfWatch = createSelfWatchFor(store, config, deps.clock());
    const watching = repeat(async () => void (running.owned().includes(LOOKS) ? await selfWatch.look(deps.clock()) : null), { everyMs: SELF_WATCH_MS, onError: (error) => deps.warn('the watch over itself failed and is tried again', error) });
    undo.push(() => watching.close());
    const rollUp = createRollUpFor(store, config, deps);
    const rolling = repeat(async () => void (running.owned().includes(LOOKS) ? await rollUp.tick() : null), { everyMs: ROLL_UP_MS, onError: (error) => deps.warn('hours could not be rolled up, and are tried again', error) });
    undo.push(() => rolling.close());
    const presence = createPresence(kafka);
    undo.push(() => presence.close());
    metrics.watchLag(() => running.lag());
    operations.started({ kafka: presence.ask, store: () => store.select('SELECT 1 AS one') }, undo);
    return { operations: operationsUrl, close: undo.unwind };
  });
}

export function startApiRole(config: Config, deps: ServerDependencies): Promise<RunningServer> {
  return startInOrder(async (undo) => {
    const { startApi } = await import('./roles/api.ts');
    const { createNews } = await import('./store-news.ts');
    const { watchStore } = await import('./operations/store-metrics.ts');
    const { metrics, ...operations } = createOperations('api', config);
    const operationsUrl = await operations.listen(undo);
    const store = await openStore(config, metrics, undo);
    const access = await openAccess(store, config, deps, undo);
    const queries = metrics.measured(store.lane({ connections: 8, maxSeconds: 20 }));
    undo.push(() => queries.close());
    const kafka = await openKafka(config, deps, undo);
    const log = openLog(kafka, config, undo);
    let lookedMs: number | null = null;
    const status = () => ({ behind_ms: lookedMs === null ? null : Math.max(0, deps.clock() - lookedMs) });
    const api = startApi({ own: store, queries, analyst: store.analyst }, { status, access, replay: (message) => log.append(message), ownMetrics: () => metrics.registry.metrics() }, config, deps);
    undo.push(() => api.close());
    const duty = await shareDuty(
      { kafka: kafka.client, clock: deps.clock, warn: deps.warn },
      { group: `${config.kafka.group}-api`, topic: kafka.topics.duties },
      { taken: () => api.beginDelivering(), lost: () => void api.stopDelivering().catch((error: unknown) => deps.warn('deliveries did not end cleanly', error)) },
    );
    undo.push(() => duty.close());
    const news = createNews(store, deps.clock);
    const following = repeat(
      async () => {
        const { concluded, arrived, lookedMs: reached } = await news.read();
        lookedMs = reached;
        api.announce(concluded);
        api.arrived({ projects: arrived });
        api.tellArrived();
      },
      { everyMs: NEWS_MS, onError: (error) => deps.warn('what happened could not be read, and is tried again', error) },
    );
    undo.push(() => following.close());
    const app = new Hono<CollectorEnvironment>();
    app.use('*', tracedRequests(deps.tracer));
    app.route('/', operations.probes);
    app.route('/', api.app);
    const listener = await listen(app, config);
    undo.push(() => listener.close());
    api.reachedAt(listener.url);
    const cutting = repeat(async () => api.cutEnded(), { everyMs: ACCESS_MS, onError: (error) => deps.warn('streams whose key ended go on', error) });
    undo.push(() => cutting.close());
    metrics.watchSinks(api.sinks);
    metrics.watchLook(() => status().behind_ms);
    watchStore(metrics.registry, { store, clock: deps.clock }, [...config.webhooks, ...config.sinks].map(({ name }) => name));
    operations.started({ store: () => store.select('SELECT 1 AS one') }, undo);
    return { url: listener.url, grpc: null, operations: operationsUrl, close: undo.unwind };
  });
}

type Kafka = { readonly client: ReturnType<typeof createKafka>; readonly topics: Awaited<ReturnType<typeof prepareTopics>>; readonly sender: Awaited<ReturnType<typeof openSender>> };

/** The topics are there, and can be written to. */
async function openKafka(config: Config, deps: ServerDependencies, undo: ReturnType<typeof createUndo>): Promise<Kafka> {
  const client = createKafka(config.kafka, deps.warn);
  const topics = await prepareTopics(client, config.kafka);
  const sender = await openSender(config.kafka, topics.maxMessageBytes);
  undo.push(() => sender.close());
  return { client, topics, sender };
}

function openLog({ sender, topics }: Kafka, config: Config, undo: ReturnType<typeof createUndo>): Log {
  const log = createKafkaLog(sender, topics, { maxPendingBytes: config.limits.in_flight_bytes, maxWaitMs: APPEND_WAIT_MS });
  undo.push(() => log.close());
  return log;
}

/** Keys, and logins, as other processes change them. Throws PermanentError where anybody could come in. */
async function openAccess(store: Store, config: Config, deps: ServerDependencies, undo: ReturnType<typeof createUndo>): Promise<Access> {
  const access = createAccessFor(store, config, deps);
  await access.start();
  refuseOpenNetwork(access, config);
  const refreshing = repeat(() => access.refresh(), { everyMs: ACCESS_MS, onError: (error) => deps.warn('keys and logins stay as they were known', error) });
  undo.push(() => refreshing.close());
  return access;
}

/** A collector that is not told of a ClickHouse server knows the keys of its configuration only, and needs none to be there. */
const KEYS_OF_THE_CONFIGURATION: Store = { select: async () => [], insert: async () => undefined, command: async () => undefined, close: async () => undefined };

/** Messages that are parked are counted. */
function counted(parking: Parking, metrics: Metrics): Parking {
  return {
    async park(record, at) {
      await parking.park(record, at);
      metrics.parked();
    },
  };
}

async function openStore(config: Config, metrics: Metrics, undo: ReturnType<typeof createUndo>): Promise<ServerStore> {
  const { openServerStore } = await import('./store-server.ts');
  const { migrateBesideOthers } = await import('./migrate.ts');
  const store = metrics.measured(openServerStore(config.clickhouse));
  undo.push(() => store.close());
  const { url, username, database, cluster = null } = config.clickhouse;
  try {
    await store.select('SELECT 1 AS one');
  } catch (error) {
    throw new PermanentError(`ClickHouse at ${url} cannot be asked as ${username} in the database ${database} (${error instanceof Error ? error.message : String(error)}); are clickhouse.url, username, password_file and database right, and does it run?`, { cause: error });
  }
  await migrateBesideOthers(store, config, { cluster }, () => new Promise((resolve) => setTimeout(resolve, 500)));
  return store;
}
