import { Client, compressionAlgorithms, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { context, trace } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { logs, tracing } from '@opentelemetry/sdk-node';
import { afterEach, describe, expect, it } from 'vitest';
import { startGrpc, type GrpcReceiver } from '../../collector/grpc.ts';
import { decode } from '../../collector/otlp/decode.ts';
import { createCollector, type CollectorDependencies } from '../../collector/server.ts';
import { RetryableError } from '../../schemas/errors.ts';
import type { LogMessage } from '../../schemas/log.ts';

const MiB = 1024 * 1024;
const METHOD = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function receiver(deps: Partial<CollectorDependencies> = {}, maxMessageBytes = MiB): Promise<GrpcReceiver & { taken: LogMessage[] }> {
  const taken: LogMessage[] = [];
  const log = { append: (message: LogMessage) => (taken.push(message), Promise.resolve()), pending: () => ({ messages: 0, bytes: 0 }), close: () => Promise.resolve() };
  const collector = createCollector({ log, clock: Date.now, project: () => 'default', onError: () => undefined, ...deps });
  const started = await startGrpc((path, request) => collector.app.request(path, request), { host: '127.0.0.1', port: 0, maxMessageBytes, maxArriving: 4 });
  ends.push(started.close);
  return { ...started, taken };
}

function clientOf({ port }: GrpcReceiver): (body: Buffer, metadata?: Metadata, method?: string) => Promise<{ answer: Buffer } | { error: ServiceError }> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  ends.push(() => client.close());
  const bytes = (message: Buffer): Buffer => message;
  return (body, metadata = new Metadata(), method = METHOD) =>
    new Promise((resolve) => {
      client.makeUnaryRequest(method, bytes, bytes, body, metadata, (error, answer) => resolve(error === null ? { answer: answer ?? Buffer.alloc(0) } : { error }));
    });
}

const detailsOf = (error: ServiceError): string => Buffer.concat(error.metadata.get('grpc-status-details-bin').map((part) => Buffer.from(part))).toString('latin1');
const failed = (result: { answer: Buffer } | { error: ServiceError }): ServiceError => {
  if ('answer' in result) throw new Error('the call was answered');
  return result.error;
};

describe('OTLP/gRPC', () => {
  it('takes spans and log records of the SDK, compressed or not, through the same way as HTTP', async () => {
    const grpc = await receiver();
    const url = `http://127.0.0.1:${grpc.port}`;
    // "gzip" is CompressionAlgorithm.GZIP, which lives in a package that only these exporters bring along.
    const spans = new tracing.BasicTracerProvider({ spanProcessors: [new tracing.SimpleSpanProcessor(new OTLPTraceExporter({ url, ...JSON.parse('{"compression":"gzip"}') }))] });
    const records = new logs.LoggerProvider({ processors: [new logs.BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url }) })] });
    const span = spans.getTracer('shop').startSpan('chat gpt-4o', { attributes: { 'gen_ai.operation.name': 'chat' } });
    records.getLogger('judge').emit({ eventName: 'gen_ai.evaluation.result', context: trace.setSpan(context.active(), span) });
    span.end();
    await Promise.all([spans.shutdown(), records.shutdown()]);
    expect(grpc.taken.map((message) => `${message.signal} ${message.encoding} ${decode(message).received}`)).toEqual(expect.arrayContaining(['logs protobuf 1', 'traces protobuf 1']));
  });

  it('answers what is refused with a google.rpc.Status', async () => {
    const send = clientOf(await receiver());
    const error = failed(await send(Buffer.from([0xff])));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('malformed protobuf') });
    expect(detailsOf(error)).toContain('google.rpc.BadRequest');
  });

  it('says when to come back where the log cannot take it', async () => {
    const log = { append: () => Promise.reject(new RetryableError('the store is behind', { retryAfterSeconds: 7 })), pending: () => ({ messages: 0, bytes: 0 }), close: () => Promise.resolve() };
    const send = clientOf(await receiver({ log }));
    // One span, with its two ids, in one scope of one resource.
    const error = failed(await send(Buffer.from(`0a20121e121c0a10${'ab'.repeat(16)}1208${'cd'.repeat(8)}`, 'hex')));
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('the store is behind') });
    expect(detailsOf(error)).toContain('google.rpc.RetryInfo');
    expect(detailsOf(error).endsWith('\x0a\x02\x08\x07')).toBe(true); // retry_delay { seconds: 7 }
  });

  it('asks for the key in metadata', async () => {
    const send = clientOf(await receiver({ project: (header) => (header('authorization') === 'Bearer right' ? 'shop' : { status: 401, reason: 'key', message: 'give an API key' }) }));
    expect(failed(await send(Buffer.alloc(0)))).toMatchObject({ code: status.UNAUTHENTICATED, details: 'give an API key' });
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer right');
    expect(await send(Buffer.alloc(0), metadata)).toEqual({ answer: Buffer.alloc(0) });
  });

  it('takes no message that is larger than allowed, as sent or after decompression', async () => {
    const grpc = await receiver({}, 64 * 1024);
    const send = clientOf(grpc);
    expect(failed(await send(Buffer.alloc(65 * 1024)))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const compressing = new Client(`127.0.0.1:${grpc.port}`, credentials.createInsecure(), { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
    ends.push(() => compressing.close());
    const bytes = (message: Buffer): Buffer => message;
    const bomb = await new Promise<ServiceError | null>((resolve) => compressing.makeUnaryRequest(METHOD, bytes, bytes, Buffer.alloc(MiB), (error) => resolve(error)));
    expect(bomb).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(grpc.taken).toEqual([]);
  });

  it('takes metrics and keeps none, and knows no other service', async () => {
    const send = clientOf(await receiver());
    expect(await send(Buffer.alloc(0), new Metadata(), '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export')).toEqual({ answer: Buffer.alloc(0) });
    expect(failed(await send(Buffer.alloc(0), new Metadata(), '/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export'))).toMatchObject({ code: status.UNIMPLEMENTED });
  });

  it('holds a bounded number of messages that are still arriving, and serves on when they are gone', async () => {
    const grpc = await receiver();
    const slow = new Client(`127.0.0.1:${grpc.port}`, credentials.createInsecure());
    ends.push(() => slow.close());
    const bytes = (message: Buffer): Buffer => message;
    const open = Array.from({ length: 4 }, () => slow.makeClientStreamRequest(METHOD, bytes, bytes, () => undefined));
    const send = clientOf(grpc);
    await expect.poll(async () => failed(await send(Buffer.alloc(0))).details).toContain('too much is in flight');
    for (const call of open) call.cancel();
    await expect.poll(async () => 'answer' in (await send(Buffer.alloc(0)))).toBe(true);
  });

  it('refuses a port that is taken, in one sentence', async () => {
    const { port } = await receiver();
    const again = startGrpc(() => new Response(), { host: '127.0.0.1', port, maxMessageBytes: MiB, maxArriving: 1 });
    await expect(again).rejects.toThrow(`port ${port} on 127.0.0.1, for OTLP/gRPC, cannot be had`);
  });
});
