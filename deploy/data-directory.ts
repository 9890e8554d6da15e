import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PermanentError } from '../schemas/errors.ts';

/**
 * The claim of one process on its data directory: a lock file that names the process.
 *
 * The file outlives kill -9, so finding one decides nothing: it counts only while the process it names is alive, and is the same
 * process and not a later one with the number used again (its start time, from /proc where there is one, tells).
 * The engine locks its own files besides, through the kernel; this lock is for a clear sentence before anything is opened,
 * and covers what else lies in the directory. Two processes that find the same dead lock at the same moment may both take it:
 * then the engine's lock refuses one of them.
 */

export type DirectoryClaim = { readonly directory: string; release(): void };

/** Another Culprit that runs has it. */
export class DirectoryInUse extends PermanentError {}

type Holder = { readonly pid: number; readonly started: string | null };

/** Creates the directory if need be. Throws PermanentError, with a sentence for people, when it cannot be used. */
export function claimDirectory(directory: string): DirectoryClaim {
  prepare(directory);
  const file = join(directory, 'culprit.lock');
  const self: Holder = { pid: process.pid, started: startOf(process.pid) };
  if (!create(file, self)) {
    const holder = readHolder(file);
    if (holder !== null && isAlive(holder)) {
      throw new DirectoryInUse(`the data directory ${directory} is in use by another running Culprit (process ${holder.pid}): stop that one, or give this one another directory (--data)`);
    }
    rmSync(file, { force: true });
    if (!create(file, self)) throw new PermanentError(`the data directory ${directory} is being claimed by another Culprit that is starting: give this one another directory (--data)`);
  }
  let isHeld = true;
  return {
    directory,
    release() {
      if (!isHeld) return;
      isHeld = false;
      const holder = readHolder(file);
      if (holder !== null && holder.pid === self.pid && holder.started === self.started) rmSync(file, { force: true });
    },
  };
}

/** The process that has the directory now; null where none has. Changes nothing. */
export function holderOf(directory: string): { readonly pid: number } | null {
  const holder = readHolder(join(directory, 'culprit.lock'));
  return holder !== null && isAlive(holder) ? holder : null;
}

function prepare(directory: string): void {
  try {
    createWithParents(resolve(directory));
  } catch (error) {
    const why = codeOf(error) === 'ENOTDIR' ? 'there is a file in its path' : explain(error);
    throw new PermanentError(`the data directory ${directory} cannot be created: ${why}; give another one (--data)`, { cause: error });
  }
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    // Permission bits do not tell of a read-only file system or a full disk, nor hold for root: only writing does.
    const probe = join(directory, `.write-probe-${process.pid}`);
    closeSync(openSync(probe, 'w'));
    unlinkSync(probe);
  } catch (error) {
    throw new PermanentError(`the data directory ${directory} cannot be written: ${explain(error)}; mend that, or give another one (--data)`, { cause: error });
  }
}

/** `mkdirSync` with `recursive` never returns where the system answers ENOENT below a directory that is there, as in /proc (Node 20.20). */
function createWithParents(directory: string): void {
  if (existsSync(directory)) {
    if (!statSync(directory).isDirectory()) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    return;
  }
  createWithParents(dirname(directory));
  try {
    mkdirSync(directory);
  } catch (error) {
    // Another process may have been faster.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** False where the file is there already. */
function create(file: string, holder: Holder): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o644);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new PermanentError(`the lock file ${file} cannot be written: ${explain(error)}`, { cause: error });
  }
  try {
    writeSync(descriptor, `${JSON.stringify(holder)}\n`);
  } finally {
    closeSync(descriptor);
  }
  return true;
}

/** Null where there is no file, or it was cut short by a crash while it was written. */
function readHolder(file: string): Holder | null {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !Number.isInteger(value.pid)) return null;
    return { pid: Number(value.pid), started: 'started' in value && typeof value.started === 'string' ? value.started : null };
  } catch {
    return null;
  }
}

function isAlive(holder: Holder): boolean {
  if (holder.pid === process.pid && holder.started === startOf(process.pid)) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it is alive and somebody else's.
    if (codeOf(error) !== 'EPERM') return false;
  }
  const started = startOf(holder.pid);
  return started === null || holder.started === null || started === holder.started;
}

/**
 * What tells this process from an earlier or later one with the same number: the boot of the machine and the clock ticks
 * since then at which it started (field 22 of /proc/pid/stat). Null where there is no /proc.
 */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // A zombie has ended: it holds nothing, whatever its number says.
    return fields[0] === 'Z' ? 'ended' : `${boot}/${fields[19]}`;
  } catch {
    return null;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function explain(error: unknown): string {
  switch (codeOf(error)) {
    case 'EACCES':
    case 'EPERM':
      return 'no permission';
    case 'EROFS':
      return 'the file system is read-only';
    case 'ENOSPC':
      return 'the disk is full';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
