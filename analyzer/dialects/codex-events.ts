import type { Attributes } from '../../schemas/otlp.ts';
import { believableTook, startBefore } from '../signals/times.ts';
import { BARE_INFERENCE } from './bare-inference.ts';
import type { Inference } from './index.ts';
import type { LogDialect, LoggedReading } from './log-events.ts';
import { firstAmount, firstCount, firstText, text } from './values.ts';

/**
 * Codex: a request (`codex.api_request`, `codex.websocket_request`) tells when it began, the `codex.sse_event` with token counts that its answer is complete; only the conversation is
 * written on both, so a call takes from the last request of its conversation to there. A request that was refused, and an answer that broke off, is a failed call, also where Codex asks
 * again by itself: nothing tells.
 */
export const codexEvents: LogDialect = {
  name: 'codex_events',
  scope: 'codex',
  // The field has a place in the source code, the attribute the name.
  matches({ attributes }) {
    const name = attributes.get('event.name');
    return typeof name === 'string' && EVENTS.has(name);
  },
  read({ record, at_ns, flags }, requests) {
    const { attributes } = record;
    const session = text(attributes.get('conversation.id'), flags) ?? '';
    const duration_ms = firstAmount(attributes, ['duration_ms']);
    if (attributes.get('event.name') !== ANSWER) {
      const error = refusalIn(attributes, flags);
      if (error !== null) return callOf({ ...saidIn(attributes, flags), error }, duration_ms, session);
      requests.began(session, startBefore(at_ns, believableTook(duration_ms)));
      return { kind: 'other' };
    }
    const message = text(attributes.get('error.message'), flags);
    const isComplete = attributes.has('input_token_count');
    if (message === null && !isComplete) return { kind: 'other' };
    const began_ns = requests.end(session);
    const took_ms = began_ns === null || at_ns - began_ns > LONGEST_NS || at_ns < began_ns ? null : Number(at_ns - began_ns) / 1e6;
    const said = saidIn(attributes, flags);
    return callOf(message === null ? said : { ...said, error: { type: text(attributes.get('event.kind'), flags), message } }, took_ms, session);
  },
};

/** What a request says of its own failure, as an event and on a span (codex.ts). Null: it was taken. */
export function refusalIn(attributes: Attributes, flags: Set<string>): Inference['error'] {
  const message = text(attributes.get('error.message'), flags);
  const status = firstCount(attributes, ['http.response.status_code']);
  return message === null && (status ?? 0) < 400 ? null : { type: status === null ? null : String(status), message };
}

const ANSWER = 'codex.sse_event';
const EVENTS: ReadonlySet<string> = new Set([ANSWER, 'codex.api_request', 'codex.websocket_request']);
/** No request survives this: the one that is remembered is another one. */
const LONGEST_NS = 3_600_000_000_000n;

function saidIn(attributes: Attributes, flags: Set<string>): Inference {
  const ttft_ms = firstAmount(attributes, ['ttft_ms']);
  return {
    ...BARE_INFERENCE,
    request_model: firstText(attributes, ['model', 'slug'], flags),
    is_stream: true,
    ttft: ttft_ms === null ? null : { value: ttft_ms, unit: 'ms' },
    usage: {
      input: firstCount(attributes, ['input_token_count']),
      output: firstCount(attributes, ['output_token_count']),
      cache_read: firstCount(attributes, ['cached_token_count']),
      cache_write: firstCount(attributes, ['cache_write_token_count']),
      reasoning: firstCount(attributes, ['reasoning_token_count']),
      total: null,
      cache_counting: 'inclusive',
    },
  };
}

function callOf(inference: Inference, took_ms: number | null, session: string): LoggedReading {
  return { kind: 'call', inference, took_ms, turn: session === '' ? null : session };
}
