import type { Store } from '../schemas/store.ts';
import type { Sink } from './sinks/index.ts';
import { createJournal, type AlertTransition } from './sinks/journal.ts';
import { createLane, type LaneDeps, type SinkStatus } from './sinks/lane.ts';

/**
 * Tells every sink of every transition of an alert, at least once, with one idempotency key for each transition.
 *
 * The store is the queue: a transition is in `alert_transitions` before anybody is told, and an attempt is in `deliveries` after
 * it was made. What has no final row there is still to be told; that is all that a restart needs to know. A crash
 * between an attempt and its row sends again, with the same key.
 *
 * Each sink has a lane of its own (sinks/lane.ts), so a dead one stalls nobody else. A lane holds a bounded number of
 * transitions in memory; past it, it reads on from the store.
 */

export type DeliveryDeps = Omit<LaneDeps, 'journal'> & { store: Store; sinks: readonly Sink[] };

export type Delivery = {
  /** Takes up what was not delivered before. */
  start(): void;
  /** Takes transitions that are in the store already. Never throws: what cannot be taken now is read from the store later. */
  deliver(transitions: readonly AlertTransition[]): Promise<void>;
  status(): SinkStatus[];
  /** Resolves when no lane has anything to do now; retries may still be waiting for their time. */
  settled(): Promise<void>;
  /** Begins no further attempt, and resolves when those under way are recorded: in the longest time-out of a sink at most. */
  close(): Promise<void>;
};

export function createDelivery({ store, sinks, ...deps }: DeliveryDeps, settings: { waitingDeliveries: number }): Delivery {
  const journal = createJournal(store);
  const lanes = sinks.map((sink) => ({ name: sink.name, ...createLane(sink, { ...deps, journal }, settings) }));
  return {
    start() {
      for (const lane of lanes) lane.wake();
    },
    async deliver(transitions) {
      if (transitions.length === 0 || lanes.length === 0) return;
      const known = await journal.progress(transitions.map(({ transition_id }) => transition_id)).catch(() => null);
      for (const lane of lanes) {
        if (known === null) {
          lane.readLater();
          continue;
        }
        for (const transition of transitions) {
          const progress = known.find((row) => row.transition_id === transition.transition_id && row.sink === lane.name);
          if (progress === undefined || progress.finished === 0) lane.take(transition, progress ?? { attempts: 0, last_ms: 0 });
        }
      }
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
