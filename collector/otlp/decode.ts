import { PermanentError } from '../../schemas/errors.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded, DecodedLogs, DecodedTraces, OtlpSpan, ResourceSpans } from '../../schemas/otlp.ts';
import { spanFault } from './ids.ts';
import * as json from './json.ts';
import { readLogs } from './protobuf-logs.ts';
import { readTraces } from './protobuf-traces.ts';

/**
 * One export request, from bytes to what the dialects read. Pure: the collector calls it for every request, the
 * analyzer for every message of the log.
 *
 * A span without valid ids is refused alone, counted by reason; a log record keeps its content and loses the bad id,
 * since a score may name its call in another way. Throws PermanentError when the body as a whole cannot be read.
 */
export function decode(message: Pick<LogMessage, 'signal' | 'encoding' | 'body' | 'decoded'>): Decoded {
  const decoded = message.decoded?.() ?? null;
  if (decoded !== null) return decoded;
  return message.signal === 'traces' ? decodeTraces(message) : decodeLogs(message);
}

type Body = Pick<LogMessage, 'encoding' | 'body'>;

function decodeTraces(message: Body): DecodedTraces {
  const groups =
    message.encoding === 'json' ? json.readTraces(message.body) : readOrExplain(message.body, readTraces, { other: readLogs, hint: 'it reads as logs; were they posted to /v1/traces?' });
  const rejected = new Map<string, number>();
  let received = 0;
  let withoutIds = 0;

  const isValid = (span: OtlpSpan): boolean => {
    received++;
    if (span.trace_id === '' && span.span_id === '') withoutIds++;
    const fault = spanFault(span);
    if (fault !== null) rejected.set(fault, (rejected.get(fault) ?? 0) + 1);
    return fault === null;
  };

  const valid: ResourceSpans[] = [];
  for (const group of groups) {
    const spans = group.spans.filter(isValid);
    if (spans.length === group.spans.length) valid.push(group);
    else if (spans.length > 0) valid.push({ ...group, spans });
  }
  // Records of another signal can pass for spans, since the numbers of their fields coincide; then none has ids.
  if (received > 0 && withoutIds === received) {
    throw new PermanentError(`none of the ${received} spans has a trace id or a span id; were logs or metrics posted to /v1/traces?`);
  }
  return { signal: 'traces', groups: valid, received, rejected };
}

function decodeLogs(message: Body): DecodedLogs {
  const groups =
    message.encoding === 'json' ? json.readLogs(message.body) : readOrExplain(message.body, readLogs, { other: readTraces, hint: 'it reads as traces; were they posted to /v1/logs?' });
  const received = groups.reduce((sum, group) => sum + group.records.length, 0);
  return { signal: 'logs', groups, received, rejected: new Map() };
}

type Read<Group> = (body: Uint8Array) => Group[];

/** When a body cannot be read as what it should be, but can be as the other signal, says so: the URL is likely wrong. */
function readOrExplain<Group>(body: Uint8Array, read: Read<Group>, alternative: { other: Read<unknown>; hint: string }): Group[] {
  try {
    return read(body);
  } catch (cause) {
    if (cause instanceof PermanentError && canRead(body, alternative.other)) throw new PermanentError(`${cause.message}; ${alternative.hint}`, { cause });
    throw cause;
  }
}

function canRead(body: Uint8Array, read: Read<unknown>): boolean {
  try {
    return read(body).length > 0;
  } catch {
    return false;
  }
}
