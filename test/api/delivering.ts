import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDelivery, type Delivery } from '../../api/deliver.ts';
import { createRouting } from '../../api/routing.ts';
import { createSilences } from '../../api/silences.ts';
import { createSinks } from '../../api/sinks/index.ts';
import { createPost } from '../../api/sinks/post.ts';
import { createVersionEvents } from '../../api/version-events.ts';
import { endlessRetention, migrate } from '../../deploy/migrate.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import type { Alert } from '../../schemas/alert.ts';
import { RouteEntry } from '../../schemas/routes.ts';
import type { SinkSettings } from '../../schemas/sinks.ts';
import type { Webhook } from '../../schemas/webhook.ts';
import { alertAt } from './sinks/alert.ts';
import { receiver, type Answer } from './sinks/receiver.ts';

export const secret = `whsec_${Buffer.alloc(32, 'not a secret').toString('base64')}`;

/** Deliveries over a real store and real connections, on a clock that the test turns. */
export async function openDelivering() {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-delivering-'));
  const store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: 'schemas/clickhouse', cluster: null, retention: endlessRetention });
  const time = { nowMs: Date.parse('2026-06-01T09:00:00Z') };
  const clock = (): number => time.nowMs;
  const warnings: string[] = [];
  const cleanups: (() => Promise<void>)[] = [];
  let tasks: { dueMs: number; task: () => void }[] = [];
  /** The timers' own clock: it never jumps. */
  let elapsedMs = 0;
  let delivery: Delivery | null = null;
  const silences = createSilences({ store, clock }, async (id) => delivery?.release(id));
  const current = (): Delivery => {
    if (delivery === null) throw new Error('no delivery');
    return delivery;
  };

  return {
    store, time, silences, warnings,

    deliverTo(settings: { webhooks?: Webhook[]; sinks?: SinkSettings[]; routes?: unknown[]; waitingDeliveries?: number; silences?: typeof silences.active }) {
      const schedule = (delayMs: number, task: () => void) => {
        const entry = { dueMs: elapsedMs + delayMs, task };
        tasks.push(entry);
        return () => void (tasks = tasks.filter((other) => other !== entry));
      };
      const routing = createRouting((settings.routes ?? []).map((route) => RouteEntry.parse(route)));
      delivery = createDelivery(
        { store, sinks: createSinks({ webhooks: settings.webhooks ?? [], sinks: settings.sinks ?? [] }), clock, random: () => 0, schedule, routing, silences: settings.silences ?? silences.active, complete: createVersionEvents(store).complete, picture: async () => null, post: createPost({ clock }, { allowPrivateAddresses: true }), warn: (message) => warnings.push(message) },
        { waitingDeliveries: settings.waitingDeliveries ?? 1000 },
      );
      cleanups.push(delivery.close);
      delivery.wake();
      return delivery;
    },

    /** Lets time pass, and everything happen that becomes due in it. */
    async pass(durationMs: number): Promise<void> {
      const endMs = elapsedMs + durationMs;
      const to = (atMs: number): void => {
        time.nowMs += Math.max(0, atMs - elapsedMs);
        elapsedMs = Math.max(elapsedMs, atMs);
      };
      for (;;) {
        await current().settled();
        const [first] = tasks.filter(({ dueMs }) => dueMs <= endMs).sort((one, other) => one.dueMs - other.dueMs);
        if (first === undefined) break;
        tasks = tasks.filter((task) => task !== first);
        to(first.dueMs);
        first.task();
      }
      to(endMs);
    },

    async raise(alertId: string, facts: { sequence?: number; state?: Alert['state']; event?: string; who?: string; reason?: string; change?: Partial<Alert> } = {}): Promise<void> {
      const { sequence = 1, state = 'open', event = state, who = '', reason = '', change = {} } = facts;
      const alert: Alert = { ...alertAt(alertId, state, time.nowMs), ...change };
      await store.insert('alert_transitions', [{ transition_id: `${alertId}-${sequence}`, alert_id: alertId, sequence, project: 'default', comparison_id: '', state, event, who, reason, at_ms: time.nowMs, body: JSON.stringify(alert) }]);
      current().wake();
      await current().settled();
    },

    async receiver(answer?: Answer) {
      const listening = await receiver(answer);
      cleanups.push(listening.close);
      return listening;
    },

    /** What became of each transition at a sink: the newest row. */
    async journal(sink: string): Promise<[string, string, string][]> {
      const rows = await store.select<{ transition_id: string; outcome: string; detail: string }>(
        `SELECT transition_id, outcome, detail FROM deliveries FINAL WHERE sink = {sink:String} AND transition_id != '' ORDER BY transition_id, attempt DESC LIMIT 1 BY transition_id`,
        { sink },
      );
      return rows.map(({ transition_id, outcome, detail }) => [transition_id, outcome, detail]);
    },

    /** A new test begins with nothing. */
    async clear(): Promise<void> {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
      tasks = [];
      warnings.length = 0;
      for (const table of ['alert_transitions', 'deliveries', 'silences']) await store.command(`TRUNCATE TABLE ${table}`);
    },
    async close(): Promise<void> {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export function hook(name: string, url: string, more: Partial<Webhook> = {}): Webhook {
  return { name, url, secret, events: ['alert.open', 'alert.acknowledged', 'alert.resolved'], timeout_s: 5, ...more };
}
