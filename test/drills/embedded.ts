import { mkdtemp, rm } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '../../analyzer/statistics/random.ts';
import { eventually, pause } from '../eventually.ts';
import { fill, mountSmallDisk } from '../full-disk.ts';
import { launch, started } from '../program.ts';
import { seconds, type DrillSettings, type Outcome } from './drill.ts';
import { startLoad } from './load.ts';

const DISK_MEGABYTES = 256;
const PROMPT = 'drill';

/** Everything in one process, on a disk that is full for a while: 503 meanwhile, and it goes on when there is room. Throws where no small disk can be mounted. */
export async function drillFullDisk(binary: string, { seed, forMs, spansPerSecond, catchUpMs }: DrillSettings): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-disk-'));
  const disk = mountSmallDisk(directory, DISK_MEGABYTES);
  const server = launch([binary, '--data', join(directory, 'data'), '--port', '0', '--log-level', 'error']);
  try {
    const url = await started(server);
    const load = startLoad({ url, prompt: PROMPT, spansPerSecond, random: seeded(seed) });
    await load.more(100);
    const filler = join(directory, 'filler');
    const [beganMs, before] = [performance.now(), load.spans.size];
    for (; performance.now() - beganMs < forMs; await pause(200)) fill(filler);
    rmSync(filler);
    const [healedMs, meanwhile] = [performance.now(), load.spans.size - before];
    await load.more(100);
    await load.stop();
    let found = { stored: 0, lost: 0, doubled: 0, ledger: '' };
    const caughtUp = await eventually(
      async () => {
        const calls = await callsOf(url);
        const distinct = new Set(calls);
        const { balanced, stored } = (await (await fetch(`${url}/v1/ledger`)).json()) as { balanced: boolean; stored: number }; // The contract of the API.
        const taken = load.spans.size + load.scores.size;
        found = {
          stored: calls.length + load.scores.size,
          lost: [...load.spans].filter((name) => !distinct.has(name)).length,
          doubled: calls.length - distinct.size,
          ledger: balanced && stored === taken ? 'closes' : `${stored} stored of ${taken}, ${balanced ? 'balanced' : 'not balanced'}`,
        };
        if (found.lost > 0 || found.doubled > 0 || found.ledger !== 'closes') throw new Error('not yet');
        return performance.now();
      },
      { timeoutMs: catchUpMs },
    ).catch(() => Number.POSITIVE_INFINITY);
    return {
      fault: 'full disk, embedded', seed, did: `no byte free of ${DISK_MEGABYTES} MB, ${forMs} ms`, fault_s: seconds(healedMs - beganMs),
      acknowledged: load.spans.size + load.scores.size, acknowledged_meanwhile: meanwhile, refused: Object.fromEntries(load.refusals),
      ...found, caught_up_s: seconds(caughtUp - healedMs), holds: Number.isFinite(caughtUp),
    };
  } finally {
    await server.end('SIGKILL');
    disk.unmount();
    await rm(directory, { recursive: true, force: true });
  }
}

async function callsOf(url: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const answer = await fetch(`${url}/v1/calls?limit=1000&prompt_name=${PROMPT}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    const page = (await answer.json()) as { calls: { trace_id: string; span_id: string }[]; next_cursor: string | null }; // The contract of the API.
    found.push(...page.calls.map(({ trace_id, span_id }) => `${trace_id}/${span_id}`));
    cursor = page.next_cursor;
  }
  return found;
}
