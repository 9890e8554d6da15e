import { PermanentError } from '../../schemas/errors.ts';
import { serverAddress } from '../asking.ts';
import { dependencies, untilStopped } from '../lifecycle.ts';
import type { Invocation } from '../main.ts';
import { readSecretFile } from '../secret-file.ts';
import { sendSampleTraffic } from '../sample-traffic.ts';

/** `culprit traffic URL`: the sample traffic of the demo, to a receiver that runs elsewhere. It stores and serves nothing. */
export async function runTraffic({ config, positionals, flags, environment }: Invocation): Promise<number> {
  const [url] = positionals;
  if (url === undefined || positionals.length > 1) throw new PermanentError('culprit traffic needs one URL, that of a collector, like http://127.0.0.1:4318');
  const address = serverAddress(url);
  const { deps, close } = await dependencies('culprit', config, environment);
  const file = flags['--key-file'];
  const key = typeof file === 'string' ? readSecretFile('--key-file', file).trim() : environment['CULPRIT_API_KEY'];
  const sending = sendSampleTraffic(address, { clock: deps.clock, random: deps.random, say: (line) => console.log(`  ${line}`), ...(key ? { key } : {}) });
  // It may be told to end while the history is still on its way.
  await Promise.all([sending, untilStopped({ close: async () => (await sending).close() }, close)]);
  return 0;
}
