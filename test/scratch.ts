import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';

const IN_MEMORY = '/dev/shm';
const ROOM_BYTES = 4 * 1024 ** 3;

/**
 * Where tests put what they throw away: in memory, where there is room. The engine makes some twenty files for an insert and removes them soon after, which on a disk is a
 * third of what the suite costs. Null: where temporary files lie anyway, which TMPDIR says.
 */
export function scratchDirectory(): string | null {
  if (process.env['TMPDIR'] !== undefined) return null;
  try {
    accessSync(IN_MEMORY, constants.W_OK);
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    // Some tests run programs that they have written.
    const mount = readFileSync('/proc/mounts', 'utf8').split('\n').find((line) => line.split(' ')[1] === IN_MEMORY);
    return bavail * bsize >= ROOM_BYTES && mount !== undefined && !mount.split(' ')[3]?.split(',').includes('noexec') ? IN_MEMORY : null;
  } catch {
    return null;
  }
}
