import type { Kafka } from 'kafkajs';

/** Whether a broker answers now, over a connection of its own. `ask` throws where none does. */
export type Presence = { ask(): Promise<unknown>; close(): Promise<void> };

export function createPresence(kafka: Kafka): Presence {
  // Who asks comes again by itself.
  const admin = kafka.admin({ retry: { retries: 0 } });
  let connected: Promise<void> | null = null;
  return {
    async ask() {
      connected ??= admin.connect();
      try {
        await connected;
      } catch (error) {
        connected = null;
        throw error;
      }
      return admin.describeCluster();
    },
    async close() {
      await connected?.catch(() => undefined);
      await admin.disconnect();
    },
  };
}
