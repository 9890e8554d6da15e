import type { Refusal } from '../admission.ts';
import type { Intake, ReadHeader } from '../intake.ts';
import { failure, JSON_TEXT, PROTOBUF, success, type Wire } from './answer.ts';
import { skim } from './skim.ts';

/**
 * OTLP/HTTP: POST …/v1/traces, …/v1/logs and …/v1/metrics under any path prefix, because the SDKs of Langfuse, LangSmith,
 * Humanloop and others append theirs.
 */
const OTLP_PATH = /\/v1\/(traces|logs|metrics)\/?$/;

const WIRES: ReadonlyMap<string, Wire> = new Map([
  ['application/x-protobuf', PROTOBUF],
  ['application/protobuf', { encoding: 'protobuf', mediaType: 'application/protobuf' }],
  ['application/json', JSON_TEXT],
]);

/** Null where the path is not OTLP's. */
export function otlpIntake(path: string, header: ReadHeader): Intake | null {
  const signal = OTLP_PATH.exec(path)?.[1] ?? null;
  const declared = wireOf(header);
  const common = {
    methods: ['POST'],
    fault: declared === null && !isUndeclared(header('content-type')) ? UNKNOWN_TYPE : null,
    refuse: (refusal: Refusal, headers: Readonly<Record<string, string>>, body: Buffer | null) =>
      failure(declared ?? (body === null ? JSON_TEXT : sniff(body)), refusal.status, refusal.message, headers),
  };
  if (signal === 'metrics') {
    const answer = success(declared ?? PROTOBUF, null);
    return { ...common, ignored: answer, read: () => ({ message: null, answer }) };
  }
  if (signal !== 'traces' && signal !== 'logs') return null;
  return {
    ...common,
    ignored: null,
    read(body) {
      const wire = declared ?? sniff(body);
      const request = { signal, encoding: wire.encoding, body } as const;
      const seen = skim(request);
      // Spans that were refused travel along to the ledger.
      const message = seen.protobuf === undefined ? request : ({ ...request, encoding: 'protobuf', body: seen.protobuf } as const);
      const { received } = seen;
      return { message: received === 0 ? null : message, answer: success(wire, seen), unstorable: (reason) => success(wire, { signal, received, rejected: new Map([[reason, received]]) }) };
    },
  };
}

const UNKNOWN_TYPE: Refusal = { status: 415, reason: 'content_type', message: `Content-Type must be one of ${[...WIRES.keys()].join(', ')}` };

/** By the Content-Type, whose parameters ("; charset=utf-8") say nothing here; null when it is absent or not OTLP's. */
function wireOf(header: ReadHeader): Wire | null {
  const [mediaType = ''] = (header('content-type') ?? '').split(';', 1);
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
