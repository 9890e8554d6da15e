import { describe, expect, it } from 'vitest';
import { shareInserts } from '../../deploy/roles/shared-inserts.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';

type Rows = readonly object[];

const allowed = async (): Promise<void> => undefined;
const row = (id: number): object => ({ id });

async function expectRefused(insert: Promise<void>, message: string): Promise<void> {
  await expect(insert).rejects.toThrow(message);
}

/** A store whose inserts end when they are told to; the one that is under way holds the others up. */
function openHeldStore(outcome: (rows: Rows) => Error | null = () => null) {
  const inserts: { table: string; rows: Rows; end: () => void }[] = [];
  const shared = shareInserts({
    insert: (table, rows) =>
      new Promise((resolve, reject) => {
        const end = (): void => {
          const error = outcome(rows);
          if (error === null) resolve();
          else reject(error);
        };
        inserts.push({ table, rows, end });
      }),
  });
  return {
    inserts,
    insert: shared.insert,
    /** Ends the insert that was asked for at this place, once it is there. */
    async end(at: number): Promise<void> {
      await expect.poll(() => inserts.length).toBeGreaterThan(at);
      inserts[at]?.end();
    },
  };
}

const rowsOf = ({ inserts }: ReturnType<typeof openHeldStore>): unknown[] => inserts.map(({ table, rows }) => [table, rows]);

describe('inserts of several shards', () => {
  it('go together where one into the same table is under way', async () => {
    const store = openHeldStore();
    const all = [1, 2, 3].map((id) => store.insert('calls', [row(id)], allowed));
    await store.end(0);
    await store.end(1);
    await Promise.all(all);
    expect(rowsOf(store)).toEqual([['calls', [row(1)]], ['calls', [row(2), row(3)]]]);
  });

  it('do not wait for another table', async () => {
    const store = openHeldStore();
    const held = store.insert('calls', [row(1)], allowed);
    const other = store.insert('ledger', [row(2)], allowed);
    await store.end(1);
    await other;
    await store.end(0);
    await held;
    expect(rowsOf(store)).toEqual([['calls', [row(1)]], ['ledger', [row(2)]]]);
  });

  it('leave out who may not write any more, asked when its turn has come', async () => {
    const store = openHeldStore();
    let isLost = false;
    const first = store.insert('calls', [row(1)], allowed);
    const lost = store.insert('calls', [row(2)], async () => {
      if (isLost) throw new RetryableError('another has the shard');
    });
    const last = store.insert('calls', [row(3)], allowed);
    const told = expectRefused(lost, 'another has the shard');
    isLost = true;
    await store.end(0);
    await store.end(1);
    await Promise.all([first, last, told]);
    expect(rowsOf(store)).toEqual([['calls', [row(1)]], ['calls', [row(3)]]]);
  });

  it('are tried each by itself where the store refuses rows, so that only whose rows they are is told', async () => {
    const store = openHeldStore((rows) => (rows.some((each) => 'id' in each && each.id === 2) ? new PermanentError('bad rows') : null));
    const first = store.insert('calls', [row(1)], allowed);
    const bad = expectRefused(store.insert('calls', [row(2)], allowed), 'bad rows');
    const good = store.insert('calls', [row(3)], allowed);
    for (let at = 0; at < 4; at += 1) await store.end(at);
    await Promise.all([first, bad, good]);
    expect(rowsOf(store)).toEqual([['calls', [row(1)]], ['calls', [row(2), row(3)]], ['calls', [row(2)]], ['calls', [row(3)]]]);
  });

  it('fail together where the store is away, and the next go on', async () => {
    let isAway = true;
    const store = openHeldStore(() => (isAway ? new RetryableError('away') : null));
    const first = expectRefused(store.insert('calls', [row(1)], allowed), 'away');
    const second = expectRefused(store.insert('calls', [row(2)], allowed), 'away');
    await store.end(0);
    await store.end(1);
    await Promise.all([first, second]);
    isAway = false;
    const third = store.insert('calls', [row(3)], allowed);
    await store.end(2);
    await third;
  });

  it('hold a bounded number of rows', async () => {
    const store = openHeldStore();
    const many = Array.from({ length: 12_000 }, (_, id) => row(id));
    const all = [1, 2, 3].map(() => store.insert('calls', many, allowed));
    for (let at = 0; at < 3; at += 1) await store.end(at);
    await Promise.all(all);
    expect(store.inserts.map(({ rows }) => rows.length)).toEqual([12_000, 12_000, 12_000]);
  });
});
