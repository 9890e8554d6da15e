import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { vi } from 'vitest';
import { BINARY } from '../built.ts';
import type { Front } from '../clickhouse/front.ts';
import type { Broker } from './broker.ts';

/** Roles of Culprit as processes of their own, over one broker and one store. */
export type RoleProcess = { readonly child: ChildProcess; readonly url: string; readonly output: () => string; kill(): Promise<void>; stop(): Promise<number | null> };


export function createRoles(at: { readonly broker: Broker; readonly front: Front }, flags: readonly string[] = []) {
  const processes: { child: ChildProcess; exited: Promise<void> }[] = [];
  return {
    async start(role: 'collector' | 'analyzer' | 'api', more: readonly string[] = []): Promise<RoleProcess> {
      const args = [BINARY, role, '--port', '0', '--kafka-brokers', at.broker.address, '--kafka-topics-partitions', '4', '--clickhouse-url', at.front.url, ...flags, ...more];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      let said = '';
      child.stdout.on('data', (chunk) => (said += String(chunk)));
      child.stderr.on('data', (chunk) => (said += String(chunk)));
      const exited = once(child, 'close').then(() => undefined);
      processes.push({ child, exited });
      const url = await vi.waitFor(
        () => {
          if (child.exitCode !== null) throw new Error(`the ${role} ended: ${said}`);
          if (!said.includes('is running.')) throw new Error(`the ${role} has not started: ${said}`);
          return /(?:send OTLP to|look at)\s+(http:\/\/[^\s/]+)/.exec(said)?.[1] ?? '';
        },
        { timeout: 60_000, interval: 50 },
      );
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
