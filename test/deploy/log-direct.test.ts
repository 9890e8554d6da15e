import { describe, expect, it, vi } from 'vitest';
import { createDirectLog } from '../../deploy/log-direct.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { logContract, message } from '../contracts/log.ts';

const SETTINGS = { maxPendingBytes: 10_000_000, maxBatchBytes: 50_000 };

/** A consumer that takes messages as they are. */
const unread = (write: (messages: readonly LogMessage[]) => Promise<void>) => ({ read: (message: LogMessage) => message, write });

logContract('direct', async (consume) => {
  const log = createDirectLog(unread(consume), SETTINGS);
  return { log, drained: () => Promise.resolve(), close: () => log.close() };
});

/** A consumer that works when it is told to. */
function gated() {
  const batches: (readonly LogMessage[])[] = [];
  let release: (() => void)[] = [];
  return {
    batches,
    consume: async (messages: readonly LogMessage[]) => {
      batches.push(messages);
      await new Promise<void>((resolve) => release.push(resolve));
    },
    next() {
      const [first, ...others] = release;
      release = others;
      first?.();
    },
  };
}

const sized = (bytes: number): LogMessage => message({ body: Buffer.alloc(bytes) });

describe('direct log', () => {
  it('answers only when the analyzer is done, and makes one batch of what arrives meanwhile', async () => {
    const gate = gated();
    const log = createDirectLog(unread(gate.consume), SETTINGS);
    let isAnswered = false;
    const first = log.append(sized(10)).then(() => (isAnswered = true));
    const others = Promise.all([log.append(sized(20)), log.append(sized(30))]);
    await new Promise(setImmediate);
    expect(isAnswered).toBe(false);
    expect(log.pending()).toEqual({ messages: 3, bytes: 60 });
    gate.next();
    await first;
    await new Promise(setImmediate);
    gate.next();
    await others;
    expect(gate.batches.map((batch) => batch.length)).toEqual([1, 2]);
    expect(log.pending()).toEqual({ messages: 0, bytes: 0 });
  });

  it('cuts batches by bytes, and takes one message whole however large', async () => {
    const sizes: number[][] = [];
    const log = createDirectLog(unread(async (messages) => void sizes.push(messages.map(({ body }) => body.byteLength))), { ...SETTINGS, maxBatchBytes: 100 });
    await Promise.all([1, 60, 40, 1, 500, 1].map((bytes) => log.append(sized(bytes))));
    // The first is written at once; what arrives meanwhile is cut at 100 bytes.
    expect(sizes).toEqual([[1], [60, 40], [1], [500], [1]]);
  });

  it('refuses what would pass the limit of waiting bytes, and takes it again once there is room', async () => {
    const gate = gated();
    const log = createDirectLog(unread(gate.consume), { ...SETTINGS, maxPendingBytes: 100 });
    const first = log.append(sized(90));
    const refused = log.append(sized(20));
    await expect(refused).rejects.toBeInstanceOf(RetryableError);
    await expect(refused).rejects.toMatchObject({ retryAfterSeconds: 2 });
    expect(log.pending()).toEqual({ messages: 1, bytes: 90 });
    gate.next();
    await first;
    // The room is given back in the turn of the batch, right after its answers.
    await new Promise(setImmediate);
    const again = log.append(sized(200));
    gate.next();
    await again;
    expect(log.pending()).toEqual({ messages: 0, bytes: 0 });
  });

  it('takes a batch that fails for good apart, so that one bad message fails alone', async () => {
    const written: number[] = [];
    const log = createDirectLog(
      unread(async (messages) => {
        if (messages.some(({ body }) => body.byteLength === 13)) throw new PermanentError('unlucky');
        written.push(...messages.map(({ body }) => body.byteLength));
      }),
      SETTINGS,
    );
    const outcomes = await Promise.allSettled([11, 12, 13, 14].map((bytes) => log.append(sized(bytes))));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(written).toEqual([11, 12, 14]);
  });

  it('reads a message when it arrives, while the batch before it is being written, and refuses alone what cannot be read', async () => {
    const gate = gated();
    const read: number[] = [];
    const log = createDirectLog(
      {
        read(message: LogMessage) {
          if (message.body.byteLength === 13) throw new PermanentError('unlucky');
          read.push(message.body.byteLength);
          return message;
        },
        write: gate.consume,
      },
      SETTINGS,
    );
    const first = log.append(sized(1));
    const second = log.append(sized(2));
    await expect(log.append(sized(13))).rejects.toThrow('unlucky');
    expect(read).toEqual([1, 2]);
    expect(gate.batches.length).toBe(1);
    expect(log.pending()).toEqual({ messages: 2, bytes: 3 });
    gate.next();
    await first;
    await vi.waitFor(() => expect(gate.batches.length).toBe(2));
    gate.next();
    await second;
  });

  it('is not stopped by a failure: what comes after it is taken', async () => {
    let failures = 1;
    const log = createDirectLog(unread(async () => {
      failures -= 1;
      if (failures >= 0) throw new RetryableError('the disk is full');
    }), SETTINGS);
    await expect(log.append(sized(1))).rejects.toThrow('the disk is full');
    await expect(log.append(sized(1))).resolves.toBeUndefined();
  });
});
