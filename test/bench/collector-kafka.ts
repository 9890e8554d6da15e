/**
 * OTLP/HTTP protobuf in, Kafka out: `node --import tsx test/bench/collector-kafka.ts [seconds] [connections]` starts a broker and a collector, and
 * sends as fast as it takes. 100 spans of 1.5 KB a request, acks=all, answered after the ack. Prints one JSON line; fails when Kafka has
 * other than what was acknowledged.
 */
import { once } from 'node:events';
import { splitRequest } from '../../collector/otlp/split.ts';
import { createKafka } from '../../deploy/kafka/client.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import { startBroker } from '../kafka/broker.ts';
import { percentile, rounded, sendLoad } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, spawnBinary } from './rig/server.ts';

const seconds = Number(process.argv[2] ?? 10);
const connections = Number(process.argv[3] ?? 16);
const broker = await startBroker();
const child = spawnBinary(['collector', '--port', '0', '--grpc=false', '--log-level', 'error', '--kafka-brokers', broker.address, ...process.argv.slice(4)], 'inherit');
try {
  let banner = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      banner += text;
      const found = /send OTLP to\s+(http:\S+)/.exec(banner)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`the collector ended before it was ready: ${banner}`)));
  });
  const pid = child.pid ?? 0;
  const untilMs = (ms: number) => () => performance.now() >= ms;
  const warmUp = await sendLoad({ url, connections, isDone: untilMs(performance.now() + 1_500), spansPerSecond: null });
  const before = { cpu: cpuSecondsOf(pid), machine: machineTimes() };
  const load = await sendLoad({ url, connections, isDone: untilMs(performance.now() + seconds * 1_000), spansPerSecond: null });
  const cpuSeconds = cpuSecondsOf(pid) - before.cpu;
  const machine = machineTimes();
  const inKafka = await countSpans();
  console.log(
    JSON.stringify({
      bench: 'collector-kafka',
      connections,
      spans: load.acknowledged,
      spans_per_second: Math.round(load.acknowledged / load.seconds),
      cpu_s_per_million: rounded((cpuSeconds / load.acknowledged) * 1e6),
      acknowledged_p50_ms: rounded(percentile(load.latenciesMs, 0.5)),
      acknowledged_p99_ms: rounded(percentile(load.latenciesMs, 0.99)),
      statuses: load.statuses,
      peak_mib: memoryOf(pid).peak_mib,
      lost: warmUp.acknowledged + load.acknowledged - inKafka,
      machine_busy: rounded((machine.busy - before.machine.busy) / (machine.all - before.machine.all), 2),
    }),
  );
  if (inKafka < warmUp.acknowledged + load.acknowledged) throw new Error(`${warmUp.acknowledged + load.acknowledged} spans were acknowledged, ${inKafka} are in Kafka`);
} finally {
  child.kill('SIGTERM');
  await once(child, 'exit');
  await broker.remove();
}

/** All spans that the topic has. */
async function countSpans(): Promise<number> {
  const settings = KafkaSettings.parse({ brokers: [broker.address] });
  const kafka = createKafka(settings, () => undefined);
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(settings.topics.spans);
  await admin.disconnect();
  const left = new Set(ends.filter(({ high }) => high !== '0').map(({ partition }) => partition));
  const consumer = kafka.consumer({ groupId: 'bench', maxBytesPerPartition: 8 * 1024 * 1024, maxBytes: 64 * 1024 * 1024 });
  let spans = 0;
  await consumer.connect();
  await consumer.subscribe({ topics: [settings.topics.spans], fromBeginning: true });
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
