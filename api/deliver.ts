import type { Store } from '../schemas/store.ts';
import type { Sink } from './sinks/index.ts';
import { createJournal } from './sinks/journal.ts';
import { createLane, type LaneDeps, type SinkStatus } from './sinks/lane.ts';

/**
 * Tells every sink of every transition of an alert, at least once, with one idempotency key for each transition.
 *
 * The store is the queue: a transition is in `alert_transitions` before anybody is told, and an attempt is in `deliveries` after
 * it was made. What has no final row there is still to be told; that is all that a restart needs to know. A crash
 * between an attempt and its row sends again, with the same key.
 *
 * Each sink has a lane of its own (sinks/lane.ts), so a dead one stalls nobody else. A lane holds a bounded number of
 * transitions in memory and reads on from the store, where it also learns what its sink is not to be told, or not now (routing.ts).
 */

export type DeliveryDeps = Omit<LaneDeps, 'journal'> & { store: Store; sinks: readonly Sink[] };

export type Delivery = {
  /** There may be something to tell: at the start what was not delivered before, later what came into the store. Never throws. */
  wake(): void;
  /** What a silence held back is looked at again. Throws what the store throws. */
  release(silenceId: string): Promise<void>;
  status(): SinkStatus[];
  /** Resolves when no lane has anything to do now; retries may still be waiting for their time. */
  settled(): Promise<void>;
  /** Begins no further attempt, and resolves when those under way are recorded: in the longest time-out of a sink at most. */
  close(): Promise<void>;
};

export function createDelivery({ store, sinks, ...deps }: DeliveryDeps, settings: { waitingDeliveries: number }): Delivery {
  const journal = createJournal(store);
  const lanes = sinks.map((sink) => createLane(sink, { ...deps, journal }, settings));
  const wake = (): void => {
    for (const lane of lanes) lane.wake();
  };
  return {
    wake,
    async release(silenceId) {
      await journal.release(silenceId, deps.clock());
      wake();
    },
    status: () => lanes.map((lane) => lane.status()),
    async settled() {
      await Promise.all(lanes.map((lane) => lane.settled()));
    },
    async close() {
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}
