import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createProbes } from '../../../deploy/operations/probes.ts';
import { allCalls, createServers, tracesBody } from '../server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

const ask = async (url: string): Promise<[number, string]> => {
  const response = await fetch(url);
  return [response.status, await response.text()];
};

describe('probes', () => {
  it('are alive before they are ready, and not ready while something that is needed does not answer', async () => {
    const probes = createProbes();
    const get = async (path: string): Promise<[number, string]> => {
      const response = await probes.app.request(path);
      return [response.status, await response.text()];
    };
    expect(await get('/livez')).toEqual([200, 'ok\n']);
    expect(await get('/readyz')).toEqual([503, 'not ready: starting\n']);
    probes.start({ store: () => Promise.resolve(), kafka: () => Promise.reject(new Error('at 10.0.0.7 with the password hunter2')) });
    // Fixed words: anybody may ask.
    expect(await get('/readyz')).toEqual([503, 'not ready: no answer from kafka\n']);
    expect(await get('/livez')).toEqual([200, 'ok\n']);
  });

  it('ask what stands behind them once a second, however often they are asked', async () => {
    const probes = createProbes();
    let asked = 0;
    probes.start({ store: async () => void (asked += 1) });
    const statuses = await Promise.all(Array.from({ length: 200 }, async () => (await probes.app.request('/readyz')).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(asked).toBe(1);
    await probes.drain(0);
    expect((await probes.app.request('/readyz')).status).toBe(503);
  });
});

describe('a server that is told to end', { timeout: 60_000 }, () => {
  it('says so at /readyz at once, without a key, goes on taking, finishes the request that is under way, and ends with 0', async () => {
    const server = await servers.start(await servers.directory(), ['--operations-port', '0', '--operations-drain-wait-s', '1.5']);
    const operations = /probes are at\s+(http:\/\/\S+)/.exec(server.output())?.[1] ?? '';
    for (const url of [server.url, operations]) expect(await ask(`${url}/readyz`)).toEqual([200, 'ok\n']);
    expect((await ask(`${operations}/metrics`))[0]).toBe(200);
    // What holds data is not there.
    expect((await ask(`${operations}/v1/calls`))[0]).toBe(404);

    const [one, other] = ['a', 'b'].map((digit) => ({ trace_id: digit.repeat(32), span_id: digit.repeat(16) }));
    if (one === undefined || other === undefined) throw new Error('two spans');
    // A body of which the end comes only after the listener has closed.
    const body = tracesBody([one], Date.now());
    const slow = connect(Number(new URL(server.url).port), '127.0.0.1');
    let answer = '';
    slow.on('data', (chunk) => (answer += String(chunk)));
    slow.write(`POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body.slice(0, 40)}`);
    await expect.poll(async () => (await ask(`${operations}/metrics`))[1]).toMatch(/culprit_requests_in_flight\{role="culprit"\} 1/);

    server.child.kill('SIGTERM');
    await expect.poll(() => ask(`${operations}/readyz`)).toEqual([503, 'not ready: ending\n']);
    expect(await ask(`${server.url}/livez`)).toEqual([200, 'ok\n']);
    expect((await fetch(`${server.url}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: tracesBody([other], Date.now()) })).status).toBe(200);
    // Nothing new is taken any more.
    await expect.poll(() => ask(`${server.url}/livez`).catch(() => 'refused'), { timeout: 10_000 }).toBe('refused');
    expect(await ask(`${operations}/readyz`)).toEqual([503, 'not ready: ending\n']);
    slow.write(body.slice(40));
    await once(slow, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    await expect.poll(() => server.child.exitCode, { timeout: 20_000 }).toBe(0);
    expect(server.child.signalCode).toBeNull();
  });

  it('has stored what it answered while it was ending', async () => {
    const data = await servers.directory();
    const first = await servers.start(data, ['--operations-drain-wait-s', '1']);
    first.child.kill('SIGTERM');
    await expect.poll(() => ask(`${first.url}/readyz`)).toEqual([503, 'not ready: ending\n']);
    const span = { trace_id: 'c'.repeat(32), span_id: 'c'.repeat(16) };
    expect((await fetch(`${first.url}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: tracesBody([span], Date.now()) })).status).toBe(200);
    await expect.poll(() => first.child.exitCode, { timeout: 20_000 }).toBe(0);
    const second = await servers.start(data);
    expect(await allCalls(second.url)).toEqual([`${span.trace_id}/${span.span_id}`]);
  });
});
