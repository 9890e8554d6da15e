import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import { jsonBody, serverOf } from '../asking.ts';
import type { Invocation } from '../main.ts';

/** `culprit parked`: what a running server could not store, and taking it again. Through its API, as its data is its own. */
const Listed = z.object({ parked: z.array(z.object({ id: z.string(), state: z.string(), signal: z.string(), received_ms: z.number(), records: z.number(), bytes: z.number(), is_whole: z.boolean(), reason: z.string() })) });

const LIMIT = 500;

/** Exit status 1 where one that was to be replayed is still not stored. */
export async function runParked(invocation: Invocation): Promise<number> {
  const { positionals, flags } = invocation;
  const server = serverOf(invocation);
  const { parked } = Listed.parse(await server.ask(`/v1/parked?limit=${LIMIT}`));
  const waiting = parked.filter(({ state }) => state === 'parked');
  if (flags['--replay'] === undefined) {
    for (const { id, signal, received_ms, records, bytes, is_whole, reason } of waiting) {
      console.log(`${id}  ${new Date(received_ms).toISOString()}  ${signal}, ${records} records, ${bytes} bytes${is_whole ? '' : ', its body was not kept'}\n    ${reason}`);
    }
    console.log(waiting.length === 0 ? 'Nothing is parked.' : `${waiting.length} parked; take them again with culprit parked --replay [ID…]`);
    return 0;
  }
  let status = 0;
  for (const id of positionals.length > 0 ? positionals : waiting.filter(({ is_whole }) => is_whole).map((one) => one.id)) {
    try {
      await server.ask(`/v1/parked/${encodeURIComponent(id)}/replay`, jsonBody({}));
      console.log(`${id}: stored`);
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      console.log(`${id}: ${error.message}`);
      status = 1;
    }
  }
  return status;
}
