import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';

/** The real engine behind HTTP, in a process of its own (front-process.ts). */
export type Front = {
  readonly url: string;
  /** SIGKILL: the store is away. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay, and nothing is answered, as of a machine whose disk does not. */
  freeze(): void;
  thaw(): void;
  /** After `kill`: the same data, the same port. */
  start(): Promise<void>;
  remove(): Promise<void>;
};

/** @param inside where its data lies. */
export async function startFront(inside = tmpdir()): Promise<Front> {
  const directory = await mkdtemp(join(inside, 'culprit-front-'));
  let running: ChildProcess | null = null;
  let port = '0';
  const start = async (): Promise<void> => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'front-process.ts'), directory, port], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, UV_THREADPOOL_SIZE: '16' } });
    let said = '';
    child.stdout.on('data', (chunk) => (said += String(chunk)));
    child.stderr.on('data', (chunk) => (said += String(chunk)));
    running = child;
    child.once('close', (_, signal) => {
      // Nobody else would say why the store does not answer.
      if (signal !== 'SIGKILL') console.error(`the front ended by itself: ${said.slice(-2_000)}`);
    });
    process.once('exit', () => child.kill('SIGKILL'));
    port = await eventually(
      () => {
        const found = /listening on (\d+)/.exec(said)?.[1];
        if (found === undefined) throw new Error(`the front has not started: ${said}`);
        return found;
      },
      { timeoutMs: 30_000, everyMs: 20 },
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
    freeze: () => void running?.kill('SIGSTOP'),
    thaw: () => void running?.kill('SIGCONT'),
    start,
    async remove() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
