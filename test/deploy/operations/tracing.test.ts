import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startTracing } from '../../../deploy/operations/trace-export.ts';
import { ConfigFile } from '../../../schemas/config.ts';
import { culprit } from '../../built.ts';
import { createServers, ledgerOf, post, tracesBody } from '../server-process.ts';

/** Our own spans, as a receiver elsewhere has them; and never in our own ingest. */

const servers = createServers();
const receivers: Server[] = [];
afterEach(async () => {
  await servers.end();
  for (const receiver of receivers.splice(0)) receiver.close();
});

type Exported = { resourceSpans: { resource: { attributes: { key: string; value: { stringValue?: string } }[] }; scopeSpans: { spans: { name: string; attributes: { key: string; value: object }[] }[] }[] }[] };

/** Hands every request on to `forward`, where there is one. */
async function startReceiver(forward: () => string | null = () => null): Promise<{ url: string; requests: Exported[]; statuses: number[] }> {
  const requests: Exported[] = [];
  const statuses: number[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      requests.push(JSON.parse(body.toString()) as Exported);
      const to = forward();
      if (to === null) {
        response.end('{}');
        return;
      }
      // As a proxy does: all headers, but for those of the connection.
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive'].includes(name)).map(([name, value]) => [name, String(value)]));
      const hand = async (): Promise<void> => {
        const { status } = await fetch(`${to}${request.url}`, { method: 'POST', headers, body });
        statuses.push(status);
        response.writeHead(status).end();
      };
      void hand();
    });
  });
  receivers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, statuses };
}

const spansIn = (requests: readonly Exported[]) => requests.flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));

describe('own spans', { timeout: 60_000 }, () => {
  it('tell of requests, batches and looks, to the receiver that the environment names, and hold nothing of what was sent', async () => {
    const receiver = await startReceiver();
    const server = await servers.start(await servers.directory(), [], { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: '100' });
    await post(server.url, tracesBody([{ trace_id: 'a'.repeat(32), span_id: 'a'.repeat(16) }], Date.now()));
    await expect.poll(() => [...new Set(spansIn(receiver.requests).map(({ name }) => name))].sort(), { timeout: 20_000 }).toEqual(['POST', 'look', 'write batch']);
    const said = JSON.stringify(receiver.requests);
    expect(said).toContain('"http.response.status_code"');
    expect(said).not.toContain('refund');
    expect(receiver.requests[0]?.resourceSpans[0]?.resource.attributes).toEqual(expect.arrayContaining([{ key: 'service.name', value: { stringValue: 'culprit' } }, { key: 'culprit.role', value: { stringValue: 'culprit' } }]));
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it('are refused at the start where they would go to this process, however it is named', async () => {
    const { code, output } = await culprit(['--data', await servers.directory(), '--port', '4318'], { env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' } });
    expect(output).toMatch(/^culprit: OTEL_EXPORTER_OTLP_ENDPOINT is this Culprit itself/);
    expect(code).toBe(1);
    const config = { ...ConfigFile.parse({ port: 4318, public_url: 'https://culprit.example.com' }), webhooks: [], sinks: [], registries: [] };
    for (const endpoint of ['http://127.0.0.1:4318/', 'http://[::1]:4318', 'http://127.0.0.1:4317', 'https://culprit.example.com/otlp']) expect(() => startTracing('api', endpoint, config, {}), endpoint).toThrow('this Culprit itself');
    for (const endpoint of ['otel-collector:4318', 'nowhere']) expect(() => startTracing('api', endpoint, config, {}), endpoint).toThrow('is not an http(s) URL');
    await startTracing('api', 'http://127.0.0.1:14318', config, {}).close();
  });

  it('are refused by what they carry where a proxy brings them back, and nothing of them is counted', async () => {
    let back: string | null = null;
    const proxy = await startReceiver(() => back);
    const server = await servers.start(await servers.directory(), [], { OTEL_EXPORTER_OTLP_ENDPOINT: proxy.url, OTEL_BSP_SCHEDULE_DELAY: '100' });
    back = server.url;
    await expect.poll(() => proxy.statuses.length, { timeout: 20_000 }).toBeGreaterThan(1);
    expect(new Set(proxy.statuses)).toEqual(new Set([400]));
    expect((await ledgerOf(server.url)).received).toBe(0);
  });
});
