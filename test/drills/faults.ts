import { rmSync } from 'node:fs';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { pause } from '../eventually.ts';
import { fill } from '../full-disk.ts';
import type { Link } from './link.ts';
import { RESIDENTS, type Rig, type Seat } from './rig.ts';

/** What goes wrong, under load. Each ends with everything healed, and says what it did. */
export type Fault = {
  readonly name: string;
  readonly run: (rig: Rig, random: () => number, forMs: number) => Promise<string>;
};

type Analyzer = 'analyzer-a' | 'analyzer-b';
type End = readonly [seat: Seat, to: 'broker' | 'store'];

const HOUR_MS = 3_600_000;

/** The two ends of each link that there is between any two. */
const BETWEEN: Readonly<Record<string, (random: () => number) => End>> = {
  'collector and broker': () => ['collector', 'broker'],
  'analyzer and broker': (random) => [anAnalyzer(random), 'broker'],
  'analyzer and store': (random) => [anAnalyzer(random), 'store'],
  'api and broker': () => ['api', 'broker'],
  'api and store': () => ['api', 'store'],
};

/** Of the network: `how` is done to one link, and healed. */
function between(verb: string, how: (link: Link) => void): Fault[] {
  return Object.entries(BETWEEN).map(([ends, choose]) => ({
    name: `${verb} between ${ends}`,
    async run(rig, random, forMs) {
      const [seat, to] = choose(random);
      const link = rig.link(seat, to);
      how(link);
      await pause(forMs);
      link.heal();
      return `${seat} and ${to}, ${forMs} ms`;
    },
  }));
}

const slowStore: Fault = {
  name: 'slow store',
  async run(rig, random, forMs) {
    const pace = { delayMs: 200 + Math.floor(300 * random()), bytesPerSecond: 200_000 };
    const links = RESIDENTS.map((seat) => rig.link(seat, 'store'));
    for (const link of links) link.slow(pace);
    await pause(forMs);
    for (const link of links) link.heal();
    return `${pace.delayMs} ms later each chunk, ${pace.bytesPerSecond} bytes/s, ${forMs} ms`;
  },
};

/** The process is stopped and goes on, as one whose disk does not answer for a while. */
const stalledStore: Fault = {
  name: 'store that stalls',
  async run(rig, random, forMs) {
    const endMs = performance.now() + forMs;
    let stalls = 0;
    while (performance.now() < endMs) {
      rig.front.freeze();
      await pause(500 + 1_500 * random());
      rig.front.thaw();
      await pause(200 + 300 * random());
      stalls += 1;
    }
    return `${stalls} times for up to 2 s`;
  },
};

const storeAway: Fault = {
  name: 'store away',
  async run(rig, _random, forMs) {
    await rig.front.kill();
    await pause(forMs);
    await rig.front.start();
    return `kill -9, ${forMs} ms`;
  },
};

function clockOf(seatOf: (random: () => number) => Seat, name: string, offsetMs: number): Fault {
  return {
    name: `clock of ${name} ${offsetMs < 0 ? 'an hour back' : 'an hour ahead'}`,
    async run(rig, random, forMs) {
      const seat = seatOf(random);
      await rig.setClock(seat, offsetMs);
      await pause(forMs);
      await rig.setClock(seat, 0);
      return `${seat}, and right again after ${forMs} ms`;
    },
  };
}

const rebalances: Fault = {
  name: 'rebalances in a loop',
  async run(rig, random, forMs) {
    const endMs = performance.now() + forMs;
    let [joined, killed] = [0, 0];
    while (performance.now() < endMs) {
      await rig.start('analyzer-c');
      joined += 1;
      await pause(500 + 2_000 * random());
      if (random() < 0.5) await rig.stop('analyzer-c');
      else {
        await rig.kill('analyzer-c');
        killed += 1;
      }
    }
    return `${joined} times a third analyzer came and went, ${killed} of them by kill -9`;
  },
};

/** Longer than its session, so that others have its shards when it comes to itself. */
const frozenAnalyzer: Fault = {
  name: 'frozen analyzer',
  async run(rig, random, forMs) {
    const seat = anAnalyzer(random);
    rig.process(seat).child.kill('SIGSTOP');
    await pause(forMs);
    rig.process(seat).child.kill('SIGCONT');
    return `${seat}, ${forMs} ms`;
  },
};

