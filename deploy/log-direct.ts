import { AfterFailureError } from '../analyzer/ingest/turns.ts';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { Log, LogMessage } from '../schemas/log.ts';
import { parkedIdOf, type Parking } from '../schemas/parking.ts';

/**
 * The log of the embedded mode: a message goes straight to the analyzer, and an append resolves when the store has it.
 *
 * Two batches are under way: one is drafted while the other is written (analyzer/ingest/turns.ts). The messages that arrive meanwhile are read and become
 * the next one, so batches grow with the load and a single message waits for nothing. A batch that fails for good is taken apart, so that one bad message fails alone, and is parked. Where
 * one after another fails, it is not the messages: then they are refused for now, until one is stored.
 */
export type DirectLogSettings = {
  /** Bytes that may wait, beyond which an append is refused with RetryableError. */
  readonly maxPendingBytes: number;
  readonly maxBatchBytes: number;
};

const MOST_UNDER_WAY = 2;
/** Under load the next batch may grow for a little, in proportion to what the last took: an insert costs much the same for few rows as for many. */
const LONGEST_GATHERING_MS = 50;
const GATHERING_SHARE = 0.1;

/** Messages in a row that may be parked. */
const MOST_PARKED_IN_A_ROW = 10;

/** Who takes what comes out of the log: `read` when a message arrives, `write` when its batch has its turn, `parking` what cannot be written. */
export type Consumer<Reading> = { readonly read: (message: LogMessage) => Reading; readonly write: (batch: readonly Reading[]) => Promise<unknown>; readonly parking: Parking };

type Waiting<Reading> = { readonly message: LogMessage; readonly records: number; readonly reading: Reading; readonly bytes: number; readonly resolve: () => void; readonly reject: (error: unknown) => void };

export function createDirectLog<Reading extends { readonly received: number }>({ read, write, parking }: Consumer<Reading>, settings: DirectLogSettings): Log {
  const queue: Waiting<Reading>[] = [];
  let pendingBytes = 0;
  let pendingMessages = 0;
  /** Batches that are drafted or written. */
  const underWay = new Set<Promise<void>>();
  /** Until the next batch begins. */
  let gathering: Promise<void> | null = null;
  let isClosed = false;
  let parkedInARow = 0;

  /** Parks the message, and answers what its sender is told. */
  const park = async ({ message, records }: Pick<Waiting<Reading>, 'message' | 'records'>, { message: reason }: PermanentError): Promise<Error> => {
    await parking.park(message, { records, reason });
    // What the store said is for whoever runs it.
    return new PermanentError(`it cannot be stored and was parked as ${parkedIdOf(message)}`);
  };
  const parkUnlessMany = async (waiting: Waiting<Reading>, error: PermanentError): Promise<Error> => {
    if (parkedInARow >= MOST_PARKED_IN_A_ROW) return new RetryableError(`the store refuses one message after another: ${error.message}`);
    const told = await park(waiting, error);
    parkedInARow += 1;
    return told;
  };

  /** `before`: what is under way; a batch that was not tried because something of that failed is tried again when all of it is over. */
  const settle = async (batch: readonly Waiting<Reading>[], before?: readonly Promise<void>[]): Promise<void> => {
    try {
      await write(batch.map(({ reading }) => reading));
      parkedInARow = 0;
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
      const [only] = batch;
      const told = error instanceof PermanentError && only !== undefined ? await parkUnlessMany(only, error).catch((failure: unknown) => failure) : error;
      for (const { reject } of batch) reject(told);
    }
  };

  const nextBatch = (): Waiting<Reading>[] => {
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
    const settled = settle(batch, [...underWay]);
    underWay.add(settled);
    await settled;
    underWay.delete(settled);
    pendingMessages -= batch.length;
    pendingBytes -= batch.reduce((sum, waiting) => sum + waiting.bytes, 0);
    const isLoaded = batch.length > 1 && !isClosed;
    gather(isLoaded ? Math.min(LONGEST_GATHERING_MS, (performance.now() - begun) * GATHERING_SHARE) : 0);
  };

  const beginWhatIsThere = (): void => {
    gathering = null;
    if (queue.length > 0) void begin();
    if (queue.length > 0) gather(0);
  };

  /** The next batch begins after so long, if there is anything for it then and another may be under way. */
  const gather = (ms: number): void => {
    if (gathering !== null || underWay.size >= MOST_UNDER_WAY) return;
    const over = ms > 0 ? new Promise<void>((resolve) => setTimeout(resolve, ms)) : new Promise<void>((resolve) => setImmediate(resolve));
    gathering = over.then(beginWhatIsThere);
  };

  return {
    async append(message) {
      if (isClosed) throw new RetryableError('the server is shutting down');
      const bytes = message.body.byteLength;
      if (pendingBytes > 0 && pendingBytes + bytes > settings.maxPendingBytes) {
        throw new RetryableError(`the store is behind: ${pendingBytes} bytes wait to be written`, { retryAfterSeconds: 2 });
      }
      let reading: Reading;
      try {
        reading = read(message);
      } catch (error) {
        throw error instanceof PermanentError ? await park({ message, records: 0 }, error) : error;
      }
      pendingBytes += bytes;
      pendingMessages += 1;
      await new Promise<void>((resolve, reject) => {
        queue.push({ message, records: reading.received, reading, bytes, resolve, reject });
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
