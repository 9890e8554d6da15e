import type { Hono } from 'hono';
import type { BatchSummary } from '../../analyzer/ingest/ingest.ts';
import type { Access } from '../../api/access/access.ts';
import { createGate } from '../../api/access/gate.ts';
import type { RequestBindings } from '../../api/access/identity.ts';
import { createApi, defaultApiSettings, type ApiDeps, type ApiSettings, type Status } from '../../api/app.ts';
import { createCharts, type Charts } from '../../api/chart/charts.ts';
import { createFlags } from '../../api/flags.ts';
import { createHooks } from '../../api/hooks/index.ts';
import { createDelivery, type Delivery } from '../../api/deliver.ts';
import { LOOPBACK_NAMES } from '../../api/host.ts';
import { createRollbackDesk } from '../../api/rollbacks/desk.ts';
import { createRollbackOwner } from '../../api/rollbacks/owner.ts';
import { createRouting } from '../../api/routing.ts';
import { createSilences } from '../../api/silences.ts';
import { createSinks } from '../../api/sinks/index.ts';
import { createJournal } from '../../api/sinks/journal.ts';
import type { SinkStatus } from '../../api/sinks/lane.ts';
import { createPost } from '../../api/sinks/post.ts';
import { createVersionNews } from '../../api/sinks/version-news.ts';
import { createVersionEvents } from '../../api/version-events.ts';
import { createTransition } from '../../api/transition.ts';
import type { Alert } from '../../schemas/alert.ts';
import { publicUrlOf, type Config } from '../../schemas/config.ts';
import { promptSettingsFor } from '../../schemas/metric-settings.ts';
import type { AnalystStore, Store } from '../../schemas/store.ts';
import { createArrivals, createEvents } from '../events.ts';
import { auditInThread } from '../audit-thread.ts';
import { createAudits } from '../audits.ts';
import { repeat, type ServerDependencies } from '../running.ts';
import { runProgram } from '../spawning.ts';
import { createLimiter } from '../limiter.ts';
import { VERSION } from '../version.ts';

/** The api role: queries and pages, and who is told of what happens: pages that are open, and sinks. */
export type ApiRole = {
  readonly app: Hono<{ Bindings: RequestBindings }>;
  /** Where people reach it, once that is known. */
  reachedAt(url: string): void;
  /** Ends streams whose key or login has ended. */
  cutEnded(): void;
  /** Something was concluded. It is in the store already, so that nothing is told that a crash could take back. */
  announce(events: readonly Concluded[]): void;
  /** Calls or scores came in; pages hear of it with the next `tellArrived`. */
  arrived(batch: Pick<BatchSummary, 'projects'>): void;
  tellArrived(): void;
  /** Of several api processes one delivers: this one, from now on. */
  beginDelivering(): void;
  stopDelivering(): Promise<void>;
  /** Of the process that delivers; none in others. */
  sinks(): readonly SinkStatus[];
  close(): Promise<void>;
};

/** What a look came to, as far as pages and sinks hear of it. `update`: only the evidence grew. */
export type Concluded =
  | { readonly kind: 'alert' | 'update'; readonly alert: Alert }
  | { readonly kind: 'look'; readonly project: string; readonly slot: number; readonly comparisons: readonly object[] };

const NEWS_EVERY_MS = 15_000;
const ROLLBACKS_EVERY_MS = 1_000;

/**
 * @param stores.own what deliveries and changes of alerts go through; `queries` what people ask, so that their slow ones stand before nothing.
 */
