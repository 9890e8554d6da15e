import { SpanKind, SpanStatusCode, type Attributes, type Tracer } from '@opentelemetry/api';
import type { MiddlewareHandler } from 'hono';

/** Our own spans: a request, a batch that is written, a look. Where they go is in `trace-export.ts`. */

/** The header that our own spans come with. */
export const OWN = 'culprit-own-spans';

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
