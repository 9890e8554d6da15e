import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { COMMANDS } from '../../deploy/commands/index.ts';
import { loadConfiguration } from '../../deploy/configuration.ts';

/** The compose file: what each of our services is started with is taken by our own loader, and what is named in it is there. */

const folder = join(import.meta.dirname, '../../deploy/docker');
type Service = { image?: string; command?: string[]; environment?: Record<string, string>; volumes?: string[]; secrets?: string[]; depends_on?: Record<string, object>; build?: { target: string }; read_only?: boolean };
type Compose = { services: Record<string, Service>; volumes: Record<string, null>; secrets: Record<string, { file?: string }> };

const compose = async (): Promise<Compose> => parse(await readFile(join(folder, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;

it('gives every service of ours a configuration that is taken, and secrets from files', async () => {
  const { services, secrets } = await compose();
  const configuration = await readFile(join(folder, 'culprit.yaml'), 'utf8');
  const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);
  expect(ours.map(([name]) => name)).toEqual(['collector', 'analyzer', 'api', 'sample-traffic']);
  for (const { command = [], environment = {}, volumes = [], secrets: mounted = [] } of ours.map(([, service]) => service)) {
    expect(volumes).toEqual(['./culprit.yaml:/etc/culprit/culprit.yaml:ro']);
    const read: string[] = [];
    const loaded = loadConfiguration({
      argv: command.slice(1),
      commandFlags: COMMANDS[command[0] ?? '']?.flags ?? {},
      environment,
      readFile: (path) => {
        read.push(path);
        return path === '/etc/culprit/culprit.yaml' ? configuration : `clp_${path.length}${'k'.repeat(40)}`;
      },
    });
    expect(loaded).toMatchObject({ kind: 'run', config: { host: '0.0.0.0', operations: { port: 9464 }, kafka: { brokers: ['kafka:9092'] }, clickhouse: { url: 'http://clickhouse:8123', database: 'culprit' } } });
    const files = [...read, environment['CULPRIT_CLICKHOUSE_PASSWORD_FILE'] ?? ''].filter((path) => path.startsWith('/run/secrets/')).map((path) => path.replace('/run/secrets/', ''));
    expect(files.toSorted()).toEqual(mounted.toSorted());
    expect(Object.keys(secrets)).toEqual(expect.arrayContaining(files));
  }
});

it('names services, volumes and stages of the image that there are', async () => {
  const { services, volumes } = await compose();
  const dockerfile = await readFile(join(folder, '../../Dockerfile'), 'utf8');
  for (const { depends_on = {}, volumes: mounted = [], build } of Object.values(services)) {
    expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
    for (const [source = ''] of mounted.map((volume) => volume.split(':'))) {
      if (source.startsWith('./')) await expect(readFile(join(folder, source), 'utf8')).resolves.toBeTruthy();
      else expect(Object.keys(volumes)).toContain(source);
    }
    if (build !== undefined) expect(dockerfile).toContain(`AS ${build.target}\n`);
  }
});

it('has secrets that a read-only root can be given, in a folder that is in no image and no repository', async () => {
  const { services, secrets } = await compose();
  const readOnly = Object.values(services).filter(({ read_only }) => read_only === true);
  expect(readOnly).not.toEqual([]);
  // Compose copies those from its environment into the container, and refuses where it cannot.
  for (const name of readOnly.flatMap(({ secrets: mounted = [] }) => mounted)) expect(secrets[name]).toEqual({ file: `./secrets/${name}` });
  for (const ignoring of ['.gitignore', '.dockerignore']) expect(await readFile(join(folder, '../..', ignoring), 'utf8')).toMatch(/^deploy\/docker\/secrets\/?$/m);
});

it('keeps what Kafka acknowledged in the volume', async () => {
  const { services } = await compose();
  const { environment = {}, volumes = [] } = services['kafka'] ?? {};
  expect(volumes).toEqual([`kafka:${environment['KAFKA_LOG_DIRS']}`]);
});
