import { serve } from '@hono/node-server';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { afterEach, describe, expect, it } from 'vitest';
import { decode } from '../../collector/otlp/decode.ts';
import { createCollector } from '../../collector/server.ts';
import type { CollectorDependencies, CollectorSettings } from '../../collector/server.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { Log, LogMessage } from '../../schemas/log.ts';
import { captured, plain } from './otlp/captures.ts';
import { encode, explain } from './otlp/oracle.ts';

const PROTOBUF = { 'content-type': 'application/x-protobuf' };
const JSON_TYPE = { 'content-type': 'application/json' };
const MIB = 1024 * 1024;

function collect(options: { append?: Log['append']; project?: CollectorDependencies['project']; settings?: Partial<CollectorSettings> } = {}) {
  const messages: LogMessage[] = [];
  const errors: unknown[] = [];
  let now_ms = 1_780_000_000_000;
  const log: Log = {
    append: options.append ?? (async (message) => void messages.push(message)),
    pending: () => ({ messages: 0, bytes: 0 }),
    close: async () => undefined,
  };
  const collector = createCollector({ log, clock: () => now_ms++, project: options.project ?? (() => 'default'), onError: (error) => void errors.push(error) }, options.settings);
  const post = (path: string, body: string | Uint8Array | null, headers: Record<string, string> = PROTOBUF) => collector.app.request(path, { method: 'POST', headers, body });
  return { collector, messages, errors, post };
}

function decodedOf(message: LogMessage | undefined) {
  if (message === undefined) throw new Error('nothing was appended');
  return decode(message);
}

const status = async (response: Response) => explain('RpcStatus', new Uint8Array(await response.arrayBuffer()));
const span = (fill: number, traceFill = 7) => ({ traceId: Buffer.alloc(16, traceFill).toString('base64'), spanId: Buffer.alloc(8, fill).toString('base64') });
const traces = (spans: object[]) => encode('ExportTraceServiceRequest', { resourceSpans: [{ scopeSpans: [{ spans }] }] });

describe('what real clients send', () => {
  it.each([
    ['otel-openai-v2', 'otel-openai-v2.traces.bin', '/v1/traces', { ...PROTOBUF, 'content-encoding': 'gzip' }, 'protobuf'],
    ['otel-openai-v2 logs', 'otel-openai-v2.logs.bin', '/v1/logs', { ...PROTOBUF, 'content-encoding': 'gzip' }, 'protobuf'],
    ['otel-openai-node', 'otel-openai-node.traces.bin', '/v1/traces', PROTOBUF, 'protobuf'],
    ['vercel-ai', 'vercel-ai-json.traces.bin', '/v1/traces', JSON_TYPE, 'json'],
    ['humanloop, under its prefix and without a content type', 'humanloop.traces.bin', '/import/otel/v1/traces', {}, 'json'],
    ['the same from urllib or curl, which call it a form', 'humanloop.traces.bin', '/import/otel/v1/traces', { 'content-type': 'application/x-www-form-urlencoded' }, 'json'],
  ] as const)('takes %s', async (_, name, path, headers, encoding) => {
    const { post, messages, collector } = collect();
    const response = await post(path, captured(name), headers);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(encoding === 'json' ? 'application/json' : 'application/x-protobuf');
    expect(await response.text()).toBe(encoding === 'json' ? '{}' : '');
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatchObject({ project: 'default', received_ms: 1_780_000_000_000 });
    // What goes to the log is the body as it was, decompressed, or what became of JSON where that is plain.
    if (messages[0]?.encoding === encoding) expect(Buffer.from(messages[0].body)).toEqual(plain(name));
    else expect({ encoding, name }).toEqual({ encoding: 'json', name: 'vercel-ai-json.traces.bin' });
    expect(decodedOf(messages[0])).toEqual(decode({ signal: path.endsWith('logs') ? 'logs' : 'traces', encoding, body: plain(name) }));
    expect(decodedOf(messages[0]).received).toBeGreaterThan(0);
    expect(collector.counters()).toEqual({ accepted_requests: 1, ignored_requests: 0, refused: [] });
  });

  it.each(['/v1/traces', '/v1/traces/', '/api/public/otel/v1/traces', '/otel/v1/traces', '/a/b/c/d/v1/traces?x=1'])('takes traces at %s', async (path) => {
    const { post, messages } = collect();
    expect((await post(path, traces([span(1)]))).status).toBe(200);
    expect(messages[0]?.signal).toBe('traces');
  });

  it('leaves other paths to the app that mounts it', async () => {
    const { collector } = collect();
    const app = new Hono();
    app.route('/', collector.app);
    app.get('/v1/calls', (context) => context.text('calls'));
    expect(await (await app.request('/v1/calls')).text()).toBe('calls');
    expect((await app.request('/v1/tracesx', { method: 'POST' })).status).toBe(404);
    expect((await app.request('/v1/traces', { method: 'POST', headers: PROTOBUF })).status).toBe(200);
  });

  it('answers metrics with success and counts them as ignored', async () => {
    const { post, messages, collector } = collect();
    const response = await post('/v1/metrics', Buffer.from([1, 2, 3]));
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
    expect(messages).toEqual([]);
    expect(collector.counters()).toMatchObject({ accepted_requests: 0, ignored_requests: 1 });
  });

  it('answers an empty request with success and appends nothing', async () => {
    const { post, messages } = collect();
    expect((await post('/v1/traces', null)).status).toBe(200);
    expect(await (await post('/v1/logs', '{}', JSON_TYPE)).text()).toBe('{}');
    expect(messages).toEqual([]);
  });
});

