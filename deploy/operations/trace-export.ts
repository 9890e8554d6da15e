import { networkInterfaces } from 'node:os';
import type { Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resources, tracing } from '@opentelemetry/sdk-node';
import type { Config } from '../../schemas/config.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { VERSION } from '../version.ts';
import type { Role } from './metrics.ts';
import { OWN } from './tracing.ts';

/**
 * Where our own spans go: where OTEL_EXPORTER_OTLP_ENDPOINT says, by OTLP/HTTP. Never into our own ingest, where each would make another: an
 * endpoint that is this process is refused at the start, and a request that brings such spans, whichever way it came, is refused by what it carries.
 * Nothing is registered for the whole process: the demo has an SDK of its own in it.
 */
export type Tracing = { readonly tracer: Tracer; close(): Promise<void> };

type Environment = Readonly<Record<string, string | undefined>>;

const LOOPBACK = new Set(['127.0.0.1', '::1', '[::1]', 'localhost', '0.0.0.0']);

/** Throws PermanentError where the endpoint is ourselves. */
export function startTracing(role: Role, endpoint: string, config: Config, environment: Environment): Tracing {
  refuseOurselves(endpoint, config);
  const provider = new tracing.BasicTracerProvider({
    resource: resources.resourceFromAttributes({ 'service.name': environment['OTEL_SERVICE_NAME'] || 'culprit', 'service.version': VERSION, 'culprit.role': role }),
    // The exporter reads the endpoint and its headers from the environment.
    spanProcessors: [new tracing.BatchSpanProcessor(new OTLPTraceExporter({ headers: { [OWN]: '1' } }))],
  });
  // What cannot be sent at the end is no reason to end badly.
  return { tracer: provider.getTracer('culprit', VERSION), close: () => provider.shutdown().catch(() => undefined) };
}

function refuseOurselves(endpoint: string, config: Config): void {
  // `otel-collector:4318` is a URL, too, of the scheme otel-collector.
  if (!URL.canParse(endpoint) || !/^https?:/i.test(endpoint)) throw new PermanentError('OTEL_EXPORTER_OTLP_ENDPOINT is not an http(s) URL; write it in full, like http://otel-collector:4318');
  const at = new URL(endpoint);
  const port = Number(at.port || (at.protocol === 'https:' ? 443 : 80));
  const own = [config.port, config.grpc_port ?? config.port - 1];
  const isHere = LOOPBACK.has(at.hostname) || at.hostname === config.host || Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === at.hostname));
  const known = config.public_url === undefined ? null : new URL(config.public_url);
  if ((isHere && own.includes(port)) || (known !== null && known.host === at.host)) {
    throw new PermanentError('OTEL_EXPORTER_OTLP_ENDPOINT is this Culprit itself, which would trace the taking of its own traces for ever; name another receiver, or unset it');
  }
}
