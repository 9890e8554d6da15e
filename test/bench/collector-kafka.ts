/**
 * OTLP/HTTP in, Kafka out: `node --import tsx test/bench/collector-kafka.ts [seconds] [rounds] [spans/s]` starts a broker and collectors, and sends to one after the other
 * as fast as it takes (or so many a second), in rounds, so that whatever else the machine does meets all of them. 100 spans of 1.5 KB a request, 16 connections, acks=all, answered after
 * the ack. Prints a JSON line for each collector and each form of the body (medians of the rounds), and ratios to the OpenTelemetry Collector in its synchronous mode where
 * CULPRIT_OTELCOL names the binary of one. Fails when Kafka has less than what was acknowledged.
 *
 * Ours cuts each request by trace into 12 partitions here; the OpenTelemetry Collector writes it whole.
 */
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { splitRequest } from '../../collector/otlp/split.ts';
import { createKafka } from '../../deploy/kafka/client.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import { explain } from '../collector/otlp/oracle.ts';
import { startBroker } from '../kafka/broker.ts';
import { freePort } from '../ports.ts';
import { forwarding, startOtelcol, whyNoOtelcol } from '../kafka/otelcol.ts';
import { percentile, rounded, sendLoad, type Body } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, spawnBinary } from './rig/server.ts';
import { createSpanBody } from './rig/spans.ts';

const seconds = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 3);
const rate = process.argv[4] === undefined ? null : Number(process.argv[4]);
const CONNECTIONS = 16;

type Contestant = { readonly name: string; readonly compression: 'none' | 'lz4'; readonly topic: string; readonly url: string; readonly pid: number; close(): Promise<void> };
type Run = { readonly spansPerSecond: number; readonly cpuPerMillion: number; readonly p50: number; readonly p99: number; readonly busy: number };

const broker = await startBroker();
const kafka = createKafka(KafkaSettings.parse({ brokers: [broker.address] }), () => undefined);
const bodies = bodiesOf();
const contestants: Contestant[] = [];
const acknowledged = new Map<Contestant, number>();
try {
  const missing = whyNoOtelcol();
  if (missing !== null) console.log(JSON.stringify({ bench: 'collector-kafka', skipped: 'the OpenTelemetry Collector', because: missing }));
  for (const compression of ['none', 'lz4'] as const) {
    contestants.push(await startOurs(compression));
    if (missing === null) contestants.push(await startPeer(compression));
  }
  for (const one of contestants) await run(one, { body: bodies.protobuf, forSeconds: 3 });
  for (const [form, body] of Object.entries(bodies)) {
    const runs = new Map<Contestant, Run[]>(contestants.map((one) => [one, []]));
    for (let round = 0; round < rounds; round += 1) for (const one of contestants) runs.get(one)?.push(await run(one, { body, forSeconds: seconds }));
    for (const one of contestants) {
      const peer = contestants.find(({ name, compression }) => name !== 'culprit' && compression === one.compression);
      report(form, one, runs.get(one) ?? [], peer === undefined || peer === one ? null : (runs.get(peer) ?? []));
    }
  }
  for (const one of contestants) {
    const sent = acknowledged.get(one) ?? 0;
    const inKafka = await countSpans(one.topic);
    console.log(JSON.stringify({ bench: 'collector-kafka', collector: one.name, compression: one.compression, acknowledged: sent, lost: Math.max(0, sent - inKafka), twice: Math.max(0, inKafka - sent), peak_mib: memoryOf(one.pid).peak_mib }));
    if (inKafka < sent) throw new Error(`${sent} spans were acknowledged by ${one.name}, ${inKafka} are in Kafka`);
  }
} finally {
  for (const one of contestants) await one.close();
  await broker.remove();
}

function bodiesOf(): Readonly<Record<'protobuf' | 'gzip' | 'json', Body>> {
  const template = createSpanBody(Math.random);
  template.refresh(Date.now());
  const { bytes } = template;
  const protobuf = { 'content-type': 'application/x-protobuf' };
  // proto3 JSON has ids in base64, OTLP in hex.
  const inHex = (_: string, value: unknown): unknown => (value !== null && typeof value === 'object' && 'traceId' in value && 'spanId' in value ? { ...value, traceId: hexOf(value.traceId), spanId: hexOf(value.spanId) } : value);
  const json = Buffer.from(JSON.stringify(explain('ExportTraceServiceRequest', bytes), inHex));
  return { protobuf: { bytes, headers: protobuf }, gzip: { bytes: gzipSync(bytes), headers: { ...protobuf, 'content-encoding': 'gzip' } }, json: { bytes: json, headers: { 'content-type': 'application/json' } } };
}