describe('answers', () => {
  const mixed = [span(1), { ...span(2), traceId: Buffer.alloc(16).toString('base64') }, span(3)];

  it('counts rejected spans in partial_success, in protobuf, and appends the rest', async () => {
    const { post, messages } = collect();
    const response = await post('/v1/traces', traces(mixed));
    expect(response.status).toBe(200);
    expect(explain('ExportTraceServiceResponse', new Uint8Array(await response.arrayBuffer()))).toEqual({
      partialSuccess: { rejectedSpans: '1', errorMessage: '1 of 3 refused (zero_trace_id: 1)' },
    });
    expect(decodedOf(messages[0])).toMatchObject({ received: 3, rejected: new Map([['zero_trace_id', 1]]) });
  });

  it('counts rejected spans in partialSuccess, in JSON', async () => {
    const { post } = collect();
    const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: mixed }] }] });
    const response = await post('/v1/traces', body, { 'content-type': 'application/json; charset=utf-8' });
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ partialSuccess: { rejectedSpans: '1', errorMessage: '1 of 3 refused (zero_trace_id: 1)' } });
  });

  it('appends a request whose spans are all rejected, so that the ledger has them', async () => {
    const { post, messages } = collect();
    const response = await post('/v1/traces', traces([{ ...span(1), traceId: Buffer.alloc(16).toString('base64') }]));
    expect(response.status).toBe(200);
    expect(decodedOf(messages[0])).toMatchObject({ received: 1, groups: [] });
  });

  it('answers in the media type of the request', async () => {
    const { post } = collect();
    expect((await post('/v1/traces', traces([span(1)]), { 'content-type': 'Application/Protobuf' })).headers.get('content-type')).toBe('application/protobuf');
  });

  it('answers 400 with a Status in protobuf, and appends nothing', async () => {
    const { post, messages, collector } = collect();
    const response = await post('/v1/traces', Uint8Array.of(0x0a, 5, 0));
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/x-protobuf');
    const message = 'malformed protobuf: ExportTraceServiceRequest.resource_spans at byte 1: a length of 5 bytes where 1 are left';
    const answer = await status(response);
    expect(answer).toMatchObject({ code: 3, message, details: [{ typeUrl: 'type.googleapis.com/google.rpc.BadRequest' }] });
    const { details: [detail] } = answer as { details: [{ value: string }] };
    expect(explain('BadRequest', Buffer.from(detail.value, 'base64'))).toEqual({ fieldViolations: [{ description: message }] });
    expect(messages).toEqual([]);
    expect(collector.counters().refused).toEqual([{ status: 400, reason: 'malformed', requests: 1 }]);
  });

  it('answers 400 with a Status in JSON', async () => {
    const { post } = collect();
    const response = await post('/v1/traces', '{"resourceSpans":5}', JSON_TYPE);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 3, message: 'malformed JSON: resourceSpans: not an array' });
  });

  it('shortens a long message', async () => {
    const { post } = collect({ append: async () => Promise.reject(new RetryableError('x'.repeat(1_000_000))) });
    const response = await post('/v1/traces', traces([span(1)]));
    expect((await response.arrayBuffer()).byteLength).toBeLessThan(1100);
  });
});

