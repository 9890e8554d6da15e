/**
 * Kafka to rows: `node --import tsx test/bench/analyzer-kafka.ts [spans] [spans per second]` starts a broker, the engine behind HTTP and one analyzer.
 * 1. Catching up: an analyzer has stored some of every shard, and ended; the topic is filled with what came since at that rate, into the past; another one starts: from its first row to the last.
 * 2. Live, at that rate: from the append of a span to its row, by the curves of what was appended and what is in the store; from `WARM_UP_SECONDS` on, since
 *    a new owner of a shard looks everything up that its last one may have stored.
 * Prints a JSON line for each; fails when the store has other than what was appended. Ids are fresh, and each span has a trace of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { createKafka } from '../../deploy/kafka/client.ts';
import { createKafkaLog } from '../../deploy/kafka/log.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { openServerStore } from '../../deploy/store-server.ts';
import { ClickHouseSettings } from '../../schemas/clickhouse-settings.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import { startBroker } from '../kafka/broker.ts';
import { percentile, rounded, until } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, spawnBinary } from './rig/server.ts';
import { createSpanBody, SPANS_IN_BODY } from './rig/spans.ts';

const spans = Number(process.argv[2] ?? 300_000);
const rate = Number(process.argv[3] ?? 5_000);
const SPANS_BEFORE = 5_000;
const WARM_UP_SECONDS = 15;
const LIVE_SECONDS = 15;
const POLL_EVERY_MS = 25;

const broker = await startBroker();
const data = await mkdtemp(join(tmpdir(), 'culprit-front-'));
const front = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('../clickhouse/front-process.ts', import.meta.url)), data, '0'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, UV_THREADPOOL_SIZE: '16' } });
const url = `http://127.0.0.1:${await said(front.stdout, /listening on (\d+)/)}`;
const store = openServerStore(ClickHouseSettings.parse({ url }));
const settings = KafkaSettings.parse({ brokers: [broker.address] });
const topics = await prepareTopics(createKafka(settings, () => undefined), settings);
const sender = await openSender(settings, topics.maxMessageBytes);
const log = createKafkaLog(sender, topics, { maxPendingBytes: 256 * 1024 * 1024, maxWaitMs: 60_000 });
const body = createSpanBody(Math.random);
let appended = 0;
const append = async (receivedMs = Date.now()): Promise<void> => {
  body.refresh(receivedMs);
  appended += SPANS_IN_BODY;
  await log.append({ signal: 'traces', project: 'default', received_ms: receivedMs, encoding: 'protobuf', body: Buffer.from(body.bytes) });
};
const startAnalyzer = () => spawnBinary(['analyzer', '--log-level', 'error', '--kafka-brokers', broker.address, '--clickhouse-url', url], 'inherit');
const backlogMs = (spans / rate) * 1000;
const beganMs = Math.round(Date.now() - backlogMs - 60_000);
const firstAnalyzer = startAnalyzer();
while (appended < SPANS_BEFORE) await append(beganMs);
await untilStored(appended);
firstAnalyzer.kill('SIGTERM');
await once(firstAnalyzer, 'exit');
while (appended < SPANS_BEFORE + spans) await Promise.all(Array.from({ length: 8 }, () => append(Math.round(beganMs + 30_000 + ((appended - SPANS_BEFORE) / spans) * backlogMs))));
const analyzer = startAnalyzer();
try {
  await said(analyzer.stdout, /is running/);
  const pid = analyzer.pid ?? 0;
  await untilStored(SPANS_BEFORE + 1);
  const began = { rows: await stored(), ms: performance.now(), cpu: cpuSecondsOf(pid), front: cpuSecondsOf(front.pid ?? 0), machine: machineTimes() };
  await untilStored(appended);
  const seconds = (performance.now() - began.ms) / 1000;
  const rows = appended - began.rows;
  const machine = machineTimes();
  console.log(
    JSON.stringify({
      bench: 'analyzer-kafka',
      catching_up: { spans: rows, spans_per_second: Math.round(rows / seconds), analyzer_cpu_s_per_million: rounded(((cpuSecondsOf(pid) - began.cpu) / rows) * 1e6), store_cpu_s_per_million: rounded(((cpuSecondsOf(front.pid ?? 0) - began.front) / rows) * 1e6), peak_mib: memoryOf(pid).peak_mib, busy: rounded((machine.busy - began.machine.busy) / (machine.all - began.machine.all), 2) },
    }),
  );

  await appendAtRate(WARM_UP_SECONDS, () => undefined);
  await untilStored(appended);
  const before = appended;
  /** When each hundredth span had been appended; the curve of rows is held against it. */
  const appendedMs: number[] = [];
  const delaysMs: number[] = [];
  const sending = appendAtRate(LIVE_SECONDS, () => appendedMs.push(performance.now()));
  const cpu = cpuSecondsOf(pid);
  for (let done = 0; done < (rate * LIVE_SECONDS) / SPANS_IN_BODY; ) {
    await until(performance.now() + POLL_EVERY_MS);
    const reached = Math.floor(((await rowsStored()) - before) / SPANS_IN_BODY);
    for (; done < Math.min(reached, appendedMs.length); done += 1) delaysMs.push(performance.now() - (appendedMs[done] ?? 0));
  }
  await sending;
  const sorted = Float64Array.from(delaysMs).sort();
  console.log(JSON.stringify({ bench: 'analyzer-kafka', live: { spans_per_second: rate, span_to_row_p50_ms: rounded(percentile(sorted, 0.5)), span_to_row_p99_ms: rounded(percentile(sorted, 0.99)), analyzer_cpu_s_per_million: rounded(((cpuSecondsOf(pid) - cpu) / (rate * LIVE_SECONDS)) * 1e6), peak_mib: memoryOf(pid).peak_mib } }));
  if ((await stored()) !== appended) throw new Error(`${appended} spans were appended, ${await stored()} are in the store`);
} finally {
  analyzer.kill('SIGTERM');
  await once(analyzer, 'exit');
  await log.close();
  await sender.close();
  await store.close();
  front.kill('SIGKILL');
  await rm(data, { recursive: true, force: true });
  await broker.remove();
}

async function appendAtRate(seconds: number, appendedOne: () => void): Promise<void> {
  const began = performance.now();
  for (let sent = 0; sent < rate * seconds; sent += SPANS_IN_BODY) {
    await until(began + (sent / rate) * 1000);
    await append();
    appendedOne();
  }
}

/** Costs next to nothing; each span has one row here. */
async function rowsStored(): Promise<number> {
  const [row] = await store.select<{ rows: string }>('SELECT count() AS rows FROM calls');
  return Number(row?.rows ?? 0);
}

async function stored(): Promise<number> {
  const [row] = await store.select<{ rows: string }>('SELECT uniqExact(trace_id, span_id) AS rows FROM calls');
  return Number(row?.rows ?? 0);
}

async function untilStored(count: number): Promise<void> {
  for (;;) {
    // Before its migrations there is no table.
    if ((await stored().catch(() => 0)) >= count) return;
    await until(performance.now() + 100);
  }
}

/** What a process says on its way: the first group of the pattern. */
function said(from: NodeJS.ReadableStream | null, pattern: RegExp): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    from?.on('data', (chunk) => {
      text += String(chunk);
      const found = pattern.exec(text);
      if (found !== null) resolve(found[1] ?? found[0]);
    });
    from?.on('end', () => reject(new Error(`a process ended before it was ready: ${text}`)));
  });
}
