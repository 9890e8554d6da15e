import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from '../schemas/config.ts';
import { RetryableError } from '../schemas/errors.ts';
import type { Store } from '../schemas/store.ts';
import type { FromLook, StoreRequest, ToLook } from './look-thread.ts';
import { parsedRows } from './json-rows.ts';
import { createLookFor } from './pipeline.ts';

/** The other end of look-thread.ts. */

if (parentPort === null) throw new Error('look-worker runs in a worker thread');
const port = parentPort;
const send = (message: FromLook): void => port.postMessage(message);
const asked = new Map<number, { resolve: (rows: Uint8Array | null) => void; reject: (error: Error) => void }>();
let lastId = 0;

type Question = StoreRequest extends infer Request ? (Request extends StoreRequest ? Omit<Request, 'kind' | 'id'> : never) : never;

/** Rows as JSON; null: it was no question. */
function ask(request: Question): Promise<Uint8Array | null> {
  lastId += 1;
  const id = lastId;
  return new Promise((resolve, reject) => {
    asked.set(id, { resolve, reject });
    send({ kind: 'store', id, ...request });
  });
}

const store: Store = {
  async insert(table, rows) {
    if (rows.length > 0) await ask({ method: 'insert', table, rows });
  },
  async select<Row>(sql: string, parameters: Readonly<Record<string, unknown>> = {}) {
    const rows = await ask({ method: 'select', sql, parameters });
    return rows === null ? [] : parsedRows<Row>(rows);
  },
  command: () => Promise.reject(new Error('the look loop changes no schema')),
  close: () => Promise.resolve(),
};

// The main thread made it from a validated configuration.
const look = createLookFor(store, workerData as Config, { slotsPerRead: 20 });

port.on('message', (message: ToLook) => {
  switch (message.kind) {
    case 'advance':
      look.advance(message.watermarkMs).then(
        (events) => send({ kind: 'advanced', events }),
        (error: unknown) => send({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
      return;
    case 'answer':
      asked.get(message.id)?.resolve(message.rows);
      asked.delete(message.id);
      return;
    case 'refusal':
      asked.get(message.id)?.reject(new RetryableError(message.message));
      asked.delete(message.id);
      return;
  }
});

look.start().then(
  () => send({ kind: 'started' }),
  (error: unknown) => send({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);
