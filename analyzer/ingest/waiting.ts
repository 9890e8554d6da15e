import type { LlmCall } from '../../schemas/call.ts';
import type { StoredSpan } from './draft.ts';
import { spanKey, type SpanIdentity } from './identity.ts';

/**
 * Calls that are stored as provisional until an ancestor arrives, or their time is up, and candidates, which only wait for their time.
 * Every one waits equally long, so the order of arrival is the order of the deadlines.
 */
export type WaitingCall = { readonly call: LlmCall; /** The ancestor, by key. */ readonly missing: string | null; /** Its provisional row. */ readonly stored: StoredSpan; readonly deadlineMs: number };

export type Waiting = {
  /** In the place of the one that waits for the same span, if there is one: then it keeps that one's deadline. */
  put(waiting: WaitingCall): void;
  /** Those that wait for this ancestor. They stay until removed. */
  forAncestor(key: string): readonly WaitingCall[];
  /** Those whose deadline is at or before `nowMs`. They stay until removed. */
  expired(nowMs: number): WaitingCall[];
  remove(span: SpanIdentity): void;
  size(): number;
};

export function createWaiting(): Waiting {
  /** By span, in order of deadline: a Map iterates in insertion order and forgets in constant time. */
  const all = new Map<string, WaitingCall>();
  const byAncestor = new Map<string, Set<WaitingCall>>();
  const none: readonly WaitingCall[] = [];
  const index = (waiting: WaitingCall): void => {
    if (waiting.missing === null) return;
    const siblings = byAncestor.get(waiting.missing);
    if (siblings === undefined) byAncestor.set(waiting.missing, new Set([waiting]));
    else siblings.add(waiting);
  };
  const unindex = (waiting: WaitingCall): void => {
    if (waiting.missing === null) return;
    const siblings = byAncestor.get(waiting.missing);
    siblings?.delete(waiting);
    if (siblings?.size === 0) byAncestor.delete(waiting.missing);
  };
  return {
    put(waiting) {
      const key = spanKey(waiting.call);
      const former = all.get(key);
      if (former !== undefined) unindex(former);
      const current = former === undefined ? waiting : { ...waiting, deadlineMs: former.deadlineMs };
      // An entry that is set again keeps its place in the order.
      all.set(key, current);
      index(current);
    },
    forAncestor(key) {
      const found = byAncestor.get(key);
      return found === undefined ? none : [...found];
    },
    expired(nowMs) {
      const found: WaitingCall[] = [];
      for (const waiting of all.values()) {
        if (waiting.deadlineMs > nowMs) break;
        found.push(waiting);
      }
      return found;
    },
    remove(span) {
      const key = spanKey(span);
      const current = all.get(key);
      if (current === undefined) return;
      all.delete(key);
      unindex(current);
    },
    size: () => all.size,
  };
}

/** A candidate only waits for its time: what comes above it does not tell what is below. */
export function awaited({ role }: StoredSpan, missing: string | null): string | null {
  return role === 'candidate' ? null : missing;
}
