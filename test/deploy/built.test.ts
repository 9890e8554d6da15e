import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { COMMANDS } from '../../deploy/commands/index.ts';
import { BUILT, ROOT } from '../built.ts';
import { ended, launch, started, type Ended, type Program } from '../program.ts';
import { allCalls, post, tracesBody } from './server-process.ts';

/**
 * What the images run: the build, started by plain Node beside the packages that they have. No loader for TypeScript is there, nothing of the
 * development dependencies, and, for the image of the roles, no engine.
 */
const Packages = z.object({ dependencies: z.record(z.string(), z.string()), optionalDependencies: z.record(z.string(), z.string()) });
let directory: string;

async function install(to: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(to, 'node_modules', name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(to, 'node_modules', name));
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-built-'));
  const { dependencies, optionalDependencies } = Packages.parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));
  const ofRoles = Object.keys(dependencies).filter((name) => name !== 'tsx');
  for (const [name, packages] of [['roles', ofRoles], ['embedded', [...ofRoles, ...Object.keys(optionalDependencies)]]] as const) {
    await cp(BUILT, join(directory, name), { recursive: true, filter: (from) => from !== join(BUILT, 'node_modules') });
    await install(join(directory, name), packages);
  }
}, 240_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

const start = (image: 'roles' | 'embedded', args: readonly string[]): Program =>
  launch(['deploy/bin.cjs', ...args], { cwd: join(directory, image), env: { PATH: process.env['PATH'], NODE_ENV: 'production' } });
const run = (image: 'roles' | 'embedded', args: readonly string[]): Promise<Ended> => ended(start(image, args));

describe('the build', { timeout: 120_000 }, () => {
  it('has what is read as a file beside the code', async () => {
    const files = async (of: string): Promise<string[]> => (await readdir(join(directory, 'embedded', of))).sort();
    expect(await files('schemas/clickhouse')).toEqual((await readdir(join(ROOT, 'schemas/clickhouse'))).sort());
    expect(await files('api/dashboard/public')).toEqual((await readdir(join(ROOT, 'api/dashboard/public'))).sort());
    expect(await files('api/chart/fonts')).toEqual(expect.arrayContaining(['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf']));
    expect((await readdir(join(directory, 'embedded'), { recursive: true })).filter((name) => name.endsWith('.ts') && !name.startsWith('node_modules'))).toEqual([]);
  });

  it('runs the embedded server: takes spans, looks, serves the page, ends with 0', async () => {
    const server = start('embedded', ['--data', join(directory, 'data'), '--port', '0', '--log-level', 'info']);
    const url = await started(server);
    const span = { trace_id: 'a'.repeat(32), span_id: 'a'.repeat(16) };
    expect((await post(url, tracesBody([span], Date.now()))).status).toBe(200);
    expect(await allCalls(url)).toEqual([`${span.trace_id}/${span.span_id}`]);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/`)).text()).toContain('<!doctype html>');
    // The look is a thread of its own.
    await expect.poll(async () => ((await (await fetch(`${url}/v1/status`)).json()) as { behind_ms: number | null }).behind_ms, { timeout: 20_000 }).not.toBeNull();
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(server.output()).not.toMatch(/"level":[45]0|Error/);
  });

  it('runs each role without the engine, as far as a role comes without a broker', async () => {
    for (const role of ['collector', 'analyzer', 'api']) {
      const { code, output } = await run('roles', [role, '--kafka-brokers', '127.0.0.1:1', '--clickhouse-url', 'http://127.0.0.1:1']);
      expect(output).toMatch(/^culprit: (asking the Kafka brokers|ClickHouse at) /);
      expect(output.trim().split('\n')).toHaveLength(1);
      expect(code).toBe(1);
    }
  });

  it('answers every command without a loader', async () => {
    const help = await run('roles', ['--help']);
    expect(help.code).toBe(0);
    for (const [name, { usage }] of Object.entries(COMMANDS)) {
      expect(help.stdout).toContain(`\n  ${usage}\n`);
      if (name !== '') expect(await run('roles', [name, '--help'])).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`${usage}\n`) });
    }
    const { code, stdout } = await run('embedded', ['doctor', '--json', '--data', join(directory, 'data')]);
    expect([code, (JSON.parse(stdout) as { ok: boolean }).ok]).toEqual([0, true]);
  });
});
