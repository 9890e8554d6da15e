import { expect, it } from 'vitest';
import { startConsumer, type LogConsumer } from '../../deploy/kafka/consumer.ts';
import { createRecordCutter } from '../../deploy/kafka/log.ts';
import { createPlacement } from '../../deploy/kafka/records.ts';
import type { IngestShard } from '../../deploy/roles/analyzer.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { nameOf, spans, tracesBody } from '../deploy/server-process.ts';
import { createSimulatedBroker, type SimulatedBroker } from '../drills/simulation/kafka.ts';
import { createNetwork } from '../drills/simulation/network.ts';
import { createSimulatedStore, type SimulatedStore } from '../drills/simulation/store.ts';
import { installVirtualTime, type Member, type VirtualTime } from '../drills/simulation/virtual-time.ts';

/** The analyzer's end of the log, in virtual time. */

const topics = { spans: 'spans', logs: 'logs', parked: 'parked', duties: 'duties', shards: 4, maxMessageBytes: 1_000_000 };
const HOUR_MS = 3_600_000;

type Running = { readonly time: VirtualTime; readonly broker: SimulatedBroker; readonly store: SimulatedStore; readonly member: Member; readonly consumer: LogConsumer<IngestShard>; readonly members: () => number };
/** Whether the store takes messages, how many went to the topic of those that it never will, and what was said. */
type Beside = { isSchemaBroken: boolean; parked: number; readonly warnings: string[] };
const beside = (): Beside => ({ isSchemaBroken: false, parked: 0, warnings: [] });

/** One analyzer, while time is virtual; `members`: of its group, as of the last time that it was shared out. */
async function inVirtualTime(work: (on: Running) => Promise<void>, seen = beside()): Promise<void> {
  const time = installVirtualTime(Date.UTC(2026, 5, 1, 8));
  try {
    let assigned = 0;
    const network = createNetwork(time, () => 0.5);
    const broker = createSimulatedBroker(time, network, new Map([[topics.spans, 4], [topics.logs, 4]]), (_, shares) => (assigned = shares.size));
    const store = createSimulatedStore(time, network, 4);
    const openShard: typeof store.openShard = async (shard, mayWrite) => {
      const opened = await store.openShard(shard, mayWrite);
      return { ...opened, write: (readings) => (seen.isSchemaBroken && readings.length > 0 ? Promise.reject(new PermanentError('no such column')) : opened.write(readings)) };
    };
    const member: Member = { name: 'analyzer', state: 'alive', frozenUntilMs: 0, clockOffMs: 0 };
    const ignore = (): void => undefined;
    const deps = { kafka: broker.client(), topics, sender: broker.sender(), cut: createRecordCutter(topics), parking: { park: async () => void (seen.parked += 1) }, clock: Date.now, warn: (message: string, error?: unknown) => void seen.warnings.push(`${message}: ${String(error)}`), missed: ignore, openShard };
    const starting = time.as(member, () => startConsumer(deps, { group: 'culprit', project: 'default', concurrency: 2 }));
    await time.pass(10_000);
    await work({ time, broker, store, member, consumer: await starting, members: () => assigned });
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

it('parks a few of what the store refuses for good, not all that comes while its schema is broken', async () => {
  const seen = beside();
  await inVirtualTime(async ({ time, broker, store, member }) => {
    const placeOf = createPlacement(4);
    const sent = spans(200).filter(({ trace_id }) => placeOf(trace_id) === 1).slice(0, 15);
    const records = sent.map((span) => ({ partition: 1, value: Buffer.from(tracesBody([span], Date.now())), headers: {}, timestampMs: Date.now() }));
    seen.isSchemaBroken = true;
    const sending = time.as(member, () => broker.sender().send(topics.spans, records));
    await time.pass(60_000);
    await sending;
    expect(seen.parked).toBe(10);
    expect(seen.warnings).toContainEqual(expect.stringContaining('the store refuses one message after another: no such column'));
    seen.isSchemaBroken = false;
    await time.pass(60_000);
    expect(seen.parked).toBe(10);
    expect([...store.rows.keys()].sort()).toEqual(sent.slice(10).map(nameOf).sort());
  }, seen);
});
