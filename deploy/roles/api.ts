import type { OpenAPIHono } from '@hono/zod-openapi';
import type { BatchSummary } from '../../analyzer/ingest/ingest.ts';
import type { LookEvent } from '../../analyzer/look/look.ts';
import type { SelfEvent } from '../../analyzer/self/self-watch.ts';
import { createApi, defaultApiSettings, type ApiDeps, type ApiSettings, type Status } from '../../api/app.ts';
import { createCharts } from '../../api/chart/charts.ts';
import { createDelivery } from '../../api/deliver.ts';
import type { ApiEvent } from '../../api/events.ts';
import { LOOPBACK_NAMES } from '../../api/host.ts';
import { createRouting } from '../../api/routing.ts';
import { createSilences } from '../../api/silences.ts';
import { createSinks } from '../../api/sinks/index.ts';
import { createPost } from '../../api/sinks/post.ts';
import { createVersionNews } from '../../api/sinks/version-news.ts';
import { createTransition } from '../../api/transition.ts';
import type { Config } from '../../schemas/config.ts';
import type { AnalystStore, Store } from '../../schemas/store.ts';
import { publicUrlOf } from '../pipeline.ts';
import { repeat, type ServerDependencies } from '../running.ts';
import { VERSION } from '../version.ts';

/** The api role: queries and pages, and who is told of what happens: pages that are open, and sinks. */
export type ApiRole = {
  readonly app: OpenAPIHono;
  /** Something was concluded. It is in the store already, so that nothing is told that a crash could take back. */
  announce(events: readonly (LookEvent | SelfEvent)[]): void;
  /** Calls or scores came in; pages hear of it with the next `tellArrived`. */
  arrived(batch: BatchSummary): void;
  tellArrived(): void;
  close(): Promise<void>;
};

/** Prompts that are named to a page as those that something came in for. */
const MAX_NAMED_PROMPTS = 100;
const NEWS_EVERY_MS = 15_000;

/**
 * @param stores.own what deliveries and changes of alerts go through; `queries` what people ask, so that their slow ones stand before nothing.
 */
export function startApi(stores: { readonly own: Store; readonly queries: Store; readonly analyst: AnalystStore }, status: () => Status, replay: ApiDeps['replay'], config: Config, deps: ServerDependencies): ApiRole {
  const { own: store } = stores;
  const { clock } = deps;
  const events = createEvents();
  const post = createPost({ clock }, { allowPrivateAddresses: config.allow_private_addresses });
  const schedule = (delayMs: number, task: () => void): (() => void) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  };
  const settings: ApiSettings = {
    ...defaultApiSettings,
    project: config.project,
    version: VERSION,
    registries: config.registries,
    content: { mode: config.content, days: config.retention.content_days },
    hosts: [...LOOPBACK_NAMES, new URL(publicUrlOf(config)).hostname],
  };
  const reading = { store: stores.queries, clock, settings };
  const charts = createCharts(reading);
  const silences = createSilences({ store, clock }, (id) => delivery.release(id));
  const sinks = createSinks(config);
  const delivery = createDelivery(
    { store, sinks, post, schedule, clock, random: deps.random, warn: deps.warn, routing: createRouting(config.routes), silences: silences.active, picture: charts.png },
    { waitingDeliveries: config.limits.waiting_deliveries },
  );
  delivery.wake();
  const news = createVersionNews({ store, sinks, post, clock });
  const telling = repeat(() => news.round(), { everyMs: NEWS_EVERY_MS, onError: (error) => deps.warn('a new version is told of in the next round', error) });

  let arrived = { calls: 0, scores: 0, prompts: new Set<string>() };
  const app = createApi({
    ...reading,
    analyst: stores.analyst,
    events,
    silences,
    charts,
    sinks: () => ({ sinks: delivery.status().map((each) => ({ ...each, kind: config.sinks.find(({ name }) => name === each.sink)?.kind ?? 'webhook' })), routes: config.routes }),
    status,
    transition: createTransition({ store, clock }, (alert) => {
      events.publish('alert', { id: alert.id, state: alert.state, summary: alert.summary });
      delivery.wake();
    }),
    replay,
    onFailure: (error, request) => deps.warn(`${request.method} ${request.path} failed`, error),
  });

  return {
    app,
    announce(concluded) {
      for (const event of concluded) {
        events.publish(event.kind === 'look' ? 'look' : 'alert', event.kind !== 'look' ? { id: event.alert.id, state: event.alert.state, summary: event.alert.summary } : { slot: event.slot, comparisons: event.comparisons });
      }
      if (concluded.some(({ kind }) => kind !== 'look')) delivery.wake();
    },
    arrived({ calls, scores, prompts }) {
      arrived.calls += calls;
      arrived.scores += scores;
      for (const prompt of prompts) if (arrived.prompts.size < MAX_NAMED_PROMPTS) arrived.prompts.add(prompt);
    },
    tellArrived() {
      if (arrived.calls + arrived.scores === 0) return;
      events.publish('calls', { calls: arrived.calls, scores: arrived.scores, prompts: [...arrived.prompts] });
      arrived = { calls: 0, scores: 0, prompts: new Set() };
    },
    async close() {
      await telling.close();
      await delivery.close();
    },
  };
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
