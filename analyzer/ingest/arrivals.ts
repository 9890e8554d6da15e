import type { LlmCall } from '../../schemas/call.ts';
import type { Score } from '../../schemas/score.ts';
import type { StoredScore, StoredSpan } from './draft.ts';
import { spanKey } from './identity.ts';
import type { Tally } from './ledger.ts';
import type { BatchReading } from './reading.ts';

/**
 * New or known? Of everything that a batch brings, what has to be written: what is new, and what corrects what is stored.
 * The rest was sent again and is only counted. `stored` is what the item corrects; undefined where it is new.
 */
export type Arrival<Item, Stored> = { readonly item: Item; readonly stampMs: number; readonly stored: Stored | undefined };
/** `reason`: why the span by itself is no call; empty for an inference of its own. */
export type SpanArrival = Arrival<LlmCall, StoredSpan> & { readonly reason: string };

/**
 * A span that comes again with a later end corrects its row: some SDKs export a span while it runs, and again at its end. What is new is
 * counted by what it turns out to be (ledger.ts).
 */
export function arrivingCalls(placed: BatchReading['calls'], known: ReadonlyMap<string, StoredSpan>, tally: Tally): Map<string, SpanArrival> {
  const arrivals = new Map<string, SpanArrival>();
  for (const { item, stampMs, reason } of placed) {
    const key = spanKey(item);
    const entry = { project: item.project, receivedMs: stampMs, signal: 'traces' as const };
    const earlier = arrivals.get(key);
    const stored = earlier?.stored ?? known.get(key);
    const lastEnd = earlier?.item.end_time_ns ?? stored?.end_ns;
    if (lastEnd === undefined) {
      arrivals.set(key, { item, stampMs, reason, stored: undefined });
    } else if (BigInt(item.end_time_ns) > BigInt(lastEnd)) {
      arrivals.set(key, { item, stampMs: earlier?.stampMs ?? stampMs, reason, stored });
      tally.count({ ...entry, outcome: 'duplicate', reason: 'later_end' });
    } else {
      tally.count({ ...entry, outcome: 'duplicate', reason: 'sent_again' });
    }
  }
  return arrivals;
}

/** A score that comes again with another judgement corrects its row, unless it is the older of the two by the judge's own clock. */
export function arrivingScores({ scores, records }: BatchReading, known: ReadonlyMap<string, StoredScore>, tally: Tally): Map<string, Arrival<Score, StoredScore>> {
  const arrivals = new Map<string, Arrival<Score, StoredScore>>();
  for (const { item, stampMs } of scores) {
    const earlier = arrivals.get(item.score_id);
    const stored = earlier?.stored ?? known.get(item.score_id);
    const last = earlier === undefined ? stored : { ...earlier.item, observed_ns: earlier.item.observed_time_ns };
    const isCorrection = last !== undefined && (last.value !== item.value || last.label !== item.label) && BigInt(item.observed_time_ns) >= BigInt(last.observed_ns);
    if (last === undefined || isCorrection) arrivals.set(item.score_id, { item, stampMs: earlier?.stampMs ?? stampMs, stored });
    if (!records.has(item)) continue;
    const entry = { project: item.project, receivedMs: stampMs, signal: 'logs' as const };
    if (last === undefined) tally.count({ ...entry, outcome: 'stored', reason: 'score' });
    else tally.count({ ...entry, outcome: 'duplicate', reason: isCorrection ? 'corrected' : 'sent_again' });
  }
  return arrivals;
}
