import type { Invocation } from '../main.ts';
import { startAnalyzerRole, startApiRole, startCollectorRole } from '../distributed.ts';
import { dependencies, untilStopped } from '../lifecycle.ts';
import type { RunningServer } from '../running.ts';


/** `culprit collector`, `culprit analyzer`, `culprit api`: one role, until it is told to stop. */

export async function runCollector({ config, environment }: Invocation): Promise<number> {
  const { deps, close } = await dependencies('collector', config, environment);
  const server = await startCollectorRole(config, deps);
  const stopped = untilStopped(server, close);
  console.log(`\n  The collector is running.\n\n  send OTLP to   ${server.url}   (/v1/traces and /v1/logs, HTTP, protobuf or JSON)${server.grpc === null ? '' : `\n                 ${server.grpc}   (gRPC)`}\n  it goes to     ${config.kafka.brokers.join(', ')}\n${probesAt(server)}`);
  await stopped;
  return 0;
}

export async function runAnalyzer({ config, environment }: Invocation): Promise<number> {
  const { deps, close } = await dependencies('analyzer', config, environment);
  const server = await startAnalyzerRole(config, deps);
  const stopped = untilStopped(server, close);
  console.log(`\n  The analyzer is running.\n\n  it reads       ${config.kafka.topics.spans} and ${config.kafka.topics.logs} of ${config.kafka.brokers.join(', ')}\n  it writes to   ${config.clickhouse.url}\n${probesAt(server)}`);
  await stopped;
  return 0;
}

export async function runApi({ config, environment }: Invocation): Promise<number> {
  const { deps, close } = await dependencies('api', config, environment);
  const server = await startApiRole(config, deps);
  const stopped = untilStopped(server, close);
  console.log(`\n  The API is running.\n\n  look at        ${server.url}/\n  it asks        ${config.clickhouse.url}\n${probesAt(server)}`);
  await stopped;
  return 0;
}

function probesAt({ operations }: Pick<RunningServer, 'operations'>): string {
  return operations === null ? '' : `  probes are at  ${operations}   (/livez, /readyz, /metrics)\n`;
}
