import type { AddressInfo } from 'node:net';
import { serve, type ServerType } from '@hono/node-server';
import type { Hono } from 'hono';
import { startGrpc } from '../collector/grpc.ts';
import type { CollectorEnvironment } from '../collector/server.ts';
import { authorityOf, publicUrlOf, type Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';

/** What gRPC holds before admission sees it is at most the product. The OpenTelemetry Collector takes 4 MiB a message. */
const GRPC_MESSAGE_BYTES = 16 * 1024 * 1024;
const GRPC_ARRIVING = 64;
/** Requests that are being answered when the server closes may finish: those of pages for so long; streams of events never would. */
const LAST_ANSWERS_MS = 2_000;
/** And those of senders for so long: what they wait for (log, store) has a limit of its own below this. */
const LAST_APPENDS_MS = 12_000;
const LOOKED_AT_MS = 50;

/** `url`: http://HOST:PORT, with the port that was really taken. */
export type Listener = { readonly url: string; close(): Promise<void> };

/**
 * Throws PermanentError where the port is taken or not allowed.
 * @param appending how many requests of senders are under way; they are waited for at the end.
 */
export async function listen(app: Hono<CollectorEnvironment>, config: Pick<Config, 'host' | 'port' | 'public_url'>, appending: () => number = () => 0): Promise<Listener> {
  const { server, url } = await new Promise<{ server: ServerType; url: string }>((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: config.host, port: config.port }, (address: AddressInfo) =>
      resolve({ server, url: publicUrlOf({ ...config, port: address.port }) }),
    );
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') reject(new PermanentError(`port ${config.port} on ${config.host} is taken by another program: stop that one, or give Culprit another port (--port)`, { cause: error }));
      else if (error.code === 'EACCES') reject(new PermanentError(`port ${config.port} needs rights that this process does not have: give Culprit another port (--port)`, { cause: error }));
      else reject(error);
    });
  });
  return {
    url,
    close: () =>
      new Promise<void>((resolve) => {
        const beganMs = performance.now();
        const looking = setInterval(() => {
          const tookMs = performance.now() - beganMs;
          if (tookMs < LAST_ANSWERS_MS || (appending() > 0 && tookMs < LAST_APPENDS_MS)) return;
          if ('closeAllConnections' in server) server.closeAllConnections();
        }, LOOKED_AT_MS);
        server.close(() => {
          clearInterval(looking);
          resolve();
        });
      }),
  };
}

/** OTLP/gRPC, on the port below that of OTLP/HTTP unless told otherwise: 4317 belongs to 4318. `address` is null where it is off. */
export async function listenGrpc(collector: Hono<CollectorEnvironment>, config: Config): Promise<{ readonly address: string | null; close(): Promise<void> }> {
  if (!config.grpc) return { address: null, close: () => Promise.resolve() };
  const receiver = await startGrpc((path, request) => collector.request(path, request), {
    host: config.host,
    port: config.grpc_port ?? Math.max(0, config.port - 1),
    maxMessageBytes: Math.min(config.limits.body_bytes, GRPC_MESSAGE_BYTES),
    maxArriving: GRPC_ARRIVING,
  });
  return { address: authorityOf({ host: config.host, port: receiver.port }), close: receiver.close };
}
