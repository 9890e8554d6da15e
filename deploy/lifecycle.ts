import pino from 'pino';
import type { Config } from '../schemas/config.ts';
import type { Role } from './operations/metrics.ts';
import type { RunningServer, ServerDependencies } from './running.ts';

/** The life of a process: what it gets from where it runs, and how it ends. Of all roles, so it loads no engine. */

/** What a process gets from where it runs. `close` is for the end, after everything else. */
export async function dependencies(role: Role, config: Config, environment: Readonly<Record<string, string | undefined>>): Promise<{ readonly deps: ServerDependencies; close(): Promise<void> }> {
  const logger = pino({ level: config.log_level, base: { role, pid: process.pid } }, pino.destination(2));
  const endpoint = environment['OTEL_SDK_DISABLED'] === 'true' ? '' : environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  // A whole SDK, which most processes never need.
  const tracing = endpoint ? (await import('./operations/trace-export.ts')).startTracing(role, endpoint, config, environment) : null;
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

/** Resolves when the process was told to stop and everything is durable. A second signal ends it at once. */
export async function untilStopped(server: Pick<RunningServer, 'close'>, afterwards: () => Promise<void>): Promise<void> {
  // Of bin.cjs, where this is the first process of a container.
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
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
  // Everything of ours has ended. What a client still keeps going (kafkajs may have set itself to start again) must not keep the process; this timer does not either.
  setTimeout(() => process.exit(0), LINGERING_MS).unref();
}

const LINGERING_MS = 2_000;
