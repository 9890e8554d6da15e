import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';

/** A file system so small that it can be filled. Throws where this user may not mount one. */
export function mountSmallDisk(directory: string, megabytes: number): { unmount(): void } {
  run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory]);
  // Lazily: whoever runs on it may still be there.
  return { unmount: () => run('umount', ['--lazy', directory]) };
}

/** Writes until the file system has no room left. */
export function fill(file: string): void {
  const descriptor = openSync(file, 'a');
  try {
    for (let bytes = 1 << 20; bytes >= 512; ) {
      try {
        writeSync(descriptor, Buffer.alloc(bytes));
      } catch {
        bytes >>= 1;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: 'pipe' });
}
