import type { Hono } from 'hono';
import type { BatchSummary } from '../../analyzer/ingest/ingest.ts';
import type { LookEvent } from '../../analyzer/look/look.ts';
import type { SelfEvent } from '../../analyzer/self/self-watch.ts';
import type { Access } from '../../api/access/access.ts';
import { createGate } from '../../api/access/gate.ts';
import type { RequestBindings } from '../../api/access/identity.ts';
import { createApi, defaultApiSettings, type ApiDeps, type Status } from '../../api/app.ts';
import { createDelivery } from '../../api/deliver.ts';
import { LOOPBACK_NAMES } from '../../api/host.ts';
import { createSinks } from '../../api/sinks/index.ts';
import type { AlertTransition } from '../../api/sinks/journal.ts';
import { createPost } from '../../api/sinks/post.ts';
import { createTransition } from '../../api/transition.ts';
import type { Config } from '../../schemas/config.ts';
import type { AnalystStore, Store } from '../../schemas/store.ts';
import { createArrivals, createEvents } from '../events.ts';
import { publicUrlOf } from '../pipeline.ts';
import type { ServerDependencies } from '../running.ts';
import { VERSION } from '../version.ts';

/** The api role: queries and pages, and who is told of what happens: pages that are open, and sinks. */
export type ApiRole = {
  readonly app: Hono<{ Bindings: RequestBindings }>;
  /** Where people reach it, once that is known. */
  reachedAt(url: string): void;
  /** Ends streams whose key or login has ended. */
  cutEnded(): void;
  /** Something was concluded. It is in the store already, so that nothing is told that a crash could take back. */
  announce(events: readonly (LookEvent | SelfEvent)[]): Promise<void>;
  /** Calls or scores came in; pages hear of it with the next `tellArrived`. */
  arrived(batch: BatchSummary): void;
  tellArrived(): void;
  close(): Promise<void>;
};

/**
 * @param stores.own what deliveries and changes of alerts go through; `queries` what people ask, so that their slow ones stand before nothing.
 */
export function startApi(
  stores: { readonly own: Store; readonly queries: Store; readonly analyst: AnalystStore },
  { status, access, replay }: { readonly status: () => Status; readonly access: Access; readonly replay: ApiDeps['replay'] },
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
  const delivery = createDelivery(
    { store, sinks: createSinks({ webhooks: config.webhooks }), post, schedule, clock, random: deps.random, warn: deps.warn },
    { waitingDeliveries: config.limits.waiting_deliveries },
  );
  delivery.start();

  const tell = async (alertIds: readonly string[]): Promise<void> => {
    if (alertIds.length === 0) return;
    await delivery.deliver(
      await store.select<AlertTransition>(
        // Two that came at the same moment have one number: both are told.
        `SELECT transition_id, alert_id, sequence, state, at_ms, body FROM alert_transitions FINAL
         WHERE (alert_id, sequence) IN (SELECT alert_id, max(sequence) FROM alert_transitions WHERE alert_id IN {alertIds:Array(String)} GROUP BY alert_id)
         ORDER BY alert_id, at_ms, transition_id`,
        { alertIds },
      ),
    );
  };
  const onFailure = (error: unknown, request: { method: string; path: string }): void => deps.warn(`${request.method} ${request.path} failed`, error);
  const transition = createTransition({ store, clock }, (alert) => {
    events.publish(alert.project, { type: 'alert', data: { id: alert.id, state: alert.state, summary: alert.summary } });
    void tell([alert.id]).catch((error: unknown) => deps.warn('a delivery waits for the next one', error));
  });
  /** One API for each project, so that which rows a handler sees is not a matter of its care. */
  const apiOf = (project: string) =>
    createApi({
      store: stores.queries,
      analyst: stores.analyst,
      clock,
      events: events.of(project),
      settings: { ...defaultApiSettings, project, version: VERSION, registries: config.registries, content: { mode: config.content, days: config.retention.content_days }, hosts: null },
      status,
      transition,
      replay,
      access,
      onFailure,
    });
  let publicUrl = publicUrlOf(config);
  const gate = createGate({ access, clock, publicUrl: () => publicUrl, apiOf, hosts: [...LOOPBACK_NAMES, new URL(publicUrl).hostname], onFailure });

  return {
    app: gate.app,
    reachedAt: (url) => void (publicUrl = url),
    cutEnded: gate.cutEnded,
    async announce(concluded) {
      for (const event of concluded) {
        if (event.kind === 'alert') events.publish(event.alert.project, { type: 'alert', data: { id: event.alert.id, state: event.alert.state, summary: event.alert.summary } });
        else events.publish(event.project, { type: 'look', data: { slot: event.slot, comparisons: event.comparisons } });
      }
      await tell(concluded.flatMap((event) => (event.kind === 'alert' ? [event.alert.id] : [])));
    },
    arrived: ({ projects }) => arrivals.add(projects),
    tellArrived: arrivals.tell,
    close: () => delivery.close(),
  };
}
