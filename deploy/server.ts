import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serve, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import type { LookEvent } from '../analyzer/look/look.ts';
import { createApi, defaultApiSettings } from '../api/app.ts';
import { createDelivery } from '../api/deliver.ts';
import { createGate } from '../api/access/gate.ts';
import { LOOPBACK_NAMES } from '../api/host.ts';
import { createTransition } from '../api/transition.ts';
import { createSinks } from '../api/sinks/index.ts';
import type { AlertTransition } from '../api/sinks/journal.ts';
import { createPost } from '../api/sinks/post.ts';
import { createCollector, type CollectorEnvironment } from '../collector/server.ts';
import type { Clock, RandomSource } from '../schemas/clock.ts';
import type { Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import { createAccessFor, refuseOpenNetwork } from './access.ts';
import { claimDirectory } from './data-directory.ts';
import { createArrivals, createEvents } from './events.ts';
import { createDirectLog } from './log-direct.ts';
import { startLookThread } from './look-thread.ts';
import { migrate, MIGRATIONS } from './migrate.ts';
import { createIngestFor, publicUrlOf } from './pipeline.ts';
import { openEmbeddedStore } from './store-embedded.ts';
import { VERSION } from './version.ts';

/** The whole pipeline in one process: collector, analyzer and api over the embedded store, on one port. */
export type RunningServer = {
  /** http://HOST:PORT, with the port that was really taken. */
  readonly url: string;
  close(): Promise<void>;
};

export type ServerDependencies = {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly warn: (message: string, error?: unknown) => void;
};

const TICK_MS = 500;
/** How soon a key that another process made or revoked holds here. */
const ACCESS_REFRESH_MS = 2_000;

export async function startServer(config: Config, deps: ServerDependencies): Promise<RunningServer> {
  // 1. The directory is ours alone; whoever has it says so.
  const claim = claimDirectory(config.data);
  const undo: (() => Promise<void> | void)[] = [() => claim.release()];
  const unwind = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    // 2. The store, with the schema that this code knows.
    const store = await openEmbeddedStore({ directory: join(config.data, 'store') });
    undo.push(() => store.close());
    const { calls_days, content_days, evidence_days } = config.retention;
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: { calls: calls_days, scores: calls_days, evidence: evidence_days, content: content_days } });
    const access = createAccessFor(store, config, deps);
    await access.start();
    refuseOpenNetwork(access, config);

    // 3. What an earlier process left is taken up before anything new comes in.
    const ingest = createIngestFor(store, config);
    await ingest.start(deps.clock());
    const look = await startLookThread(store, config);
    undo.push(() => look.close());

    // 4. Who is told of what happens: pages that are open, and sinks.
    const events = createEvents();
    const arrivals = createArrivals(events);
    const post = createPost({ clock: deps.clock }, { allowPrivateAddresses: config.allow_private_addresses });
    const schedule = (delayMs: number, task: () => void): (() => void) => {
      const timer = setTimeout(task, delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    };
    const delivery = createDelivery(
      { store, sinks: createSinks({ webhooks: config.webhooks }), post, schedule, clock: deps.clock, random: deps.random, warn: deps.warn },
      { waitingDeliveries: config.limits.waiting_deliveries },
    );
    undo.push(() => delivery.close());
    delivery.start();

    // 5. Collector and API on one port. An append resolves when the store has the rows.
    const log = createDirectLog(
      {
        read: ingest.read,
        async write(batch) {
          const written = await ingest.write(batch);
          arrivals.add(written.projects);
        },
      },
      { maxPendingBytes: config.limits.in_flight_bytes, maxBatchBytes: 8 * 1024 * 1024 },
    );
    undo.push(() => log.close());
    const collector = createCollector(
      { log, clock: deps.clock, project: access.ingest, onError: (error) => deps.warn('a request could not be taken', error) },
      { maxBodyBytes: config.limits.body_bytes, maxInFlightBytes: config.limits.in_flight_bytes, maxInFlightRequests: config.limits.in_flight_requests },
    );
    /** Sinks are told of what is in the store, so that nothing is told that a crash could take back. */
    const tell = async (alertIds: readonly string[]): Promise<void> => {
      if (alertIds.length === 0) return;
      await delivery.deliver(
        await store.select<AlertTransition>(
          `SELECT transition_id, alert_id, sequence, state, at_ms, body FROM alert_transitions FINAL WHERE alert_id IN {alertIds:Array(String)}
           ORDER BY alert_id, sequence DESC LIMIT 1 BY alert_id`,
          { alertIds },
        ),
      );
    };
    let lookedMs: number | null = null;
    const announce = async (raised: readonly LookEvent[]): Promise<void> => {
      for (const event of raised) {
        if (event.kind === 'alert') events.publish(event.alert.project, { type: 'alert', data: { id: event.alert.id, state: event.alert.state, summary: event.alert.summary } });
        else events.publish(event.project, { type: 'look', data: { slot: event.slot, comparisons: event.comparisons } });
      }
      await tell(raised.flatMap((event) => (event.kind === 'alert' ? [event.alert.id] : [])));
    };
    const reading = store.lane({ connections: 2, maxSeconds: 20 });
    const onFailure = (error: unknown, request: { method: string; path: string }): void => deps.warn(`${request.method} ${request.path} failed`, error);
    const transition = createTransition({ store, clock: deps.clock }, (alert) => {
      events.publish(alert.project, { type: 'alert', data: { id: alert.id, state: alert.state, summary: alert.summary } });
      void tell([alert.id]).catch((error: unknown) => deps.warn('a delivery waits for the next one', error));
    });
    /** One API for each project, so that what a handler sees is not a matter of its care. */
    const apiOf = (project: string) =>
      createApi({
        store: reading,
        clock: deps.clock,
        events: events.of(project),
        settings: { ...defaultApiSettings, project, version: VERSION, content: { mode: config.content, days: content_days }, hosts: null },
        status: () => ({ behind_ms: lookedMs === null ? null : Math.max(0, deps.clock() - lookedMs) }),
        transition,
        access,
        onFailure,
      });
    let reachedAt = publicUrlOf(config);
    const gate = createGate({ access, clock: deps.clock, publicUrl: () => reachedAt, apiOf, hosts: [...LOOPBACK_NAMES, new URL(reachedAt).hostname], onFailure });
    const app = new Hono<CollectorEnvironment>();
    app.route('/', collector.app);
    app.route('/', gate.app);
    const { server, url } = await listen(app, config);
    reachedAt = url;
    undo.push(() => new Promise<void>((resolve) => (server.close(() => resolve()), 'closeAllConnections' in server && setTimeout(() => server.closeAllConnections(), 2_000).unref())));

    // 6. The clock: what waited long enough becomes complete, then slots close and are looked at.
    let isStopped = false;
    let ticking: Promise<void> = Promise.resolve();
    const tick = async (): Promise<void> => {
      const watermarkMs = collector.watermark();
      await ingest.advance(watermarkMs);
      await announce(await look.advance(watermarkMs));
      lookedMs = watermarkMs;
      arrivals.tell();
    };
    const timer = setInterval(() => {
      ticking = ticking.then(() => (isStopped ? undefined : tick())).catch((error: unknown) => deps.warn('a look failed and is tried again', error));
    }, TICK_MS);
    // 7. Keys and logins that were made, revoked or ran out; what hangs on them ends.
    let refreshing: Promise<void> = Promise.resolve();
    const accessTimer = setInterval(() => {
      gate.cutEnded();
      refreshing = refreshing.then(() => (isStopped ? undefined : access.refresh())).catch((error: unknown) => deps.warn('keys and logins stay as they were known', error));
    }, ACCESS_REFRESH_MS);
    undo.push(async () => {
      isStopped = true;
      clearInterval(timer);
      clearInterval(accessTimer);
      await Promise.all([ticking, refreshing]);
    });
    return { url, close: unwind };
  } catch (error) {
    await unwind();
    throw error;
  }
}

function listen(app: Hono<CollectorEnvironment>, config: Config): Promise<{ server: ServerType; url: string }> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: config.host, port: config.port }, (address: AddressInfo) =>
      resolve({ server, url: publicUrlOf({ ...config, port: address.port }) }),
    );
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') reject(new PermanentError(`port ${config.port} on ${config.host} is taken by another program: stop that one, or give Culprit another port (--port)`, { cause: error }));
      else if (error.code === 'EACCES') reject(new PermanentError(`port ${config.port} needs rights that this process does not have: give Culprit another port (--port)`, { cause: error }));
      else reject(error);
    });
  });
}
