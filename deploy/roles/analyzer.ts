import { loadPassed, loadPassedOf, recordPassed } from '../../analyzer/ingest/shards.ts';
import type { Ingest } from '../../analyzer/ingest/ingest.ts';
import { AfterFailureError } from '../../analyzer/ingest/turns.ts';
import type { Flagged } from '../../analyzer/ingest/writing.ts';
import { slotOf, slotStartMs } from '../../analyzer/slots.ts';
import type { Config } from '../../schemas/config.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Store } from '../../schemas/store.ts';
import type { LogConsumer, MayWrite, Shard } from '../kafka/consumer.ts';
import type { Looking } from '../look-thread.ts';
import { traced } from '../operations/tracing.ts';
import { createIngestFor } from '../pipeline.ts';
import type { SharedInserts } from './shared-inserts.ts';
import type { ServerDependencies } from '../running.ts';

/** The analyzer role: one ingest loop for each shard of the log that it has; and the look loop, where it has the first one. */

export type IngestShard = Shard & Pick<Ingest, 'advance'> & { readonly shard: number };

export async function openIngestShard(given: Store, inserts: SharedInserts, config: Config, of: { readonly shard: number; readonly sharedBy: number; readonly mayWrite: MayWrite; readonly flagged: Flagged }, nowMs: number): Promise<IngestShard> {
  // What a turn writes in several steps, and a tick of the clock, may be overtaken by a new owner at any of them.
  const store: Store = { ...given, insert: async (table, rows) => (rows.length === 0 ? undefined : inserts.insert(table, rows, of.mayWrite)) };
  const ingest = createIngestFor(store, config, of, { flagged: of.flagged });
  const passed = await loadPassedOf(store, of.shard);
  // The clock of the log goes on where it stood, however late that is read; but its last owner may have stored what came until just now.
  await ingest.start(passed === 0 ? nowMs : slotStartMs(passed), nowMs);
  return {
    shard: of.shard,
    read(message: LogMessage, rejected) {
      const reading = ingest.read(message);
      if (rejected.size === 0) return reading;
      // What the collector refused inside the request, and did not send on.
      const counts = [...rejected].map(([reason, count]) => ({ outcome: 'rejected' as const, reason, count }));
      return { ...reading, received: counts.reduce((sum, { count }) => sum + count, reading.received), counts: [...reading.counts, ...counts] };
    },
    write: ingest.write,
    advance: ingest.advance,
    idle: ingest.idle,
  };
}

/** Advances an ingest loop. False: what it was writing could not be written, which is told where that was tried; the next tick takes up what there is. */
export async function passes(ingest: Pick<Ingest, 'advance'>, nowMs: number): Promise<boolean> {
  try {
    await ingest.advance(nowMs);
    return true;
  } catch (error) {
    if (error instanceof AfterFailureError) return false;
    throw error;
  }
}

/** Who has this shard looks at closed slots. Two that both think so do no harm: all that is concluded has derived ids, and comes to the same. */
export const LOOKS = 0;

export type TickDeps = {
  readonly store: Store;
  readonly consumer: LogConsumer<IngestShard>;
  readonly shards: number;
  readonly look: Pick<Looking, 'advance' | 'close'>;
};

/** One tick of the arrival clock, over all shards that are here. */
export function createTick({ store, consumer, shards, look }: TickDeps, { warn, tracer }: Pick<ServerDependencies, 'warn' | 'tracer'>) {
  const recorded = new Map<number, number>();

  /** What waited long enough becomes complete; then the slots before may close, as far as this shard is concerned. */
  const advance = async (): Promise<void> => {
    const passed = await consumer.passed();
    const slots: { shard: number; slot: number }[] = [];
    await Promise.all(
      [...passed].map(async ([number, passedMs]) => {
        if (!consumer.owned().includes(number)) return;
        const shard = await consumer.shard(number);
        if (!(await passes(shard, passedMs))) return;
        const slot = slotOf(passedMs);
        if (slot > (recorded.get(number) ?? 0)) slots.push({ shard: number, slot });
      }),
    );
    await recordPassed(store, slots);
    for (const { shard, slot } of slots) recorded.set(shard, slot);
    for (const number of recorded.keys()) if (!passed.has(number)) recorded.delete(number);
  };

  return {
    async tick(): Promise<void> {
      await advance();
      if (!consumer.owned().includes(LOOKS)) return look.close();
      const slot = await loadPassed(store, shards);
      if (slot === null) return;
      try {
        await traced(tracer, 'look', {}, () => look.advance(slotStartMs(slot)));
      } catch (error) {
        // It goes on from the store by itself, and knows what failed before.
        warn('a look failed and is tried again', error);
      }
    },
  };
}
