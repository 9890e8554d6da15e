import { describe, expect, it, vi } from 'vitest';
import { AfterFailureError } from '../../analyzer/ingest/turns.ts';
import { createDirectLog } from '../../deploy/log-direct.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { logContract, message } from '../contracts/log.ts';

const SETTINGS = { maxPendingBytes: 10_000_000, maxBatchBytes: 50_000 };

type Read = LogMessage & { readonly received: number };
const read = (message: LogMessage): Read => ({ ...message, received: 1 });

/** Keeps what is parked, unless it is told to fail. */
function lot() {
  const parked: { bytes: number; records: number; reason: string }[] = [];
  const state = { isAway: false };
  return {
    parked,
    state,
    parking: {
      async park({ body }: LogMessage, why: { readonly records: number; readonly reason: string }) {
        if (state.isAway) throw new RetryableError('nowhere to park');
        parked.push({ bytes: body.byteLength, ...why });
      },
    },
  };
}

/** A consumer that takes messages as they are. */
const unread = (write: (messages: readonly Read[]) => Promise<void>, { parking } = lot()) => ({ read, write, parking });

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

/** Given once, and waited for. */
function signal() {
  let isGiven = false;
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => {
    give = () => {
      isGiven = true;
      resolve();
    };
  });
  return { given, give: () => give(), isGiven: () => isGiven };
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

  /** Writes all but messages of 13 bytes, and of any size while `isBroken`. */
  const unlucky = (parking = lot(), state = { isBroken: false }) => {
    const written: number[] = [];
    const write = async (messages: readonly Read[]): Promise<void> => {
      if (state.isBroken || messages.some(({ body }) => body.byteLength === 13)) throw new PermanentError('unlucky');
      written.push(...messages.map(({ body }) => body.byteLength));
    };
    return { log: createDirectLog(unread(write, parking), SETTINGS), written, ...parking };
  };

  it('takes a batch that fails for good apart, so that one bad message fails alone, and is parked', async () => {
    const { log, written, parked } = unlucky();
    const outcomes = await Promise.allSettled([11, 12, 13, 14].map((bytes) => log.append(sized(bytes))));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(written).toEqual([11, 12, 14]);
    expect(outcomes[2]).toMatchObject({ reason: expect.any(PermanentError) });
    expect(parked).toEqual([{ bytes: 13, records: 1, reason: 'unlucky' }]);
  });

  it('tries again at once what was not written because a message before it failed', async () => {
    const written: number[] = [];
    const isFollowed = signal();
    const hasFailed = signal();
    const write = async (messages: readonly Read[]): Promise<void> => {
      const sizes = messages.map(({ body }) => body.byteLength);
      if (sizes.includes(13)) {
        await isFollowed.given;
        hasFailed.give();
        throw new PermanentError('unlucky');
      }
      if (!hasFailed.isGiven()) {
        isFollowed.give();
        await hasFailed.given;
        throw new AfterFailureError(null);
      }
      written.push(...sizes);
    };
    const parking = lot();
    const log = createDirectLog(unread(write, parking), SETTINGS);
    const outcomes = await Promise.allSettled([13, 12, 11].map((bytes) => log.append(sized(bytes))));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(written.toSorted((one, other) => one - other)).toEqual([11, 12]);
    expect(parking.parked).toEqual([{ bytes: 13, records: 1, reason: 'unlucky' }]);
    expect(log.pending()).toEqual({ messages: 0, bytes: 0 });
  });

  it('has two batches under way, and no more', async () => {
    const gate = gated();
    const log = createDirectLog(unread(gate.consume), SETTINGS);
    const appended = [1, 2, 3].map((bytes) => log.append(sized(bytes)));
    await vi.waitFor(() => expect(gate.batches).toHaveLength(2));
    const late = log.append(sized(4));
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    expect(gate.batches).toHaveLength(2);
    gate.next();
    await vi.waitFor(() => expect(gate.batches).toHaveLength(3));
    gate.next();
    gate.next();
    await Promise.all([...appended, late]);
    expect(gate.batches.flat().map(({ body }) => body.byteLength)).toEqual([1, 2, 3, 4]);
  });

  it('gathers for as long as the last batch took, 50 ms at most, but not when all that sent lately are there again', async () => {
    vi.useFakeTimers();
    try {
      const { batches, consume, next } = gated();
      const log = createDirectLog(unread(consume), SETTINGS);
      const send = (times: number): void => void Array.from({ length: times }, () => log.append(sized(10)));
      const sizes = (): number[] => batches.map(({ length }) => length);
      send(4);
      await vi.advanceTimersByTimeAsync(100);
      expect(sizes()).toEqual([1, 3]);
      next();
      await vi.advanceTimersByTimeAsync(0);
      next();
      await vi.advanceTimersByTimeAsync(0);
      send(2);
      await vi.advanceTimersByTimeAsync(49);
      expect(sizes()).toEqual([1, 3]);
      await vi.advanceTimersByTimeAsync(1);
      expect(sizes()).toEqual([1, 3, 2]);
      // For as long as that one took.
      await vi.advanceTimersByTimeAsync(20);
      next();
      await vi.advanceTimersByTimeAsync(0);
      send(2);
      await vi.advanceTimersByTimeAsync(19);
      expect(sizes()).toEqual([1, 3, 2]);
      await vi.advanceTimersByTimeAsync(1);
      expect(sizes()).toEqual([1, 3, 2, 2]);
      // Three are about as many as ever waited.
      await vi.advanceTimersByTimeAsync(100);
      next();
      await vi.advanceTimersByTimeAsync(0);
      send(3);
      await vi.advanceTimersByTimeAsync(0);
      expect(sizes()).toEqual([1, 3, 2, 2, 3]);
      next();
      const closed = log.close();
      await vi.advanceTimersByTimeAsync(100);
      await closed;
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses for now what can be parked nowhere', async () => {
    const { log, state, parked } = unlucky();
    state.isAway = true;
    await expect(log.append(sized(13))).rejects.toBeInstanceOf(RetryableError);
    state.isAway = false;
    await expect(log.append(sized(13))).rejects.toBeInstanceOf(PermanentError);
    expect(parked).toHaveLength(1);
  });

  it('takes it for a fault of the store where one message after another fails, and for none once one is stored', async () => {
    const store = { isBroken: true };
    const { log, parked } = unlucky(lot(), store);
    for (let sent = 0; sent < 10; sent += 1) await expect(log.append(sized(11))).rejects.toBeInstanceOf(PermanentError);
    for (let sent = 0; sent < 10; sent += 1) await expect(log.append(sized(11))).rejects.toBeInstanceOf(RetryableError);
    expect(parked).toHaveLength(10);
    store.isBroken = false;
    await log.append(sized(11));
    await expect(log.append(sized(13))).rejects.toBeInstanceOf(PermanentError);
    expect(parked).toHaveLength(11);
  });

  it('takes a message that cannot be read for no sign that the store is well', async () => {
    const { parking, parked } = lot();
    const unreadable = (message: LogMessage): Read => {
      if (message.body.byteLength === 17) throw new PermanentError('unreadable');
      return read(message);
    };
    const write = async (messages: readonly Read[]): Promise<void> => {
      if (messages.length > 0) throw new PermanentError('no such table');
    };
    const log = createDirectLog({ read: unreadable, write, parking }, SETTINGS);
    for (let sent = 0; sent < 10; sent += 1) await expect(log.append(sized(11))).rejects.toBeInstanceOf(PermanentError);
    await expect(log.append(sized(17))).rejects.toBeInstanceOf(PermanentError);
    await expect(log.append(sized(11))).rejects.toBeInstanceOf(RetryableError);
    expect(parked.map(({ bytes }) => bytes)).toEqual([...Array.from({ length: 10 }, () => 11), 17]);
  });

  it('reads a batch when it has its turn, and parks alone what cannot be read', async () => {
    const gate = gated();
    const parking = lot();
    const seen: number[] = [];
    const log = createDirectLog(
      {
        read(message: LogMessage) {
          if (message.body.byteLength === 13) throw new PermanentError('unlucky');
          seen.push(message.body.byteLength);
          return read(message);
        },
        write: gate.consume,
        parking: parking.parking,
      },
      SETTINGS,
    );
    const first = log.append(sized(1));
    const second = log.append(sized(2));
    await expect(log.append(sized(13))).rejects.toThrow(/^it cannot be stored and was parked as prk_[0-9a-f]{20}$/);
    expect(parking.parked).toEqual([{ bytes: 13, records: 0, reason: 'unlucky' }]);
    expect(seen).toEqual([1, 2]);
    expect(gate.batches.map((batch) => batch.length)).toEqual([1, 1]);
    const waiting = log.append(sized(3));
    await new Promise(setImmediate);
    expect(seen).toEqual([1, 2]);
    gate.next();
    await first;
    await vi.waitFor(() => expect(seen).toEqual([1, 2, 3]));
    gate.next();
    await second;
    gate.next();
    await waiting;
    expect(log.pending()).toEqual({ messages: 0, bytes: 0 });
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
