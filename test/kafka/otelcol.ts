import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

/**
 * A real OpenTelemetry Collector, where CULPRIT_OTELCOL names the binary of one with otlpreceiver, kafkareceiver, kafkaexporter and otlphttpexporter
 * (its builder makes it: `go install go.opentelemetry.io/collector/cmd/builder@v0.155.0`, then `builder --config MANIFEST`).
 */
export type Otelcol = { readonly pid: number; readonly output: () => string; stop(): Promise<void> };

const BINARY = process.env['CULPRIT_OTELCOL'] ?? '';

/** Why none can be started here; null where one can. */
export function whyNoOtelcol(): string | null {
  if (BINARY === '') return 'CULPRIT_OTELCOL names no binary of an OpenTelemetry Collector';
  return existsSync(BINARY) ? null : `CULPRIT_OTELCOL names ${BINARY}, which is not there`;
}

/** Resolves when all of its pipelines run. */
export async function startOtelcol(config: object): Promise<Otelcol> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-otelcol-'));
  const file = join(directory, 'config.yaml');
  await writeFile(file, stringify(config));
  const child: ChildProcess = spawn(BINARY, ['--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'close');
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: unknown): void => {
      said = `${said}${String(chunk)}`.slice(-20_000);
      if (said.includes('Everything is ready')) resolve();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('close', (code) => reject(new Error(`the OpenTelemetry Collector ended with ${code}: ${said}`)));
  });
  return {
    pid: child.pid ?? 0,
    output: () => said,
    async stop() {
      child.kill('SIGTERM');
      await exited;
      process.removeListener('exit', kill);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** OTLP in, Kafka out, answered when all in-sync replicas have it: the only mode of it that loses nothing when it is killed. */
export function forwarding(to: { readonly port: number; readonly broker: string; readonly topic: string; readonly encoding: 'otlp_proto' | 'otlp_json'; readonly compression: string }): object {
  return {
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${to.port}` } } } },
    exporters: {
      kafka: {
        brokers: [to.broker],
        traces: { topic: to.topic, encoding: to.encoding },
        producer: { required_acks: -1, max_message_bytes: 1_000_000, compression: to.compression },
        sending_queue: { enabled: false },
      },
    },
    service: { telemetry: { metrics: { level: 'none' } }, pipelines: { traces: { receivers: ['otlp'], exporters: ['kafka'] } } },
  };
}
