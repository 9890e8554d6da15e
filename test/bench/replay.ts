/**
 * A recording through the whole pipeline in event time: `node --import tsx test/bench/replay.ts [calls] [seed] [rounds] [judged]` writes six hours
 * of four prompts, half of the calls judged (or that share), with a canary of one prompt in the second half that answers worse, then runs
 * `culprit replay --json` over it. Prints one JSON line; fails unless every call was read and every round printed the same bytes.
 */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '../statistics/traffic.ts';
import { hexOf, judgementsOf, lognormal, spanOf, tracesOf, type Judgement } from './rig/calls.ts';
import { rounded } from './rig/load.ts';
import { cpuSecondsOf, machineTimes, memoryOf, spawnBinary } from './rig/server.ts';

const calls = Number(process.argv[2] ?? 120_000);
const seed = Number(process.argv[3] ?? 1);
const rounds = Number(process.argv[4] ?? 3);
const judgedShare = Number(process.argv[5] ?? 0.5);

const HOURS = 6;
const LINE_MS = 10_000;
const CANARY_SHARE = 0.1;
const JUDGE_DELAY_MS = 4_000;
const PROMPTS = ['refund-agent', 'order-status', 'summarise-ticket', 'route-question'] as const;

/** One line of traces and one of judgements for every ten seconds, ordered by arrival as an exporter's file is. */
async function writeRecording(path: string): Promise<void> {
  const random = seeded(seed);
  const file = createWriteStream(path);
  const beginMs = Date.UTC(2026, 10, 2, 6);
  const lines = (HOURS * 3_600_000) / LINE_MS;
  let made = 0;
  let session = { id: '', prompt: '', version: '', model: 'gpt-4o' as 'gpt-4o' | 'gpt-4o-mini', left: 0 };
  for (let line = 0; line < lines; line++) {
    const lineMs = beginMs + line * LINE_MS;
    const spans = [];
    const judgements: Judgement[] = [];
    while (made < ((line + 1) / lines) * calls) {
      made++;
      if (session.left === 0) {
        const prompt = PROMPTS[Math.floor(random() * PROMPTS.length)] ?? '';
        const isCanary = prompt === 'refund-agent' && line > lines / 2 && random() < CANARY_SHARE;
        session = { id: hexOf(random, 16), prompt, version: isCanary ? 'v2' : 'v1', model: random() < 0.7 ? 'gpt-4o' : 'gpt-4o-mini', left: 1 + Math.floor(random() * 4) };
      }
      session.left--;
      const startMs = lineMs + random() * LINE_MS;
      const durationMs = lognormal(random, 900, 0.5);
      const span = spanOf({ prompt: session.prompt, version: session.version, model: session.model, startMs, durationMs, isError: random() < 0.01, sessionId: session.id }, random);
      spans.push(span);
      const quality = Math.min(1, Math.max(0, (session.version === 'v2' ? 0.72 : 0.86) + 0.2 * (random() + random() - 1)));
      if (random() < judgedShare) judgements.push({ span, atMs: startMs + durationMs + JUDGE_DELAY_MS, quality });
    }
    for (const request of [tracesOf(spans), judgementsOf(judgements)]) if (!file.write(`${JSON.stringify(request)}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
}

async function replay(path: string): Promise<{ alerts: string; summary: string; seconds: number; cpuSeconds: number; peakMib: number }> {
  const begunMs = performance.now();
  const child = spawnBinary(['replay', path, '--json'], 'pipe');
  const said = { alerts: '', summary: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (said.alerts += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (said.summary += chunk));
  // The kernel forgets a process when it ends: the last look at it is at most 100 ms old.
  let last = { cpuSeconds: 0, peakMib: 0 };
  const looking = setInterval(() => {
    if (child.pid === undefined || child.exitCode !== null) return;
    const now = { cpuSeconds: cpuSecondsOf(child.pid), peakMib: memoryOf(child.pid).peak_mib };
    // One that has ended and is not yet waited for has no memory.
    if (Number.isFinite(now.peakMib)) last = now;
  }, 100);
  const [code] = await once(child, 'close');
  clearInterval(looking);
  if (code !== 0) throw new Error(`replay ended with ${String(code)}: ${said.summary}`);
  return { ...said, ...last, seconds: (performance.now() - begunMs) / 1000 };
}

const directory = await mkdtemp(join(tmpdir(), 'culprit-bench-'));
try {
  const path = join(directory, 'recording.jsonl');
  await writeRecording(path);
  const results = [];
  const machineBefore = machineTimes();
  for (let round = 0; round < rounds; round++) results.push(await replay(path));
  const machineAfter = machineTimes();

  // "N records, N calls, N scores; N alert transitions; S s, N calls/s": the seconds are those of the work, without the start of the process.
  const figures = results.map(({ summary }) => {
    const found = /(\d+) calls, (\d+) scores; .* ([\d.]+) s, (\d+) calls\/s/.exec(summary);
    if (found === null || Number(found[1]) !== calls) throw new Error(`of ${calls} calls: ${summary}`);
    return { scores: Number(found[2]), seconds: Number(found[3]), callsPerSecond: Number(found[4]) };
  });
  const perSecond = figures.map((figure) => figure.callsPerSecond).sort((a, b) => a - b);
  const alerts = results[0]?.alerts ?? '';
  console.log(
    JSON.stringify({
      bench: 'replay',
      seed,
      calls,
      scores: figures[0]?.scores,
      mib: Math.round((await stat(path)).size / 2 ** 20),
      calls_per_second: { min: perSecond[0], median: perSecond[perSecond.length >> 1], max: perSecond.at(-1) },
      process_seconds: results.map(({ seconds }) => rounded(seconds)),
      process_cpu_s: results.map(({ cpuSeconds }) => rounded(cpuSeconds)),
      peak_mib: Math.max(...results.map(({ peakMib }) => peakMib)),
      alerts: alerts.split('\n').filter((line) => line !== '').length,
      machine_busy: rounded((machineAfter.busy - machineBefore.busy) / (machineAfter.all - machineBefore.all), 2),
    }),
  );
  if (results.some((result) => result.alerts !== alerts)) throw new Error('two replays of one file printed different alerts');
} finally {
  await rm(directory, { recursive: true, force: true });
}
