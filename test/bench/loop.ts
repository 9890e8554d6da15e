/**
 * The ingest loop by itself: `node --max-semi-space-size=64 --import tsx test/bench/loop.ts [spans] [requests a batch]`, from protobuf bytes to the text of rows, over a store that only counts them.
 * Processor time of all threads and what stays in memory, without engine, network and look: what a span costs here, the engine's part comes on top. Prints one JSON line; fails unless each span became a row.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { bodyOf } from '../../deploy/clickhouse.ts';
import { createIngestFor } from '../../deploy/pipeline.ts';
import { ConfigFile } from '../../schemas/config.ts';
import type { Store } from '../../schemas/store.ts';
import { rounded } from './rig/load.ts';
import { createSpanBody, SPANS_IN_BODY } from './rig/spans.ts';

const spans = Number(process.argv[2] ?? 300_000);
const requests = Number(process.argv[3] ?? 12);
const WARM_UP = 60_000;
const REQUEST_EVERY_MS = 10;

let calls = 0;
let bytes = 0;
const store: Store = {
  async insert(table, rows) {
    if (rows.length === 0) return;
    bytes += bodyOf(rows).values.byteLength;
    if (table === 'calls') calls += rows.length;
  },
  select: async () => [],
  command: async () => undefined,
  close: async () => undefined,
};
let collectedMs = 0;
new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (collectedMs += duration))).observe({ entryTypes: ['gc'] });

const ingest = createIngestFor(store, { ...ConfigFile.parse({}), webhooks: [], sinks: [], registries: [] });
const body = createSpanBody(Math.random);
let nowMs = Date.now();
await ingest.start(nowMs - 3_600_000);

/** As they come: a batch of requests, and now and then a tick of the clock. */
async function send(count: number): Promise<void> {
  for (let sent = 0, batch = 0; sent < count; sent += requests * SPANS_IN_BODY, batch += 1) {
    const readings = Array.from({ length: requests }, () => {
      nowMs += REQUEST_EVERY_MS;
      body.refresh(nowMs);
      return ingest.read({ signal: 'traces', project: 'default', received_ms: nowMs, encoding: 'protobuf', body: Buffer.from(body.bytes) });
    });
    await ingest.write(readings);
    if (batch % 10 === 0) await ingest.advance(nowMs - 1_000);
    // What was observed of the collector of garbage is told between two turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

await send(WARM_UP);
const [before, callsBefore, collectedBefore, bytesBefore] = [process.cpuUsage(), calls, collectedMs, bytes];
await send(spans);
const { user, system } = process.cpuUsage(before);
const written = calls - callsBefore;
const expected = Math.ceil(spans / (requests * SPANS_IN_BODY)) * requests * SPANS_IN_BODY;
const { heapUsed, rss } = process.memoryUsage();
console.log(
  JSON.stringify({
    bench: 'loop',
    spans: written,
    cpu_us_per_span: rounded((user + system) / written),
    main_thread_collecting_us_per_span: rounded(((collectedMs - collectedBefore) * 1000) / written),
    row_bytes: Math.round((bytes - bytesBefore) / written),
    heap_mib: Math.round(heapUsed / 2 ** 20),
    rss_mib: Math.round(rss / 2 ** 20),
  }),
);
if (written !== expected) throw new Error(`${written} rows of ${expected} spans`);
