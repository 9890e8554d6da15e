import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { culprit } from '../built.ts';
import { freePort } from '../ports.ts';
import { createServers } from './server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

const me = async (url: string, key: string) => {
  const answer = await fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${key}` } });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};

describe('culprit keys and users', { timeout: 240_000 }, () => {
  it('bring a fresh server to the network: refused without a key, which is made in the stopped directory; then through the running one', async () => {
    const data = await servers.directory();
    const refused = await culprit(['--data', data, '--host', '0.0.0.0', '--port', '0']);
    expect(refused.code).toBe(1);
    expect(refused.output).toContain('culprit keys create --data');
    expect(refused.output.trim().split('\n')).toHaveLength(1);

    const first = await culprit(['keys', 'create', '--data', data, '--name', 'root', '--scopes', 'admin']);
    expect([first.code, first.stdout.trim()]).toEqual([0, expect.stringMatching(/^clp_[\w-]{43}$/)]);
    expect(first.stderr).toContain('shown this once');

    const port = await freePort();
    const server = await servers.start(data, ['--host', '0.0.0.0', '--port', String(port), '--log-level', 'warn']);
    const url = `http://127.0.0.1:${port}`;
    expect(server.output()).toContain('Culprit is running');
    expect(await me(url, first.stdout.trim())).toMatchObject({ status: 200, body: { name: 'root', scopes: ['admin'] } });

    // The directory is locked now: the same command goes to the server that holds it, which wants a key.
    const at = ['--data', data, '--host', '0.0.0.0', '--port', String(port)];
    const nobody = await culprit(['keys', 'list', ...at]);
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('CULPRIT_API_KEY')]);
    const env = { CULPRIT_API_KEY: first.stdout.trim() };
    const second = await culprit(['keys', 'create', ...at, '--name', 'sdk of the shop', '--project', 'shop', '--scopes', 'ingest, read', '--expires-days', '30'], { env });
    expect(await me(url, second.stdout.trim())).toMatchObject({ status: 200, body: { project: 'shop', scopes: ['ingest', 'read'] } });
    const id = /key_\w+/.exec(second.stderr)?.[0] ?? '';
    const third = await culprit(['keys', 'rotate', id, ...at, '--overlap-hours', '2'], { env });
    expect([await me(url, second.stdout.trim()), await me(url, third.stdout.trim())]).toMatchObject([{ status: 200 }, { status: 200 }]);
    expect(await culprit(['keys', 'revoke', id, '--server', url], { env })).toMatchObject({ code: 0, stderr: expect.stringContaining('Revoked') });
    expect([await me(url, second.stdout.trim()), await me(url, third.stdout.trim())]).toMatchObject([{ status: 401 }, { status: 200 }]);
    const list = await culprit(['keys', 'list', '--server', url], { env });
    expect(list.stdout.trim()).toMatch(/^ID +KEY +STATE/);
    expect(list.stdout.trim()).toMatch(new RegExp(`${id} +clp_\\S{4}… +revoked +shop`));
    for (const secret of [first.stdout.trim(), second.stdout.trim(), third.stdout.trim()]) expect(list.stdout.trim() + list.stderr + server.output()).not.toContain(secret.slice(8));

    const weak = await culprit(['users', 'add', 'mira', '--role', 'responder', '--server', url], { env, input: 'short\n' });
    expect([weak.code, weak.stderr]).toEqual([1, expect.stringContaining('12 characters')]);
    expect(await culprit(['users', 'add', 'mira', '--role', 'responder', '--server', url], { env, input: 'correct horse battery\n' })).toMatchObject({ code: 0 });
    const entered = await fetch(`${url}/login`, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ name: 'mira', password: 'correct horse battery' }) });
    expect(entered.status).toBe(303);
    expect((await server.stop()).code).toBe(0);
    expect(server.output()).not.toMatch(/correct horse|"level":50/);

    // Stopped again: what was made through the server is in its directory.
    expect((await culprit(['users', 'list', '--data', data])).stdout).toMatch(/mira +responder +\*/);
    expect(await culprit(['users', 'passwd', 'mira', '--data', data], { input: 'another battery staple\n' })).toMatchObject({ code: 0 });
    expect(await culprit(['users', 'remove', 'mira', '--data', data])).toMatchObject({ code: 0 });
    expect(await culprit(['users', 'remove', 'mira', '--data', data])).toMatchObject({ code: 1, stderr: expect.stringContaining('nobody called') });
  });

  it('need no key of a server that is open, and close it', async () => {
    const server = await servers.start(await servers.directory());
    expect((await fetch(`${server.url}/v1/alerts`)).status).toBe(200);
    expect((await fetch(`${server.url}/v1/alerts`, { headers: { 'x-forwarded-for': '203.0.113.9' } })).status).toBe(401);
    expect((await culprit(['keys', 'create', '--server', server.url, '--name', 'first', '--scopes', 'read'])).code).toBe(0);
    expect((await fetch(`${server.url}/v1/alerts`)).status).toBe(401);
  });

  it('a key may come as a file, as containers have their secrets', async () => {
    const data = await servers.directory();
    const file = join(data, 'key');
    writeFileSync(file, 'short\n');
    const short = await culprit(['--data', data, '--port', '0'], { env: { CULPRIT_ACCESS_KEY_FILE: file } });
    expect([short.code, short.output]).toEqual([1, expect.stringMatching(/CULPRIT_ACCESS_KEY_FILE|access\.key_file/)]);
    expect(short.output).not.toContain('short');
    writeFileSync(file, `${'k'.repeat(40)}\n`);
    const port = await freePort();
    await servers.start(data, ['--host', '0.0.0.0', '--port', String(port), '--access-key-file', file]);
    expect(await me(`http://127.0.0.1:${port}`, 'k'.repeat(40))).toMatchObject({ status: 200, body: { name: 'key_file', scopes: ['admin'] } });
    expect(await me(`http://127.0.0.1:${port}`, 'k'.repeat(41))).toMatchObject({ status: 401 });
  });

  it('ask an api process where the settings are those of roles, which have no directory', async () => {
    const data = join(await servers.directory(), 'data');
    const server = await servers.start(await servers.directory());
    const roles = (port: string): string[] => ['--data', data, '--kafka-brokers', '127.0.0.1:1', '--clickhouse-url', 'http://127.0.0.1:1', '--host', '0.0.0.0', '--port', port];
    expect(await culprit(['keys', 'create', ...roles(new URL(server.url).port), '--name', 'first', '--scopes', 'read'])).toMatchObject({ code: 0 });
    expect((await fetch(`${server.url}/v1/alerts`)).status).toBe(401);
    expect(await culprit(['keys', 'list', ...roles(String(await freePort()))])).toMatchObject({ code: 1, stderr: expect.stringContaining('name that of an api process with --server') });
    expect(existsSync(data)).toBe(false);
  });

  it('say how they are used', async () => {
    const wrong = [['keys'], ['keys', 'rotate'], ['keys', 'list', 'x'], ['users', 'add'], ['users', 'add', 'mira', '--role', 'root']];
    const answers = await Promise.all(wrong.map((args) => culprit(args)));
    expect(answers.map(({ code, stderr }) => [code, stderr.trim().split('\n').length])).toEqual(wrong.map(() => [2, 1]));
    expect(await culprit(['keys', 'list', '--server', `http://127.0.0.1:${await freePort()}`])).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be reached') });
  });
});
