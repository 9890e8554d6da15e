import { Hono } from 'hono';
import type { Context } from 'hono';
import { cors } from 'hono/cors';
import type { Readable } from 'node:stream';
import type { Clock } from '../schemas/clock.ts';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { Log } from '../schemas/log.ts';
import type { Decoded } from '../schemas/otlp.ts';
import { createAdmission, discardBody, OVERLOADED, readBody, refuseByHeaders } from './admission.ts';
import type { AdmissionSettings, Refusal } from './admission.ts';
import { failure, JSON_TEXT, PROTOBUF, success } from './otlp/answer.ts';
import type { Answer, Wire } from './otlp/answer.ts';
import { decode } from './otlp/decode.ts';
import { createStamps } from './stamps.ts';

/**
 * The OTLP/HTTP receiver: POST …/v1/traces, …/v1/logs and …/v1/metrics under any path prefix, because the SDKs of
 * Langfuse, LangSmith, Humanloop and others append theirs. Every other path falls through to the app that mounts it.
 */
export type CollectorDependencies = {
  readonly log: Log;
  readonly clock: Clock;
  /** The project that a request's key belongs to, or why it is refused (401, 403). Called before the body is read. */
  readonly project: (header: ReadHeader) => ProjectAnswer | Promise<ProjectAnswer>;
  /** Told of every failure that is nobody's input: it is answered 503, and somebody has to look at it. */
  readonly onError: (error: unknown) => void;
};

export type ReadHeader = (name: string) => string | undefined;
export type ProjectAnswer = string | (Refusal & { readonly status: 401 | 403 });

export type CollectorSettings = AdmissionSettings & {
  /** Browsers of these origins may post. Empty: no cross-origin requests, OPTIONS is 405. */
  readonly allowedOrigins: readonly string[];
};

export const COLLECTOR_DEFAULTS: CollectorSettings = {
  maxBodyBytes: 64 * 1024 * 1024,
  maxInFlightBytes: 256 * 1024 * 1024,
  maxInFlightRequests: 1000,
  allowedOrigins: [],
};

/** Since the start. What is inside accepted requests is counted in the ledger, by the analyzer. */
export type CollectorCounters = {
  readonly accepted_requests: number;
  /** Requests to …/v1/metrics, which are answered 200 and not read. */
  readonly ignored_requests: number;
  readonly refused: readonly { readonly status: number; readonly reason: string; readonly requests: number }[];
};

export type Collector = {
  readonly app: Hono<CollectorEnvironment>;
  counters(): CollectorCounters;
  /** See stamps.ts: the smallest arrival stamp among requests that are appended and not finished. */
  oldestInFlightStamp(): number | null;
  /** See stamps.ts: slots of the arrival clock that end at or before it may close. */
  watermark(): number;
  /** Requests being received or appended, and the bytes of their bodies. */
  load(): { readonly requests: number; readonly bytes: number };
};

/** Under @hono/node-server the request's stream is here; elsewhere (tests) the body is a web stream. */
export type CollectorEnvironment = { Bindings: { incoming?: Readable } };

type Signal = 'traces' | 'logs' | 'metrics';

const OTLP_PATH = /\/v1\/(traces|logs|metrics)\/?$/;

const WIRES: ReadonlyMap<string, Wire> = new Map([
  ['application/x-protobuf', PROTOBUF],
  ['application/protobuf', { encoding: 'protobuf', mediaType: 'application/protobuf' }],
  ['application/json', JSON_TEXT],
]);

const OVERLOAD_RETRY_AFTER_SECONDS = 5;

