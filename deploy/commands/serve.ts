import { resolve } from 'node:path';
import type { Config } from '../../schemas/config.ts';
import type { Invocation } from '../main.ts';
import { dependencies, untilStopped } from '../lifecycle.ts';
import type { RunningServer } from '../running.ts';

/** `culprit`: runs until it is told to stop. */
export async function runServer({ config, environment }: Invocation): Promise<number> {
  // Not at the top: a role in a process of its own needs neither the engine nor the pages, which are 200 MB.
  const { startServer } = await import('../server.ts');
  const { deps, close } = await dependencies('culprit', config, environment);
  const server = await startServer(config, deps);
  // Listened for before anybody is told that the server runs: a Ctrl-C right after the banner must end it cleanly, too.
  const stopped = untilStopped(server, close);
  console.log(banner(server, config));
  await stopped;
  return 0;
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
