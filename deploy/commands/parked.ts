import { PermanentError } from '../../schemas/errors.ts';
import type { Invocation } from '../main.ts';
import { publicUrlOf } from '../pipeline.ts';

/** `culprit parked`: what a running server could not store, and taking it again. Through its API, as its data is its own. */
type Parked = { readonly id: string; readonly state: string; readonly signal: string; readonly received_ms: number; readonly records: number; readonly bytes: number; readonly is_whole: boolean; readonly reason: string };

const LIMIT = 500;
const ONE_TRY_MS = 60_000;

/** Exit status 1 where one that was to be replayed is still not stored. */
export async function runParked({ config, positionals, flags, environment }: Invocation): Promise<number> {
  const { '--server': server } = flags;
  const base = (typeof server === 'string' ? server : publicUrlOf(config)).replace(/\/+$/, '');
  const key = environment['CULPRIT_API_KEY'];
  const { parked } = await asked<{ parked: Parked[] }>(`${base}/v1/parked?limit=${LIMIT}`, 'GET', key);
  const waiting = parked.filter(({ state }) => state === 'parked');
  if (flags['--replay'] === undefined) {
    for (const { id, signal, received_ms, records, bytes, is_whole, reason } of waiting) {
      console.log(`${id}  ${new Date(received_ms).toISOString()}  ${signal}, ${records} records, ${bytes} bytes${is_whole ? '' : ', too large to be kept'}\n    ${reason}`);
    }
    console.log(waiting.length === 0 ? 'Nothing is parked.' : `${waiting.length} parked; take them again with culprit parked --replay [ID…]`);
    return 0;
  }
  let status = 0;
  for (const id of positionals.length > 0 ? positionals : waiting.filter(({ is_whole }) => is_whole).map((one) => one.id)) {
    try {
      await asked(`${base}/v1/parked/${encodeURIComponent(id)}/replay`, 'POST', key);
      console.log(`${id}: stored`);
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      console.log(`${id}: ${error.message}`);
      status = 1;
    }
  }
  return status;
}

/** Throws PermanentError with what the server says. */
async function asked<Answer>(url: string, method: 'GET' | 'POST', key: string | undefined): Promise<Answer> {
  let response: Response;
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  try {
    response = await fetch(url, { ...(method === 'GET' ? { headers } : { method, headers: { ...headers, 'content-type': 'application/json' }, body: '{}' }), redirect: 'error', signal: AbortSignal.timeout(ONE_TRY_MS) });
  } catch (cause) {
    throw new PermanentError(`the server at ${new URL(url).origin} cannot be reached (--server URL)`, { cause });
  }
  // What the API answers is described in /openapi.json.
  const body = (await response.json()) as Answer & { readonly detail?: string };
  if (!response.ok) throw new PermanentError(body.detail ?? `the server answered ${response.status}`);
  return body;
}
