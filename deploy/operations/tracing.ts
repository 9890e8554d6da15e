import { networkInterfaces } from 'node:os';
import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resources, tracing } from '@opentelemetry/sdk-node';
import type { MiddlewareHandler } from 'hono';
import type { Config } from '../../schemas/config.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { VERSION } from '../version.ts';
import type { Role } from './metrics.ts';

/**
 * Our own spans: a request, a batch that is written, a look. They go where OTEL_EXPORTER_OTLP_ENDPOINT says, by OTLP/HTTP, and never into our own
 * ingest, where each would make another: an endpoint that is this process is refused at the start, and a request that brings such spans, whichever
 * way it came, is refused by what it carries. Nothing is registered for the whole process: the demo has an SDK of its own in it.
 */
export type Tracing = { readonly tracer: Tracer; close(): Promise<void> };

type Environment = Readonly<Record<string, string | undefined>>;

const OWN = 'culprit-own-spans';
const LOOPBACK = new Set(['127.0.0.1', '::1', '[::1]', 'localhost', '0.0.0.0']);

/** Null where the environment names no endpoint. Throws PermanentError where that is ourselves. */
export function startTracing(role: Role, config: Config, environment: Environment): Tracing | null {
  const endpoint = environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (endpoint === undefined || endpoint === '' || environment['OTEL_SDK_DISABLED'] === 'true') return null;
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
  let at: URL;
  try {
    at = new URL(endpoint);
  } catch {
    throw new PermanentError('OTEL_EXPORTER_OTLP_ENDPOINT is not a URL; write it in full, like http://otel-collector:4318');
  }
  const port = Number(at.port || (at.protocol === 'https:' ? 443 : 80));
  const own = [config.port, config.grpc_port ?? config.port - 1];
  const isHere = LOOPBACK.has(at.hostname) || at.hostname === config.host || Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === at.hostname));
  const known = config.public_url === undefined ? null : new URL(config.public_url);
  if ((isHere && own.includes(port)) || (known !== null && known.host === at.host)) {
    throw new PermanentError('OTEL_EXPORTER_OTLP_ENDPOINT is this Culprit itself, which would trace the taking of its own traces for ever; name another receiver, or unset it');
  }
}

/** Before everything that takes spans. 400, so that the exporter drops them and does not come again. */
export const refuseOwnSpans: MiddlewareHandler = async (context, next) => {
  if (context.req.header(OWN) === undefined) return next();
  return context.text('these are spans of Culprit itself: OTEL_EXPORTER_OTLP_ENDPOINT must name another receiver\n', 400);
};

/** A span for each request, but those of probes. The path is named by its route, so that no id gets into a name. */
export function tracedRequests(tracer: Tracer | undefined): MiddlewareHandler {
  if (tracer === undefined) return (_, next) => next();
  return async (context, next) => {
    const { method, path } = context.req;
    if (path === '/livez' || path === '/readyz') return next();
    return inSpan(tracer, { name: method, kind: SpanKind.SERVER, attributes: { 'http.request.method': method } }, async (set) => {
      await next();
      set({ 'http.response.status_code': context.res.status });
    });
  };
}

/** Runs `work` within a span, where there is a tracer. What it throws is recorded by its kind, without its words, which may hold what was sent. */
export async function traced<Result>(tracer: Tracer | undefined, name: string, attributes: Attributes, work: () => Promise<Result>): Promise<Result> {
  return tracer === undefined ? work() : inSpan(tracer, { name, kind: SpanKind.INTERNAL, attributes }, work);
}

async function inSpan<Result>(tracer: Tracer, { name, kind, attributes }: { name: string; kind: SpanKind; attributes: Attributes }, work: (set: (more: Attributes) => void) => Promise<Result>): Promise<Result> {
  const span = tracer.startSpan(name, { kind, attributes });
  try {
    return await work((more) => void span.setAttributes(more));
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
    throw error;
  } finally {
    span.end();
  }
}
