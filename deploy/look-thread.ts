import { Worker } from 'node:worker_threads';
import type { LookEvent } from '../analyzer/look/look.ts';
import { asError } from '../schemas/errors.ts';
import type { Config } from '../schemas/config.ts';
import type { JsonStore } from './json-rows.ts';

/**
 * The look loop in a thread of its own, so that statistics never hold up ingest. The engine stays in the main thread
 * (it crashes in a worker): the worker asks for what it reads and writes, and gets rows as the engine wrote them, which it parses itself: a slot of heavy traffic is 70 MB.
 */
export type LookThread = {
  /** Rejects with what failed; at once where the thread has ended. */
  advance(watermarkMs: number): Promise<readonly LookEvent[]>;
  /** Whether it can be asked again after a failure: the thread is still there. */
  isRunning(): boolean;
  close(): Promise<void>;
};

export type StoreRequest = { readonly kind: 'store'; readonly id: number } & (
  | { readonly method: 'insert'; readonly table: string; readonly rows: readonly object[] }
  | { readonly method: 'select'; readonly sql: string; readonly parameters: Readonly<Record<string, unknown>> }
);
export type FromLook = StoreRequest | { readonly kind: 'started' } | { readonly kind: 'advanced'; readonly events: readonly LookEvent[] } | { readonly kind: 'failed'; readonly message: string };
export type ToLook = { readonly kind: 'advance'; readonly watermarkMs: number } | { readonly kind: 'answer'; readonly id: number; /** A JSON array in UTF-8; null: it was no question. */ readonly rows: Uint8Array | null } | { readonly kind: 'refusal'; readonly id: number; readonly message: string };

/** Rejects with what kept it from taking up what is in the store; then no thread is left. */
export async function startLookThread(store: JsonStore, config: Config): Promise<LookThread> {
  // Secrets are not its business.
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), { argv: ['./look-worker'], workerData: { ...config, webhooks: [], sinks: [], registries: [], hooks: [], access: { ...config.access, keys: [], oidc: undefined } } satisfies Config });
  let settle: { resolve: (events: readonly LookEvent[]) => void; reject: (error: Error) => void } | null = null;
  const wait = (): Promise<readonly LookEvent[]> => new Promise((resolve, reject) => (settle = { resolve, reject }));
  const send = (message: ToLook, handedOver: readonly ArrayBuffer[] = []): void => worker.postMessage(message, handedOver);

  const serve = async (request: StoreRequest): Promise<void> => {
    try {
      if (request.method === 'insert') {
        await store.insert(request.table, request.rows);
        send({ kind: 'answer', id: request.id, rows: null });
        return;
      }
      const rows = await store.selectJson(request.sql, request.parameters);
      send({ kind: 'answer', id: request.id, rows }, ownedBy(rows));
    } catch (error) {
      send({ kind: 'refusal', id: request.id, message: error instanceof Error ? error.message : String(error) });
    }
  };
  const fail = (error: Error): void => {
    settle?.reject(error);
    settle = null;
  };

  const started = wait();
  worker.on('message', (message: FromLook) => {
    switch (message.kind) {
      case 'store':
        void serve(message);
        return;
      case 'started':
        settle?.resolve([]);
        settle = null;
        return;
      case 'advanced':
        settle?.resolve(message.events);
        settle = null;
        return;
      case 'failed':
        fail(new Error(message.message));
        return;
    }
  });
  /** Why the thread is no more. */
  let ended: Error | null = null;
  const end = (error: Error): void => {
    ended ??= error;
    fail(error);
  };
  worker.on('error', (error) => end(asError(error)));
  worker.on('exit', (code) => end(new Error(`the look thread ended (exit ${code})`)));
  const close = async (): Promise<void> => void (await worker.terminate());
  try {
    await started;
  } catch (error) {
    await close();
    throw error;
  }

  return {
    async advance(watermarkMs) {
      if (ended !== null) throw ended;
      const advanced = wait();
      send({ kind: 'advance', watermarkMs });
      return advanced;
    },
    isRunning: () => ended === null,
    close,
  };
}

/** A look whose thread is begun when it is first asked, and anew where something has ended it (memory, mostly): what was concluded is in the store, and it goes on from there. */
export type Looking = {
  /** Begins the thread, if there is none. Rejects as that does, and the next who asks tries anew. */
  start(): Promise<void>;
  /** Rejects with what failed. */
  advance(watermarkMs: number): Promise<readonly LookEvent[]>;
  /** Ends the thread, if there is one. Asked again after that, it begins another. */
  close(): Promise<void>;
};

export function createLooking(startThread: () => Promise<LookThread>): Looking {
  let thread: LookThread | null = null;
  const running = async (): Promise<LookThread> => {
    if (thread?.isRunning() !== true) thread = await startThread();
    return thread;
  };
  return {
    start: async () => void (await running()),
    advance: async (watermarkMs) => (await running()).advance(watermarkMs),
    async close() {
      const closing = thread;
      thread = null;
      await closing?.close();
    },
  };
}

/** What may change hands with it: its memory, unless that is a part of something larger. */
function ownedBy({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
