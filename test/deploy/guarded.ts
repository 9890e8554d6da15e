import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOf } from '../../api/access/secrets.ts';
import { defaultRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { startServer } from '../../deploy/server.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import type { Scope } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import type { Store } from '../../schemas/store.ts';
import { freePort } from '../ports.ts';

export type Asking = { readonly method?: string; readonly key?: string; readonly cookie?: string; readonly headers?: Record<string, string>; readonly body?: unknown; readonly form?: Record<string, string> };

/** A key for the configuration, and its secret. */
export function configuredKey(project: string, scopes: readonly Scope[]): { readonly secret: string; readonly entry: object } {
  const secret = `clp_${randomBytes(32).toString('base64url')}`;
  return { secret, entry: { name: `${project} ${scopes.join(' ')}`, project, scopes, hash: hashOf(secret) } };
}

/**
 * A server on a directory of its own, with the real store; `seed` fills it before. Closing it fails where it had to warn of something.
 * @param given the time of the server, and what the configuration reads from elsewhere, as it is when it has been read
 */
export async function startGuarded(settings: object, seed: (store: Store) => Promise<void> = async () => undefined, given: { readonly clock?: Clock } & Partial<Pick<Config, 'webhooks' | 'sinks' | 'registries'>> = {}) {
  const { clock = Date.now, ...secrets } = given;
  const directory = await mkdtemp(join(tmpdir(), 'culprit-access-'));
  const store = await openEmbeddedStore({ directory: join(directory, 'store') });
  await migrate(store, { directory: MIGRATIONS, cluster: null, retention: defaultRetention });
  await seed(store);
  await store.close();
  const warnings: string[] = [];
  const port = await freePort();
  const config = ConfigFile.parse({ data: directory, port, grpc: false, ...settings });
  const server = await startServer({ ...config, webhooks: [], sinks: [], registries: [], ...secrets }, { clock, random: Math.random, warn: (message, error) => warnings.push(`${message}: ${String(error)}`) });
  // Not by its public address, where it has one.
  const url = `http://127.0.0.1:${config.port}`;
  return {
    url,
    /** HOST:PORT of OTLP/gRPC, where `grpc` is on. */
    grpc: server.grpc,
    async ask(path: string, { method, key, cookie, headers = {}, body, form }: Asking = {}): Promise<Response> {
      const sent = form !== undefined ? new URLSearchParams(form).toString() : body === undefined ? null : JSON.stringify(body);
      return fetch(`${url}${path}`, {
        method: method ?? (sent === null ? 'GET' : 'POST'),
        redirect: 'manual',
        headers: {
          ...(sent === null ? {} : { 'content-type': form === undefined ? 'application/json' : 'application/x-www-form-urlencoded' }),
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(cookie === undefined ? {} : { cookie }),
          ...headers,
        },
        body: sent,
      });
    },
    /** Bytes as they are: what `fetch` would tidy up or refuse. Resolves with all that comes back until the server ends the connection. */
    async raw(request: string): Promise<string> {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      let answer = '';
      socket.on('data', (chunk) => (answer += String(chunk)));
      // A server that reads no further may end it by a reset, before or after its answer.
      socket.on('error', () => undefined);
      socket.write(request);
      await new Promise((resolve) => socket.on('close', resolve));
      return answer;
    },
    async close(): Promise<void> {
      await server.close();
      await rm(directory, { recursive: true, force: true });
      if (warnings.length > 0) throw new Error(`the server warned of ${warnings.join('; ')}`);
    },
  };
}
export type Guarded = Awaited<ReturnType<typeof startGuarded>>;

/** The cookies that an answer sets, as a browser would send them back. */
export function cookiesOf(response: Response): string {
  return response.headers.getSetCookie().map((cookie) => cookie.split(';', 1)[0] ?? '').join('; ');
}
