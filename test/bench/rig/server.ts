import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Culprit as a user starts it (`words`: command and flags), from sources or what CULPRIT_BENCH_BINARY names, in a process of its own with an empty data directory; measured from outside by /proc (Linux). */
const BINARY = process.env['CULPRIT_BENCH_BINARY'] ?? fileURLToPath(new URL('../../../deploy/bin.cjs', import.meta.url));

/** As its first line starts it, with flags for `node` itself where there are any. */
export function spawnBinary(args: readonly string[], stderr: 'pipe' | 'inherit'): ChildProcess {
  const [, words = ''] = /^#!\/usr\/bin\/env -S (.*)/.exec(readFileSync(BINARY, 'utf8')) ?? [];
  return spawn('/usr/bin/env', [...words.split(' '), ...nodeFlags(), BINARY, ...args], { stdio: ['ignore', 'pipe', stderr] });
}

export type MeasuredServer = {
  readonly url: string;
  readonly pid: number;
  /** From the start of the process to the sentence that says where to send. */
  readonly startedAfterMs: number;
  get<Answer>(path: string): Promise<Answer>;
  close(): Promise<void>;
};

export async function startMeasuredServer(words: readonly string[] = []): Promise<MeasuredServer> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-bench-'));
  const child = spawnBinary([...words, '--data', directory, '--port', '0', '--log-level', 'error'], 'inherit');
  const began = performance.now();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let banner = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      banner += text;
      const found = /send OTLP to\s+(http:\S+)/.exec(banner)?.[1];
      if (found !== undefined) resolve(found);
    });
    void exited.then(() => reject(new Error('the server ended before it was ready')));
  });
  return {
    url,
    pid: child.pid ?? 0,
    startedAfterMs: performance.now() - began,
    async get<Answer>(path: string) {
      const answer = await fetch(`${url}${path}`);
      if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
      return (await answer.json()) as Answer; // Who asks knows the contract of what it asks for.
    },
    async close() {
      child.kill('SIGTERM');
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** For `node` itself, to profile what a benchmark runs: CULPRIT_BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=DIR". */
function nodeFlags(): string[] {
  return (process.env['CULPRIT_BENCH_NODE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');
}

/** Resident memory now and at its greatest, in MiB. */
export function memoryOf(pid: number): { readonly rss_mib: number; readonly peak_mib: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (field: string): number => Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024);
  return { rss_mib: mib('VmRSS'), peak_mib: mib('VmHWM') };
}

/** Seconds of processor time so far, of all threads, in user and kernel. A tick is 10 ms on every Linux that Node runs on. */
export function cpuSecondsOf(pid: number): number {
  // The second field, the name, may hold spaces and parentheses; the 14th and 15th are the times.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Processor seconds of everything on the machine, and of those the idle ones: what a benchmark shared it with. */
export function machineTimes(): { readonly busy: number; readonly all: number } {
  let busy = 0;
  let all = 0;
  for (const { times } of cpus()) {
    const sum = times.user + times.nice + times.sys + times.irq + times.idle;
    all += sum / 1000;
    busy += (sum - times.idle) / 1000;
  }
  return { busy, all };
}
