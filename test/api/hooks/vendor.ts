import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createCall } from '../../../api/hooks/calling.ts';
import { createHooks, type Hook, type HookMeans, type Order } from '../../../api/hooks/index.ts';
import { createPost } from '../../../api/sinks/post.ts';
import { runProgram } from '../../../deploy/spawning.ts';
import { HookEntry } from '../../../schemas/hooks.ts';
import { alertAt, NOW_MS } from '../sinks/alert.ts';

export type VendorRequest = { method: string; path: string; query: string; headers: IncomingHttpHeaders; body: unknown; text: string };
/** Null: it does not answer. */
export type VendorAnswer = { status: number; body?: unknown; headers?: Record<string, string> } | null;

/** A vendor's API on loopback, by its own rules; what it has no rule for is 404, as there. */
export async function vendor(answer: (request: VendorRequest) => VendorAnswer) {
  const received: VendorRequest[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const [path = '', query = ''] = (request.url ?? '').split('?');
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      const one = { method: request.method ?? '', path, query, headers: request.headers, body, text };
      received.push(one);
      const given = answer(one);
      if (given !== null) response.writeHead(given.status, { 'content-type': 'application/json', ...given.headers }).end(given.body === undefined ? undefined : JSON.stringify(given.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    async close(): Promise<void> {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function orderAt(change: Partial<Order> = {}): Order {
  return { id: 'rbk_1', key: 'rbk_1-2', atMs: NOW_MS, alert: alertAt('alr_1', 'open', NOW_MS), prompt: 'refund-agent', candidate: '8', baseline: '7', who: 'mira', ...change };
}

export function hookFrom(entry: object): Hook {
  const [hook] = createHooks([HookEntry.parse(entry)]);
  if (hook === undefined) throw new Error('no hook');
  return hook;
}

/** Has a hook do an order over real connections. `trail`: what the record would have of its requests. */
export async function rollBack(entry: object, order: Order = orderAt(), { isOpen = true, flags }: { isOpen?: boolean; flags?: HookMeans['flags'] } = {}): Promise<{ answer: string; trail: string[] }> {
  const hook = hookFrom(entry);
  const trail: string[] = [];
  const call = createCall(createPost({ clock: () => NOW_MS }, { allowPrivateAddresses: isOpen }), { timeoutMs: hook.timeoutMs }, (line) => trail.push(line));
  const means: HookMeans = { call, run: runProgram, flags: flags ?? { setDefault: () => Promise.reject(new Error('no flags')) } };
  return { answer: await hook.rollBack(order, means), trail };
}
