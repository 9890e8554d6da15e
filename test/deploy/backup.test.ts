import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BINARY, culprit } from '../built.ts';
import { allCalls, createServers, ledgerOf, post, tracesBody } from './server-process.ts';

/** docs/RUNBOOK.md, "Backup and restore", and what else a runbook has people type. */

const servers = createServers();
afterEach(() => servers.end());

describe('a copy of the data directory', { timeout: 60_000 }, () => {
  it('is a backup where the process had ended, also by kill -9: everything acknowledged is there, and the ledger balances', async () => {
    const data = await servers.directory();
    const [first, second] = [join(await servers.directory(), 'copy'), join(await servers.directory(), 'copy')];
    const spans = ['a', 'b'].map((digit) => ({ trace_id: digit.repeat(32), span_id: digit.repeat(16) }));
    const server = await servers.start(data);
    expect((await post(server.url, tracesBody(spans.slice(0, 1), Date.now()))).status).toBe(200);
    await server.stop();
    await cp(data, first, { recursive: true });
    const again = await servers.start(data);
    expect((await post(again.url, tracesBody(spans.slice(1), Date.now()))).status).toBe(200);
    await again.kill();
    await cp(data, second, { recursive: true });
    for (const [copy, count] of [[first, 1], [second, 2]] as const) {
      const restored = await servers.start(copy);
      expect(await allCalls(restored.url)).toHaveLength(count);
      expect(await ledgerOf(restored.url)).toMatchObject({ received: count, balanced: true });
    }
  });
});

describe('culprit traffic', { timeout: 60_000 }, () => {
  it('sends the sample calls to a server that wants a key, and ends when it is told to', async () => {
    const data = await servers.directory();
    const { output } = await culprit(['keys', 'create', '--data', data, '--name', 'all', '--scopes', 'admin']);
    const key = /clp_\S+/.exec(output)?.[0] ?? '';
    const server = await servers.start(data);
    const traffic = spawn(process.execPath, [BINARY, 'traffic', server.url], { stdio: 'ignore', env: { ...process.env, CULPRIT_API_KEY: key } });
    const exited = once(traffic, 'close');
    const stored = async (): Promise<number> => ((await (await fetch(`${server.url}/v1/ledger`, { headers: { authorization: `Bearer ${key}` } })).json()) as { stored: number }).stored;
    await expect.poll(stored, { timeout: 40_000, interval: 500 }).toBeGreaterThan(1_000);
    traffic.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});