function killed(name: string, seatOf: (random: () => number) => Seat): Fault {
  return {
    name: `kill -9 of ${name}`,
    async run(rig, random, forMs) {
      const seat = seatOf(random);
      await rig.kill(seat);
      await pause(forMs);
      await rig.start(seat);
      return `${seat}, started again after ${forMs} ms`;
    },
  };
}

const brokerKilled: Fault = {
  name: 'kill -9 of the broker',
  async run(rig) {
    await rig.broker.kill();
    await rig.broker.start();
    return 'and started again at once';
  },
};

const killAnything: Fault = {
  name: 'kill -9 of anything at random',
  async run(rig, random, forMs) {
    const endMs = performance.now() + forMs;
    const victims: string[] = [];
    const all = [...RESIDENTS, 'broker', 'store'] as const;
    while (performance.now() < endMs) {
      const victim = all[Math.floor(random() * all.length)] ?? 'broker';
      victims.push(victim);
      const waitMs = 1_000 * random();
      if (victim === 'broker') await rig.broker.kill();
      else if (victim === 'store') await rig.front.kill();
      else await rig.kill(victim);
      await pause(waitMs);
      if (victim === 'broker') await rig.broker.start();
      else if (victim === 'store') await rig.front.start();
      else await rig.start(victim);
      await pause(2_000 * random());
    }
    return victims.join(', ');
  },
};

/** What nobody can read, in between, in all partitions of both topics. */
const poison: Fault = {
  name: 'poison messages',
  async run(rig, random, forMs) {
    const kafka = new kafkajs.Kafka({ brokers: [rig.broker.address], logLevel: kafkajs.logLevel.NOTHING });
    const [producer, admin] = [kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner }), kafka.admin()];
    await Promise.all([producer.connect(), admin.connect()]);
    const parkedSoFar = async (): Promise<number> => (await admin.fetchTopicOffsets('culprit_parked')).reduce((sum, { offset }) => sum + Number(offset), 0);
    try {
      const before = await parkedSoFar();
      const endMs = performance.now() + forMs;
      let sent = 0;
      do {
        for (const topic of ['otlp_spans', 'otlp_logs']) {
          const bad = Buffer.from(Array.from({ length: 1 + Math.floor(60 * random()) }, () => 0x80 + Math.floor(127 * random())));
          await producer.send({ topic, messages: [{ partition: Math.floor(4 * random()), value: bad }] });
          sent += 1;
        }
        await pause(20);
      } while (performance.now() < endMs);
      for (const waitUntilMs = performance.now() + 60_000; (await parkedSoFar()) - before < sent; await pause(100)) {
        if (performance.now() > waitUntilMs) throw new Error(`of ${sent} poison messages ${(await parkedSoFar()) - before} are parked`);
      }
      return `${sent} of them, ${(await parkedSoFar()) - before} parked with their reason`;
    } finally {
      await Promise.all([producer.disconnect(), admin.disconnect()]);
    }
  },
};

function anAnalyzer(random: () => number): Analyzer {
  return random() < 0.5 ? 'analyzer-a' : 'analyzer-b';
}

/** @param disk where the store has its data, and nobody else. */
export function fullDisk(disk: string): Fault {
  return {
    name: 'full disk of the store',
    async run(_rig, _random, forMs) {
      const filler = join(disk, 'filler');
      const endMs = performance.now() + forMs;
      // What is merged away makes room again.
      for (; performance.now() < endMs; await pause(200)) fill(filler);
      rmSync(filler);
      return `no byte free, ${forMs} ms`;
    },
  };
}

export const FAULTS: readonly Fault[] = [
  killed('a collector', () => 'collector'),
  killed('an analyzer', anAnalyzer),
  killed('the api', () => 'api'),
  brokerKilled,
  storeAway,
  slowStore,
  stalledStore,
  ...between('network cut', (link) => link.cut()),
  ...between('network hangs', (link) => link.hang()),
  frozenAnalyzer,
  rebalances,
  clockOf(() => 'collector', 'a collector', HOUR_MS),
  clockOf(() => 'collector', 'a collector', -HOUR_MS),
  clockOf(anAnalyzer, 'an analyzer', HOUR_MS),
  clockOf(anAnalyzer, 'an analyzer', -HOUR_MS),
  poison,
  killAnything,
];
