import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { loadEvidence } from '../../../analyzer/look/look-store.ts';
import type { Look, LookEvent } from '../../../analyzer/look/look.ts';
import { verify } from '../../../analyzer/statistics/verify.ts';
import { endlessRetention, migrate, MIGRATIONS } from '../../../deploy/migrate.ts';
import { createIngestFor, createLookFor } from '../../../deploy/pipeline.ts';
import { openEmbeddedStore } from '../../../deploy/store-embedded.ts';
import type { Alert } from '../../../schemas/alert.ts';
import { ConfigFile, type Config } from '../../../schemas/config.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';

/** A real store with ingest and look over it, as the server has them; the look can be torn down and built again. */

export async function openStore(): Promise<{ readonly store: Store; readonly close: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-look-'));
  const store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: MIGRATIONS, cluster: null, retention: endlessRetention });
  return {
    store,
    async close() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export function configOf(settings: object = {}): Config {
  return { ...ConfigFile.parse(settings), webhooks: [], sinks: [], registries: [] };
}

/** Writes OTLP/JSON lines as if each had arrived at the newest time in it. Returns when the last one did. */
export async function ingest(store: Store, lines: readonly string[], settings: object = {}): Promise<number> {
  const reader = createIngestFor(store, configOf(settings));
  await reader.start(0);
  let nowMs = 0;
  let batch: LogMessage[] = [];
  const write = async (): Promise<void> => {
    if (batch.length === 0) return;
    await reader.advance(batch[0]?.received_ms ?? 0);
    await reader.write(batch.map(reader.read));
    batch = [];
  };
  for (const line of lines) {
    for (const [, time = ''] of line.matchAll(/"(?:endTimeUnixNano|timeUnixNano)":"(\d+)"/g)) nowMs = Math.max(nowMs, Number(BigInt(time) / 1_000_000n));
    batch.push({ signal: line.includes('"resourceSpans"') ? 'traces' : 'logs', project: 'default', received_ms: nowMs, encoding: 'json', body: Buffer.from(line) });
    if (batch.length === 1_000) await write();
  }
  await write();
  await reader.advance(nowMs + 60_000);
  return nowMs;
}

export function lookOver(store: Store, settings: object = {}, slotsPerRead = 60): Look {
  return createLookFor(store, configOf(settings), { slotsPerRead });
}

/** A store for the tests of one file, each of which finds it empty. */
export function lookStore(): { readonly store: Store } {
  let opened: Awaited<ReturnType<typeof openStore>> | null = null;
  const here = {
    get store(): Store {
      if (opened === null) throw new Error('the store is there within tests only');
      return opened.store;
    },
  };
  beforeAll(async () => {
    opened = await openStore();
  });
  afterEach(async () => {
    await forgetLooks(here.store);
    for (const table of INGEST_TABLES) await here.store.command(`TRUNCATE TABLE ${table}`);
  });
  afterAll(() => opened?.close());
  return here;
}

/** Each alert that opened is what its stored strata come to. */
export async function expectVerified(store: Store, events: readonly LookEvent[]): Promise<void> {
  for (const event of events) {
    if (event.kind !== 'alert' || event.alert.state !== 'open') continue;
    const recomputed = verify(await loadEvidence(store, event.comparison_id, event.slot));
    expect(recomputed.agrees, `${event.alert.summary}: recomputed ${recomputed.e_value} of ${event.alert.evidence.e_value}`).toBe(true);
    expect(recomputed.e_value).toBeCloseTo(event.alert.evidence.e_value, 6);
  }
}

/** Forgets what was looked at, not what was ingested. */
export async function forgetLooks(store: Store): Promise<void> {
  for (const table of LOOK_TABLES) await store.command(`TRUNCATE TABLE ${table}`);
}

const LOOK_TABLES = ['strata', 'looks', 'comparisons', 'alert_transitions', 'look_progress'] as const;
const INGEST_TABLES = ['calls', 'relatives', 'scores', 'ledger', 'versions'] as const;

export function alertsOf(events: readonly LookEvent[]): Alert[] {
  return events.flatMap((event) => (event.kind === 'alert' ? [event.alert] : []));
}

/** All that the look has concluded, in one order. JSON is parsed: a restart may write its keys in another order. */
export async function conclusionsOf(store: Store): Promise<Record<'strata' | 'looks' | 'transitions' | 'comparisons', object[]>> {
  return {
    strata: await store.select('SELECT * FROM strata FINAL ORDER BY comparison_id, slot, metric, begin_slot, start_window_ms, model, operation, route'),
    looks: await store.select('SELECT * FROM looks FINAL ORDER BY comparison_id, slot'),
    transitions: await store.select('SELECT * FROM alert_transitions FINAL ORDER BY alert_id, sequence'),
    comparisons: (
      await store.select<{ settings: string; snapshot: string }>('SELECT comparison_id, state, reason, slot, settings, snapshot FROM comparisons FINAL ORDER BY comparison_id')
    ).map(({ settings, snapshot, ...rest }) => ({ ...rest, settings: JSON.parse(settings), snapshot: JSON.parse(snapshot) })),
  };
}
