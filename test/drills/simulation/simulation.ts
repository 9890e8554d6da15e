import kafkajs from 'kafkajs';
import { decode } from '../../../collector/otlp/decode.ts';
import { encodeRequest } from '../../../collector/otlp/protobuf-encode.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import { seeded } from '../../../analyzer/statistics/random.ts';
import { nameOf, spanOf, tracesOf } from '../../bench/rig/calls.ts';
import { createFleet, type Fleet, type Process } from './fleet.ts';
import { createSimulatedBroker } from './kafka.ts';
import { createNetwork } from './network.ts';
import { createSimulatedStore } from './store.ts';
import { installVirtualTime, type VirtualTime } from './virtual-time.ts';

export type SimulationSettings = {
  readonly seed: number;
  readonly collectors: number;
  readonly analyzers: number;
  readonly partitions: number;
  /** Of virtual time, in which things go wrong at random. */
  readonly faultSeconds: number;
  readonly messagesPerSecond: number;
};

/** What must hold of it, `brokenBy` says. */
export type SimulationOutcome = {
  readonly seed: number;
  readonly acknowledged: number;
  readonly lost: number;
  /** Rows against what the ledger says is stored, and received against the sum. */
  readonly ledger_difference: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly rebalances: number;
  /** Shards of the fullest member against those of the emptiest, at worst, over all assignments. */
  readonly imbalance: number;
  /** From a death or a farewell, alone, until each shard of its is written by another, at worst; s of virtual time. */
  readonly moved_after_kill_s: number;
  readonly moved_after_farewell_s: number;
  /** Slots that were open at the end although everything was over for long. */
  readonly slots_behind: number;
  readonly looked_slots: number;
  /** Api processes that think that they deliver, at the end. */
  readonly deliverers: number;
  /** And while the clock of the one that does is an hour slow. */
  readonly deliverers_with_slow_clock: number;
  readonly violations: readonly string[];
};

/** What should hold after a simulation, and does not. */
export function brokenBy(outcome: SimulationOutcome): string[] {
  const held: Readonly<Record<string, boolean>> = {
    'a shard is written by one member at a time, and nothing comes into a slot that was looked at': outcome.violations.length === 0,
    'no acknowledged span is lost': outcome.lost === 0,
    'the ledger counts each once': outcome.ledger_difference === 0,
    'shards are dealt out evenly': outcome.imbalance <= 1,
    'a shard goes on within 10 s after its member was killed': outcome.moved_after_kill_s <= 10,
    'a shard goes on within 10 s after its member was ended': outcome.moved_after_farewell_s <= 10,
    'slots close': outcome.slots_behind <= 1,
    'one delivers': outcome.deliverers === 1,
    'one delivers whose clock was set back': outcome.deliverers_with_slow_clock === 1,
  };
  return Object.entries(held).flatMap(([what, holds]) => (holds ? [] : [what]));
}

const START_MS = Date.UTC(2026, 5, 1, 8);
const HOUR_MS = 3_600_000;
const CLIENT_TIMEOUT_MS = 10_000;
const SETTLE_S = 30;
const MOVE_WITHIN_S = 60;

export async function simulate(settings: SimulationSettings): Promise<SimulationOutcome> {
  const time = installVirtualTime(START_MS);
  // The client jitters its retries.
  const realRandom = Math.random;
  Math.random = seeded(settings.seed + 1);
  try {
    return await run(time, settings);
  } finally {
    Math.random = realRandom;
    time.uninstall();
  }
}

