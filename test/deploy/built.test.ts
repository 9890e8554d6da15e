import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { BUILT, ROOT } from '../built.ts';
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

function start(image: 'roles' | 'embedded', args: readonly string[]) {
  const child = spawn(process.execPath, ['deploy/bin.cjs', ...args], { cwd: join(directory, image), stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], NODE_ENV: 'production' } });
  let said = '';
  child.stdout.on('data', (chunk) => (said += String(chunk)));
  child.stderr.on('data', (chunk) => (said += String(chunk)));
  return { child, exited: once(child, 'close').then(([code]) => code as number | null), output: () => said };
}

const ended = async (image: 'roles' | 'embedded', args: readonly string[]): Promise<[number | null, string]> => {
  const { exited, output } = start(image, args);
  return [await exited, output()];
};

describe('the build', { timeout: 120_000 }, () => {
  it('has what is read as a file beside the code', async () => {
    const files = async (of: string): Promise<string[]> => (await readdir(join(directory, 'embedded', of))).sort();
    expect(await files('schemas/clickhouse')).toEqual((await readdir(join(ROOT, 'schemas/clickhouse'))).sort());
    expect(await files('api/dashboard/public')).toEqual((await readdir(join(ROOT, 'api/dashboard/public'))).sort());
    expect(await files('api/chart/fonts')).toEqual(expect.arrayContaining(['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf']));
    expect((await readdir(join(directory, 'embedded'), { recursive: true })).filter((name) => name.endsWith('.ts') && !name.startsWith('node_modules'))).toEqual([]);
  });

  it('runs the embedded server: takes spans, looks, serves the page, ends with 0', async () => {
    const { child, exited, output } = start('embedded', ['--data', join(directory, 'data'), '--port', '0', '--log-level', 'info']);
    const url = await vi.waitFor(
      () => {
        const found = /send OTLP to\s+(http:\/\/\S+)/.exec(output())?.[1];
        if (found === undefined) throw new Error(output());
        return found;
      },
      { timeout: 60_000, interval: 50 },
    );
    const span = { trace_id: 'a'.repeat(32), span_id: 'a'.repeat(16) };
    expect((await post(url, tracesBody([span], Date.now()))).status).toBe(200);
    expect(await allCalls(url)).toEqual([`${span.trace_id}/${span.span_id}`]);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/`)).text()).toContain('<!doctype html>');
    // The look is a thread of its own.
    await expect.poll(async () => ((await (await fetch(`${url}/v1/status`)).json()) as { behind_ms: number | null }).behind_ms, { timeout: 20_000 }).not.toBeNull();
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    expect(output()).not.toMatch(/"level":[45]0|Error/);
  });

  it('runs each role without the engine, as far as a role comes without a broker', async () => {
    for (const role of ['collector', 'analyzer', 'api']) {
      const [code, said] = await ended('roles', [role, '--kafka-brokers', '127.0.0.1:1', '--clickhouse-url', 'http://127.0.0.1:1']);
      expect(said).toMatch(/^culprit: (asking the Kafka brokers|ClickHouse at) /);
      expect(said.trim().split('\n')).toHaveLength(1);
      expect(code).toBe(1);
    }
  });

  it('answers every command without a loader', async () => {
    const [code, help] = await ended('roles', ['--help']);
    expect(code).toBe(0);
    const commands = [...help.matchAll(/^ {2}culprit ([a-z]+)/gm)].map(([, name = '']) => name);
    expect(commands).toContain('doctor');
    for (const name of new Set(commands)) expect(await ended('roles', [name, '--help'])).toEqual([0, help]);
    const [status, report] = await ended('embedded', ['doctor', '--json', '--data', join(directory, 'data')]);
    expect([status, (JSON.parse(report) as { ok: boolean }).ok]).toEqual([0, true]);
  });
});
