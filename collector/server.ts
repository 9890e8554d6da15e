import { Hono } from 'hono';
import type { Context } from 'hono';
import { cors } from 'hono/cors';
import type { Readable } from 'node:stream';
import type { Clock } from '../schemas/clock.ts';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { Log } from '../schemas/log.ts';
import { createAdmission, discardBody, OVERLOADED, readBody, refuseByHeaders } from './admission.ts';
import type { AdmissionSettings, Refusal } from './admission.ts';
import type { Answer, Intake, ReadHeader, Taken } from './intake.ts';
import { otlpIntake } from './otlp/intake.ts';
import { release } from './release.ts';
import { restIntake } from './rest/intake.ts';
import { createStamps } from './stamps.ts';

/**
 * The receiver of everything that an SDK sends: OTLP/HTTP (`otlp/intake.ts`) and scores in the shapes of their vendors
 * (`rest/`), under any path prefix. Every other path falls through to the app that mounts it.
 */
export type CollectorDependencies = {
  readonly log: Log;
  readonly clock: Clock;
  /** The project that a request's key belongs to, or why it is refused (401, 403). Called before the body is read. */
  readonly project: (header: ReadHeader) => ProjectAnswer | Promise<ProjectAnswer>;
  /** Told of every failure that is nobody's input: it is answered 503, and somebody has to look at it. */
  readonly onError: (error: unknown) => void;
};

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
  /** See stamps.ts: slots of the arrival clock that end at or before it may close. */
  watermark(): number;
  /** Requests being received or appended, and the bytes of their bodies. */
  load(): { readonly requests: number; readonly bytes: number };
};

/** Under @hono/node-server the request's stream is here; elsewhere (tests) the body is a web stream. */
export type CollectorEnvironment = { Bindings: { incoming?: Readable } };

const OVERLOAD_RETRY_AFTER_SECONDS = 5;

export function createCollector(deps: CollectorDependencies, overrides: Partial<CollectorSettings> = {}): Collector {
  const settings: CollectorSettings = { ...COLLECTOR_DEFAULTS, ...overrides };
  const admission = createAdmission(settings);
  const stamps = createStamps(deps.clock);
  const refused = new Map<string, { status: number; reason: string; requests: number }>();
  let acceptedRequests = 0;
  let ignoredRequests = 0;

  function refuse(intake: Intake, refusal: Refusal, body: Buffer | null = null, headers: Record<string, string> = {}): Answer {
    const key = `${refusal.status} ${refusal.reason}`;
    const counter = refused.get(key) ?? { status: refusal.status, reason: refusal.reason, requests: 0 };
    counter.requests++;
    refused.set(key, counter);
    return intake.refuse(refusal, { ...headersOf(refusal, intake), ...headers }, body);
  }

  async function receive(intake: Intake, context: Context<CollectorEnvironment>): Promise<Answer> {
    const header: ReadHeader = (name) => context.req.header(name);
    const contentEncoding = (header('content-encoding') ?? '').trim().toLowerCase();

    // 1. Admit: by method, key and headers first, then by what is in flight. Nothing was read; a refusal costs nothing.
    if (!intake.methods.includes(context.req.method)) return refuse(intake, { status: 405, reason: 'method', message: `only ${intake.methods.join(', ')}` });
    const project = await deps.project(header);
    if (typeof project !== 'string') return refuse(intake, project);
    if (intake.fault !== null) return refuse(intake, intake.fault);
    const byHeaders = refuseByHeaders({ contentLength: header('content-length'), contentEncoding }, settings);
    if (byHeaders !== null) return refuse(intake, byHeaders);
    const ticket = admission.open();
    if (ticket === null) return refuse(intake, OVERLOADED);

    try {
      if (intake.ignored !== null) {
        const unread = await discardBody(chunksOf(context), settings);
        if (unread !== null) return refuse(intake, unread);
        ignoredRequests++;
        return intake.ignored;
      }

      // 2. Read, counting every chunk against the bounds. If the sender goes away, nothing happened.
      const body = await readBody(chunksOf(context), { contentEncoding, ticket }, settings);
      if (!Buffer.isBuffer(body)) return refuse(intake, body);

      // 3. Skim. A body that cannot be read is 400 and is not appended: its sender is told, and nothing is counted twice.
      let taken: Taken | Refusal;
      try {
        taken = intake.read(body, project);
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        return refuse(intake, { status: 400, reason: 'malformed', message: error.message }, body);
      }
      if ('status' in taken) return refuse(intake, taken, body);

      // 4. Stamp and append, with no await between, so that no slot closes in front of the request. When this fails for now, the
      // log did not take the message, and the sender comes again; when it fails for good, the message is parked.
      if (taken.message !== null) {
        const stamp = stamps.take();
        try {
          await deps.log.append({ ...taken.message, project, received_ms: stamp.received_ms });
          // JSON of which protobuf was made.
          if (taken.message.body !== body) release(body);
        } catch (error) {
          // It was parked, and the ledger has it: whoever sent it must not send it again.
          if (error instanceof PermanentError) return taken.unstorable?.(error.message) ?? refuse(intake, { status: 400, reason: 'unstorable', message: error.message }, body);
          if (!(error instanceof RetryableError)) throw error;
          return refuse(intake, { status: 503, reason: 'log', message: error.message }, body, { 'retry-after': String(error.retryAfterSeconds) });
        } finally {
          stamps.finish(stamp);
        }
      }

      // 5. Answer. If the answer is lost, the sender sends the same again, and the store keeps one of the two.
      acceptedRequests++;
      return taken.answer;
    } finally {
      ticket.release();
    }
  }

  async function answer(intake: Intake, context: Context<CollectorEnvironment>): Promise<Response> {
    let answer: Answer;
    try {
      answer = await receive(intake, context);
    } catch (error) {
      // 503 and not 500, which OTLP senders take as an order to drop the batch.
      deps.onError(error);
      answer = refuse(intake, { status: 503, reason: 'internal', message: 'the request could not be handled; try again' });
    }
    return new Response(answer.body, { status: answer.status, headers: answer.headers });
  }

  const crossOrigin = settings.allowedOrigins.length === 0 ? null : cors({ origin: [...settings.allowedOrigins], allowMethods: ['POST'] });

  const app = new Hono<CollectorEnvironment>();
  app.use('*', async (context, next) => {
    const intake = intakeOf(context);
    if (intake === null) return next();
    if (crossOrigin === null) return answer(intake, context);
    // Answers the preflight itself, before any key is asked for: a browser sends none with it.
    return crossOrigin(context, async () => {
      context.res = await answer(intake, context);
    });
  });

  return {
    app,
    counters: () => ({ accepted_requests: acceptedRequests, ignored_requests: ignoredRequests, refused: [...refused.values()].map((counter) => ({ ...counter })) }),
    watermark: stamps.watermark,
    load: admission.load,
  };
}

/** First that takes the path. */
function intakeOf(context: Context<CollectorEnvironment>): Intake | null {
  const { path, method } = context.req;
  const header: ReadHeader = (name) => context.req.header(name);
  return otlpIntake(path, header) ?? restIntake({ path, method, header });
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
function headersOf(refusal: Refusal, intake: Intake): Record<string, string> {
  switch (refusal.status) {
    case 401:
      return { 'www-authenticate': 'Bearer' };
    case 405:
      return { allow: intake.methods.join(', ') };
    case 503:
      return { 'retry-after': String(OVERLOAD_RETRY_AFTER_SECONDS) };
    case 400:
    case 403:
    case 404:
    case 413:
    case 415:
      return {};
  }
}
