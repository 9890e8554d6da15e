import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import { LOG_EVENT } from '../dialects/log-events.ts';
import { resolve, type Resolution } from '../ingest/ancestry.ts';
import { spanKey, type SpanIdentity } from '../ingest/identity.ts';
import { createInferences } from '../ingest/inferences.ts';
import type { Role } from '../ingest/nesting.ts';
import type { NormalisedSpan } from '../normalise.ts';

/** Which of several spans counts for an inference, as ingest decides it once it has seen all of them. */
export type Counting = {
  /** Fills what the call lacks from the spans above it. */
  resolve(call: LlmCall): Resolution;
  /** @param reason why the span is no call by itself; empty for an inference of its own. */
  roleOf(span: SpanIdentity, reason: string): Role;
  /** Keys of other spans of the same inference, which know what this one lacks. */
  completedBy(span: SpanIdentity): readonly string[];
  /** Whether a span, by key, is one whose judgements are credited to calls below it. */
  standsForCalls(key: string): boolean;
};

/** There is nothing but what is in the files. */
const EMPTY: Store = {
  insert: () => Promise.resolve(),
  select: () => Promise.resolve([]),
  command: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** @param logged calls that log events tell of. */
export function createCounting(spans: readonly NormalisedSpan[], logged: readonly LlmCall[] = []): Counting {
  const inferences = createInferences(EMPTY, { capacity: Number.MAX_SAFE_INTEGER, coversFromMs: 0, shard: 0 });
  const inHand = new Map<string, { readonly stored: undefined }>();
  // Relatives first, as ingest sees them.
  for (const read of spans) if (read.kind === 'relative' && read.candidate === null) inferences.seeRelative(spanKey(read.relative), read.relative);
  for (const read of spans) {
    const call = read.kind === 'call' ? read.call : read.candidate;
    if (call === null) continue;
    inferences.seeInference(spanKey(call), call, read.kind === 'call' ? '' : read.reason);
    inHand.set(spanKey(call), { stored: undefined });
  }
  for (const call of logged) {
    inferences.seeInference(spanKey(call), call, LOG_EVENT);
    inHand.set(spanKey(call), { stored: undefined });
  }
  const completions = new Map([...inferences.changes(inHand).fills].map(([call, others]) => [spanKey(call), others.map(spanKey)] as const));
  return {
    resolve: (call) => resolve(call, inferences.at),
    roleOf: (span, reason) => inferences.roleOf(spanKey(span), reason),
    completedBy: (span) => completions.get(spanKey(span)) ?? [],
    standsForCalls: (key) => (inferences.standInsFor(key) ?? []).length > 0,
  };
}
