import type { z } from 'zod';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { Post } from '../sinks/post.ts';

/** HTTP as hooks use it: through the same door as alerts (sinks/post.ts), so that no hook reaches what only this machine can reach. */

export type Asked = {
  /** Of the request, as it is written down: no secret, no query. */
  readonly label: string;
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Statuses besides 2xx that are an answer: something is not there, or is there already. */
  readonly alsoFine?: readonly number[];
};
export type Answered = { readonly status: number; readonly body: string };
export type Call = (asked: Asked) => Promise<Answered>;

/** Trees of large repositories; more than that is not read. */
const KEPT_BYTES = 8 * 1024 * 1024;

/**
 * @param trail hears of each request what came of it
 * The call throws RetryableError where there was no answer, or one that another attempt may change; PermanentError on any other that is not 2xx.
 */
export function createCall(post: Post, limits: { readonly timeoutMs: number }, trail: (line: string) => void): Call {
  return async ({ label, method, url, headers = {}, body, alsoFine = [] }) => {
    const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
    const result = await post({ method, url, headers: { 'user-agent': 'culprit', accept: 'application/json', ...(text === '' ? {} : { 'content-type': 'application/json' }), ...headers }, body: text, keepBytes: KEPT_BYTES }, limits);
    if (result.kind === 'unanswered') {
      trail(`${label}: ${result.reason}`);
      // An address that may not be reached may not be reached the next time either.
      throw result.reason.startsWith('refused') ? new PermanentError(result.reason) : new RetryableError(`${label}: ${result.reason}`);
    }
    const { status, body: answer = '' } = result;
    trail(`${label}: HTTP ${status}`);
    if ((status >= 200 && status < 300) || alsoFine.includes(status)) return { status, body: answer };
    const isPassing = status >= 500 || status === 408 || status === 425 || status === 429;
    throw isPassing ? new RetryableError(`${label}: HTTP ${status}`) : new PermanentError(`${label}: HTTP ${status}${hintOf(status)}`);
  };
}

function hintOf(status: number): string {
  if (status === 401 || status === 403) return ' (its key is not accepted, or may not do this)';
  if (status === 404) return ' (what it names is not there any more)';
  return status >= 300 && status < 400 ? ' (redirects are not followed, configure the final address)' : '';
}

/** The answer as what it should be. Throws PermanentError where it is something else. */
export function readAnswer<Schema extends z.ZodType>(schema: Schema, { body }: Answered, what: string): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(body));
  } catch {
    throw new PermanentError(`${what} is not what was expected`);
  }
}

/** An address below a base that a person configured; each part is one segment of the path. Throws PermanentError for one that no address can hold: `..` leads out, however it is written. */
export function addressBelow(base: string, ...parts: readonly string[]): string {
  const unfit = parts.find((part) => ['', '.', '..'].includes(part));
  if (unfit !== undefined) throw new PermanentError(`the name ${JSON.stringify(unfit)} cannot stand in an address`);
  return `${base.replace(/\/+$/, '')}/${parts.map((part) => encodeURIComponent(part.toWellFormed())).join('/')}`;
}
