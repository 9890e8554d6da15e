import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApi, defaultApiSettings, type ApiSettings } from '../../api/app.ts';
import type { ApiEvent } from '../../api/events.ts';
import { endlessRetention, migrate } from '../../deploy/migrate.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { createTransition } from '../../api/transition.ts';

export type TestApi = Awaited<ReturnType<typeof openApi>>;

/** The API on a real embedded store in a directory of its own. `clock.nowMs` is what it takes for now. */
export async function openApi(settings: Partial<ApiSettings> = {}, nowMs = Date.parse('2026-06-01T10:00:00Z')) {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-api-'));
  const store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: fileURLToPath(new URL('../../schemas/clickhouse/', import.meta.url)), cluster: null, retention: endlessRetention });
  const clock = { nowMs };
  const listeners = new Set<(event: ApiEvent) => void>();
  const failures: unknown[] = [];
  const replay: { take: (message: LogMessage) => Promise<void> } = { take: async () => undefined };
  const status: { behind_ms: number | null } = { behind_ms: null };
  const publish = (event: ApiEvent): void => listeners.forEach((listener) => listener(event));
  const app = createApi({
    store,
    analyst: store.analyst,
    clock: () => clock.nowMs,
    events: {
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    settings: { ...defaultApiSettings, ...settings },
    status: () => status,
    transition: createTransition({ store, clock: () => clock.nowMs }, (alert) => publish({ id: alert.id, type: 'alert', data: { id: alert.id } })),
    replay: (message) => replay.take(message),
    onFailure: (error) => failures.push(error),
  });
  return {
    app,
    store,
    analyst: store.analyst,
    clock,
    status,
    listeners,
    failures,
    replay,
    publish,
    async close(): Promise<void> {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