function hexOf(base64: unknown): string {
  return Buffer.from(String(base64), 'base64').toString('hex');
}

async function startOurs(compression: Contestant['compression']): Promise<Contestant> {
  const topic = `ours_${compression}`;
  const child = spawnBinary(['collector', '--port', '0', '--grpc=false', '--log-level', 'error', '--kafka-brokers', broker.address, '--kafka-compression', compression, '--kafka-topics-spans', topic], 'inherit');
  let banner = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      banner += text;
      const found = /send OTLP to\s+(http:\S+)/.exec(banner)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`the collector ended before it was ready: ${banner}`)));
  });
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  return { name: 'culprit', compression, topic, url, pid: child.pid ?? 0, close };
}

async function startPeer(compression: Contestant['compression']): Promise<Contestant> {
  const topic = `peer_${compression}`;
  await prepareTopics(kafka, KafkaSettings.parse({ brokers: [broker.address], topics: { spans: topic } }));
  const port = await freePort();
  const { pid, stop } = await startOtelcol(forwarding({ port, broker: broker.address, topic, encoding: 'otlp_proto', compression }));
  return { name: 'otelcol', compression, topic, url: `http://127.0.0.1:${port}`, pid, close: stop };
}

async function run(one: Contestant, how: { readonly body: Body; readonly forSeconds: number }): Promise<Run> {
  const before = { cpu: cpuSecondsOf(one.pid), machine: machineTimes() };
  const end = performance.now() + how.forSeconds * 1_000;
  const load = await sendLoad({ url: one.url, connections: CONNECTIONS, isDone: () => performance.now() >= end, spansPerSecond: rate, body: how.body });
  const { busy, all } = machineTimes();
  const strange = Object.keys(load.statuses).filter((status) => status !== '200');
  if (strange.length > 0) console.error(`${one.name} answered ${JSON.stringify(load.statuses)}`);
  acknowledged.set(one, (acknowledged.get(one) ?? 0) + load.acknowledged);
  return {
    spansPerSecond: load.acknowledged / load.seconds,
    cpuPerMillion: ((cpuSecondsOf(one.pid) - before.cpu) / load.acknowledged) * 1e6,
    p50: percentile(load.latenciesMs, 0.5),
    p99: percentile(load.latenciesMs, 0.99),
    busy: (busy - before.machine.busy) / (all - before.machine.all),
  };
}

function report(form: string, { name, compression, pid }: Contestant, runs: readonly Run[], peer: readonly Run[] | null): void {
  const median = (of: readonly Run[], value: (run: Run) => number): number => percentile(Float64Array.from(of, value).sort(), 0.5);
  const ratio = (value: (run: Run) => number): number | null => (peer === null ? null : rounded(median(runs, value) / median(peer, value), 2));
  console.log(
    JSON.stringify({
      bench: 'collector-kafka',
      body: form,
      collector: name,
      compression,
      spans_per_second: Math.round(median(runs, (run) => run.spansPerSecond)),
      cpu_s_per_million: rounded(median(runs, (run) => run.cpuPerMillion)),
      p50_ms: rounded(median(runs, (run) => run.p50)),
      p99_ms: rounded(median(runs, (run) => run.p99)),
      peak_mib: memoryOf(pid).peak_mib,
      busy: rounded(median(runs, (run) => run.busy), 2),
      ...(peer === null ? {} : { to_otelcol: { spans_per_second: ratio((run) => run.spansPerSecond), cpu_s_per_million: ratio((run) => run.cpuPerMillion) } }),
    }),
  );
}

/** All spans that the topic has. */
async function countSpans(topic: string): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const left = new Set(ends.filter(({ high }) => high !== '0').map(({ partition }) => partition));
  const consumer = kafka.consumer({ groupId: `bench-${topic}`, maxBytesPerPartition: 8 * 1024 * 1024, maxBytes: 64 * 1024 * 1024 });
  let spans = 0;
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachBatch: async ({ batch }) => {
          for (const { value } of batch.messages) {
            if (value !== null) splitRequest({ signal: 'traces', body: value }, () => (spans += 1), Number.MAX_SAFE_INTEGER);
          }
          if (BigInt(batch.lastOffset()) + 1n >= BigInt(ends.find(({ partition }) => partition === batch.partition)?.high ?? '0')) left.delete(batch.partition);
          if (left.size === 0) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return spans;
}
