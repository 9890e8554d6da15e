import type { Invocation } from '../main.ts';
import { dependencies, untilStopped } from '../lifecycle.ts';
import { sendSampleTraffic } from '../sample-traffic.ts';
import { startServer } from '../server.ts';
import { banner } from './serve.ts';

/** `culprit demo`: the server, and a shop assistant whose v2 is friendlier and wrong about refunds. */
export async function runDemo({ config, environment }: Invocation): Promise<number> {
  const { deps, close } = await dependencies('culprit', config, environment);
  const server = await startServer({ ...config, resolve_wait_s: Math.min(config.resolve_wait_s, 5) }, deps);
  console.log(banner(server, config));
  const traffic = await sendSampleTraffic(server.url, { clock: deps.clock, random: deps.random, say: (line) => console.log(`  ${line}`) });
  await untilStopped({ close: async () => (await traffic.close(), await server.close()) }, close);
  return 0;
}
