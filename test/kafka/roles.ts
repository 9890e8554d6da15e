import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../eventually.ts';

/** Roles of Culprit as processes of their own. */
export type Role = 'collector' | 'analyzer' | 'api';
export type RoleProcess = { readonly child: ChildProcess; readonly url: string; readonly output: () => string; kill(): Promise<void>; stop(): Promise<number | null> };
export type Roles = ReturnType<typeof createRoles>;

/** Where a role finds what it runs on; `nodeFlags` and `environment` are of its process. */
export type Surroundings = { readonly broker: string; readonly store: string; readonly nodeFlags?: readonly string[]; readonly environment?: Readonly<Record<string, string>> };

const START_TIMEOUT_MS = 60_000;

/** @param binary deploy/bin.cjs, of the sources or of a build. */
export function createRoles(binary: string, usual: Surroundings, flags: readonly string[] = []) {
  const processes: { child: ChildProcess; exited: Promise<void> }[] = [];
  return {
    async start(role: Role, more: readonly string[] = [], given: Partial<Surroundings> = {}): Promise<RoleProcess> {
      const { broker, store, nodeFlags = [], environment = {} } = { ...usual, ...given };
      const args = [...nodeFlags, binary, role, ...(more.includes('--port') ? [] : ['--port', '0']), '--kafka-brokers', broker, '--kafka-topics-partitions', '4', '--clickhouse-url', store, ...flags, ...more];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
      let said = '';
      child.stdout.on('data', (chunk) => (said += String(chunk)));
      child.stderr.on('data', (chunk) => (said += String(chunk)));
      const exited = once(child, 'close').then(() => undefined);
      processes.push({ child, exited });
      const ended = exited.then((): never => {
        throw new Error(`the ${role} ended: ${said}`);
      });
      const started = eventually(
        () => {
          if (!said.includes('is running.')) throw new Error(`the ${role} has not started: ${said}`);
          return /(?:send OTLP to|look at)\s+(http:\/\/[^\s/]+)/.exec(said)?.[1] ?? '';
        },
        { timeoutMs: START_TIMEOUT_MS, everyMs: 50 },
      );
      const url = await Promise.race([started, ended]);
      ended.catch(() => undefined);
      return {
        child,
        url,
        output: () => said,
        async kill() {
          child.kill('SIGKILL');
          await exited;
        },
        async stop() {
          child.kill('SIGTERM');
          await exited;
          return child.exitCode;
        },
      };
    },
    async end(): Promise<void> {
      for (const { child, exited } of processes.splice(0)) {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
        await exited;
      }
    },
  };
}
