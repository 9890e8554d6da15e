import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { freePort } from '../ports.ts';

/**
 * One real Apache Kafka node (KRaft: broker and controller in one process), from Maven Central. The jars (43 MB) are kept outside the
 * checkout; ports and data are the caller's own, so any number run beside each other.
 */
export type Broker = {
  /** HOST:PORT, the same over all restarts. */
  readonly address: string;
  /** SIGTERM: what it holds is on disk. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** After stop or kill: the same data, the same port. Resolves when it answers. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  remove(): Promise<void>;
};

/** One more way in, which is told to clients as if it were at another port: that of what stands before it, as a proxy does. */
export type Door = { readonly port: number; readonly advertisedPort: number };

const VERSION = '4.4.0';
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'culprit', `kafka-${VERSION}`);
const HEAP = '384m';
const START_TIMEOUT_MS = 90_000;

/** No slf4j backend is among the broker's own jars, and without one it is mute: "started" could not be seen. */
const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>`;

/** Why no broker can be started here; null where one can. With CI=true there is no excuse, and the start fails. */
export function whyNoBroker(): string | null {
  if (process.env['CI'] === 'true') return null;
  if (!runs('java', ['-version'])) return 'Kafka needs Java 17 or later, which is not on the path';
  if (!existsSync(CACHE) && !runs('mvn', ['--version'])) return 'Kafka comes through Maven (mvn), which is not on the path';
  return null;
}

/** One broker for all tests of a file, given before the first; where none can be started they are skipped, with the reason. */
export function withBroker(given: (broker: Broker) => void, missing = whyNoBroker()): void {
  let started: Broker | null = null;
  beforeAll(async () => {
    if (missing !== null) return;
    started = await startBroker();
    given(started);
  }, 120_000);
  afterAll(() => started?.remove());
  beforeEach((context) => {
    if (missing !== null) context.skip(missing);
  });
}

function runs(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** @param given.scram passwords of users that log in by SCRAM-SHA-512. `secure`: a second listener, with TLS, at this port. */
export async function startBroker(
  overrides: Readonly<Record<string, string>> = {},
  given: { readonly scram?: Readonly<Record<string, string>>; readonly secure?: number; readonly doors?: readonly Door[] } = {},
): Promise<Broker> {
  await fetchJars();
  const data = await mkdtemp(join(tmpdir(), 'culprit-kafka-'));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties = join(data, 'server.properties');
  await writeFile(properties, propertiesOf({ ...settingsOf(data, port, controllerPort, given), ...overrides }));
  const scram = Object.entries(given.scram ?? {}).flatMap(([name, password]) => ['--add-scram', `SCRAM-SHA-512=[name=${name},password=${password}]`]);
  // The cluster id is any 16 bytes in base64url.
  await javaToEnd(['-Xmx64m', '-XX:TieredStopAtLevel=1', '-cp', `${CACHE}/*`, 'kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', properties, ...scram]);

  let running: { child: ChildProcess; ended: Promise<void> } | null = null;
  const launch = async (): Promise<void> => {
    const child = spawn('java', [`-Xms${HEAP}`, `-Xmx${HEAP}`, '-XX:+UseG1GC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError', '-cp', `${CACHE}/*`, 'kafka.Kafka', properties], { stdio: ['ignore', 'pipe', 'pipe'] });
    running = { child, ended: new Promise((resolve) => child.once('close', () => resolve())) };
    process.once('exit', () => child.kill('SIGKILL'));
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the broker has not started: ${said.slice(-1_000)}`)), START_TIMEOUT_MS);
      child.once('close', () => reject(new Error(`the broker ended: ${said.split('\n').filter((line) => /ERROR|FATAL|Exception/.test(line)).join('\n').slice(0, 3_000)}`)));
      const hear = (chunk: unknown): void => {
        // Bounded: a broker talks all day.
        said = `${said}${String(chunk)}`.slice(-20_000);
        if (!said.includes('Kafka Server started')) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    running?.child.kill(signal);
    await running?.ended;
    running = null;
  };
  await launch();
  return {
    address: `127.0.0.1:${port}`,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start: launch,
    async remove() {
      await end('SIGKILL');
      await rm(data, { recursive: true, force: true });
    },
  };
}

function settingsOf(data: string, port: number, controllerPort: number, { secure, doors = [] }: { readonly secure?: number; readonly doors?: readonly Door[] }): Record<string, string> {
  const more = secure === undefined ? '' : `,SECURE://127.0.0.1:${secure}`;
  const each = (of: (door: Door, name: string) => string): string => doors.map((door, index) => `,${of(door, `DOOR${index}`)}`).join('');
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${more}${each((door, name) => `${name}://127.0.0.1:${door.port}`)}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}${more}${each((door, name) => `${name}://127.0.0.1:${door.advertisedPort}`)}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${each((_, name) => `${name}:PLAINTEXT`)}`,
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(data, 'log'),
    'num.partitions': '1',
    'default.replication.factor': '1',
    // On one node the group coordinator never comes up with the defaults of three.
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    // Else every first join of a group waits 3 s.
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    // As in a careful production: a topic that is missing is a fault.
    'auto.create.topics.enable': 'false',
    // After a kill -9 the controller refuses the broker until its old session ends (9 s by default).
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '2',
    'log.cleaner.dedupe.buffer.size': '8388608',
    'log.segment.bytes': '67108864',
  };
}

function propertiesOf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join('');
}

/** Into a directory of its own, which takes the name of the cache when it is whole: two test files may come at the same time. */
async function fetchJars(): Promise<void> {
  if (existsSync(CACHE)) return;
  await mkdir(join(CACHE, '..'), { recursive: true });
  const part = await mkdtemp(`${CACHE}-part-`);
  const pom = join(part, 'pom.xml');
  const jars = join(part, 'jars');
  await writeFile(pom, POM);
  const maven = spawnSync('mvn', ['-B', '-q', '-ntp', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${jars}`], { encoding: 'utf8' });
  if (maven.status !== 0) throw new Error(`Kafka could not be fetched through Maven: ${maven.error?.message ?? ''}${maven.stdout}${maven.stderr}`);
  await rename(jars, CACHE).catch(async (error: unknown) => {
    if (!existsSync(CACHE)) throw error;
  });
  await rm(part, { recursive: true, force: true });
}

async function javaToEnd(args: readonly string[]): Promise<void> {
  const child = spawn('java', [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk) => (said += String(chunk)));
  child.stderr.on('data', (chunk) => (said += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`java ${args.at(-1)} ended with ${code}: ${said}`);
}
