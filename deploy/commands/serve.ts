import { resolve } from 'node:path';
import pino from 'pino';
import type { Config } from '../../schemas/config.ts';
import type { Invocation } from '../main.ts';
import type { RunningServer, ServerDependencies } from '../running.ts';
import { startServer } from '../server.ts';

/** `culprit`: runs until it is told to stop. */
export async function runServer({ config }: Invocation): Promise<number> {
  const server = await startServer(config, dependencies(config));
  // Listened for before anybody is told that the server runs: a Ctrl-C right after the banner must end it cleanly, too.
  const stopped = untilStopped(server);
  console.log(banner(server, config));
  await stopped;
  return 0;
}

export function dependencies(config: Config): ServerDependencies {
  const logger = pino({ level: config.log_level }, pino.destination(2));
  return {
    clock: Date.now,
    random: Math.random,
    warn: (message, error) => logger.warn(error === undefined ? {} : { err: error }, message),
  };
}

export function banner({ url, grpc }: RunningServer, config: Config): string {
  return [
    '',
    `  Culprit is running.`,
    '',
    `  send OTLP to   ${url}   (/v1/traces and /v1/logs, HTTP, protobuf or JSON)`,
    ...(grpc === null ? [] : [`                 ${grpc}   (gRPC)`]),
    `  look at        ${url}/`,
    `  data lies in   ${resolve(config.data)}`,
    '',
    '  Ctrl-C ends it; twice ends it at once.',
    '',
  ].join('\n');
}

/** Resolves when the process was told to stop and everything is durable. A second signal ends it at once. */
export async function untilStopped(server: Pick<RunningServer, 'close'>): Promise<void> {
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
}
