/**
 * OTLP/HTTP protobuf in, rows in the store: `node --import tsx test/bench/ingest.ts [spans] [connections] [spans/s] [spans before]` starts the server and
 * sends a million spans as fast as it takes them (0, or so many a second), after so many that are not measured. Prints one JSON line; fails when what was
 * acknowledged is not what is stored.
 */
import { percentile, rounded, sendLoad } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, startMeasuredServer } from './rig/server.ts';

const spans = Number(process.argv[2] ?? 1_000_000);
const connections = Number(process.argv[3] ?? 12);
const spansPerSecond = Number(process.argv[4] ?? 0) || null;
/** The engine compiles what is hot; a user pays for that once. */
const spansBefore = Number(process.argv[5] ?? Math.min(20_000, spans / 10));

const server = await startMeasuredServer();
try {
  const warmUp = await sendLoad({ url: server.url, connections, isDone: (sent) => sent >= spansBefore, spansPerSecond });

  /** Resident, in MiB, of each tenth of the spans: ten times in it. */
  const rss: number[][] = [];
  let samples = 0;
  const cpuBefore = cpuSecondsOf(server.pid);
  const machineBefore = machineTimes();
  const load = await sendLoad({
    url: server.url,
    connections,
    isDone: (sent) => sent >= spans,
    spansPerSecond,
    onAcknowledged(acknowledged) {
      if (acknowledged < ((samples + 1) / 100) * spans) return;
      (rss[Math.min(9, Math.floor(samples / 10))] ??= []).push(memoryOf(server.pid).rss_mib);
      samples += 1;
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
      spans_before: warmUp.acknowledged,
      spans: load.acknowledged,
      seconds: rounded(load.seconds),
      spans_per_second: Math.round(load.acknowledged / load.seconds),
      acknowledged_p50_ms: rounded(percentile(load.latenciesMs, 0.5)),
      acknowledged_p99_ms: rounded(percentile(load.latenciesMs, 0.99)),
      acknowledged_max_ms: rounded(percentile(load.latenciesMs, 1)),
      statuses: load.statuses,
      stored: ledger.stored,
      balanced: ledger.balanced,
      mean_rss_mib: rss.map((tenth) => Math.round(tenth.reduce((sum, mib) => sum + mib, 0) / tenth.length)),
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
