import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, vi } from 'vitest';
import { BINARY } from '../built.ts';
import { startFront, type Front } from '../clickhouse/front.ts';
import { withBroker, type Broker } from './broker.ts';

/** Roles of Culprit as processes of their own, over one broker and one store. */
export type RoleProcess = { readonly child: ChildProcess; readonly url: string; readonly output: () => string; kill(): Promise<void>; stop(): Promise<number | null> };
export type Roles = ReturnType<typeof createRoles>;
type Cluster = { readonly broker: Broker; readonly front: Front; readonly roles: Roles };

/** One broker, a store and roles over them for all tests of a file, as withBroker has it; `begin` starts the roles that all tests need. They end before what they run on. */
export function withRoles(begin: (cluster: Cluster) => Promise<void> | void, flags: readonly string[] = []): void {
  let broker: Broker | null = null;
  let front: Front | null = null;
  let roles: Roles | null = null;
  withBroker((started) => (broker = started));
  beforeAll(async () => {
    if (broker === null) return;
    front = await startFront();
    roles = createRoles({ broker, front }, flags);
    await begin({ broker, front, roles });
  }, 180_000);
  afterAll(async () => {
    await roles?.end();
    await front?.remove();
  });
}

function createRoles(at: { readonly broker: Broker; readonly front: Front }, flags: readonly string[] = []) {
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
