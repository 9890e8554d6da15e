import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonStore } from '../../deploy/json-rows.ts';
import { createLooking, startLookThread } from '../../deploy/look-thread.ts';
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
});