export function createCollector(deps: CollectorDependencies, overrides: Partial<CollectorSettings> = {}): Collector {
  const settings: CollectorSettings = { ...COLLECTOR_DEFAULTS, ...overrides };
  const admission = createAdmission(settings);
  const stamps = createStamps(deps.clock);
  const refused = new Map<string, { status: number; reason: string; requests: number }>();
  let acceptedRequests = 0;
  let ignoredRequests = 0;

  function refuse(wire: Wire | null, refusal: Refusal, headers: Record<string, string> = {}): Answer {
    const key = `${refusal.status} ${refusal.reason}`;
    const counter = refused.get(key) ?? { status: refusal.status, reason: refusal.reason, requests: 0 };
    counter.requests++;
    refused.set(key, counter);
    return failure(wire ?? JSON_TEXT, refusal.status, refusal.message, { ...headersOf(refusal), ...headers });
  }

  async function receive(signal: Signal, context: Context<CollectorEnvironment>): Promise<Answer> {
    const header: ReadHeader = (name) => context.req.header(name);
    const declared = wireOf(context);
    const contentEncoding = (header('content-encoding') ?? '').trim().toLowerCase();

    // 1. Admit: by method, key and headers first, then by what is in flight. Nothing was read; a refusal costs nothing.
    if (context.req.method !== 'POST') return refuse(declared, { status: 405, reason: 'method', message: 'only POST' });
    const project = await deps.project(header);
    if (typeof project !== 'string') return refuse(declared, project);
    if (declared === null && !isUndeclared(header('content-type'))) return refuse(null, { status: 415, reason: 'content_type', message: `Content-Type must be one of ${[...WIRES.keys()].join(', ')}` });
    const byHeaders = refuseByHeaders({ contentLength: header('content-length'), contentEncoding }, settings);
    if (byHeaders !== null) return refuse(declared, byHeaders);
    const ticket = admission.open();
    if (ticket === null) return refuse(declared, OVERLOADED);

    try {
      if (signal === 'metrics') {
        const unread = await discardBody(chunksOf(context), settings);
        if (unread !== null) return refuse(declared, unread);
        ignoredRequests++;
        return success(declared ?? PROTOBUF, null);
      }

      // 2. Read, counting every chunk against the bounds. If the sender goes away, nothing happened.
      const body = await readBody(chunksOf(context), { contentEncoding, ticket }, settings);
      if (!Buffer.isBuffer(body)) return refuse(declared, body);

      // 3. Decode. A body that cannot be read is 400 and is not appended: its sender is told, and nothing is counted twice.
      const wire = declared ?? sniff(body);
      let decoded: Decoded;
      try {
        decoded = decode({ signal, encoding: wire.encoding, body });
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        return refuse(wire, { status: 400, reason: 'malformed', message: error.message });
      }

      // 4. Stamp and append, with no await between, so that no slot closes in front of the request. When this fails, the
      // log did not take the message, and the sender comes again. Spans that were refused travel along to the ledger.
      if (decoded.received > 0) {
        const stamp = stamps.take();
        try {
          await deps.log.append({ signal, project, received_ms: stamp.received_ms, encoding: wire.encoding, body, decoded });
        } catch (error) {
          if (!(error instanceof RetryableError)) throw error;
          return refuse(wire, { status: 503, reason: 'log', message: error.message }, { 'retry-after': String(error.retryAfterSeconds) });
        } finally {
          stamps.finish(stamp);
        }
      }

      // 5. Answer. If the answer is lost, the sender sends the same again, and the store keeps one of the two.
      acceptedRequests++;
      return success(wire, decoded);
    } finally {
      ticket.release();
    }
  }

  async function answer(signal: Signal, context: Context<CollectorEnvironment>): Promise<Response> {
    let answer: Answer;
    try {
      answer = await receive(signal, context);
    } catch (error) {
      // 503 and not 500, which OTLP senders take as an order to drop the batch.
      deps.onError(error);
      answer = refuse(wireOf(context), { status: 503, reason: 'internal', message: 'the request could not be handled; try again' });
    }
    return new Response(answer.body, { status: answer.status, headers: answer.headers });
  }

  const crossOrigin = settings.allowedOrigins.length === 0 ? null : cors({ origin: [...settings.allowedOrigins], allowMethods: ['POST'] });

  const app = new Hono<CollectorEnvironment>();
  app.use('*', async (context, next) => {
    const signal = signalOf(context.req.path);
    if (signal === null) return next();
    if (crossOrigin === null) return answer(signal, context);
    // Answers the preflight itself, before any key is asked for: a browser sends none with it.
    return crossOrigin(context, async () => {
      context.res = await answer(signal, context);
    });
  });

  return {
    app,
    counters: () => ({ accepted_requests: acceptedRequests, ignored_requests: ignoredRequests, refused: [...refused.values()].map((counter) => ({ ...counter })) }),
    oldestInFlightStamp: stamps.oldest,
    watermark: stamps.watermark,
    load: admission.load,
  };
}

function signalOf(path: string): Signal | null {
  const signal = OTLP_PATH.exec(path)?.[1];
  return signal === 'traces' || signal === 'logs' || signal === 'metrics' ? signal : null;
}

/** By the Content-Type, whose parameters ("; charset=utf-8") say nothing here; null when it is absent or not OTLP's. */
function wireOf(context: Context<CollectorEnvironment>): Wire | null {
  const [mediaType = ''] = (context.req.header('content-type') ?? '').split(';', 1);
  return WIRES.get(mediaType.trim().toLowerCase()) ?? null;
}

/** Python's urllib and curl write the type of a form wherever their caller names none, so it says as little as no type at all. */
function isUndeclared(contentType: string | undefined): boolean {
  return !contentType || contentType.toLowerCase().startsWith('application/x-www-form-urlencoded');
}

/** Humanloop sends JSON without a content type. No protobuf request begins with "{", which is no field of it. */
function sniff(body: Uint8Array): Wire {
  return body[0] === 0x7b ? JSON_TEXT : PROTOBUF;
}

/** The body in chunks. Leaving the iteration early does not tear the connection down, so a refusal can still be sent. */
function chunksOf(context: Context<CollectorEnvironment>): AsyncIterable<Uint8Array> {
  // Without an adapter Hono leaves `env` undefined, whatever its type says.
  const bindings: CollectorEnvironment['Bindings'] | undefined = context.env;
  if (bindings?.incoming !== undefined) return bindings.incoming.iterator({ destroyOnReturn: false });
  return context.req.raw.body?.values({ preventCancel: true }) ?? noChunks();
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

/** What HTTP wants beside a status. */
function headersOf(refusal: Refusal): Record<string, string> {
  switch (refusal.status) {
    case 401:
      return { 'www-authenticate': 'Bearer' };
    case 405:
      return { allow: 'POST' };
    case 503:
      return { 'retry-after': String(OVERLOAD_RETRY_AFTER_SECONDS) };
    case 400:
    case 403:
    case 413:
    case 415:
      return {};
  }
}
