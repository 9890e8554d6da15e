import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject, vi } from 'vitest';
import { ended, launch, type Ended, type Surroundings } from './program.ts';

/**
 * The program as `npm run build` makes it, once for all files of a run, by the first that needs it: a process that is started from it takes half
 * of the processor time of one from the sources, which have to be transformed first.
 */
export const ROOT = join(import.meta.dirname, '..');
/** From the sources, as `npm start` does. */
export const SOURCES = join(ROOT, 'deploy/bin.cjs');
/** The build, with `node_modules` beside it. */
export const BUILT = await buildOnce(inject('buildDirectory'));
export const BINARY = join(BUILT, 'deploy/bin.cjs');

/** Runs a command of the build to its end. @param given.env beside that of this process. */
export function culprit(args: readonly string[], { env, ...given }: Surroundings = {}): Promise<Ended> {
  return ended(launch([BINARY, ...args], { ...given, env: { ...process.env, ...env } }));
}

async function buildOnce(directory: string): Promise<string> {
  const [built, done] = [join(directory, 'culprit'), join(directory, 'done')];
  const isFirst = await mkdir(directory).then(() => true, () => false);
  if (isFirst) {
    // What it prints is a fault too; and whoever waits must hear of one that printed nothing.
    const faults = await promisify(execFile)('npm', ['run', '--silent', 'build'], { cwd: ROOT, env: { ...process.env, CULPRIT_BUILD_DIR: built } }).then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: Error & { stdout?: string }) => error.message + (error.stdout ?? ''),
    );
    if (faults === '') await symlink(join(ROOT, 'node_modules'), join(built, 'node_modules'));
    await writeFile(done, faults);
  }
  const said = await vi.waitFor(() => readFile(done, 'utf8'), { timeout: 120_000, interval: 50 });
  if (said !== '') throw new Error(`the build failed: ${said}`);
  return built;
}
