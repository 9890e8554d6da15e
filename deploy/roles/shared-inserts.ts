import { PermanentError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import type { MayWrite } from '../kafka/consumer.ts';

/**
 * The inserts of all shards of a process, put together: while one is under way into a table, those that come are gathered into the next. An insert costs the store
 * 10 ms whatever it holds, and a dozen shards would make a dozen of what one can hold.
 *
 * Each resolves, or fails, as if it were alone: who may not write any more is left out, and where the store refuses rows, each shard's are tried by themselves.
 */
export type SharedInserts = {
  /** Throws what `mayWrite` throws, which is asked right before, and RetryableError or PermanentError of the store. */
  insert(table: string, rows: readonly object[], mayWrite: MayWrite): Promise<void>;
};

/** Together they take a few tens of megabytes in memory. */
const MOST_ROWS = 20_000;

type Insert = { readonly rows: readonly object[]; readonly mayWrite: MayWrite; readonly resolve: () => void; readonly reject: (error: unknown) => void };

export function shareInserts(store: Pick<Store, 'insert'>): SharedInserts {
  /** What waits, by table; a table is in it while an insert into it is under way. */
  const waiting = new Map<string, Insert[]>();

  const writeAll = async (table: string, inserts: readonly Insert[]): Promise<void> => {
    const allowed: Insert[] = [];
    await Promise.all(inserts.map((insert) => insert.mayWrite().then(() => allowed.push(insert), insert.reject)));
    try {
      await store.insert(table, allowed.flatMap(({ rows }) => rows));
      for (const { resolve } of allowed) resolve();
    } catch (error) {
      if (allowed.length > 1 && error instanceof PermanentError) for (const insert of allowed) await writeAll(table, [insert]);
      else for (const { reject } of allowed) reject(error);
    }
  };

  const drain = async (table: string, queue: Insert[]): Promise<void> => {
    while (queue.length > 0) await writeAll(table, queue.splice(0, countWithin(queue, MOST_ROWS)));
    waiting.delete(table);
  };

  return {
    insert: (table, rows, mayWrite) =>
      new Promise((resolve, reject) => {
        const queue = waiting.get(table);
        const insert = { rows, mayWrite, resolve, reject };
        if (queue !== undefined) return void queue.push(insert);
        const first = [insert];
        waiting.set(table, first);
        void drain(table, first);
      }),
  };
}

/** How many of the first have no more rows than that together; one at least. */
function countWithin(inserts: readonly Insert[], mostRows: number): number {
  let rows = 0;
  const beyond = inserts.findIndex((insert, index) => (rows += insert.rows.length) > mostRows && index > 0);
  return beyond === -1 ? inserts.length : beyond;
}
