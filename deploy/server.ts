import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serve, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import type { LookEvent } from '../analyzer/look/look.ts';
import { createApi, defaultApiSettings } from '../api/app.ts';
import { createDelivery } from '../api/deliver.ts';
import type { ApiEvent } from '../api/events.ts';
import { LOOPBACK_NAMES } from '../api/host.ts';
import { createTransition } from '../api/transition.ts';
import { createSinks } from '../api/sinks/index.ts';
import type { AlertTransition } from '../api/sinks/journal.ts';
import { createPost } from '../api/sinks/post.ts';
import { createCollector, type CollectorEnvironment } from '../collector/server.ts';
import type { Clock, RandomSource } from '../schemas/clock.ts';
import type { Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import { auditInThread } from './audit-thread.ts';
import { createAudits } from './audits.ts';
import { claimDirectory } from './data-directory.ts';
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
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

export async function startServer(config: Config, deps: ServerDependencies): Promise<RunningServer> {
  if (!LOOPBACK.has(config.host)) {
    throw new PermanentError(`host is ${config.host}: without API keys, which this version does not have, Culprit listens on loopback only; set host to 127.0.0.1`);
  }
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

    // 3. What an earlier process left is taken up before anything new comes in.
    const ingest = createIngestFor(store, config);
    await ingest.start(deps.clock());
    const look = await startLookThread(store, config);
    undo.push(() => look.close());

    // 4. Who is told of what happens: pages that are open, and sinks.
    const events = createEvents();
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
    let arrived = { calls: 0, scores: 0, prompts: new Set<string>() };
    const log = createDirectLog(
      {
        read: ingest.read,
        async write(batch) {
          const written = await ingest.write(batch);
          arrived.calls += written.calls;
          arrived.scores += written.scores;
          for (const prompt of written.prompts) if (arrived.prompts.size < 100) arrived.prompts.add(prompt);
        },
      },
      { maxPendingBytes: config.limits.in_flight_bytes, maxBatchBytes: 8 * 1024 * 1024 },
    );
    undo.push(() => log.close());
    const collector = createCollector(
      { log, clock: deps.clock, project: () => config.project, onError: (error) => deps.warn('a request could not be taken', error) },
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
      for (const event of raised) events.publish(event.kind, event.kind === 'alert' ? { id: event.alert.id, state: event.alert.state, summary: event.alert.summary } : { slot: event.slot, comparisons: event.comparisons });
      await tell(raised.flatMap((event) => (event.kind === 'alert' ? [event.alert.id] : [])));
    };
    const api = createApi({
      store: store.lane({ connections: 2, maxSeconds: 20 }),
      clock: deps.clock,
      events,
      settings: { ...defaultApiSettings, project: config.project, version: VERSION, content: { mode: config.content, days: content_days }, hosts: [...LOOPBACK_NAMES, new URL(publicUrlOf(config)).hostname] },
      status: () => ({ behind_ms: lookedMs === null ? null : Math.max(0, deps.clock() - lookedMs) }),
      transition: createTransition({ store, clock: deps.clock }, (alert) => {
        events.publish('alert', { id: alert.id, state: alert.state, summary: alert.summary });
        void tell([alert.id]).catch((error: unknown) => deps.warn('a delivery waits for the next one', error));
      }),
      audits: createAudits({ store, clock: deps.clock, work: auditInThread, warn: deps.warn }, config),
      onFailure: (error, request) => deps.warn(`${request.method} ${request.path} failed`, error),
    });
    const app = new Hono<CollectorEnvironment>();
    app.route('/', collector.app);
    app.route('/', api);
    const { server, url } = await listen(app, config);
    undo.push(() => new Promise<void>((resolve) => (server.close(() => resolve()), 'closeAllConnections' in server && setTimeout(() => server.closeAllConnections(), 2_000).unref())));

    // 6. The clock: what waited long enough becomes complete, then slots close and are looked at.
    let isStopped = false;
    let ticking: Promise<void> = Promise.resolve();
    const tick = async (): Promise<void> => {
      const watermarkMs = collector.watermark();
      await ingest.advance(watermarkMs);
      await announce(await look.advance(watermarkMs));
      lookedMs = watermarkMs;
      if (arrived.calls + arrived.scores > 0) {
        events.publish('calls', { calls: arrived.calls, scores: arrived.scores, prompts: [...arrived.prompts] });
        arrived = { calls: 0, scores: 0, prompts: new Set() };
      }
    };
    const timer = setInterval(() => {
      ticking = ticking.then(() => (isStopped ? undefined : tick())).catch((error: unknown) => deps.warn('a look failed and is tried again', error));
    }, TICK_MS);
    undo.push(async () => {
      isStopped = true;
      clearInterval(timer);
      await ticking;
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

function createEvents() {
  const listeners = new Set<(event: ApiEvent) => void>();
  let last = 0;
  return {
    subscribe(listener: (event: ApiEvent) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    publish(type: ApiEvent['type'], data: unknown) {
      last += 1;
      for (const listener of listeners) listener({ id: String(last), type, data });
    },
  };
}
