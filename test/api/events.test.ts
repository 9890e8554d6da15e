import { afterEach, beforeEach, expect, test } from 'vitest';
import { openApi, type TestApi } from './server.ts';

let api: TestApi;
beforeEach(async () => {
  api = await openApi({ heartbeatMs: 20, maxEventClients: 2, maxQueuedEvents: 16 });
});
afterEach(() => api.close());

async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, wanted: string): Promise<string> {
  let text = '';
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended before ${wanted}; got ${text}`);
    text += new TextDecoder().decode(value);
  }
  return text;
}

async function connect(): Promise<{ response: Response; reader: ReadableStreamDefaultReader<Uint8Array> }> {
  const response = await api.app.request('/v1/events', { headers: { 'last-event-id': 'whatever\u00e9' } });
  if (response.body === null) throw new Error('no body');
  return { response, reader: response.body.getReader() };
}

test('a client gets the status, then events with ids, then heartbeats', async () => {
  api.status.behind_ms = 2000;
  const { response, reader } = await connect();
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  expect(await readUntil(reader, 'behind_ms')).toContain('"behind_ms":2000');
  api.publish({ id: 'a\n1', type: 'alert', data: { id: 'x\ny' } });
  const text = await readUntil(reader, 'event: alert');
  expect(text).toContain('id: a1\nevent: alert\ndata: {"id":"x\\ny"}\n\n');
  await readUntil(reader, 'event: status');
  await reader.cancel();
  expect(api.listeners.size).toBe(0);
});

test('clients are bounded, and a place that was left is free', async () => {
  const [first, second] = [await connect(), await connect()];
  const refused = await api.app.request('/v1/events');
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('10');
  await first.reader.cancel();
  expect((await connect()).response.status).toBe(200);
  await second.reader.cancel();
});

test('who asks for the headers only takes no place', async () => {
  for (let asked = 0; asked < 3; asked += 1) expect((await api.app.request('/v1/events', { method: 'HEAD' })).status).toBe(200);
  expect(api.listeners.size).toBe(0);
  const { response, reader } = await connect();
  expect(response.status).toBe(200);
  await reader.cancel();
});

test('a client that does not read is cut off, and the others go on', async () => {
  await connect();
  const { reader } = await connect();
  expect(api.listeners.size).toBe(2);
  for (let index = 0; index < 40; index += 1) {
    api.publish({ id: String(index), type: 'look', data: {} });
    await readUntil(reader, `id: ${index}\n`);
  }
  expect(api.listeners.size).toBe(1);
  await reader.cancel();
});