describe('refusals', () => {
  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('answers %s with 405', async (method) => {
    const { collector } = collect();
    const response = await collector.app.request('/v1/traces', { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await response.json()).toMatchObject({ code: 12 });
  });

  it('answers 415 to other content types and encodings', async () => {
    const { post, collector } = collect();
    expect((await post('/v1/traces', 'x', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post('/v1/traces', 'x', { ...PROTOBUF, 'content-encoding': 'br' })).status).toBe(415);
    expect((await post('/v1/traces', 'x', { ...PROTOBUF, 'content-encoding': 'gzip, gzip' })).status).toBe(415);
    expect(collector.counters().refused).toEqual([
      { status: 415, reason: 'content_type', requests: 1 },
      { status: 415, reason: 'content_encoding', requests: 2 },
    ]);
  });

  it('answers 413 to a declared length over the limit, without reading', async () => {
    const { collector, post } = collect({ settings: { maxBodyBytes: 100 } });
    const unread = new ReadableStream({ pull: () => Promise.reject(new Error('was read')) }, { highWaterMark: 0 });
    const response = await collector.app.request(new Request('http://localhost/v1/traces', { method: 'POST', headers: { ...PROTOBUF, 'content-length': '101' }, body: unread, duplex: 'half' }));
    expect(response.status).toBe(413);
    expect(await status(response)).toMatchObject({ code: 8, message: 'the body is over 100 bytes as sent; send smaller batches' });
    expect((await post('/v1/traces', Buffer.alloc(101))).status).toBe(413);
  });

  it('answers 400 to gzip that is cut off', async () => {
    const { post, messages } = collect();
    const response = await post('/v1/traces', gzipSync(traces([span(1)])).subarray(0, -3), { ...PROTOBUF, 'content-encoding': 'gzip' });
    expect(response.status).toBe(400);
    expect(messages).toEqual([]);
  });

  it('answers 401 and 403 before it reads the body, and asks with the headers', async () => {
    const { post, messages } = collect({
      project: (header) => {
        if (header('authorization') === undefined) return { status: 401, reason: 'no_key', message: 'a key is needed' };
        return header('authorization') === 'Bearer good' ? 'team-a' : { status: 403, reason: 'scope', message: 'the key may not ingest' };
      },
    });
    const none = await post('/v1/traces', traces([span(1)]));
    expect(none.status).toBe(401);
    expect(none.headers.get('www-authenticate')).toBe('Bearer');
    expect(await status(none)).toMatchObject({ code: 16 });
    expect((await post('/v1/traces', traces([span(1)]), { ...PROTOBUF, authorization: 'Bearer bad' })).status).toBe(403);
    expect((await post('/v1/traces', traces([span(1)]), { ...PROTOBUF, authorization: 'Bearer good' })).status).toBe(200);
    expect(messages.map(({ project }) => project)).toEqual(['team-a']);
  });

  it('answers 503 with Retry-After when the log cannot take it now', async () => {
    const { post, collector, errors } = collect({ append: async () => Promise.reject(new RetryableError('the store is full', { retryAfterSeconds: 30 })) });
    const response = await post('/v1/traces', traces([span(1)]));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('30');
    expect(await status(response)).toMatchObject({ code: 14, message: 'the store is full' });
    expect(collector.counters()).toMatchObject({ accepted_requests: 0, refused: [{ status: 503, reason: 'log', requests: 1 }] });
    expect(collector.load()).toEqual({ requests: 0, bytes: 0 });
    expect(errors).toEqual([]);
  });

  it('answers that nothing was taken, not to be sent again, where the log can never store it', async () => {
    const { post, errors } = collect({ append: async () => Promise.reject(new PermanentError('parked as prk_1')) });
    const response = await post('/v1/traces', traces([span(1), span(2)]));
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).toString()).toContain('2 of 2 refused (parked as prk_1: 2)');
    expect(errors).toEqual([]);
    const score = await post('/v1/scores', JSON.stringify({ name: 'quality', value: 1, trace_id: '0af7651916cd43dd8448eb211c80319c' }), { 'content-type': 'application/json' });
    expect(score.status).toBe(400);
  });

  it('answers 503 to any other failure, tells onError and keeps the message to itself', async () => {
    const failure = new Error('a bug');
    const { post, errors, collector } = collect({ append: async () => Promise.reject(failure) });
    const response = await post('/v1/traces', traces([span(1)]));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect(JSON.stringify(await status(response))).not.toContain(failure.message);
    expect(errors).toEqual([failure]);
    // It holds no slot open.
    expect(collector.watermark()).toBeLessThan(collector.watermark());
    expect(collector.load()).toEqual({ requests: 0, bytes: 0 });
  });

  it('answers 503 when the key cannot be looked up', async () => {
    const { post, errors } = collect({ project: () => Promise.reject(new Error('store away')) });
    expect((await post('/v1/traces', traces([span(1)]))).status).toBe(503);
    expect(errors).toHaveLength(1);
  });

  it('answers 503 with Retry-After when too much is in flight, and recovers', async () => {
    const gate = deferred();
    const { post, collector } = collect({ append: () => gate.promise, settings: { maxInFlightRequests: 1 } });
    const first = post('/v1/traces', traces([span(1)]));
    const second = await post('/v1/traces', traces([span(2)]));
    expect(second.status).toBe(503);
    expect(second.headers.get('retry-after')).toBe('5');
    gate.resolve();
    expect((await first).status).toBe(200);
    expect((await post('/v1/traces', traces([span(2)]))).status).toBe(200);
    expect(collector.counters()).toMatchObject({ accepted_requests: 2, refused: [{ status: 503, reason: 'overloaded', requests: 1 }] });
  });
});

