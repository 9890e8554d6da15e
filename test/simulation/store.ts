import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Look } from '../../analyzer/look/look.ts';
import { endlessRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { createIngestFor, createLookFor } from '../../deploy/pipeline.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Store } from '../../schemas/store.ts';

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

function configOf(settings: object = {}): Config {
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
