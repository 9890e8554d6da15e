import type { Store } from '../../schemas/store.ts';

/**
 * Shards of the log: everything of one trace is in one of them, and each has one ingest loop at a time, somewhere. In one process there is
 * shard 0 alone.
 *
 * The number of a batch tells its shard: each counts its own batches from `shard * BATCHES_PER_SHARD` on. So what an earlier owner of a
 * shard left (rows without a ledger, calls that wait) is found by ranges of one column. Whoever takes a shard up goes on so far above what is there
 * that no number of its last owner, who may still be writing, is one of its own (schemas/ledger.ts).
 */
const BATCHES_PER_SHARD = 2 ** 40;
const BATCHES_LEFT_OUT = 2 ** 10;

/** Batch numbers have to stay whole in a double. */
export const MAX_SHARDS = 4_096;

export type BatchRange = { readonly from_batch: number; readonly to_batch: number };

/** From (inclusive) to (exclusive). */
export function batchesOf(shard: number): BatchRange {
  return { from_batch: shard * BATCHES_PER_SHARD, to_batch: (shard + 1) * BATCHES_PER_SHARD };
}

/** `first`: of the batches that an owner has numbered since it took the shard up. */
export type BatchNumber = { readonly shard: number; readonly first: number; readonly number: number };

/** Before the first batch of who takes up a shard in which `lastBatch` is the last. */
export function numbersAfter({ shard, lastBatch }: { readonly shard: number; readonly lastBatch: number }): BatchNumber {
  const first = lastBatch + BATCHES_LEFT_OUT;
  return { shard, first, number: first - 1 };
}

/** In a WHERE with the range as parameters. */
export const OF_SHARD = 'batch >= {from_batch:UInt64} AND batch < {to_batch:UInt64}';

/** Slots before this one are in the store, as far as they came through this shard. */
export async function recordPassed(store: Store, passed: readonly { readonly shard: number; readonly slot: number }[]): Promise<void> {
  await store.insert('log_progress', passed);
}

/** How far a shard has come; 0 where it has said nothing yet. */
export async function loadPassedOf(store: Store, shard: number): Promise<number> {
  const [row] = await store.select<{ slot: number }>('SELECT max(log_progress.slot) AS slot FROM log_progress WHERE shard = {shard:UInt16}', { shard });
  return row?.slot ?? 0;
}

/** The slot up to which all of the shards have passed; null where one has said nothing yet. */
export async function loadPassed(store: Store, shards: number): Promise<number | null> {
  const rows = await store.select<{ shard: number; slot: number }>(
    'SELECT shard, max(log_progress.slot) AS slot FROM log_progress WHERE shard < {shards:UInt32} GROUP BY shard',
    { shards },
  );
  return rows.length < shards ? null : Math.min(...rows.map(({ slot }) => slot));
}
