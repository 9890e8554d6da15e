import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import type { Resolution } from './ancestry.ts';
import type { SpanArrival } from './arrivals.ts';
import { spanKey } from './identity.ts';
import type { Inferences } from './inferences.ts';
import { merge } from './merge.ts';
import { loadFiledCalls } from './recovery.ts';

/**
 * What a batch does to the calls that are stored already: each new span may show that another is a wrapper, or the same inference.
 *
 * @param deps.resolve fills a call from its ancestors.
 * @returns the batch's spans and the stored ones that have to be written again, each with what it can take from the others. Of stored
 *   ones only those whose role or contents change.
 */
export async function settle(
  deps: { readonly store: Store; readonly inferences: Inferences; readonly resolve: (call: LlmCall) => Resolution },
  arrivals: ReadonlyMap<string, SpanArrival>,
  stampMs: number,
): Promise<ReadonlyMap<string, SpanArrival>> {
  const { store, inferences, resolve } = deps;
  const { refiled, fills } = inferences.changes(arrivals);
  if (refiled.length === 0 && fills.size === 0) return arrivals;

  const filings = [...fills].flatMap(([call, others]) => [call, ...others]);
  const wanted = [...refiled, ...filings].filter((span) => !arrivals.has(spanKey(span)));
  const loaded = new Map((await loadFiledCalls(store, wanted)).map(({ call, stored }): [string, SpanArrival] => [spanKey(call), { item: call, stored, reason: stored.reason, stampMs }]));
  const calls = new Map<string, LlmCall>([...loaded, ...arrivals].map(([key, { item }]) => [key, item]));

  const settled = new Map(arrivals);
  for (const span of refiled) {
    const found = loaded.get(spanKey(span));
    if (found !== undefined) settled.set(spanKey(span), found);
  }
  for (const [span, others] of fills) {
    const key = spanKey(span);
    const filing = settled.get(key) ?? loaded.get(key);
    if (filing === undefined) continue;
    let { item } = filing;
    for (const other of others) {
      const found = calls.get(spanKey(other));
      // Also what it has inherited: it may stand in another trace.
      if (found !== undefined) item = merge(item, resolve(found).call);
    }
    if (item !== filing.item) settled.set(key, { ...filing, item });
  }
  return settled;
}
