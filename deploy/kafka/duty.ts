import type { Kafka } from 'kafkajs';

/**
 * What one process of several does at a time, told by a consumer group: who owns the only partition of a topic without messages has the duty. After a
 * death another one has it within the session time; a moment of two is possible, so what is done twice must do no harm.
 */
export type Duty = { close(): Promise<void> };

const SESSION_TIMEOUT_MS = 6_000;
const RESTART_MS = 1_000;

export async function shareDuty(
  kafka: Kafka,
  names: { readonly group: string; readonly topic: string },
  on: { readonly taken: () => void; readonly lost: () => void; readonly warn: (message: string, error?: unknown) => void },
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
    if (payload.restart || isClosed) return;
    const again = async (): Promise<void> => {
      try {
        if (!isClosed) await run();
      } catch (error) {
        on.warn('the group that shares the duty cannot be joined', error);
        later();
      }
    };
    const later = (): void => void setTimeout(() => void again(), RESTART_MS).unref();
    later();
  });
  await run();
  return {
    async close() {
      isClosed = true;
      await consumer.disconnect();
    },
  };
}
