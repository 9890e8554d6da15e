import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { JsonStore } from '../../deploy/json-rows.ts';
import { createLooking, startLookThread } from '../../deploy/look-thread.ts';
import { startServer } from '../../deploy/server.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';

/** The thread of the look when it ends: that it cannot begin, or that something ends it (memory, mostly). */

const threads: Worker[] = [];
const listen = (worker: Worker): void => void threads.push(worker);
process.on('worker', listen);
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.terminate();
});

/** Without rows. `selectJson` may be another. */
function openEmptyStore(selectJson: JsonStore['selectJson'] = async () => Buffer.from('[]')): JsonStore {
  return { selectJson, select: async () => [], insert: async () => undefined, command: async () => undefined, close: async () => undefined };
}

const CONFIG: Config = { ...ConfigFile.parse({}), webhooks: [], sinks: [], registries: [] };
/** The id of a thread that has ended. */
const ENDED = -1;

describe('the thread of the look', () => {
  it('that cannot begin is ended: who tries again every half second must not gather threads', async () => {
    const away = openEmptyStore(() => Promise.reject(new Error('the store is away')));
    await expect(startLookThread(away, CONFIG)).rejects.toThrow('the store is away');
    expect(threads.map(({ threadId }) => threadId)).toEqual([ENDED]);
  });

  it('that has ended answers no more, and says so', async () => {
    const look = await startLookThread(openEmptyStore(), CONFIG);
    await threads[0]?.terminate();
    expect(look.isRunning()).toBe(false);
    await expect(look.advance(60_000)).rejects.toThrow('the look thread ended');
  });

  it('is begun anew where something ended it', async () => {
    const look = createLooking(() => startLookThread(openEmptyStore(), CONFIG));
    expect(await look.advance(60_000)).toEqual([]);
    expect(await look.advance(90_000)).toEqual([]);
    expect(threads).toHaveLength(1);
    await threads[0]?.terminate();
    expect(await look.advance(120_000)).toEqual([]);
    expect(threads).toHaveLength(2);
    await look.close();
    expect(threads.map(({ threadId }) => threadId)).toEqual([ENDED, ENDED]);
  });

  it('that ended in a server is begun anew by its clock, and the server ends when it is told to', { timeout: 60_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'culprit-look-thread-'));
    const warned: string[] = [];
    const server = await startServer({ ...CONFIG, data: directory, port: 0, grpc: false }, { clock: Date.now, random: Math.random, warn: (message) => void warned.push(message) });
    await threads[0]?.terminate();
    await vi.waitFor(() => expect(threads).toHaveLength(2), { timeout: 20_000, interval: 50 });
    await server.close();
    expect(threads.map(({ threadId }) => threadId)).toEqual([ENDED, ENDED]);
    // What was under way when it ended is told, if anything was.
    expect(new Set(warned).size).toBeLessThanOrEqual(1);
    await rm(directory, { recursive: true, force: true });
  });
});
