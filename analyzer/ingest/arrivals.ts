import type { LlmCall } from '../../schemas/call.ts';
import type { StoredSpan } from './draft.ts';
import { isLeftWaiting, type Found } from './known.ts';
import { signalOf, type Tally } from './ledger.ts';
import type { BatchReading } from './reading.ts';

/**
 * New or known? Of everything that a batch brings, what has to be written: what is new, and what corrects what is stored.
 * The rest was sent again and is only counted. `stored` is what the item corrects; undefined where it is new.
 */
export type SpanArrival = {
  readonly item: LlmCall;
  readonly stampMs: number;
  readonly stored: StoredSpan | undefined;
  /** Why the span by itself is no call; empty for an inference of its own. */
  readonly reason: string;
};

/**
 * A span that comes again with a later end corrects its row: some SDKs export a span while it runs, and again at its end. What is new is
 * counted by what it turns out to be (ledger.ts).
 */
export function arrivingCalls(placed: BatchReading['calls'], known: ReadonlyMap<string, Found<StoredSpan>>, tally: Tally): Map<string, SpanArrival> {
  const arrivals = new Map<string, SpanArrival>();
  for (const { key, item, stampMs, reason } of placed) {
    const entry = { project: item.project, receivedMs: stampMs, signal: signalOf(reason) };
    const earlier = arrivals.get(key);
    const stored: Found<StoredSpan> | undefined = earlier?.stored ?? known.get(key);
    const lastEnd = earlier?.item.end_time_ns ?? stored?.end_ns;
    if (lastEnd === undefined) {
      arrivals.set(key, { item, stampMs, reason, stored: undefined });
    } else if (BigInt(item.end_time_ns) > BigInt(lastEnd)) {
      arrivals.set(key, { item, stampMs: earlier?.stampMs ?? stampMs, reason, stored });
      tally.count({ ...entry, outcome: 'duplicate', reason: 'later_end' });
    } else {
      tally.count({ ...entry, outcome: 'duplicate', reason: 'sent_again' });
      if (earlier === undefined && stored !== undefined && isLeftWaiting(stored) && (stored.role === 'call' || stored.role === 'candidate')) arrivals.set(key, { item, stampMs, reason, stored });
    }
  }
  return arrivals;
}
