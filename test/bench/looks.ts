/**
 * What a slot of half a minute costs the look, the store's answers included, as prompts that are compared grow in number, and as calls do: `node --import tsx test/bench/looks.ts [prompts]…`
 * Prints one JSON line for each: every prompt has a version on half of its traffic, slots are looked at one by one, as a server does; of the last ten minutes, when all comparisons are open.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SLOT_MS } from '../../analyzer/slots.ts';
import { endlessRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { createIngestFor, createLookFor } from '../../deploy/pipeline.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import type { Store } from '../../schemas/store.ts';
import { callsOf, linesOf, scenario, together } from '../simulation/traffic.ts';

const counts = process.argv.slice(2).map(Number);
const MINUTES = 40;
const MEASURED_SLOTS = 20;
const LINES_IN_BATCH = 1_000;
const config: Config = { ...ConfigFile.parse({}), webhooks: [], sinks: [], registries: [] };

for (const prompts of counts.length > 0 ? counts : [10, 40, 160]) console.log(JSON.stringify(await measure({ prompts, callsPerMinute: 10 })));
if (counts.length === 0) for (const callsPerMinute of [40, 160]) console.log(JSON.stringify(await measure({ prompts: 10, callsPerMinute })));

async function measure({ prompts, callsPerMinute }: { readonly prompts: number; readonly callsPerMinute: number }): Promise<object> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-looks-'));
  const store = await openEmbeddedStore({ directory });
  try {
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: endlessRetention });
    const traffic = Array.from({ length: prompts }, (_, index) => scenario({ prompt: `prompt ${index}`, minutes: MINUTES, callsPerMinute, versions: [[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }]] }));
    const endMs = await ingest(store, together(...traffic.map((each, index) => linesOf(each, callsOf(each, index)))));
    const asked = { questions: 0, filedBytes: 0 };
    const counting: Store = {
      ...store,
      select: (sql, parameters) => ((asked.questions += 1), store.select(sql, parameters)),
      insert: (table, rows) => ((asked.filedBytes += table === 'comparisons' ? JSON.stringify(rows).length : 0), store.insert(table, rows)),
    };
    const look = createLookFor(counting, config, { slotsPerRead: 1 });
    await look.start();
    const fromMs = endMs - MEASURED_SLOTS * SLOT_MS;
    await look.advance(fromMs);
    const [before, cpu, began] = [{ ...asked }, process.cpuUsage(), performance.now()];
    await look.advance(endMs);
    const [ms, { user, system }] = [performance.now() - began, process.cpuUsage(cpu)];
    const [open] = await store.select<{ open: number }>(`SELECT uniqExact(comparison_id) AS open FROM comparisons WHERE state = 'open'`);
    const each = (of: number): number => Number((of / MEASURED_SLOTS).toFixed(1));
    return { bench: 'looks', prompts, comparisons: open?.open, calls_a_slot: (prompts * callsPerMinute) / 2, questions_a_slot: each(asked.questions - before.questions), filed_kb_a_slot: each((asked.filedBytes - before.filedBytes) / 1_000), ms_a_slot: each(ms), cpu_ms_a_slot: each((user + system) / 1_000) };
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** As if each line had arrived at the newest time in it. Returns when the last one did. */
async function ingest(store: Store, lines: readonly string[]): Promise<number> {
  const reader = createIngestFor(store, config);
  await reader.start(0);
  let nowMs = 0;
  for (let at = 0; at < lines.length; at += LINES_IN_BATCH) {
    const batch = lines.slice(at, at + LINES_IN_BATCH).map((line) => {
      for (const [, time = ''] of line.matchAll(/"(?:endTimeUnixNano|timeUnixNano)":"(\d+)"/g)) nowMs = Math.max(nowMs, Number(BigInt(time) / 1_000_000n));
      return reader.read({ signal: line.includes('"resourceSpans"') ? 'traces' : 'logs', project: 'default', received_ms: nowMs, encoding: 'json', body: Buffer.from(line) });
    });
    await reader.advance(batch[0]?.stampMs ?? 0);
    await reader.write(batch);
  }
  await reader.advance(nowMs + 60_000);
  return nowMs;
}
