import type { LlmCall } from '../../schemas/call.ts';
import type { StoredSpan } from './draft.ts';
import { spanKey } from './identity.ts';
import type { Tally } from './ledger.ts';
import type { Placed } from './reading.ts';

/**
 * New or known? Of everything that a batch brings, what has to be written: what is new, and what corrects what is stored.
 * The rest was sent again and is only counted. `stored` is what the item corrects; undefined where it is new.
 */
export type Arrival<Item, Stored> = { readonly item: Item; readonly stampMs: number; readonly stored: Stored | undefined };

/** A span that comes again with a later end corrects its row: some SDKs export a span while it runs, and again at its end. */
export function arrivingCalls(placed: readonly Placed<LlmCall>[], known: ReadonlyMap<string, StoredSpan>, tally: Tally): Map<string, Arrival<LlmCall, StoredSpan>> {
  const arrivals = new Map<string, Arrival<LlmCall, StoredSpan>>();
  for (const { item, stampMs } of placed) {
    const key = spanKey(item);
    const entry = { project: item.project, receivedMs: stampMs, signal: 'traces' as const };
    const earlier = arrivals.get(key);
    const stored = earlier?.stored ?? known.get(key);
    const lastEnd = earlier?.item.end_time_ns ?? stored?.end_ns;
    if (lastEnd === undefined) {
      arrivals.set(key, { item, stampMs, stored: undefined });
      tally.count({ ...entry, outcome: 'stored', reason: 'call' });
    } else if (BigInt(item.end_time_ns) > BigInt(lastEnd)) {
      arrivals.set(key, { item, stampMs: earlier?.stampMs ?? stampMs, stored });
      tally.count({ ...entry, outcome: 'duplicate', reason: 'later_end' });
    } else {
      tally.count({ ...entry, outcome: 'duplicate', reason: 'sent_again' });
    }
  }
  return arrivals;
}
