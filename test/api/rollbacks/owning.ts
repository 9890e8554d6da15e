import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAudit } from '../../../api/access/audit.ts';
import { createFlags } from '../../../api/flags.ts';
import { createHooks } from '../../../api/hooks/index.ts';
import { createRollbackDesk } from '../../../api/rollbacks/desk.ts';
import { createRollbackOwner } from '../../../api/rollbacks/owner.ts';
import { createRecords, type Rollback } from '../../../api/rollbacks/records.ts';
import { saysOf } from '../../../api/rollbacks/words.ts';
import { createPost } from '../../../api/sinks/post.ts';
import { createTransition } from '../../../api/transition.ts';
import { createVersionEvents } from '../../../api/version-events.ts';
import { endlessRetention, migrate } from '../../../deploy/migrate.ts';
import { runProgram } from '../../../deploy/spawning.ts';
import { openEmbeddedStore } from '../../../deploy/store-embedded.ts';
import { transitionRow, type Alert } from '../../../schemas/alert.ts';
import { HookEntry, RollbackLimits, RollbackRule } from '../../../schemas/hooks.ts';
import type { Store } from '../../../schemas/store.ts';
import { callRow } from '../rows.ts';
import { alertAt } from '../sinks/alert.ts';
import { vendor, type VendorAnswer } from '../hooks/vendor.ts';

/** The owner of rollbacks over a real store and real connections, on clocks that the test turns. */
export async function openOwning() {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-owning-'));
  const store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: 'schemas/clickhouse', cluster: null, retention: endlessRetention });
  const time = { nowMs: Date.parse('2026-06-01T09:00:00Z'), elapsedMs: 0 };
  const clock = (): number => time.nowMs;
  const cleanups: (() => Promise<void>)[] = [];
  const records = createRecords(store);
  let raised = 0;

  return {
    store, time, records,

    async hookServer(answer: () => VendorAnswer = () => ({ status: 200 })) {
      const server = await vendor(answer);
      cleanups.push(server.close);
      const entry = { kind: 'webhook', name: 'ops', url: server.url, secret: `whsec_${Buffer.alloc(32, 'not a secret').toString('base64')}`, timeout_s: 0.4 };
      return { ...server, entry };
    },

    /** A process: its owner and its desk. A second one is what a restart, or another process, would be. */
    start(rule: object, entry: object, more: { limits?: object; store?: Store; isOpen?: boolean } = {}) {
      const hooks = createHooks([HookEntry.parse(entry)]);
      const settings = { project: 'default', limits: RollbackLimits.parse(more.limits ?? {}), ruleOf: (prompt: string) => (prompt.startsWith('other') ? undefined : RollbackRule.parse(rule)) };
      const own = more.store ?? store;
      const warnings: string[] = [];
      const owner = createRollbackOwner(
        {
          store: own, clock, elapsed: () => time.elapsedMs, hooks, post: createPost({ clock }, { allowPrivateAddresses: more.isOpen ?? true }), run: runProgram, flags: createFlags({ store, clock }, [], 'default'),
          audit: createAudit({ store, clock }), complete: createVersionEvents(store).complete, onTold: () => undefined, warn: (message) => warnings.push(message),
        },
        settings,
      );
      const desk = createRollbackDesk({ store, clock, hooks }, settings, () => undefined);
      return {
        desk, owner, warnings,
        /** Rounds until nothing changes any more. */
        async rounds(): Promise<void> {
          for (let round = 0; round < 4; round += 1) {
            await owner.round();
            await owner.settled();
          }
        },
      };
    },

    pass(seconds: number): void {
      time.nowMs += seconds * 1000;
      time.elapsedMs += seconds * 1000;
    },

    async raise(change: Partial<Alert> = {}): Promise<Alert> {
      raised += 1;
      const alert = { ...alertAt(`alr_${raised}`, 'open', time.nowMs), prompt: `prompt-${raised}`, ...change };
      await store.insert('alert_transitions', [transitionRow(alert, { comparison_id: `cmp_${raised}`, sequence: 1, at_ms: time.nowMs, reason: 'evidence past its threshold' })]);
      return alert;
    },

    /** As the look resolves it, or leaves it open. */
    async resolve(alert: Alert, recovery: Alert['recovery'], state: 'resolved' | 'open' = 'resolved'): Promise<void> {
      const resolved: Alert = { ...alert, state, resolved_at: state === 'open' ? null : new Date(time.nowMs).toISOString(), ...(recovery === undefined ? {} : { recovery }) };
      await store.insert('alert_transitions', [transitionRow(resolved, { comparison_id: '', sequence: 50, at_ms: time.nowMs, reason: '' })]);
    },

    acknowledge: (alert: Alert) => createTransition({ store, clock }, () => undefined)(alert.id, { state: 'acknowledged', who: 'mira', reason: '' }),

    async call(alert: Alert, version: string): Promise<void> {
      await store.insert('calls', [callRow({ at_ms: time.nowMs, id: `${alert.id} ${time.nowMs}`, prompt: alert.prompt ?? '', version, duration_ms: 10, is_error: false, model: 'm', ttft_ms: 1, output_tokens: 1 })]);
    },

    async of(alert: Alert): Promise<{ states: string[]; says: string; rollback: Rollback }> {
      const [rollback] = await records.ofAlert(alert.project, alert.id);
      if (rollback === undefined) throw new Error('there is no rollback');
      return { states: rollback.steps.map(({ state }) => state), says: saysOf(rollback), rollback };
    },

    /** What the history of the alert says. */
    async told(alert: Alert): Promise<[string, string][]> {
      const rows = await store.select<{ event: string; reason: string }>('SELECT event, reason FROM alert_transitions FINAL WHERE alert_id = {id:String} ORDER BY sequence', { id: alert.id });
      return rows.slice(1).map(({ event, reason }) => [event, reason]);
    },

    async clear(): Promise<void> {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
      for (const table of ['alert_transitions', 'rollbacks', 'audit_log', 'calls']) await store.command(`TRUNCATE TABLE ${table}`);
    },
    async close(): Promise<void> {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
