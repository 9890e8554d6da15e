import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../deploy/commands/index.ts';
import { VERSION } from '../../deploy/version.ts';
import { BUILT, ROOT } from '../built.ts';
import { ended, launch, started, type Ended, type Program } from '../program.ts';
import { allCalls, post, tracesBody } from './server-process.ts';

/**
 * What the images run: the build, started by plain Node beside the packages that the Dockerfile copies, and no others. For the image of the roles there is no engine.
 */
let directory: string;

/** By stage. */
async function packagesOfImages(): Promise<Map<string, string[]>> {
  const stages = new Map<string, string[]>();
  let stage: string[] = [];
  for (const line of (await readFile(join(ROOT, 'Dockerfile'), 'utf8')).split('\n')) {
    const [, name] = /^FROM \S+ AS (\S+)$/.exec(line) ?? [];
    if (name !== undefined) stages.set(name, (stage = []));
    const [, copied] = /^COPY --from=build \/src\/node_modules\/(\S+) \.\/node_modules\/\1$/.exec(line) ?? [];
    if (copied !== undefined) stage.push(copied);
  }
  return stages;
}

/** Copies, as what a link leads to finds the packages that lie beside that; but for the engine, which is half a gigabyte and asks for none. */
async function install(to: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const [from, copy] = [join(ROOT, 'node_modules', name), join(to, 'node_modules', name)];
    await mkdir(dirname(copy), { recursive: true });
    await (name === '@chdb' ? symlink(from, copy) : cp(from, copy, { recursive: true }));
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-built-'));
  const stages = await packagesOfImages();
  const [runtime = [], engine = []] = [stages.get('runtime'), stages.get('culprit')];
  for (const [name, packages] of [['roles', runtime], ['embedded', [...runtime, ...engine]]] as const) {
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
    expect(await files('deploy/dashboard/public')).toEqual((await readdir(join(ROOT, 'api/dashboard/public'))).sort());
    expect(await files('deploy/fonts')).toEqual(expect.arrayContaining(['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf']));
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

  it('has the packages that stay outside of it, with what they load themselves', async () => {
    const loads = 'Promise.all(process.argv.slice(1).map((name) => import(name))).then((all) => console.log(all.every((each) => typeof each === "object")))';
    const outside = ['@node-rs/argon2', '@node-rs/crc32', '@platformatic/wasm-utils', '@resvg/resvg-js'];
    for (const [image, names] of [['roles', outside], ['embedded', [...outside, 'chdb/connection']]] as const) {
      expect(await ended(launch(['--input-type=module', '--eval', loads, ...names], { cwd: join(directory, image), env: { PATH: process.env['PATH'] } }))).toMatchObject({ code: 0, stdout: 'true\n' });
    }
    expect((await readdir(join(directory, 'roles/node_modules'))).sort()).toEqual(['@node-rs', '@platformatic', '@resvg']);
    expect((await readdir(join(directory, 'embedded/node_modules'))).sort()).toEqual(['@chdb', '@clickhouse', '@node-rs', '@platformatic', '@resvg', 'chdb']);
  });

  it('runs each role without the engine, as far as a role comes without a broker', async () => {
    for (const role of ['collector', 'analyzer', 'api']) {
      const { code, output } = await run('roles', [role, '--kafka-brokers', '127.0.0.1:1', '--clickhouse-url', 'http://127.0.0.1:1']);
      expect(output).toMatch(/^culprit: (asking the Kafka brokers|ClickHouse at) /);
      expect(output.trim().split('\n')).toHaveLength(1);
      expect(code).toBe(1);
    }
  });

  it('is started by the image of the embedded server as by its own first line', async () => {
    const [, , ...flags] = (await readFile(join(directory, 'embedded/deploy/bin.cjs'), 'utf8')).split('\n')[0]?.split(' ') ?? [];
    const [, stage = ''] = (await readFile(join(ROOT, 'Dockerfile'), 'utf8')).split('AS culprit\n');
    expect(flags).not.toEqual([]);
    expect(stage).toContain(`\nENTRYPOINT ${JSON.stringify([...flags, 'deploy/bin.cjs']).replaceAll(',', ', ')}\n`);
  });

  it('is a command of the image, by a link', async () => {
    const [, target = '', link = ''] = /^RUN ln -s \/app\/(\S+) (\S+)/m.exec(await readFile(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
    expect(link).toBe('/usr/local/bin/culprit');
    await symlink(join(directory, 'roles', target), join(directory, 'culprit'));
    expect(spawnSync(join(directory, 'culprit'), ['--version'], { encoding: 'utf8' })).toMatchObject({ status: 0, stdout: `${VERSION}\n` });
  });

  it('says what an image lacks: the engine, and git', async () => {
    for (const args of [['--data', join(directory, 'none')], ['replay', join(ROOT, 'package.json')]]) expect(await run('roles', args)).toMatchObject({ code: 1, output: expect.stringMatching(/^culprit: this needs the engine .*\n$/) });
    const withoutGit = launch(['deploy/bin.cjs', 'versions', 'push', '--server', 'http://127.0.0.1:1'], { cwd: join(directory, 'roles'), env: { PATH: '' } });
    expect(await ended(withoutGit)).toMatchObject({ code: 1, output: 'culprit: git is not installed here\n' });
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