export function startApi(
  stores: { readonly own: Store; readonly queries: Store; readonly analyst: AnalystStore },
  { status, access, replay, ownMetrics }: { readonly status: () => Status; readonly access: Access; readonly replay: ApiDeps['replay']; readonly ownMetrics: () => Promise<string> },
  config: Config,
  deps: ServerDependencies,
): ApiRole {
  const { own: store } = stores;
  const { clock } = deps;
  const events = createEvents();
  const arrivals = createArrivals(events);
  const post = createPost({ clock }, { allowPrivateAddresses: config.allow_private_addresses });
  const schedule = (delayMs: number, task: () => void): (() => void) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  };
  const settingsOf = (project: string): ApiSettings => ({
    ...defaultApiSettings,
    project,
    version: VERSION,
    registries: config.registries,
    traceUrl: config.trace_url ?? null,
    content: { mode: config.content, days: config.retention.content_days },
    // The gate looks at the names that this server is reached by.
    hosts: null,
  });
  const charts = new Map<string, Charts>();
  const chartsOf = (project: string): Charts => {
    const known = charts.get(project) ?? createCharts({ store: stores.queries, clock, settings: settingsOf(project) });
    charts.set(project, known);
    return known;
  };
  const versionEvents = createVersionEvents(store);
  const sinks = createSinks(config);
  const hooks = createHooks(config.hooks);
  const flags = createFlags({ store, clock }, config.hooks.filter((hook) => hook.kind === 'flagd'), config.project);
  const rollbackSettings = { project: config.project, limits: config.rollbacks, ruleOf: (prompt: string) => promptSettingsFor(config, prompt).rollback };
  const changed = (alert: Alert): void => {
    events.publish(alert.project, { type: 'alert', data: { id: alert.id, state: alert.state, summary: alert.summary } });
    wake();
  };
  const rollbacks = createRollbackDesk({ store, clock, hooks }, rollbackSettings, changed);
  let delivering: { readonly delivery: Delivery; close(): Promise<void> } | null = null;
  const sinkStatus = (): readonly SinkStatus[] => delivering?.delivery.status() ?? [];
  const wake = (): void => delivering?.delivery.wake();
  const beginDelivering = (): void => {
    if (delivering !== null) return;
    const delivery = createDelivery(
      { store, sinks, post, schedule, clock, random: deps.random, warn: deps.warn, routing: createRouting(config.routes), silences: silences.active, complete: versionEvents.complete, picture: (alert) => chartsOf(alert.project).png(alert) },
      { waitingDeliveries: config.limits.waiting_deliveries },
    );
    const news = createVersionNews({ store, sinks, post, clock });
    const telling = repeat(() => news.round(), { everyMs: NEWS_EVERY_MS, onError: (error) => deps.warn('a new version is told of in the next round', error) });
    const owner = createRollbackOwner(
      { store, clock, elapsed: () => performance.now(), hooks, post, run: runProgram, flags, audit: access.audit, complete: createVersionEvents(store).complete, onTold: changed, warn: deps.warn },
      rollbackSettings,
    );
    const rollingBack = repeat(() => owner.round(), { everyMs: ROLLBACKS_EVERY_MS, onError: (error) => deps.warn('rollbacks are seen to in the next round', error) });
    delivering = {
      delivery,
      async close() {
        await rollingBack.close();
        await owner.settled();
        await telling.close();
        await delivery.close();
      },
    };
    delivery.wake();
  };
  const stopDelivering = async (): Promise<void> => {
    const stopping = delivering;
    delivering = null;
    await stopping?.close();
  };
  const silences = createSilences({ store, clock }, async (id) => {
    await createJournal(store).release(id, clock());
    wake();
  });

  const onFailure = (error: unknown, request: { method: string; path: string }): void => deps.warn(`${request.method} ${request.path} failed`, error);
  const transition = createTransition({ store, clock }, changed);
  /** An audit takes a core for a minute or two: one at a time, of all projects. */
  const auditTurns = createLimiter({ atOnce: 1, maxWaiting: 16 });
  /** One API for each project, so that which rows a handler sees is not a matter of its care. */
  const apiOf = (project: string) =>
    createApi({
      store: stores.queries,
      analyst: stores.analyst,
      clock,
      events: events.of(project),
      settings: settingsOf(project),
      silences,
      rollbacks,
      flags,
      charts: chartsOf(project),
      sinks: () => ({ sinks: sinkStatus().map((each) => ({ ...each, kind: config.sinks.find(({ name }) => name === each.sink)?.kind ?? 'webhook' })), routes: config.routes }),
      status,
      transition,
      audits: createAudits({ store, clock, work: (job) => auditTurns.take(() => auditInThread(job)), warn: deps.warn }, { ...config, project }),
      replay,
      access,
      // They are of the whole process: for whoever has the project that is its own.
      ...(project === config.project ? { ownMetrics } : {}),
      onFailure,
    });
  let publicUrl = publicUrlOf(config);
  const gate = createGate({ access, publicUrl: () => publicUrl, apiOf, hosts: [...LOOPBACK_NAMES, new URL(publicUrl).hostname], onFailure });

  return {
    app: gate.app,
    reachedAt: (url) => void (publicUrl = url),
    cutEnded: gate.cutEnded,
    announce(concluded) {
      for (const event of concluded) {
        if (event.kind === 'look') events.publish(event.project, { type: 'look', data: { slot: event.slot, comparisons: event.comparisons } });
        else events.publish(event.alert.project, { type: 'alert', data: { id: event.alert.id, state: event.alert.state, summary: event.alert.summary } });
      }
      if (concluded.some(({ kind }) => kind !== 'look')) wake();
    },
    arrived: ({ projects }) => arrivals.add(projects),
    tellArrived: arrivals.tell,
    beginDelivering,
    stopDelivering,
    sinks: sinkStatus,
    close: stopDelivering,
  };
}
