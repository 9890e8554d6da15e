import { join } from 'node:path';
import { Hono } from 'hono';
import type { CollectorEnvironment } from '../collector/server.ts';
import type { Config } from '../schemas/config.ts';
import { createAccessFor, refuseOpenNetwork } from './access.ts';
import { claimDirectory } from './data-directory.ts';
import { listen, listenGrpc } from './listen.ts';
import { createDirectLog } from './log-direct.ts';
import { createLooking, startLookThread } from './look-thread.ts';
import { migrateFor } from './migrate.ts';
import { createIngestFor, createRollUpFor, createSelfWatchFor, ROLL_UP_MS, SELF_WATCH_MS } from './pipeline.ts';
import { passes } from './roles/analyzer.ts';
import { startApi } from './roles/api.ts';
import { createCollectorFor } from './roles/collector.ts';
import { createStoreParking, parkingLimitsOf } from './parking-store.ts';
import { repeat, startInOrder, type RunningServer, type ServerDependencies } from './running.ts';
import { createOperations } from './operations/operations.ts';
import { watchStore } from './operations/store-metrics.ts';
import { refuseOwnSpans, traced, tracedRequests } from './operations/tracing.ts';
import { openEmbeddedStore } from './store-embedded.ts';

/** All roles in one process, over the embedded store and the direct log, on one port. */

const TICK_MS = 500;
/** How soon a key that another process made or revoked holds here. */
const ACCESS_MS = 2_000;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

export function startServer(config: Config, deps: ServerDependencies): Promise<RunningServer> {
  return startInOrder(async (undo) => {
    // 1. The directory is ours alone; whoever has it says so.
    const claim = claimDirectory(config.data);
    undo.push(() => claim.release());
    const operations = createOperations('culprit', config);
    const { metrics } = operations;
    const operationsUrl = await operations.listen(undo);
    // 2. The store, with the schema that this code knows.
    const store = metrics.measured(await openEmbeddedStore({ directory: join(config.data, 'store') }));
    undo.push(() => store.close());
    await migrateFor(store, config, { cluster: null });
    const access = createAccessFor(store, config, deps);
    await access.start();
    refuseOpenNetwork(access, config);

    // 3. What an earlier process left is taken up before anything new comes in.
    const ingest = createIngestFor(store, config, undefined, { flagged: metrics.countFlags() });
    await ingest.start(deps.clock());
    const look = createLooking(() => startLookThread(store, config));
    undo.push(() => look.close());
    await look.start();

    // 4. The API, and who is told of what happens.
    let lookedMs: number | null = null;
    const status = () => ({ behind_ms: lookedMs === null ? null : Math.max(0, deps.clock() - lookedMs) });
    const replay: Parameters<typeof startApi>[1]['replay'] = (message) => log.append(message);
    const api = startApi({ own: store, queries: metrics.measured(store.lane({ connections: 2, maxSeconds: 20 })), analyst: store.analyst }, { status, access, replay, ownMetrics: () => metrics.registry.metrics() }, config, deps);
    undo.push(() => api.close());
    api.beginDelivering();

    // 5. Collector and API on one port. An append resolves when the store has the rows.
    const write = async (batch: Parameters<typeof ingest.write>[0]): Promise<void> => api.arrived(await traced(deps.tracer, 'write batch', { 'culprit.messages': batch.length }, () => ingest.write(batch)));
    const log = createDirectLog({ read: ingest.read, write, parking: createStoreParking({ store, clock: deps.clock }, parkingLimitsOf(config)) }, { maxPendingBytes: config.limits.in_flight_bytes, maxBatchBytes: MAX_BATCH_BYTES });
    undo.push(() => log.close());
    const collector = createCollectorFor({ log, access }, config, deps);
    const app = new Hono<CollectorEnvironment>();
    app.use('*', refuseOwnSpans, tracedRequests(deps.tracer));
    app.route('/', operations.probes);
    app.route('/', collector.app);
    app.route('/', api.app);
    const listener = await listen(app, config, () => collector.load().requests);
    undo.push(() => listener.close());
    api.reachedAt(listener.url);

    const grpc = await listenGrpc(collector.app, config);
    undo.push(() => grpc.close());

    // 6. The clock: what waited long enough becomes complete, then slots close and are looked at.
    const tick = async (): Promise<void> => {
      const watermarkMs = collector.watermark();
      if (!(await passes(ingest, watermarkMs))) return;
      api.announce(await traced(deps.tracer, 'look', {}, () => look.advance(watermarkMs)));
      lookedMs = watermarkMs;
      api.tellArrived();
    };
    const ticking = repeat(tick, { everyMs: TICK_MS, onError: (error) => deps.warn('a look failed and is tried again', error) });
    undo.push(() => ticking.close());

    // 7. Keys and logins that were made, revoked or ran out; what hangs on them ends.
    const refreshing = repeat(() => (api.cutEnded(), access.refresh()), { everyMs: ACCESS_MS, onError: (error) => deps.warn('keys and logins stay as they were known', error) });
    undo.push(() => refreshing.close());

    // 8. Its own faults. Apart from the ticks, which one of them may be holding up.
    const selfWatch = createSelfWatchFor(store, config, deps.clock());
    const watching = repeat(async () => api.announce(await selfWatch.look(deps.clock())), { everyMs: SELF_WATCH_MS, onError: (error) => deps.warn('the watch over itself failed and is tried again', error) });
    undo.push(() => watching.close());

    // 9. Cells of the hours that are over, beside all of that.
    const rollUp = createRollUpFor(store, config, deps);
    const rolling = repeat(async () => void (await rollUp.tick()), { everyMs: ROLL_UP_MS, onError: (error) => deps.warn('hours could not be rolled up, and are tried again', error) });
    undo.push(() => rolling.close());

    // 10. What it tells of itself. Pushed last, so the end begins with it.
    metrics.watchCollector(collector);
    metrics.watchSinks(api.sinks);
    metrics.watchLook(() => status().behind_ms);
    watchStore(metrics.registry, { store, clock: deps.clock }, [...config.webhooks, ...config.sinks].map(({ name }) => name));
    operations.started({ store: () => store.select('SELECT 1 AS one') }, undo);
    return { url: listener.url, grpc: grpc.address, operations: operationsUrl, close: undo.unwind };
  });
}
