/**
 * How soon `culprit demo` raises its page: `node --import tsx test/bench/demo.ts [runs] [at once]` starts it as a user does, again and again, each with a
 * draw of its own and at another moment of the half minute in which slots are cut. Prints the seconds from the start of the process to the alert in
 * the answer of GET /v1/alerts, ascending; fails where one took longer than the two minutes that are promised.
 */
import { SLOT_MS } from '../../analyzer/slots.ts';
import { rounded, until } from './rig/load.ts';
import { startMeasuredServer } from './rig/server.ts';

const runs = Number(process.argv[2] ?? 12);
const atOnce = Number(process.argv[3] ?? 4);
const PROMISED_S = 120;
const POLL_EVERY_MS = 200;

async function secondsToPage(run: number): Promise<number> {
  await until(performance.now() + ((run / runs) * SLOT_MS - (Date.now() % SLOT_MS) + SLOT_MS) % SLOT_MS);
  const begunMs = performance.now();
  const seconds = (): number => (performance.now() - begunMs) / 1000;
  const server = await startMeasuredServer(['demo']);
  try {
    for (;;) {
      const { alerts } = await server.get<{ alerts: { prompt_version: string; severity: string }[] }>('/v1/alerts');
      if (alerts.some(({ prompt_version, severity }) => prompt_version === 'v2' && severity === 'page') || seconds() > 3 * PROMISED_S) return seconds();
      await until(performance.now() + POLL_EVERY_MS);
    }
  } finally {
    await server.close();
  }
}

const left = Array.from({ length: runs }, (_, run) => run);
const took: number[] = [];
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let run = left.shift(); run !== undefined; run = left.shift()) took.push(rounded(await secondsToPage(run)));
  }),
);
took.sort((left, right) => left - right);
console.log(JSON.stringify({ bench: 'demo_to_page', runs, at_once: atOnce, seconds: took }));
const slowest = took.at(-1) ?? 0;
if (slowest > PROMISED_S) throw new Error(`the page took ${slowest} s`);
