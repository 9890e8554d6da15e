import type { z } from 'zod';
import { publicUrlOf } from '../../schemas/config.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { refusalOf, serverAt } from '../asking.ts';
import { claimDirectory, DirectoryInUse, type DirectoryClaim } from '../data-directory.ts';
import type { Invocation } from '../main.ts';

/**
 * Where a command administers Culprit: at a server that runs, through its API, or in the data directory of one that does not, through the
 * same handlers. Whoever may write that directory is an administrator already.
 */
export type Administration = {
  /** Asks one resource. Throws PermanentError with what the answer says where it is a refusal. */
  ask<Schema extends z.ZodType>(request: AdministrationRequest, answer: Schema): Promise<z.output<Schema>>;
  close(): Promise<void>;
};

type AdministrationRequest = { readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'; readonly path: string; readonly body?: unknown };

export type Send = (path: string, init: { method: string; headers: Record<string, string>; body?: string }) => Promise<Response>;

export async function openAdministration({ config, flags, environment }: Invocation): Promise<Administration> {
  const key = environment['CULPRIT_API_KEY'];
  const named = flags['--server'];
  if (typeof named === 'string') return atServer(named, key);
  const anyAddress = ['0.0.0.0', '::'].includes(config.host);
  const own = publicUrlOf(anyAddress ? { ...config, public_url: config.public_url ?? `http://127.0.0.1:${config.port}` } : config);
  // Roles have no directory, and what is written into one they do not see.
  if (config.clickhouse.url !== undefined) return atServer(own, key, 'name that of an api process with --server');
  let claim: DirectoryClaim;
  try {
    claim = claimDirectory(config.data);
  } catch (error) {
    if (!(error instanceof DirectoryInUse)) throw error;
    return atServer(own, key);
  }
  // Only now is the engine loaded.
  const { openDirectory } = await import('./administration-directory.ts');
  const { send, close } = await openDirectory(config, claim);
  return { ask: asking(send, ''), close };
}

function atServer(address: string, key: string | undefined, hint = 'name its address with --server, or stop it and name its data directory with --data'): Administration {
  const { send } = serverAt(address, key, hint);
  return { ask: asking(send, ' (the key is read from CULPRIT_API_KEY)'), close: async () => undefined };
}

function asking(send: Send, hint: string): Administration['ask'] {
  return async ({ method, path, body }, answer) => {
    const isJson = body !== undefined;
    const response = await send(path, { method, headers: { accept: 'application/json', ...(isJson ? { 'content-type': 'application/json' } : {}) }, ...(isJson ? { body: JSON.stringify(body) } : {}) });
    const content: unknown = await response.json().catch(() => null);
    if (response.ok) return answer.parse(content);
    throw new PermanentError(`${refusalOf(content) ?? `answered ${response.status}`}${[401, 403].includes(response.status) ? hint : ''}`);
  };
}
