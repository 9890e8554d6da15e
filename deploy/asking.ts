import { publicUrlOf } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { Invocation } from './main.ts';

/** A running server as commands ask it: its data directory is locked, so everything goes through its API, with the key in CULPRIT_API_KEY. */
export type AskedServer = {
  readonly url: string;
  /** The answer, whatever it is. Throws PermanentError where none comes. */
  send(path: string, request?: RequestInit): Promise<Response>;
  /** The JSON of an answer. Throws PermanentError with what the server says where it refuses. */
  ask(path: string, request?: RequestInit): Promise<unknown>;
};

/** Until an answer is there, where the request has no signal of its own. */
const ANSWERED_MS = 120_000;

/** The server that --server names, else the one that the configuration would start. */
export function serverOf({ config, flags, environment }: Pick<Invocation, 'config' | 'flags' | 'environment'>): AskedServer {
  const named = flags['--server'];
  return serverAt(typeof named === 'string' ? named : publicUrlOf(config), environment['CULPRIT_API_KEY']);
}

/** Without the slash at its end. Throws PermanentError where the scheme is missing, which is easily forgotten. */
export function serverAddress(text: string): string {
  if (!/^https?:\/\/./i.test(text) || !URL.canParse(text)) throw new PermanentError(`${text} is no address of a server; write it in full, like http://127.0.0.1:4318`);
  return text.replace(/\/+$/, '');
}

/** @param hint what to do where it cannot be reached. */
export function serverAt(address: string, key: string | undefined, hint = 'start one (culprit), or name another with --server'): AskedServer {
  const url = serverAddress(address);
  const send: AskedServer['send'] = async (path, request = {}) => {
    const headers = new Headers(request.headers);
    if (key) headers.set('authorization', `Bearer ${key}`);
    try {
      // A redirect would take the key along.
      return await fetch(url + path, { signal: AbortSignal.timeout(ANSWERED_MS), ...request, headers, redirect: 'error' });
    } catch (cause) {
      throw new PermanentError(`no server answers at ${url}: it cannot be reached; ${hint}`, { cause });
    }
  };
  return {
    url,
    send,
    async ask(path, request) {
      const response = await send(path, request);
      const text = await response.text();
      const body = parsed(text);
      if (response.ok && body !== undefined) return body;
      throw new PermanentError(`${url} says: ${refusalOf(body) ?? `${response.status} ${text.slice(0, 200)}`}`);
    },
  };
}

/** What a refusal says (RFC 9457); null where it says nothing. */
export function refusalOf(body: unknown): string | null {
  return typeof body === 'object' && body !== null && 'detail' in body ? String(body.detail) : null;
}

export function jsonBody(body: unknown): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
