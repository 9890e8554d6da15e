import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApi, defaultApiSettings, type ApiSettings } from '../../api/app.ts';
import type { ApiEvent } from '../../api/events.ts';
import { createAudits, runAudit } from '../../deploy/audits.ts';
import { loadConfiguration } from '../../deploy/configuration.ts';
import { endlessRetention, migrate } from '../../deploy/migrate.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { createFlags } from '../../api/flags.ts';
import { createRollbackDesk } from '../../api/rollbacks/desk.ts';
import { createCharts } from '../../api/chart/charts.ts';
import { createSilences } from '../../api/silences.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { createTransition } from '../../api/transition.ts';

export type TestApi = Awaited<ReturnType<typeof openApi>>;

/** The API on a real embedded store, in a directory of its own unless one is given. `clock.nowMs` is what it takes for now. */
export async function openApi(settings: Partial<ApiSettings> = {}, nowMs = Date.parse('2026-06-01T10:00:00Z'), given?: string) {
  const directory = given ?? (await mkdtemp(join(tmpdir(), 'culprit-api-')));
  const store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: fileURLToPath(new URL('../../schemas/clickhouse/', import.meta.url)), cluster: null, retention: endlessRetention });
  const clock = { nowMs };
  const listeners = new Set<(event: ApiEvent) => void>();
  const failures: unknown[] = [];
  const replay: { take: (message: LogMessage) => Promise<void> } = { take: async () => undefined };
  const status: { behind_ms: number | null } = { behind_ms: null };
  const publish = (event: ApiEvent): void => listeners.forEach((listener) => listener(event));
  const reading = { store, clock: () => clock.nowMs, settings: { ...defaultApiSettings, ...settings } };
  const released: string[] = [];
  const silences = createSilences(reading, async (id) => void released.push(id));
  const app = createApi({
    ...reading,
    analyst: store.analyst,
    charts: createCharts(reading),
    silences,
    rollbacks: createRollbackDesk({ ...reading, hooks: [] }, { project: reading.settings.project, ruleOf: () => undefined }, () => undefined),
    flags: createFlags(reading, [], reading.settings.project),
    sinks: () => ({ sinks: [], routes: [] }),
    events: {
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    status: () => status,
    transition: createTransition({ store, clock: () => clock.nowMs }, (alert) => publish({ id: alert.id, type: 'alert', data: { id: alert.id } })),
    audits: createAudits({ store, clock: () => clock.nowMs, work: (job) => runAudit(job, () => clock.nowMs), warn: (_, error) => failures.push(error) }, config()),
    replay: (message) => replay.take(message),
    onFailure: (error) => failures.push(error),
  });
  return {
    app,
    store,
    silences,
    analyst: store.analyst,
    clock,
    status,
    listeners,
    failures,
    released,
    replay,
    publish,
    async close(keepsData = false): Promise<void> {
      await store.close();
      if (!keepsData) await rm(directory, { recursive: true, force: true });
    },
  };
}

function config() {
  const loaded = loadConfiguration({ argv: [], environment: {}, readFile: () => '', commandFlags: {} });
  if (loaded.kind === 'help') throw new Error('no configuration');
  return loaded.config;
}
