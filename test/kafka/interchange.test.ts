import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { decode } from '../../collector/otlp/decode.ts';
import { hasZstd } from '../../deploy/kafka/codecs.ts';
import { createKafkaLog } from '../../deploy/kafka/log.ts';
import { createPlacement } from '../../deploy/kafka/records.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { tracesBody, nameOf, spans } from '../deploy/server-process.ts';
import { openBothEnds } from './both-ends.ts';
import { whyNoBroker, withBroker, type Broker } from './broker.ts';
import { freePort } from '../ports.ts';
import { forwarding, startOtelcol, whyNoOtelcol } from './otelcol.ts';

vi.setConfig({ testTimeout: 120_000 });

const missing = whyNoBroker() ?? whyNoOtelcol();
let broker: Broker;
withBroker((started) => (broker = started), missing);

const NO_ZSTD = 'zstd needs Node.js 22.15';
const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

describe('a topic that a real OpenTelemetry Collector writes', () => {
  it.for((['otlp_proto', 'otlp_json'] as const).flatMap((encoding) => compressions.map((compression) => ({ encoding, compression }))))('is read as it is: $encoding, $compression', async ({ encoding, compression }, { skip }) => {
    if (compression === 'zstd' && !hasZstd) skip(NO_ZSTD);
    const { topics, came, close } = await openBothEnds(broker);
    const port = await freePort();
    const otelcol = await startOtelcol(forwarding({ port, broker: broker.address, topic: topics.spans, encoding, compression }));
    // Enough that a codec has something to do, and that nearly all of them lie in another trace's partition.
    const sent = spans(200);
    const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: tracesBody(sent, Date.now()) });
    expect(response.status).toBe(200);
    await vi.waitFor(() => expect(came.flatMap((one) => one.spans).sort()).toEqual(sent.map(nameOf).sort()), { timeout: 20_000, interval: 50 });
    const placeOf = createPlacement(topics.shards);
    for (const { shard, spans: names } of came) for (const name of names) expect(placeOf(name.slice(0, 32))).toBe(shard);
    await otelcol.stop();
    await close();
  });
});

describe('a topic that our collector writes', () => {
  it.for(compressions)('is read by the Kafka receiver of a real OpenTelemetry Collector: %s', async (compression, { skip }) => {
    if (compression === 'zstd' && !hasZstd) skip(NO_ZSTD);
    const { settings, topics, close } = await openBothEnds(broker);
    const reached = new Map<string, string>();
    const behind = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        const decoded = decode({ signal: 'traces', encoding: 'protobuf', body: request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body });
        if (decoded.signal === 'traces') for (const { resource, spans: group } of decoded.groups) for (const span of group) reached.set(nameOf(span), JSON.stringify([resource.get('service.name'), span.attributes.get('gen_ai.prompt.name')]));
        response.setHeader('content-type', 'application/x-protobuf').end();
      });
    }).listen(0, '127.0.0.1');
    await once(behind, 'listening');
    // An AddressInfo: it listens on TCP.
    const { port } = behind.address() as AddressInfo;
    const otelcol = await startOtelcol({
      receivers: { kafka: { brokers: [broker.address], group_id: `theirs-${topics.spans}`, initial_offset: 'earliest', traces: { topics: [topics.spans], encoding: 'otlp_proto' } } },
      exporters: { otlp_http: { endpoint: `http://127.0.0.1:${port}` } },
      service: { telemetry: { metrics: { level: 'none' } }, pipelines: { traces: { receivers: ['kafka'], exporters: ['otlp_http'] } } },
    });
    const sender = await openSender({ ...settings, compression }, topics.maxMessageBytes);
    const log = createKafkaLog(sender, topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 20_000 });
    const sent = spans(200);
    await log.append({ signal: 'traces', project: 'default', received_ms: Date.now(), encoding: 'json', body: Buffer.from(tracesBody(sent, Date.now())) });
    await vi.waitFor(() => expect([...reached.keys()].sort()).toEqual(sent.map(nameOf).sort()), { timeout: 30_000, interval: 100 });
    expect(new Set(reached.values())).toEqual(new Set(['["shop","refund"]']));
    await otelcol.stop();
    behind.closeAllConnections();
    behind.close();
    await log.close();
    await sender.close();
    await close();
  });
});
