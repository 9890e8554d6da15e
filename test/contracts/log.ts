import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { many } from '../long.ts';
import { RetryableError } from '../../schemas/errors.ts';
import type { Log, LogMessage } from '../../schemas/log.ts';

/**
 * What every adapter of the log must do. `open` joins a log to a consumer: `consume` is called with each batch that comes out
 * of it, and is done when its promise is. Messages that are refused with RetryableError by the consumer come again, or
 * their append is rejected: either way none that was appended is lost.
 */
export type OpenedLog = { readonly log: Log; /** Resolves when everything that was appended has been consumed. */ readonly drained: () => Promise<void>; readonly close: () => Promise<void> };
export type Consume = (messages: readonly LogMessage[]) => Promise<void>;

let lastNumber = 0;
/** A broker deletes what is older than its retention, also what it was sent just now. */
const firstMs = Date.now();

export function message(changed: Partial<LogMessage> = {}): LogMessage {
  lastNumber += 1;
  return { signal: 'traces', project: 'default', received_ms: firstMs + lastNumber, encoding: 'protobuf', body: Buffer.from(`message ${lastNumber}`), ...changed };
}

/** What crosses the log; `decoded` may, within one process. */
const carried = ({ signal, project, received_ms, encoding, body }: LogMessage) => ({ signal, project, received_ms, encoding, body: Buffer.from(body).toString('base64') });

export function logContract(name: string, open: (consume: Consume) => Promise<OpenedLog>): void {
  describe(`log: ${name}`, () => {
    it('hands over what was appended, unchanged: signal, project, stamp, encoding and bytes', async () => {
      const consumed: LogMessage[] = [];
      const { log, drained, close } = await open(async (messages) => void consumed.push(...messages));
      const every = (['traces', 'logs'] as const).flatMap((signal) =>
        (['protobuf', 'json'] as const).map((encoding) => message({ signal, encoding, project: `${signal} of ürsula/${encoding}`, body: Buffer.from([0, 255, 10, 13, 0, 128]) })),
      );
      const large = message({ body: Buffer.alloc(900_000, 7) });
      // Before their bodies are the log's.
      const expected = [...every, large].map(carried);
      for (const one of [...every, large]) await log.append(one);
      await drained();
      expect(consumed.map(carried).toSorted((one, other) => one.received_ms - other.received_ms)).toEqual(expected);
      await close();
    });

    it('loses none and repeats none of many that are appended at the same time, and is empty after', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 60 }), async (sizes) => {
          const stamps: number[] = [];
          const { log, drained, close } = await open(async (messages) => void stamps.push(...messages.map((one) => one.received_ms)));
          const sent = sizes.map((bytes) => message({ body: Buffer.alloc(bytes, 1) }));
          await Promise.all(sent.map((one) => log.append(one)));
          await drained();
          expect(stamps.toSorted((one, other) => one - other)).toEqual(sent.map((one) => one.received_ms));
          expect(log.pending()).toEqual({ messages: 0, bytes: 0 });
          await close();
        }),
        // An empty body once came to nothing on its way into Kafka.
        { numRuns: many(20, 3), examples: [[[0]]] },
      );
    });

    it('refuses with RetryableError once it is closed, and keeps what it had taken', async () => {
      const stamps: number[] = [];
      const { log, drained, close } = await open(async (messages) => void stamps.push(...messages.map((one) => one.received_ms)));
      const taken = [message(), message(), message()];
      const appends = taken.map((one) => log.append(one));
      await log.close();
      await Promise.all(appends);
      await drained();
      expect(stamps.toSorted((one, other) => one - other)).toEqual(taken.map((one) => one.received_ms));
      await expect(log.append(message())).rejects.toBeInstanceOf(RetryableError);
      await close();
    });

    it('never tells a sender that a message is durable and then forgets it, when its consumer fails', async () => {
      let fails = true;
      const stamps = new Set<number>();
      const { log, drained, close } = await open(async (messages) => {
        if (fails) throw new RetryableError('the store is away');
        for (const one of messages) stamps.add(one.received_ms);
      });
      const sent = [message(), message(), message()];
      const outcomes = await Promise.allSettled(sent.map((one) => log.append(one)));
      fails = false;
      const refused = sent.filter((_, index) => outcomes[index]?.status === 'rejected');
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(RetryableError);
      // The senders of those that were refused send them again.
      for (const one of refused) await log.append(one);
      await drained();
      expect([...stamps].toSorted((one, other) => one - other)).toEqual(sent.map((one) => one.received_ms));
      await close();
    });
  });
}
