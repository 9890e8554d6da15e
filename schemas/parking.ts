import { createHash } from 'node:crypto';
import { PermanentError, RetryableError } from './errors.ts';
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

/** What the store refuses for good is parked; where it refuses one message after another it is not the messages, and nothing more is parked until it takes one. */
export type Refusals = {
  taken(): void;
  /** Why the store will never take this one message. Throws any other error, and RetryableError where it is one of many. */
  judge(error: unknown): PermanentError;
};

export function createRefusals(): Refusals {
  let inARow = 0;
  return {
    taken: () => void (inARow = 0),
    judge(error) {
      if (!(error instanceof PermanentError)) throw error;
      inARow += 1;
      if (inARow > MOST_PARKED_IN_A_ROW) throw new RetryableError(`the store refuses one message after another: ${error.message}`, { cause: error });
      return error;
    },
  };
}

const MOST_PARKED_IN_A_ROW = 10;

/** In the ledger. */
export const UNSTORABLE = 'unstorable';

/** One name for a message however often it is sent. */
export function parkedIdOf({ project, signal, body }: LogMessage): string {
  return `prk_${createHash('sha256').update(`${project}\0${signal}\0`).update(body).digest('hex').slice(0, 20)}`;
}
