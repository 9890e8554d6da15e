import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.ts';

/** A Node program in a process of its own, as people and machines start it: what it says, and how it ends. */
export type Program = {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Both, in the order in which they came. */
  readonly output: () => string;
  /** Sends a signal and resolves when the process has ended. */
  end(signal: NodeJS.Signals): Promise<Exit>;
};
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type Surroundings = { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly input?: string | Buffer };

/** @param given.env in the place of that of this process. @param given.input its whole standard input. */
export function launch(args: readonly string[], { env = process.env, cwd, input = '' }: Surroundings = {}): Program {
  const child = spawn(process.execPath, args, { cwd, env });
  let [stdout, stderr, output] = ['', '', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => ((stdout += chunk), (output += chunk)));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => ((stderr += chunk), (output += chunk)));
  // It may end before it has read all.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }));
  return { child, exited, stdout: () => stdout, stderr: () => stderr, output: () => output, end: (signal) => (child.kill(signal), exited) };
}

const START_TIMEOUT_MS = 60_000;

/** Resolves with the address that the banner of a server shows, '' where it has none. Rejects as soon as it has ended. */
export async function started({ output, exited }: Program): Promise<string> {
  let hasEnded = false;
  void exited.then(() => (hasEnded = true));
  const address = await eventually(
    () => {
      if (hasEnded) return null;
      if (!output().includes('is running.')) throw new Error(`it has not started: ${output()}`);
      return /(?:send OTLP to|look at)\s+(http:\/\/[^\s/]+)/.exec(output())?.[1] ?? '';
    },
    { timeoutMs: START_TIMEOUT_MS, everyMs: 10 },
  );
  if (address === null) throw new Error(`it ended: ${output()}`);
  return address;
}

const END_TIMEOUT_MS = 120_000;

export type Ended = Exit & { readonly stdout: string; readonly stderr: string; readonly output: string };

/** A command, or a start that is refused, to its end. What does not end is killed. */
export async function ended({ child, exited, stdout, stderr, output }: Program): Promise<Ended> {
  const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
  const exit = await exited;
  clearTimeout(timer);
  return { ...exit, stdout: stdout(), stderr: stderr(), output: output() };
}
