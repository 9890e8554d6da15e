import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startFront, type Front } from '../clickhouse/front.ts';
import { startBroker, type Broker } from '../kafka/broker.ts';
import { createRoles, type Role, type RoleProcess } from '../kafka/roles.ts';
import { freePort } from '../ports.ts';
import { openLink, type Link } from './link.ts';

/**
 * The whole product on one machine, each process behind network of its own: collector, analyzers and api over a real broker and the real engine, with a link
 * that can be cut between each of them and what it runs on, and a clock that can be set.
 */
export const SEATS = ['collector', 'analyzer-a', 'analyzer-b', 'analyzer-c', 'api'] as const;
export type Seat = (typeof SEATS)[number];
/** Those that are there from the start; the third analyzer comes and goes. */
export const RESIDENTS = ['collector', 'analyzer-a', 'analyzer-b', 'api'] as const satisfies readonly Seat[];

export type Rig = {
  readonly broker: Broker;
  readonly front: Front;
  readonly collectorUrl: string;
  readonly apiUrl: string;
  link(seat: Seat, to: 'broker' | 'store'): Link;
  start(seat: Seat): Promise<RoleProcess>;
  kill(seat: Seat): Promise<void>;
  /** SIGTERM, and to its end. */
  stop(seat: Seat): Promise<void>;
  process(seat: Seat): RoleProcess;
  /** Its wall clock is off by so much from now on; over a restart too. */
  setClock(seat: Seat, offsetMs: number): Promise<void>;
  /** Throws where a process has ended that nobody ended. */
  allAlive(): void;
  /** What the store answers, past every link. */
  ask<Row>(sql: string): Promise<Row[]>;
  end(): Promise<void>;
};

const SHIFTED_CLOCK = pathToFileURL(join(import.meta.dirname, 'shifted-clock.mjs')).href;

/** @param at.storeIn the directory in which the store keeps its data. Default: the temporary one. */
export async function openRig(at: { readonly binary: string; readonly storeIn?: string; readonly flags?: readonly string[] }): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-rig-'));
  const places = new Map<Seat, { readonly broker: Link; readonly store: Link; readonly door: number; readonly port: number }>();
  let front: Front | null = null;
  for (const seat of SEATS) {
    const door = await freePort();
    places.set(seat, { door, port: await freePort(), broker: await openLink(() => door), store: await openLink(() => Number(new URL(front?.url ?? '').port)) });
    await writeFile(join(directory, seat), '0');
  }
  const place = (seat: Seat) => {
    const found = places.get(seat);
    if (found === undefined) throw new Error(`there is no ${seat}`);
    return found;
  };
  const broker = await startBroker({}, { doors: [...places.values()].map((each) => ({ port: each.door, advertisedPort: each.broker.port })) });
  const store = await startFront(at.storeIn);
  front = store;
  const roles = createRoles(at.binary, { broker: broker.address, store: store.url }, ['--log-level', 'warn', ...(at.flags ?? [])]);
  const running = new Map<Seat, RoleProcess>();

  const processOf = (seat: Seat): RoleProcess => {
    const found = running.get(seat);
    if (found === undefined) throw new Error(`the ${seat} does not run`);
    return found;
  };
  const rig: Rig = {
    broker,
    front: store,
    collectorUrl: `http://127.0.0.1:${place('collector').port}`,
    apiUrl: `http://127.0.0.1:${place('api').port}`,
    link: (seat, to) => place(seat)[to],
    async start(seat) {
      const { port, ...links } = place(seat);
      const started = await roles.start(roleOf(seat), seat === 'collector' || seat === 'api' ? ['--port', String(port)] : [], {
        broker: `127.0.0.1:${links.broker.port}`,
        store: `http://127.0.0.1:${links.store.port}`,
        nodeFlags: ['--import', SHIFTED_CLOCK],
        environment: { DRILL_CLOCK: join(directory, seat) },
      });
      running.set(seat, started);
      return started;
    },
    async kill(seat) {
      await processOf(seat).end('SIGKILL');
      running.delete(seat);
    },
    async stop(seat) {
      const { code } = await processOf(seat).end('SIGTERM');
      running.delete(seat);
      if (code !== 0) throw new Error(`the ${seat} ended with ${code}`);
    },
    process: processOf,
    setClock: (seat, offsetMs) => writeFile(join(directory, seat), String(offsetMs)),
    allAlive() {
      for (const [seat, { child, output }] of running) {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the ${seat} ended by itself: ${output().slice(-3_000)}`);
      }
    },
    async ask<Row>(sql: string) {
      const answer = await fetch(store.url, { method: 'POST', body: `${sql} FORMAT JSONEachRow` });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Row); // Who asks knows the columns.
    },
    async end() {
      await roles.end();
      await Promise.all([...places.values()].flatMap((each) => [each.broker.close(), each.store.close()]));
      await Promise.all([broker.remove(), store.remove(), rm(directory, { recursive: true, force: true })]);
    },
  };
  return rig;
}

export async function startResidents(rig: Rig): Promise<void> {
  // The collector makes the topics, one after the other with the rest; the api the tables.
  await rig.start('collector');
  await rig.start('api');
  await Promise.all([rig.start('analyzer-a'), rig.start('analyzer-b')]);
}

function roleOf(seat: Seat): Role {
  return seat === 'collector' || seat === 'api' ? seat : 'analyzer';
}
