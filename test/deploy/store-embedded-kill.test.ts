import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { PermanentError } from '../../schemas/errors.ts';

/** Starts a process that inserts; resolves with the batches that it had acknowledged when it was gone. */
async function insertUntilKilled({ directory, firstBatch, killAfterBatches, thenMs }: { directory: string; firstBatch: number; killAfterBatches: number; thenMs: number }): Promise<number[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'insert-until-killed.ts'), directory, String(firstBatch)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged: number[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    acknowledged.push(Number(line));
    if (acknowledged.length === killAfterBatches) setTimeout(() => child.kill('SIGKILL'), thenMs);
  });
  const [[code, signal]] = await Promise.all([once(child, 'exit'), once(lines, 'close')]);
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
  return acknowledged;
}

describe('embedded store, killed', () => {
  it('has every acknowledged row after kill -9 at any moment, and no half batch', { timeout: 120_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'culprit-kill-'));
    const acknowledged: number[] = [];
    let firstBatch = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 25 }), async (killAfterBatches, thenMs) => {
          acknowledged.push(...(await insertUntilKilled({ directory, firstBatch, killAfterBatches, thenMs })));
          const store = await openEmbeddedStore({ directory });
          const stored = await store.select<{ batch: number; rows: number; distinct: number }>('SELECT batch, count() AS rows, uniqExact(row) AS distinct FROM acknowledged GROUP BY batch ORDER BY batch');
          await store.close();
          // The batch that was under way at the kill may be there or not, but not in part, and none twice.
          expect(stored.filter(({ rows, distinct }) => rows !== 50 || distinct !== 50)).toEqual([]);
          const batches = new Set(stored.map(({ batch }) => batch));
          expect(acknowledged.filter((batch) => !batches.has(batch))).toEqual([]);
          firstBatch = Math.max(...batches) + 1;
        }),
        { numRuns: 5, endOnFailure: true },
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(5);
  });

  it('refuses a directory that another process has open, with a reason', { timeout: 60_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'culprit-locked-'));
    const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'insert-until-killed.ts'), directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(child.stdout, 'data');
      const opening = openEmbeddedStore({ directory });
      await expect(opening).rejects.toBeInstanceOf(PermanentError);
      await expect(opening).rejects.toThrow(/does another process have it open/);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
      await rm(directory, { recursive: true, force: true });
    }
  });
});
