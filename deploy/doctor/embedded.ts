import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Config } from '../../schemas/config.ts';
import { claimDirectory, holderOf } from '../data-directory.ts';
import { ok, roomFinding, saidBy, watch, wrong, type Finding } from './finding.ts';
import { examineStore } from './store.ts';

/** The data directory of the embedded mode: whether it can be used, who has it, what is free, and, where nobody has it, what is in it. */
export async function examineDirectory(config: Config, nowMs: number): Promise<{ readonly findings: readonly Finding[]; readonly isHeld: boolean }> {
  const directory = resolve(config.data);
  const check = `data directory ${directory}`;
  const alone = (finding: Finding) => ({ findings: [finding], isHeld: false });
  if (!existsSync(directory)) return alone(watch(check, 'is not there yet', 'nothing to do: the first start makes it; if it should be there, name another (--data)'));
  if (!statSync(directory).isDirectory()) return alone(wrong(check, 'is a file', 'name a directory (--data)'));
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return alone(wrong(check, `cannot be written: ${saidBy(error)}`, 'give it to the user that Culprit runs as, or name another (--data)'));
  }
  const room = statfsSync(directory);
  const findings: Finding[] = [ok(check, 'can be read and written'), roomFinding('disk of the data directory', { freeBytes: room.bavail * room.bsize, totalBytes: room.blocks * room.bsize })];
  const holder = holderOf(directory);
  if (holder !== null) return { findings: [...findings, ok('lock', `process ${holder.pid} runs on it`)], isHeld: true };
  findings.push(ok('lock', 'no process runs on it'));
  if (existsSync(join(directory, 'store'))) findings.push(...(await examineContents(directory, nowMs)));
  return { findings, isHeld: false };
}

/** Under the claim, so that no server starts on it meanwhile. */
async function examineContents(directory: string, nowMs: number): Promise<Finding[]> {
  try {
    const claim = claimDirectory(directory);
    try {
      // Only now is the engine loaded.
      const { openEmbeddedStore } = await import('../store-embedded.ts');
      const store = await openEmbeddedStore({ directory: join(directory, 'store') });
      try {
        return await examineStore(store, { nowMs, isRunning: false });
      } finally {
        await store.close();
      }
    } finally {
      claim.release();
    }
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    return [isMissing ? wrong('engine', 'the package chdb is not installed', 'install it (npm install chdb), or run the roles over a ClickHouse server') : wrong('store', `cannot be opened: ${saidBy(error)}`, 'restore a backup, or name another directory (--data)')];
  }
}
