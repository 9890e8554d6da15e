import type { LlmCall } from '../../schemas/call.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import type { Score } from '../../schemas/score.ts';
import { spanKey } from './identity.ts';
import type { Tally } from './ledger.ts';
import type { Normaliser, Relative } from '../normalise.ts';

/** What a batch of log messages says, in the order of the log. `stampMs`: the arrival of the message that said it. */
export type Reading = {
  /** Inferences, and wrappers that may stand for one: `reason` says why they are no call by themselves, and is empty for an inference. */
  readonly calls: readonly (Placed<LlmCall> & { readonly reason: string })[];
  readonly relatives: readonly (Placed<Relative> & { readonly key: string })[];
  readonly scores: readonly Placed<Score>[];
  /** The scores that were log records: they are counted with what becomes of them. A score on a span event belongs to its span. */
  readonly records: ReadonlySet<Score>;
  readonly received: number;
};

export type Placed<Item> = { readonly item: Item; readonly stampMs: number };

/** Counts what was received, rejected and ignored; what becomes of calls and scores is counted where it is decided (arrivals.ts). */
export function readMessages(
  messages: readonly LogMessage[],
  deps: { readonly decode: (message: LogMessage) => Decoded; readonly normaliser: Normaliser; readonly tally: Tally },
): Reading {
  const { decode, normaliser, tally } = deps;
  const calls: (Placed<LlmCall> & { readonly reason: string })[] = [];
  const relatives: (Placed<Relative> & { readonly key: string })[] = [];
  const scores: Placed<Score>[] = [];
  const records = new Set<Score>();
  let received = 0;
  for (const message of messages) {
    const stampMs = message.received_ms;
    const context = { project: message.project, received_ms: stampMs };
    const entry = { project: message.project, receivedMs: stampMs, signal: message.signal };
    const decoded = decode(message);
    received += decoded.received;
    if (decoded.received > 0) tally.count({ ...entry, outcome: 'received', reason: '' }, decoded.received);
    for (const [reason, count] of decoded.rejected) tally.count({ ...entry, outcome: 'rejected', reason }, count);
    switch (decoded.signal) {
      case 'traces':
        for (const { resource, scope, spans } of decoded.groups) {
          for (const span of spans) {
            const read = normaliser.span(context, resource, scope, span);
            if (read.kind === 'call') {
              calls.push({ item: read.call, stampMs, reason: '' });
            } else if (read.candidate !== null) {
              calls.push({ item: read.candidate, stampMs, reason: read.reason });
            } else {
              relatives.push({ key: spanKey(read.relative), item: read.relative, stampMs });
              tally.count({ ...entry, outcome: 'ignored', reason: read.reason });
            }
            for (const score of read.scores) scores.push({ item: score, stampMs });
          }
        }
        break;
      case 'logs':
        for (const { resource, scope, records: logRecords } of decoded.groups) {
          for (const record of logRecords) {
            const read = normaliser.record(context, resource, scope, record);
            if (read.kind === 'score') {
              scores.push({ item: read.score, stampMs });
              records.add(read.score);
            } else {
              tally.count({ ...entry, outcome: 'ignored', reason: read.reason });
            }
          }
        }
        break;
    }
  }
  return { calls, relatives, scores, records, received };
}
