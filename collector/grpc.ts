import {
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  setLogVerbosity,
  status,
  type handleUnaryCall,
  type MethodDefinition,
  type ServerInterceptor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { authorityOf } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import { statusOf, withRetryDelay } from './otlp/answer.ts';

/**
 * OTLP/gRPC, the transport that most SDKs have by default. A call becomes the same request that OTLP/HTTP would be and takes the
 * same way (server.ts), so keys, bounds, decoding and answers are one. Messages pass as bytes; nothing is decoded here.
 *
 * Source: OTLP specification 1.11, "OTLP/gRPC": refusals that are worth a retry are UNAVAILABLE with RetryInfo.
 */
export type GrpcReceiver = { readonly port: number; close(): Promise<void> };

export type GrpcSettings = {
  readonly host: string;
  readonly port: number;
  /** Of one message, after decompression. */
  readonly maxMessageBytes: number;
  /** Calls whose message is still arriving; it is kept by the library before anybody can count its bytes. */
  readonly maxArriving: number;
};

const SIGNALS = [
  { service: 'opentelemetry.proto.collector.trace.v1.TraceService', path: '/v1/traces' },
  { service: 'opentelemetry.proto.collector.logs.v1.LogsService', path: '/v1/logs' },
  { service: 'opentelemetry.proto.collector.metrics.v1.MetricsService', path: '/v1/metrics' },
] as const;

/** What a refusal of the collector can be (otlp/answer.ts). */
const REFUSALS = [status.INVALID_ARGUMENT, status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.NOT_FOUND, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE];

const RETRY_AFTER_SECONDS = 5;
const GRACE_MS = 2_000;

/** @param handle answers one OTLP/HTTP request, as `Collector.app.request` does. Throws PermanentError where the port cannot be had. */
export async function startGrpc(handle: (path: string, request: RequestInit) => Response | Promise<Response>, settings: GrpcSettings): Promise<GrpcReceiver> {
  // What goes wrong is told to the caller, here and in `call`; the library would write to standard error besides.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.max_receive_message_length': settings.maxMessageBytes,
    'grpc.max_concurrent_streams': 100,
    interceptors: [boundArriving(settings.maxArriving)],
  });
  for (const { service, path } of SIGNALS) server.addService(exportOf(service), { Export: exporter(handle, path) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(authorityOf(settings), ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new PermanentError(`port ${settings.port} on ${settings.host}, for OTLP/gRPC, cannot be had: stop the program that has it, or give Culprit another (--grpc-port), or none (--grpc=false)`, { cause: error }));
    });
  });
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), GRACE_MS);
        server.tryShutdown(() => (clearTimeout(force), resolve()));
      }),
  };
}

/** Both directions are bytes. */
function exportOf(service: string): ServiceDefinition {
  const bytes = (message: Buffer): Buffer => message;
  const method: MethodDefinition<Buffer, Buffer> = {
    path: `/${service}/Export`,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  return { Export: method };
}

function exporter(handle: (path: string, request: RequestInit) => Response | Promise<Response>, path: string): handleUnaryCall<Buffer, Buffer> {
  return (call, respond) => {
    const exported = async (): Promise<void> => {
      const response = await handle(path, { method: 'POST', headers: headersOf(call.metadata), body: new Uint8Array(call.request) });
      const body = Buffer.from(await response.arrayBuffer());
      if (response.ok) return respond(null, body);
      const { code, message } = statusOf(body);
      const known = REFUSALS.find((refusal: number) => refusal === code) ?? status.UNKNOWN;
      const seconds = response.headers.get('retry-after');
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', seconds === null ? body : Buffer.from(withRetryDelay(body, Number(seconds))));
      respond({ code: known, details: message, metadata });
    };
    // The handler answers 503 itself for all that can go wrong; what is left is a call that nobody waits for any more.
    exported().catch((error: unknown) => respond({ code: status.UNAVAILABLE, details: error instanceof Error ? error.message : String(error) }));
  };
}

/** Metadata as HTTP has it. What belongs to the transport stays here: the body is plain protobuf by now. */
function headersOf(metadata: Metadata): Headers {
  const headers = new Headers({ 'content-type': 'application/x-protobuf' });
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value !== 'string' || /^(?:grpc-|content-|:)|^(?:te|host|connection|transfer-encoding)$/.test(name)) continue;
    headers.set(name, value);
  }
  return headers;
}

function boundArriving(most: number): ServerInterceptor {
  let arriving = 0;
  return (_method, call) => {
    let isArriving = false;
    const arrived = (): void => {
      if (isArriving) arriving -= 1;
      isArriving = false;
    };
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            if (arriving >= most) {
              call.sendStatus({ code: status.UNAVAILABLE, details: `too much is in flight; come back in ${RETRY_AFTER_SECONDS} s` });
              return;
            }
            arriving += 1;
            isArriving = true;
            pass(metadata);
          },
          onReceiveMessage(message, pass) {
            arrived();
            pass(message);
          },
          onReceiveHalfClose(pass) {
            arrived();
            pass();
          },
          onCancel: arrived,
        });
      },
      sendStatus(ending, pass) {
        arrived();
        pass(ending);
      },
    });
  };
}
