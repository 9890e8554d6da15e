import { z, type OpenAPIHono } from '@hono/zod-openapi';
import type { ApiDeps } from './app.ts';
import { problemResponse, problemResponses } from './problem.ts';

export type ApiEvent = { id: string; type: 'look' | 'alert' | 'calls'; data: unknown };
export interface EventSource {
  /** Returns the function that ends the subscription. */
  subscribe(listener: (event: ApiEvent) => void): () => void;
}

/**
 * GET /v1/events: server-sent events. Nothing is replayed: a client that comes back (with or without Last-Event-ID) reads the
 * state anew and follows from there, so an event is only ever a hint to read. A `status` event is the heartbeat. A client
 * that does not read is cut off when its queue is full; the browser reconnects by itself.
 */
export function registerEvents(app: OpenAPIHono, { events, status, clock, settings }: ApiDeps): void {
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/v1/events',
    summary: 'Server-sent events: `status` (heartbeat), `calls`, `look`, `alert`; each says that there is something new to read',
    responses: { 200: { description: 'A stream without end.', content: { 'text/event-stream': { schema: z.string() } } }, 503: problemResponses[503] },
  });
  let clients = 0;
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
  app.get('/v1/events', (context) => {
    // Nobody would read the stream, nor end it.
    if (context.req.method === 'HEAD') return new Response(null, { headers });
    if (clients >= settings.maxEventClients) {
      return problemResponse(503, `All ${settings.maxEventClients} places for live clients are taken.`, undefined, { 'retry-after': '10' });
    }
    clients += 1;
    const encoder = new TextEncoder();
    let end = (): void => {};
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          const write = (text: string): void => {
            if ((controller.desiredSize ?? 0) <= 0) {
              end();
              return;
            }
            controller.enqueue(encoder.encode(text));
          };
          const writeStatus = (): void => write(`event: status\ndata: ${JSON.stringify({ now_ms: clock(), ...status() })}\n\n`);
          const unsubscribe = events.subscribe((event) => {
            write(`id: ${event.id.replaceAll(/[\r\n\0]/g, '')}\nevent: ${event.type}\ndata: ${JSON.stringify(event.data ?? null)}\n\n`);
          });
          const heartbeat = setInterval(writeStatus, settings.heartbeatMs);
          heartbeat.unref();
          end = (): void => {
            end = (): void => {};
            clearInterval(heartbeat);
            unsubscribe();
            clients -= 1;
            try {
              controller.close();
            } catch {
              // The client has cancelled the stream already; there is nothing left to close.
            }
          };
          write('retry: 2000\n\n');
          writeStatus();
        },
        cancel() {
          end();
        },
      },
      new CountQueuingStrategy({ highWaterMark: settings.maxQueuedEvents }),
    );
    context.req.raw.signal.addEventListener('abort', () => end(), { once: true });
    return new Response(body, { headers });
  });
}