async function run(time: VirtualTime, settings: SimulationSettings): Promise<SimulationOutcome> {
  const random = seeded(settings.seed);
  const topics = { spans: 'spans', logs: 'logs', parked: 'parked', duties: 'duties', shards: settings.partitions, maxMessageBytes: 1_000_000 };
  let imbalance = 0;
  const network = createNetwork(time, random);
  const broker = createSimulatedBroker(time, network, new Map([[topics.spans, settings.partitions], [topics.logs, settings.partitions], [topics.duties, 1]]), (group, assigned) => {
    if (group === 'culprit') imbalance = Math.max(imbalance, spreadOf(assigned));
  });
  let lookedSlot = 0;
  const store = createSimulatedStore(time, network, settings.partitions);
  const watched = { ...store, looked: (slot: number) => (store.looked(slot), void (lookedSlot = Math.max(lookedSlot, slot))) };
  const fleet = createFleet(time, { broker, store: watched, topics });
  for (let count = 0; count < settings.collectors; count += 1) fleet.start('collector');
  for (let count = 0; count < settings.analyzers; count += 1) fleet.start('analyzer');
  for (let count = 0; count < 3; count += 1) fleet.start('api');
  const load = startLoad(time, fleet, { random: seeded(settings.seed + 2), messagesPerSecond: settings.messagesPerSecond });
  await time.pass(20_000);

  const movedAfter = async (leave: (process: Process) => void): Promise<number> => {
    const [leaver] = fleet.analyzers;
    if (leaver === undefined) throw new Error('no analyzer runs');
    const [fromMs, shards] = [time.now(), [...leaver.owned()]];
    leave(leaver);
    fleet.start('analyzer');
    // Its own last writes do not count.
    const goneMs = (): number => (leaver.member.state === 'dead' ? fromMs : Number.POSITIVE_INFINITY);
    while (time.now() - fromMs < MOVE_WITHIN_S * 1000 && !(goneMs() < time.now() && shards.every((shard) => (store.takenUpMs.get(shard) ?? 0) > fromMs))) await time.pass(100);
    return (time.now() - fromMs) / 1000;
  };
  const movedAfterKill = await movedAfter((process) => fleet.kill(process));
  await time.pass(10_000);
  const movedAfterFarewell = await movedAfter((process) => fleet.stop(process));
  await time.pass(10_000);

  const [delivering] = fleet.delivering;
  if (delivering !== undefined) delivering.clockOffMs = -HOUR_MS;
  await time.pass(12_000);
  const deliverersWithSlowClock = fleet.delivering.size;
  if (delivering !== undefined) delivering.clockOffMs = 0;

  const faults = createFaults(time, { fleet, broker, store }, random);
  const endMs = time.now() + settings.faultSeconds * 1000;
  while (time.now() < endMs) {
    faults.one();
    await time.pass(1_000 + 5_000 * random());
  }
  await time.pass(SETTLE_S * 1000);
  load.stop();
  await time.pass(SETTLE_S * 1000);

  const { received, stored, duplicate } = store.ledger();
  return {
    seed: settings.seed,
    acknowledged: load.acknowledged.size,
    lost: [...load.acknowledged].filter((name) => !store.rows.has(name)).length,
    ledger_difference: Math.abs(stored - store.rows.size) + Math.abs(received - stored - duplicate),
    faults: Object.fromEntries(faults.done),
    rebalances: broker.group('culprit').generations(),
    imbalance,
    moved_after_kill_s: movedAfterKill,
    moved_after_farewell_s: movedAfterFarewell,
    slots_behind: slotOf(time.now()) - lookedSlot,
    looked_slots: lookedSlot - slotOf(START_MS),
    deliverers: fleet.delivering.size,
    deliverers_with_slow_clock: deliverersWithSlowClock,
    violations: store.violations,
  };
}

/** Whole shards, of the fullest member against the emptiest. */
function spreadOf(assigned: ReadonlyMap<string, Buffer>): number {
  const sizes = [...assigned.values()].map((encoded) => new Set(Object.values(kafkajs.AssignerProtocol.MemberAssignment.decode(encoded)?.assignment ?? {}).flat()).size);
  return Math.max(...sizes) - Math.min(...sizes);
}

