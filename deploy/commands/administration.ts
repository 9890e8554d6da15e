import { userInfo } from 'node:os';
import { join } from 'node:path';
import { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Identity, RequestBindings } from '../../api/access/identity.ts';
import { actionOf, targetOf } from '../../api/access/audit.ts';
import { registerAccess } from '../../api/access/resources.ts';
import { errorResponse, validationHook } from '../../api/problem.ts';
import type { Config } from '../../schemas/config.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { createAccessFor } from '../access.ts';
import { claimDirectory, DirectoryInUse } from '../data-directory.ts';
import type { Invocation } from '../main.ts';
import { migrate, MIGRATIONS } from '../migrate.ts';
import { publicUrlOf } from '../pipeline.ts';
import { openEmbeddedStore } from '../store-embedded.ts';

/**
 * Where a command administers Culprit: at a server that runs, through its API, or in the data directory of one that does not, through the
 * same handlers. Whoever may write that directory is an administrator already.
 */
export type Administration = {
  /** Asks one resource. Throws PermanentError with what the answer says where it is a refusal. */
  ask<Schema extends z.ZodType>(request: { readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'; readonly path: string; readonly body?: unknown }, answer: Schema): Promise<z.output<Schema>>;
  close(): Promise<void>;
};

type Send = (path: string, init: { method: string; headers: Record<string, string>; body?: string }) => Promise<Response>;

export async function openAdministration({ config, flags, environment }: Invocation): Promise<Administration> {
  const named = flags['--server'];
  if (typeof named === 'string') return atServer(named, environment['CULPRIT_API_KEY']);
  try {
    return await inDirectory(config);
  } catch (error) {
    if (!(error instanceof DirectoryInUse)) throw error;
    const anyAddress = ['0.0.0.0', '::'].includes(config.host);
    return atServer(publicUrlOf(anyAddress ? { ...config, public_url: config.public_url ?? `http://127.0.0.1:${config.port}` } : config), environment['CULPRIT_API_KEY']);
  }
}

function atServer(url: string, key: string | undefined): Administration {
  const base = url.replace(/\/+$/, '');
  const send: Send = async (path, { headers, ...init }) => {
    try {
      return await fetch(base + path, { ...init, headers: { ...headers, ...(key ? { authorization: `Bearer ${key}` } : {}) }, redirect: 'error', signal: AbortSignal.timeout(30_000) });
    } catch (cause) {
      throw new PermanentError(`the server at ${base} cannot be reached: name its address with --server, or stop it and name its data directory with --data`, { cause });
    }
  };
  return { ask: asking(send, ' (the key is read from CULPRIT_API_KEY)'), close: async () => undefined };
}

async function inDirectory(config: Config): Promise<Administration> {
  const claim = claimDirectory(config.data);
  try {
    const store = await openEmbeddedStore({ directory: join(config.data, 'store') });
    try {
      const { calls_days, content_days, evidence_days } = config.retention;
      await migrate(store, { directory: MIGRATIONS, cluster: null, retention: { calls: calls_days, scores: calls_days, evidence: evidence_days, content: content_days } });
      const access = createAccessFor(store, config, { clock: Date.now, warn: (message) => console.error(`culprit: ${message}`) });
      await access.start();
      const app = new OpenAPIHono({ defaultHook: validationHook });
      app.onError(errorResponse);
      registerAccess(app, { store, clock: Date.now, access });
      const actor = { id: '', name: userInfo().username, address: '', project: config.project };
      const identity: Identity = { ...actor, kind: 'person', scopes: ['admin'], seesEveryProject: true };
      const send: Send = async (path, init) => {
        const bindings: RequestBindings = { identity, note: {} };
        const response = await app.request(path, init, bindings);
        const { target = targetOf(path), detail = '' } = bindings.note ?? {};
        if (init.method !== 'GET' && response.ok) await access.audit({ actor: { ...actor, kind: 'command' }, action: actionOf(init.method, path), target, detail });
        return response;
      };
      return {
        ask: asking(send, ''),
        async close() {
          await store.close();
          claim.release();
        },
      };
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    claim.release();
    throw error;
  }
}

const Refusal = z.object({ detail: z.string() });

function asking(send: Send, hint: string): Administration['ask'] {
  return async ({ method, path, body }, answer) => {
    const response = await send(path, { method, headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const content: unknown = await response.json().catch(() => null);
    if (response.ok) return answer.parse(content);
    const refusal = Refusal.safeParse(content);
    throw new PermanentError(`${refusal.success ? refusal.data.detail : `answered ${response.status}`}${[401, 403].includes(response.status) ? hint : ''}`);
  };
}
