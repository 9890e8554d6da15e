import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BINARY } from '../built.ts';
import { eventually } from '../eventually.ts';

/** What a process meets in a container and nowhere else, by Linux' namespaces; skipped where nobody may make them. */

const within = (flags: readonly string[]): boolean => spawnSync('unshare', [...flags, 'true'], { stdio: 'ignore' }).status === 0;
const FIRST = ['--map-root-user', '--pid', '--fork', '--kill-child'];
const NOBODY = ['--map-user=4711'];

describe('in a container', { timeout: 60_000 }, () => {
  it('a role that waits for what it needs ends when it is told to, as the first process there is', async (context) => {
    if (!within(FIRST)) return context.skip('no namespaces');
    // Takes connections and says nothing.
    const asked = createServer();
    asked.listen(0, '127.0.0.1');
    const connected = once(asked, 'connection');
    await once(asked, 'listening');
    const address = asked.address();
    const at = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const outside = spawn('unshare', [...FIRST, process.execPath, BINARY, 'api', '--kafka-brokers', at, '--clickhouse-url', `http://${at}`], { stdio: 'ignore' });
    const ended = once(outside, 'close');
    await connected;
    const child = await eventually(() => readFile(`/proc/${outside.pid}/task/${outside.pid}/children`, 'utf8').then(Number), { timeoutMs: 5_000, everyMs: 20 });
    process.kill(child, 'SIGTERM');
    expect(await ended).toEqual([143, null]);
    asked.close();
  });

  it('a key is made by a number that no account has', async (context) => {
    if (!within(NOBODY)) return context.skip('no namespaces');
    const data = await mkdtemp(join(tmpdir(), 'culprit-container-'));
    const { status, stdout, stderr } = spawnSync('unshare', [...NOBODY, process.execPath, BINARY, 'keys', 'create', '--data', data, '--name', 'first', '--scopes', 'admin'], { encoding: 'utf8' });
    await rm(data, { recursive: true, force: true });
    expect(stderr).toContain('"first", project default, may admin');
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^clp_/)]);
  });
});
