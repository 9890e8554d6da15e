import { hash } from 'node:crypto';
import type { Attributes, OtlpLogRecord, OtlpScope, OtlpSpan } from '../../schemas/otlp.ts';
import { createGenerations, type Generations } from '../ingest/generations.ts';
import { claudeCodeEvents } from './claude-code-events.ts';
import { codexEvents } from './codex-events.ts';
import { geminiCliEvents } from './gemini-cli-events.ts';
import type { Inference, SpanSource } from './index.ts';
import { text } from './values.ts';

/**
 * Coding agents tell of their calls by log events, some by spans as well. A log dialect reads the events of one tool; an event that tells of a
 * call is then read like a span of its own, with the tags, session and resource that stand on it. Which of span and event counts is decided
 * where they meet (ingest/echoes.ts).
 *
 * A new dialect is one file, one line in `logDialects` and one test.
 */
export type RecordSource = { readonly resource: Attributes; readonly scope: OtlpScope; readonly record: OtlpLogRecord; /** When it was logged, nanoseconds since the epoch. */ readonly at_ns: bigint; readonly flags: Set<string> };

export type LogDialect = {
  /** `LlmCall.dialect`. */
  readonly name: string;
  /** How the scopes of the tool's spans and events begin, and of nobody else's: what both tell of may be one call. */
  readonly scope: string;
  /** Whether a record of this scope is one of its events. */
  matches(record: OtlpLogRecord): boolean;
  /** Never throws, whatever the types on the wire. */
  read(source: RecordSource, requests: Requests): LoggedReading;
};

/** `took_ms`: how long until the event; null where none says it. `turn`: what the calls of one question to the agent have in common. */
export type LoggedReading = { readonly kind: 'call'; readonly inference: Inference; readonly took_ms: number | null; readonly turn: string | null } | { readonly kind: 'other' };

/** When the request began of which a later event tells the end, in nanoseconds since the epoch, by session: where no event tells both. */
export type Requests = { began(session: string, at_ns: bigint): void; /** Once. */ end(session: string): bigint | null };

export const logDialects: readonly LogDialect[] = [claudeCodeEvents, geminiCliEvents, codexEvents];

/** Why a call that an event tells of is none by itself: a span may tell of it, too. */
export const LOG_EVENT = 'log_event';

/** The tool that writes this scope; null: none that tells of calls by events. */
export function toolOf(scopeName: string): string | null {
  return logDialects.find(({ scope }) => scopeName.startsWith(scope))?.name ?? null;
}

/** Null: the record is of no log dialect. */
export type LogReader = (context: { readonly project: string; /** When it arrived: of a record without any time. */ readonly received_ms: number }, subject: Omit<RecordSource, 'at_ns' | 'flags'>) => LoggedCall | { readonly kind: 'other' } | null;
export type LoggedCall = { readonly kind: 'call'; readonly dialect: string; readonly inference: Inference; /** The event, as the span that it is read as. */ readonly source: SpanSource };

/** @param capacity sessions whose last request is remembered, in each of two generations. */
export function createLogReader(capacity: number): LogReader {
  const begun = createGenerations<string, bigint>(capacity);
  return ({ project, received_ms }, { resource, scope, record }) => {
    const dialect = logDialects.find((candidate) => scope.name.startsWith(candidate.scope));
    if (dialect?.matches(record) !== true) return null;
    const flags = new Set<string>();
    const logged_ns = record.time_ns > 0n ? record.time_ns : record.observed_time_ns;
    const at_ns = logged_ns > 0n ? logged_ns : BigInt(Math.trunc(received_ms)) * 1_000_000n;
    const reading = dialect.read({ resource, scope, record, at_ns, flags }, requestsOf(project, begun));
    if (reading.kind === 'other') return reading;
    const span = { ...spanOf(dialect.name, record, { at_ns, turn: reading.turn }), attributes: withResourcePrompt(record.attributes, resource) };
    return { kind: 'call', dialect: dialect.name, inference: { ...reading.inference, took_ms: reading.took_ms }, source: { resource, scope, span, flags } };
  };
}

function requestsOf(project: string, begun: Generations<string, bigint>): Requests {
  const keyOf = (session: string): string => `${project}\0${session}`;
  return {
    began: (session, at_ns) => begun.set(keyOf(session), at_ns),
    end(session) {
      const at_ns = begun.get(keyOf(session)) ?? null;
      begun.delete(keyOf(session));
      return at_ns;
    },
  };
}

const PROMPT = ['gen_ai.prompt.name', 'gen_ai.prompt.version'];

/** Nothing stands above an event, and some tools let their user say something on the resource only. */
function withResourcePrompt(attributes: Attributes, resource: Attributes): Attributes {
  const said = PROMPT.some((key) => attributes.has(key)) ? [] : [...resource].filter(([key]) => PROMPT.includes(key));
  return said.length === 0 ? attributes : new Map([...attributes, ...said]);
}

/**
 * The call that an event tells of, as a span: it ended when it was logged. Its id is a hash of the event, so that one that is sent again is the same; its trace is that of
 * the event or, where there is none, a hash of the turn: then no trace viewer has it. It stands under nothing: the span in which an event is logged may be that of the call itself.
 */
function spanOf(dialect: string, record: OtlpLogRecord, { at_ns, turn }: { readonly at_ns: bigint; readonly turn: string | null }): OtlpSpan {
  const said = [...record.attributes].flatMap(([key, value]) => {
    const short = text(value, new Set());
    return short === null ? [] : [`${key}=${short}`];
  });
  const digest = hash('sha256', JSON.stringify([dialect, String(at_ns), ...said.sort()]), 'hex');
  const trace_id = record.trace_id ?? (turn === null ? digest.slice(0, 32) : hash('sha256', JSON.stringify([dialect, turn]), 'hex').slice(0, 32));
  return {
    trace_id,
    span_id: digest.slice(32, 48),
    parent_span_id: null,
    name: text(record.attributes.get('event.name'), new Set()) ?? record.event_name,
    kind: 3,
    start_ns: at_ns,
    end_ns: at_ns,
    attributes: record.attributes,
    events: [],
    links: [],
    status_code: 0,
    status_message: '',
  };
}
