import { resolve } from 'node:path';
import pino from 'pino';
import type { Config } from '../../schemas/config.ts';
import type { Invocation } from '../main.ts';
import type { Role } from '../operations/metrics.ts';
import { startTracing } from '../operations/tracing.ts';
import type { RunningServer, ServerDependencies } from '../running.ts';
import { startServer } from '../server.ts';

/** `culprit`: runs until it is told to stop. */
export async function runServer({ config, environment }: Invocation): Promise<number> {
  const { deps, close } = dependencies('culprit', config, environment);
  const server = await startServer(config, deps);
  // Listened for before anybody is told that the server runs: a Ctrl-C right after the banner must end it cleanly, too.
  const stopped = untilStopped(server, close);
  console.log(banner(server, config));
  await stopped;
  return 0;
}

/** What a process gets from where it runs. `close` is for the end, after everything else. */
export function dependencies(role: Role, config: Config, environment: Invocation['environment']): { readonly deps: ServerDependencies; close(): Promise<void> } {
  const logger = pino({ level: config.log_level, base: { role, pid: process.pid } }, pino.destination(2));
  const tracing = startTracing(role, config, environment);
  return {
    deps: {
      clock: Date.now,
      random: Math.random,
      warn: (message, error) => logger.warn(error === undefined ? {} : { err: error }, message),
      ...(tracing === null ? {} : { tracer: tracing.tracer }),
    },
    close: async () => tracing?.close(),
  };
}

export function banner({ url, grpc, operations }: RunningServer, config: Config): string {
  return [
    '',
    `  Culprit is running.`,
    '',
    `  send OTLP to   ${url}   (/v1/traces and /v1/logs, HTTP, protobuf or JSON)`,
    ...(grpc === null ? [] : [`                 ${grpc}   (gRPC)`]),
    `  look at        ${url}/`,
    `  data lies in   ${resolve(config.data)}`,
    ...(operations === null ? [] : [`  probes are at  ${operations}   (/livez, /readyz, /metrics)`]),
    '',
    '  Ctrl-C ends it; twice ends it at once.',
    '',
  ].join('\n');
}

/** Resolves when the process was told to stop and everything is durable. A second signal ends it at once. */
export async function untilStopped(server: Pick<RunningServer, 'close'>, afterwards: () => Promise<void>): Promise<void> {
  await new Promise<void>((told) => {
    const stop = (): void => {
      process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
      process.once('SIGINT', () => process.exit(130));
      process.once('SIGTERM', () => process.exit(143));
      told();
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  });
  console.log('\n  Ending; what was acknowledged is being kept. Once more ends it at once.');
  await server.close();
  await afterwards();
}
