import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';

/** The real engine behind HTTP, in a process of its own (front-process.ts). */
export type Front = {
  readonly url: string;
  /** SIGKILL: the store is away. */
  kill(): Promise<void>;
  /** After `kill`: the same data, the same port. */
  start(): Promise<void>;
  remove(): Promise<void>;
};

export async function startFront(): Promise<Front> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-front-'));
  let running: ChildProcess | null = null;
  let port = '0';
  const start = async (): Promise<void> => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'front-process.ts'), directory, port], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, UV_THREADPOOL_SIZE: '16' } });
    let said = '';
    child.stdout.on('data', (chunk) => (said += String(chunk)));
    child.stderr.on('data', (chunk) => (said += String(chunk)));
    running = child;
    process.once('exit', () => child.kill('SIGKILL'));
    port = await vi.waitFor(
      () => {
        const found = /listening on (\d+)/.exec(said)?.[1];
        if (found === undefined) throw new Error(`the front has not started: ${said}`);
        return found;
      },
      { timeout: 30_000, interval: 20 },
    );
  };
  const kill = async (): Promise<void> => {
    const child = running;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
    running = null;
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    kill,
    start,
    async remove() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