/** Applications: each message goes to some collector, again and again until one has acknowledged it. */
function startLoad(time: VirtualTime, fleet: Fleet, { random, messagesPerSecond }: { readonly random: () => number; readonly messagesPerSecond: number }) {
  const acknowledged = new Set<string>();
  let isOver = false;
  const send = (body: Buffer, names: readonly string[]): void => {
    const collectors = fleet.collectors;
    const collector = collectors[Math.floor(random() * collectors.length)];
    let isDone = false;
    const again = (): void => {
      if (isDone) return;
      isDone = true;
      time.after(500, null, () => send(body, names));
    };
    time.after(CLIENT_TIMEOUT_MS, null, again);
    const { log } = collector ?? { log: null };
    if (collector === undefined || log === null) return again();
    const appended = time.as(collector.member, () => log.append({ signal: 'traces', project: 'default', received_ms: time.now(), encoding: 'protobuf', body }));
    const taken = (): void => {
      // Who has died meanwhile answers nobody.
      if (isDone || collector.member.state === 'dead') return;
      isDone = true;
      for (const name of names) acknowledged.add(name);
    };
    appended.then(taken, again);
  };
  const next = (): void => {
    if (isOver) return;
    const calls = Array.from({ length: 1 + Math.floor(3 * random()) }, () =>
      spanOf({ prompt: 'simulated', version: 'v1', model: 'gpt-4o', startMs: time.now() - 500, durationMs: 500, isError: false, sessionId: null }, random),
    );
    const body = encodeRequest(decode({ signal: 'traces', encoding: 'json', body: Buffer.from(JSON.stringify(tracesOf(calls))) }));
    send(Buffer.from(body), calls.map(nameOf));
    time.after((2_000 * random()) / messagesPerSecond, null, next);
  };
  next();
  return { acknowledged, stop: () => void (isOver = true) };
}

/** What goes wrong; each heals by itself after a while. */
function createFaults(time: VirtualTime, { fleet, broker, store }: { fleet: Fleet; broker: ReturnType<typeof createSimulatedBroker>; store: ReturnType<typeof createSimulatedStore> }, random: () => number) {
  const done = new Map<string, number>();
  /** Each kind once, in some order, before any comes again. */
  let deck: string[] = [];
  const pick = <Each>(list: readonly Each[]): Each | undefined => list[Math.floor(random() * list.length)];
  const between = (fromMs: number, toMs: number): number => Math.round(fromMs + (toMs - fromMs) * random());
  const replace = (process: Process | undefined, leave: (process: Process) => void): void => {
    if (process === undefined) return;
    leave(process);
    time.after(between(500, 8_000), null, () => fleet.start(process.role));
  };
  const cut = (process: Process | undefined, service: typeof broker.service): void => {
    if (process === undefined) return;
    service.cutFrom.add(process.member);
    time.after(between(500, 15_000), null, () => service.cutFrom.delete(process.member));
  };
  const setClock = (process: Process | undefined, offMs: number): void => {
    if (process === undefined) return;
    process.member.clockOffMs = offMs;
    time.after(between(2_000, 20_000), null, () => void (process.member.clockOffMs = 0));
  };
  const kinds: Readonly<Record<string, () => void>> = {
    'kill an analyzer': () => replace(pick(fleet.analyzers), (process) => fleet.kill(process)),
    'stop an analyzer': () => replace(pick(fleet.analyzers), (process) => fleet.stop(process)),
    'kill a collector': () => replace(pick(fleet.collectors), (process) => fleet.kill(process)),
    'kill an api': () => replace(pick(fleet.apis), (process) => fleet.kill(process)),
    'a slow member': () => store.inNextWrite((member) => void (member.frozenUntilMs = time.now() + between(200, 4_000))),
    'a frozen member': () => store.inNextWrite((member) => void (member.frozenUntilMs = time.now() + between(7_000, 20_000))),
    'cut from the broker': () => cut(pick([...fleet.analyzers, ...fleet.collectors, ...fleet.apis]), broker.service),
    'cut from the store': () => cut(pick(fleet.analyzers), store.service),
    'a clock set back': () => setClock(pick([...fleet.analyzers, ...fleet.apis]), -HOUR_MS),
    'a clock set ahead': () => setClock(pick([...fleet.analyzers, ...fleet.apis]), HOUR_MS),
    'broker away': () => {
      broker.setAway(true);
      time.after(between(1_000, 6_000), null, () => broker.setAway(false));
    },
    'store away': () => {
      store.service.isAway = true;
      time.after(between(1_000, 20_000), null, () => void (store.service.isAway = false));
    },
    'slow store': () => {
      store.service.latencyMs = between(100, 800);
      time.after(between(1_000, 10_000), null, () => void (store.service.latencyMs = 10));
    },
  };
  return {
    done,
    one(): void {
      if (deck.length === 0) deck = Object.keys(kinds);
      const [name = ''] = deck.splice(Math.floor(random() * deck.length), 1);
      kinds[name]?.();
      done.set(name, (done.get(name) ?? 0) + 1);
    },
  };
}
