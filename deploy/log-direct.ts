import { AfterFailureError } from '../analyzer/ingest/turns.ts';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { Log, LogMessage } from '../schemas/log.ts';
import { createRefusals, parkedIdOf, type Parking } from '../schemas/parking.ts';

/**
 * The log of the embedded mode: a message goes straight to the analyzer, and an append resolves when the store has it.
 *
 * Two batches are under way: one is read and drafted while the other is written (analyzer/ingest/turns.ts). The messages that arrive meanwhile become the next one, so batches grow
 * with the load and a single message waits for nothing; they wait as bytes, since what they are read into is ten times as large, and would be copied by the collector of garbage while it
 * waits. A batch that fails for good is taken apart, so that one bad message fails alone, and is parked. Where one after another fails, it is not the messages: then they are refused for
 * now, until one is stored.
 */
export type DirectLogSettings = {
  /** Bytes that may wait, beyond which an append is refused with RetryableError. */
  readonly maxPendingBytes: number;
  readonly maxBatchBytes: number;
};

const MOST_UNDER_WAY = 2;
/**
 * Under load the next batch gathers for as long as the last one took, since an insert costs much the same for few rows as for many; but for no longer than this, and not when as many
 * wait as ever did lately: then all that send are there, and wait themselves.
 */
const LONGEST_GATHERING_MS = 50;
/** What is left, after each batch, of how many waited. */
const LATELY = 0.9;

/** Who takes what comes out of the log: `read` and `write` a batch when it has its turn, `parking` what cannot be read or written. */
export type Consumer<Reading> = { readonly read: (message: LogMessage) => Reading; readonly write: (batch: readonly Reading[]) => Promise<unknown>; readonly parking: Parking };

type Waiting = { readonly message: LogMessage; readonly bytes: number; readonly resolve: () => void; readonly reject: (error: unknown) => void };
type Read<Reading> = Waiting & { readonly reading: Reading };

export function createDirectLog<Reading extends { readonly received: number }>({ read, write, parking }: Consumer<Reading>, settings: DirectLogSettings): Log {
  const queue: Waiting[] = [];
  let pendingBytes = 0;
  let pendingMessages = 0;
  let mostPendingLately = 0;
  /** Batches that are drafted or written. */
  const underWay = new Set<Promise<void>>();
  /** Until the next batch begins. */
  let gathering: Promise<void> | null = null;
  /** Of the last that was for a time: one for no time takes in what arrives in the same moment. */
  let stopGathering: () => void = () => undefined;
  let isClosed = false;
  const refusals = createRefusals();

  /** Parks the message, and answers what its sender is told. */
  const park = async (message: LogMessage, records: number, { message: reason }: PermanentError): Promise<Error> => {
    await parking.park(message, { records, reason });
    // What the store said is for whoever runs it.
    return new PermanentError(`it cannot be stored and was parked as ${parkedIdOf(message)}`);
  };

  /** Those that can be read. `unread`: resolve when the others are parked and their senders told. */
  const readAll = (batch: readonly Waiting[]): { readonly readable: readonly Read<Reading>[]; readonly unread: readonly Promise<void>[] } => {
    const readable: Read<Reading>[] = [];
    const unread: Promise<void>[] = [];
    for (const waiting of batch) {
      try {
        readable.push({ ...waiting, reading: read(waiting.message) });
      } catch (error) {
        const told = error instanceof PermanentError ? park(waiting.message, 0, error) : Promise.resolve(error);
        unread.push(told.then(waiting.reject, waiting.reject));
      }
    }
    return { readable, unread };
  };

  /** What senders are told of a failure; a message that the store refuses for good is parked first. */
  const parkUnlessMany = async ([only]: readonly Read<Reading>[], error: unknown): Promise<Error> => {
    const refusal = refusals.judge(error);
    return only === undefined ? refusal : park(only.message, only.reading.received, refusal);
  };

  /** `before`: what is under way; a batch that was not tried because something of that failed is tried again when all of it is over. */
  const settle = async (batch: readonly Read<Reading>[], before?: readonly Promise<void>[]): Promise<void> => {
    // Of a batch of which nothing can be read nothing is stored.
    if (batch.length === 0) return;
    try {
      await write(batch.map(({ reading }) => reading));
      refusals.taken();
      for (const { resolve } of batch) resolve();
    } catch (error) {
      if (error instanceof AfterFailureError && before !== undefined) {
        await Promise.all(before);
        await settle(batch);
        return;
      }
      if (error instanceof PermanentError && batch.length > 1) {
        for (const single of batch) await settle([single]);
        return;
      }
      const told = await parkUnlessMany(batch, error).catch((failure: unknown) => failure);
      for (const { reject } of batch) reject(told);
    }
  };

  const nextBatch = (): Waiting[] => {
    let bytes = 0;
    let length = 0;
    for (const waiting of queue) {
      if (length > 0 && bytes + waiting.bytes > settings.maxBatchBytes) break;
      bytes += waiting.bytes;
      length += 1;
    }
    return queue.splice(0, length);
  };

  const begin = async (): Promise<void> => {
    const batch = nextBatch();
    const begun = performance.now();
    const { readable, unread } = readAll(batch);
    const written = settle(readable, [...underWay]);
    const settled = unread.length === 0 ? written : Promise.all([written, ...unread]).then(() => undefined);
    underWay.add(settled);
    await settled;
    underWay.delete(settled);
    pendingMessages -= batch.length;
    pendingBytes -= batch.reduce((sum, waiting) => sum + waiting.bytes, 0);
    const isLoaded = batch.length > 1 && !isClosed;
    mostPendingLately = Math.max(pendingMessages, mostPendingLately * LATELY);
    gather(isLoaded ? Math.min(LONGEST_GATHERING_MS, performance.now() - begun) : 0);
  };

  const beginWhatIsThere = (): void => {
    gathering = null;
    if (queue.length > 0) void begin();
    if (queue.length > 0) gather(0);
  };

  /** The next batch begins after so long, if there is anything for it then and another may be under way. */
  const gather = (ms: number): void => {
    if (gathering !== null || underWay.size >= MOST_UNDER_WAY) return;
    const over = new Promise<void>((resolve) => {
      if (ms === 0) return void setImmediate(resolve);
      stopGathering = resolve;
      setTimeout(resolve, ms);
    });
    gathering = over.then(beginWhatIsThere);
  };

  return {
    async append(message) {
      if (isClosed) throw new RetryableError('the server is shutting down');
      const bytes = message.body.byteLength;
      if (pendingBytes > 0 && pendingBytes + bytes > settings.maxPendingBytes) {
        throw new RetryableError(`the store is behind: ${pendingBytes} bytes wait to be written`, { retryAfterSeconds: 2 });
      }
      pendingBytes += bytes;
      pendingMessages += 1;
      await new Promise<void>((resolve, reject) => {
        queue.push({ message, bytes, resolve, reject });
        if (pendingMessages >= mostPendingLately) {
          mostPendingLately = pendingMessages;
          stopGathering();
        }
        if (underWay.size === 0 && gathering === null) void begin();
        else gather(0);
      });
    },
    pending: () => ({ messages: pendingMessages, bytes: pendingBytes }),
    async close() {
      isClosed = true;
      while (underWay.size > 0 || gathering !== null) await Promise.all([...underWay, gathering]);
    },
  };
}
