/**
 * OTLP/HTTP protobuf in, rows in the store: `node --import tsx test/bench/ingest.ts [spans] [connections]` starts the server and
 * sends a million spans as fast as it takes them. Prints one JSON line; fails when what was acknowledged is not what is stored.
 */
import { percentile, rounded, sendLoad } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, startMeasuredServer } from './rig/server.ts';

const spans = Number(process.argv[2] ?? 1_000_000);
const connections = Number(process.argv[3] ?? 12);
const WARM_UP_SPANS = Math.min(20_000, spans / 10);

const server = await startMeasuredServer();
try {
  // The engine compiles what is hot; a user pays for that once.
  const warmUp = await sendLoad({ url: server.url, connections, isDone: (sent) => sent >= WARM_UP_SPANS, spansPerSecond: null });

  const shares = [0.1, 0.25, 0.5, 0.75, 1];
  const rss: Record<string, number> = {};
  const cpuBefore = cpuSecondsOf(server.pid);
  const machineBefore = machineTimes();
  const load = await sendLoad({
    url: server.url,
    connections,
    isDone: (sent) => sent >= spans,
    spansPerSecond: null,
    onAcknowledged(acknowledged) {
      const reached = shares[0];
      if (reached === undefined || acknowledged < reached * spans) return;
      shares.shift();
      rss[`${reached * 100}%`] = memoryOf(server.pid).rss_mib;
    },
  });
  const cpuSeconds = cpuSecondsOf(server.pid) - cpuBefore;
  const ownCpu = process.cpuUsage();
  const machineAfter = machineTimes();
  const ledger = await server.get<{ received: number; stored: number; balanced: boolean }>('/v1/ledger');

  console.log(
    JSON.stringify({
      bench: 'ingest',
      connections,
      spans: load.acknowledged,
      seconds: rounded(load.seconds),
      spans_per_second: Math.round(load.acknowledged / load.seconds),
      acknowledged_p50_ms: rounded(percentile(load.latenciesMs, 0.5)),
      acknowledged_p99_ms: rounded(percentile(load.latenciesMs, 0.99)),
      acknowledged_max_ms: rounded(percentile(load.latenciesMs, 1)),
      statuses: load.statuses,
      stored: ledger.stored,
      balanced: ledger.balanced,
      rss_mib: rss,
      peak_mib: memoryOf(server.pid).peak_mib,
      server_cpu_s_per_million: rounded((cpuSeconds / load.acknowledged) * 1e6),
      sender_cpu_s: rounded((ownCpu.user + ownCpu.system) / 1e6),
      machine_busy: rounded((machineAfter.busy - machineBefore.busy) / (machineAfter.all - machineBefore.all), 2),
    }),
  );
  const expected = warmUp.acknowledged + load.acknowledged;
  if (!ledger.balanced || ledger.stored !== expected) throw new Error(`${expected} spans were acknowledged, ${ledger.stored} are stored`);
} finally {
  await server.close();
}