describe('the arrival clock', () => {
  it('holds the watermark at a request until its append has ended', async () => {
    const gates = [deferred(), deferred()];
    let appended = 0;
    const { post, collector } = collect({ append: () => gates[appended++]?.promise ?? Promise.resolve() });
    const first = post('/v1/traces', traces([span(1)]));
    await until(() => appended === 1);
    const stamp = collector.watermark();
    const second = post('/v1/traces', traces([span(2)]));
    await until(() => appended === 2);
    gates[1]?.resolve();
    await second;
    expect(collector.watermark()).toBe(stamp);
    gates[0]?.resolve();
    await first;
    expect(collector.watermark()).toBeGreaterThan(stamp);
  });
});

describe('cross-origin requests', () => {
  it('are answered only for the origins that are named, and the preflight needs no key', async () => {
    const { collector } = collect({ settings: { allowedOrigins: ['https://app.example'] }, project: () => ({ status: 401, reason: 'no_key', message: 'a key is needed' }) });
    const preflight = (origin: string) => collector.app.request('/v1/traces', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' } });
    const allowed = await preflight('https://app.example');
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
    const posted = await collector.app.request('/v1/traces', { method: 'POST', headers: { ...PROTOBUF, origin: 'https://app.example' } });
    expect(posted.status).toBe(401);
    expect(posted.headers.get('access-control-allow-origin')).toBe('https://app.example');
  });
});

describe('on a real socket', () => {
  const closers: (() => void)[] = [];
  afterEach(() => closers.splice(0).forEach((close) => close()));

  async function listen(collector: ReturnType<typeof collect>['collector']): Promise<number> {
    const server = serve({ fetch: collector.app.fetch, port: 0, hostname: '127.0.0.1' });
    closers.push(() => server.close());
    if (!server.listening) await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  it('takes chunked gzip, one request after the other on one connection', async () => {
    const { collector, messages } = collect();
    const url = `http://127.0.0.1:${await listen(collector)}/v1/traces`;
    for (let round = 0; round < 3; round++) {
      const response = await fetch(url, { method: 'POST', headers: { ...PROTOBUF, 'content-encoding': 'gzip' }, body: captured('otel-openai-v2.traces.bin') });
      expect(response.status).toBe(200);
      await response.arrayBuffer();
    }
    expect(messages).toHaveLength(3);
  });

  it('answers 413 to a gzip bomb of one GiB, with bounded memory', async () => {
    const { collector, messages } = collect();
    const port = await listen(collector);
    const member = gzipSync(Buffer.alloc(16 * MIB), { level: 9 });
    const before = process.memoryUsage().rss;
    const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, { method: 'POST', headers: { ...PROTOBUF, 'content-encoding': 'gzip' }, body: Buffer.concat(Array.from({ length: 64 }, () => member)) });
    expect(response.status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB);
    expect(messages).toEqual([]);
    expect(collector.load()).toEqual({ requests: 0, bytes: 0 });
  });

  it('gives everything back when the sender goes away in the middle', async () => {
    const { collector, messages } = collect();
    const port = await listen(collector);
    const sender = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/v1/traces', headers: { ...PROTOBUF, 'content-length': '1000' } });
    sender.on('error', () => undefined);
    sender.write(Buffer.alloc(500));
    await until(() => collector.load().bytes === 500);
    sender.destroy();
    await until(() => collector.load().requests === 0);
    expect(collector.load().bytes).toBe(0);
    expect(collector.counters().refused).toEqual([{ status: 400, reason: 'connection', requests: 1 }]);
    expect(messages).toEqual([]);
  });
});

function deferred() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Gives other work its turn until `isTrue`; the test's own time limit ends a wait in vain. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
