import { RetryableError } from '../../schemas/errors.ts';
import type { IncomingRecord } from './records.ts';
import type { Sender } from './sender.ts';

/** Where messages go that no attempt will ever read or store, so that those behind them can go on. They can be replayed from there. */
export type Parking = { park(record: IncomingRecord, at: { readonly topic: string; readonly partition: number; readonly offset: string; readonly reason: string }): Promise<void> };

const MAX_REASON_CHARACTERS = 1_000;

export function createTopicParking(sender: Sender, topic: string): Parking {
  return {
    async park(record, { topic: source, partition, offset, reason }) {
      const kept = Object.entries(record.headers ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const]));
      try {
        await sender.send(topic, [
          {
            partition: 0,
            value: record.value ?? Buffer.alloc(0),
            headers: { ...Object.fromEntries(kept), 'culprit-reason': reason.slice(0, MAX_REASON_CHARACTERS), 'culprit-source': `${source}/${partition}/${offset}` },
            timestampMs: Number(record.timestamp),
          },
        ]);
      } catch (error) {
        // What is not parked must not be passed over, whatever stands in the way.
        throw new RetryableError(`a message of ${source} that cannot be read or stored could not be parked in ${topic}`, { cause: error });
      }
    },
  };
}
