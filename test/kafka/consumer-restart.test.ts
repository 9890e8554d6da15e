import { expect, it } from 'vitest';
import { startConsumer, type LogConsumer } from '../../deploy/kafka/consumer.ts';
import { createRecordCutter } from '../../deploy/kafka/log.ts';
import type { IngestShard } from '../../deploy/roles/analyzer.ts';
import { createSimulatedBroker, type SimulatedBroker } from '../drills/simulation/kafka.ts';
import { createNetwork } from '../drills/simulation/network.ts';
import { createSimulatedStore } from '../drills/simulation/store.ts';
import { installVirtualTime, type Member, type VirtualTime } from '../drills/simulation/virtual-time.ts';

/** The analyzer's end of the log begun anew, in virtual time. */

const topics = { spans: 'spans', logs: 'logs', parked: 'parked', duties: 'duties', shards: 4, maxMessageBytes: 1_000_000 };
const HOUR_MS = 3_600_000;

/** One analyzer, while time is virtual; `members`: of its group, as of the last time that it was shared out. */
async function inVirtualTime(work: (on: { readonly time: VirtualTime; readonly broker: SimulatedBroker; readonly member: Member; readonly consumer: LogConsumer<IngestShard>; readonly members: () => number }) => Promise<void>): Promise<void> {
  const time = installVirtualTime(Date.UTC(2026, 5, 1, 8));
  try {
    let assigned = 0;
    const network = createNetwork(time, () => 0.5);
    const broker = createSimulatedBroker(time, network, new Map([[topics.spans, 4], [topics.logs, 4]]), (_, shares) => (assigned = shares.size));
    const { openShard } = createSimulatedStore(time, network, 4);
    const member: Member = { name: 'analyzer', state: 'alive', frozenUntilMs: 0, clockOffMs: 0 };
    const ignore = (): void => undefined;
    const deps = { kafka: broker.client(), topics, sender: broker.sender(), cut: createRecordCutter(topics), parking: { park: async () => undefined }, clock: Date.now, warn: ignore, missed: ignore, openShard };
    const starting = time.as(member, () => startConsumer(deps, { group: 'culprit', project: 'default', concurrency: 2 }));
    await time.pass(10_000);
    await work({ time, broker, member, consumer: await starting, members: () => assigned });
  } finally {
    time.uninstall();
  }
}

it('is one member of its group, however soon after each other its clock is set back', async () => {
  await inVirtualTime(async ({ time, broker, member, consumer, members }) => {
    expect(members()).toBe(1);
    // It takes its leave slowly: the second time comes before that.
    broker.service.latencyMs = 1_000;
    member.clockOffMs -= HOUR_MS;
    await time.pass(600);
    member.clockOffMs -= HOUR_MS;
    await time.pass(5_000);
    broker.service.latencyMs = 3;
    await time.pass(30_000);
    expect(members()).toBe(1);
    expect(consumer.owned()).toEqual([0, 1, 2, 3]);
  });
});

it('is none when it was closed while it was begun anew', async () => {
  await inVirtualTime(async ({ time, broker, member, consumer }) => {
    broker.service.latencyMs = 1_000;
    member.clockOffMs -= HOUR_MS;
    await time.pass(600);
    const closing = time.as(member, () => consumer.close());
    await time.pass(60_000);
    await closing;
    expect(broker.group('culprit').members()).toBe(0);
  });
});
