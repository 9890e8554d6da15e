import type { Kafka } from 'kafkajs';
import type { Clock } from '../../schemas/clock.ts';
import { onClockSetBack } from './clock-steps.ts';

/**
 * What one process of several does at a time, told by a consumer group: who owns the only partition of a topic without messages has the duty. After a
 * death another one has it within the session time; a moment of two is possible, so what is done twice must do no harm.
 */
export type Duty = { close(): Promise<void> };

const SESSION_TIMEOUT_MS = 6_000;
const RESTART_MS = 1_000;

export async function shareDuty(
  { kafka, clock, warn }: { readonly kafka: Kafka; readonly clock: Clock; readonly warn: (message: string, error?: unknown) => void },
  names: { readonly group: string; readonly topic: string },
  on: { readonly taken: () => void; readonly lost: () => void },
): Promise<Duty> {
  const consumer = kafka.consumer({ groupId: names.group, sessionTimeout: SESSION_TIMEOUT_MS, heartbeatInterval: 1_000, maxWaitTimeInMs: 1_000, allowAutoTopicCreation: false, retry: { restartOnFailure: async () => !isClosed } });
  let isClosed = false;
  const run = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topics: [names.topic], fromBeginning: false });
    await consumer.run({ eachMessage: async () => undefined });
  };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (payload.memberAssignment[names.topic]?.includes(0) === true ? on.taken() : on.lost()));
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    on.lost();
    if (!payload.restart) later();
  });
  const again = async (): Promise<void> => {
    try {
      if (!isClosed) await run();
    } catch (error) {
      warn('the group that shares the duty cannot be joined', error);
      later();
    }
  };
  const later = (): void => void setTimeout(() => void again(), RESTART_MS).unref();
  await run();
  const watch = onClockSetBack(clock, () => performance.now(), () => {
    on.lost();
    void consumer.stop().then(again, (error: unknown) => warn('the group that shares the duty could not be left', error));
  });
  return {
    async close() {
      isClosed = true;
      watch.close();
      await consumer.disconnect();
    },
  };
}
