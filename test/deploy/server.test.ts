import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { culprit, SOURCES } from '../built.ts';
import { allCalls, createServers, ledgerOf, post, tracesBody } from './server-process.ts';

// As `npm start` does it.
const servers = createServers(SOURCES);
afterEach(() => servers.end());

const span = () => ({ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') });

/** What a person reads: one sentence on one line, and no stack. */
function expectSentence(output: string, parts: readonly string[]): void {
  expect(output.trim().split('\n')).toHaveLength(1);
  expect(output).toMatch(/^culprit: /);
  for (const part of parts) expect(output).toContain(part);
}

describe('the server, as a process', { timeout: 60_000 }, () => {
  it('says where to send, where the page is and where the data lies; ends with Ctrl-C; goes on where it was', async () => {
    const data = join(await servers.directory(), 'data');
    const first = await servers.start(data);
    expect(first.output()).toContain(`look at        ${first.url}/`);
    expect(first.output()).toContain(`data lies in   ${data}`);
    const page = await fetch(`${first.url}/`);
    expect(page.headers.get('content-type')).toContain('text/html');
    // What is sent again has the times that it had.
    const [sent, nowMs] = [span(), Date.now()];
    expect((await post(first.url, tracesBody([sent], nowMs))).status).toBe(200);
    expect(await allCalls(first.url)).toEqual([`${sent.trace_id}/${sent.span_id}`]);
    expect(await first.stop()).toEqual({ code: 0, signal: null });

    const second = await servers.start(data);
    expect(await allCalls(second.url)).toEqual([`${sent.trace_id}/${sent.span_id}`]);
    expect((await post(second.url, tracesBody([sent, span()], nowMs))).status).toBe(200);
    expect(await allCalls(second.url)).toHaveLength(2);
    expect(await ledgerOf(second.url)).toMatchObject({ received: 3, stored: 2, duplicate: 1, balanced: true });
    expect(await second.stop()).toEqual({ code: 0, signal: null });
    expect(second.output()).not.toMatch(/Error|warn/i);
  });

  it('ends at once at the second signal, although a page holds its connection', async () => {
    const server = await servers.start(await servers.directory());
    const events = await fetch(`${server.url}/v1/events`);
    expect(events.status).toBe(200);
    server.child.kill('SIGINT');
    await expect.poll(server.output).toContain('Once more ends it at once');
    expect(await server.stop()).toEqual({ code: 130, signal: null });
    await events.body?.cancel().catch(() => undefined);
  });

  it('takes what a page of a named origin sends, and lets no other page send', async () => {
    const server = await servers.start(await servers.directory(), ['--allowed-origins', 'https://app.example.com']);
    const allowedTo = async (origin: string) =>
      (await fetch(`${server.url}/v1/traces`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' } })).headers.get('access-control-allow-origin');
    expect(await allowedTo('https://app.example.com')).toBe('https://app.example.com');
    expect(await allowedTo('https://other.example.com')).toBeNull();
  });

  it('refuses the port and the data directory of a running server, which is not disturbed, and takes them once it is gone', async () => {
    const data = await servers.directory();
    const first = await servers.start(data);
    const { port } = new URL(first.url);
    const [samePort, sameData] = await Promise.all([culprit(['--data', await servers.directory(), '--port', port]), culprit(['--data', data, '--port', '0'])]);
    expect(samePort.code).toBe(1);
    expectSentence(samePort.output, [`port ${port} on 127.0.0.1 is taken by another program`, '--port']);
    expect(sameData.code).toBe(1);
    expectSentence(sameData.output, [data, `process ${first.child.pid}`, '--data']);
    expect((await post(first.url, tracesBody([span()], Date.now()))).status).toBe(200);
    await first.kill();
    const next = await servers.start(data);
    expect(await allCalls(next.url)).toHaveLength(1);
    // Right after its banner: it once listened for the signal only afterwards.
    expect(await next.stop()).toEqual({ code: 0, signal: null });
  });

  it('refuses what it cannot use, in one sentence that names the setting and the fix', async () => {
    const directory = await servers.directory();
    const file = join(directory, 'file');
    writeFileSync(file, 'alhpa: 0.05\n');
    const [below, key, host] = await Promise.all([
      culprit(['--data', join(file, 'data'), '--port', '0']),
      culprit(['--config', file, '--data', directory, '--port', '0']),
      culprit(['--data', directory, '--host', '0.0.0.0']),
    ]);
    expect([below.code, key.code, host.code]).toEqual([1, 1, 1]);
    expectSentence(below.output, [join(file, 'data'), 'there is a file in its path']);
    expectSentence(key.output, ['alhpa', 'did you mean alpha']);
    expectSentence(host.output, ['host', '127.0.0.1']);
  });
});
