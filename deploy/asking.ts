import { PermanentError } from '../schemas/errors.ts';

/** A running server, asked by a command: its data directory is locked, so everything goes through its API. Answers JSON. */
export async function askServer(server: string, path: string, request: RequestInit = {}): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(new URL(path, server), { ...request, signal: AbortSignal.timeout(ANSWERED_MS) });
  } catch (cause) {
    throw new PermanentError(`no server answers at ${server}; start one (culprit), or name another with --server`, { cause });
  }
  const text = await response.text();
  const body = parsed(text);
  if (response.ok && body !== undefined) return body;
  const detail = typeof body === 'object' && body !== null && 'detail' in body ? String(body.detail) : `${response.status} ${text.slice(0, 200)}`;
  throw new PermanentError(`${server} says: ${detail}`);
}

const ANSWERED_MS = 120_000;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
