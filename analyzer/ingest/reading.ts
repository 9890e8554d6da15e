import type { LlmCall } from '../../schemas/call.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import type { Score } from '../../schemas/score.ts';
import type { Assignment } from '../dialects/feature-flags.ts';
import { LOG_EVENT } from '../dialects/log-events.ts';
import { spanKey } from './identity.ts';
import type { Outcome, Tally } from './ledger.ts';
import type { Normaliser, Relative } from '../normalise.ts';
import type { ContentOf } from './rows.ts';

/** An inference, or a wrapper or an event that may stand for one: `reason` says why it is no call by itself, and is empty for an inference. */
type ReadCall = { readonly call: LlmCall; readonly reason: string };

/**
 * What one log message says. It depends on the message alone (and on the feature flags, and the beginnings of requests, that messages before it told), so it can be
 * made while an earlier batch is still being written.
 */
export type Reading = {
  readonly project: string;
  readonly signal: 'traces' | 'logs';
  /** The arrival of the message. */
  readonly stampMs: number;
  readonly received: number;
  /** What was rejected and ignored, by reason. What becomes of calls and scores is counted where it is decided (arrivals.ts). */
  readonly counts: readonly { readonly outcome: Outcome; readonly reason: string; readonly count: number }[];
  /**
   * The first who asks gets what was read, and it is let go: whoever waits for the rows to be durable holds readings, and of all that is held the collector of garbage makes copies. To
   * write the message once more it is read once more.
   */
  take(): Records;
};

/** The records of a message. */
export type Records = {
  readonly calls: readonly ReadCall[];
  readonly relatives: readonly Relative[];
  readonly scores: readonly Score[];
  /** What feature flags that were logged say of spans. */
  readonly assignments: readonly Assignment[];
  /** Empty unless content is to be stored. */
  readonly contents: readonly ContentOf[];
};

type ReadsBy = { readonly decode: (message: LogMessage) => Decoded; readonly normaliser: Normaliser };

/** Throws PermanentError where the body is not what the message claims. */
export function readMessage(message: LogMessage, by: ReadsBy): Reading {
  const { records, ...said } = recordsOf(message, by);
  let held: Records | null = records;
  return {
    ...said,
    take() {
      const given = held ?? recordsOf(message, by).records;
      held = null;
      return given;
    },
  };
}

function recordsOf(message: LogMessage, { decode, normaliser }: ReadsBy): Omit<Reading, 'take'> & { readonly records: Records } {
  const { project, signal, received_ms } = message;
  const context = { project, received_ms };
  const calls: ReadCall[] = [];
  const relatives: Relative[] = [];
  const scores: Score[] = [];
  const assignments: Assignment[] = [];
  const contents: ContentOf[] = [];
  const ignored = new Map<string, number>();
  const ignore = (reason: string): void => void ignored.set(reason, (ignored.get(reason) ?? 0) + 1);
  const decoded = decode(message);
  switch (decoded.signal) {
    case 'traces':
      for (const { resource, scope, spans } of decoded.groups) {
        for (const span of spans) {
          const read = normaliser.span(context, resource, scope, span);
          if (read.kind === 'call') {
            calls.push({ call: read.call, reason: '' });
          } else if (read.candidate !== null) {
            calls.push({ call: read.candidate, reason: read.reason });
          } else {
            relatives.push(read.relative);
            ignore(read.reason);
          }
          const call = read.kind === 'call' ? read.call : read.candidate;
          if (call !== null && read.content !== null) contents.push({ call, content: read.content });
          for (const score of read.scores) scores.push(score);
        }
      }
      break;
    case 'logs':
      for (const { resource, scope, records } of decoded.groups) {
        for (const record of records) {
          const read = normaliser.record(context, resource, scope, record);
          if (read.kind === 'score') {
            scores.push(read.score);
          } else if (read.kind === 'call') {
            calls.push({ call: read.call, reason: LOG_EVENT });
          } else {
            ignore(read.reason);
            if (read.assignment !== undefined) assignments.push(read.assignment);
          }
        }
      }
      break;
  }
  return {
    project,
    signal,
    stampMs: received_ms,
    received: decoded.received,
    records: { calls, relatives, scores, assignments, contents },
    counts: [
      ...[...decoded.rejected].map(([reason, count]) => ({ outcome: 'rejected' as const, reason, count })),
      ...[...ignored].map(([reason, count]) => ({ outcome: 'ignored' as const, reason, count })),
    ],
  };
}

export type Placed<Item> = { readonly item: Item; readonly stampMs: number };
/** `key`: its `spanKey`, made once, since it is looked up by and remembered under it many times. */
type PlacedSpan<Item> = Placed<Item> & { readonly key: string };
export type PlacedRelative = PlacedSpan<Relative>;
export type PlacedCall = PlacedSpan<LlmCall> & { readonly reason: string };

/** What a batch of messages says, in the order of the log. */
export type BatchReading = {
  readonly calls: readonly PlacedCall[];
  readonly relatives: readonly PlacedRelative[];
  readonly scores: readonly Placed<Score>[];
  /** The scores that were log records: they are counted with what becomes of them. A score on a span event belongs to its span. */
  readonly records: ReadonlySet<Score>;
  readonly assignments: readonly Placed<Assignment>[];
  /** Empty unless content is to be stored. */
  readonly contents: readonly ContentOf[];
  readonly received: number;
};

/** Puts the readings of a batch together, and counts what was received, rejected and ignored. */
export function gather(readings: readonly Reading[], tally: Tally): BatchReading {
  const calls: PlacedCall[] = [];
  const relatives: PlacedRelative[] = [];
  const scores: Placed<Score>[] = [];
  const records = new Set<Score>();
  const assignments: Placed<Assignment>[] = [];
  const contents: ContentOf[] = [];
  let received = 0;
  for (const reading of readings) {
    const { project, signal, stampMs } = reading;
    received += reading.received;
    const entry = { project, signal, receivedMs: stampMs };
    if (reading.received > 0) tally.count({ ...entry, outcome: 'received', reason: '' }, reading.received);
    for (const { outcome, reason, count } of reading.counts) tally.count({ ...entry, outcome, reason }, count);
    const taken = reading.take();
    for (const { call, reason } of taken.calls) calls.push({ key: spanKey(call), item: call, stampMs, reason });
    contents.push(...taken.contents);
    for (const item of taken.assignments) assignments.push({ item, stampMs });
    for (const item of taken.relatives) relatives.push({ key: spanKey(item), item, stampMs });
    for (const item of taken.scores) {
      scores.push({ item, stampMs });
      if (signal === 'logs') records.add(item);
    }
  }
  return { calls, relatives, scores, records, assignments, contents, received };
}
