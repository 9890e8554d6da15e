import { createHash } from 'node:crypto';
import type { LogMessage } from './log.ts';

/**
 * Where messages go, when embedded, that can never be stored: a table. Without it such a message would be sent again for ever, by a sender that gets 503.
 * (Beside Kafka, where it would stop a partition, there is a topic: deploy/kafka/parking.ts.)
 */
export interface Parking {
  /**
   * Keeps the message aside and counts what is in it as received and rejected (`unstorable`). Resolves when both are durable.
   * Throws RetryableError when that cannot be done now: the message was not taken.
   */
  park(message: LogMessage, why: { /** Spans or log records in it, 0 where it cannot be read. */ readonly records: number; readonly reason: string }): Promise<void>;
}

/** In the ledger. */
export const UNSTORABLE = 'unstorable';

/** One name for a message however often it is sent. */
export function parkedIdOf({ project, signal, body }: LogMessage): string {
  return `prk_${createHash('sha256').update(`${project}\0${signal}\0`).update(body).digest('hex').slice(0, 20)}`;
}
