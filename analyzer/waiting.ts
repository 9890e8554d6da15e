import type { LlmCall } from '../schemas/call.ts';
import { spanKey } from './identity.ts';

/**
 * Calls that are stored as provisional until an ancestor arrives, or their time is up. Every one waits equally long, so
 * the order of arrival is the order of the deadlines.
 */
export type WaitingCall = { call: LlmCall; missing: string; revision: number; readonly deadlineMs: number };

export type Waiting = {
  add(waiting: WaitingCall): void;
  get(key: string): WaitingCall | undefined;
  /** Those that wait for this ancestor. They stay until removed. */
  forAncestor(key: string): readonly WaitingCall[];
  /** Those whose deadline is at or before `nowMs`. They stay until removed. */
  expired(nowMs: number): WaitingCall[];
  remove(waiting: WaitingCall): void;
  /** It waits for another ancestor now; its deadline stays. */
  move(waiting: WaitingCall, call: LlmCall, missing: string): void;
  size(): number;
};

export function createWaiting(): Waiting {
  /** By span, in order of deadline: a Map iterates in insertion order and forgets in constant time. */
  const all = new Map<string, WaitingCall>();
  const byAncestor = new Map<string, Set<WaitingCall>>();
  const none: readonly WaitingCall[] = [];
  const index = (waiting: WaitingCall): void => {
    const siblings = byAncestor.get(waiting.missing);
    if (siblings === undefined) byAncestor.set(waiting.missing, new Set([waiting]));
    else siblings.add(waiting);
  };
  const unindex = (waiting: WaitingCall): void => {
    const siblings = byAncestor.get(waiting.missing);
    siblings?.delete(waiting);
    if (siblings?.size === 0) byAncestor.delete(waiting.missing);
  };
  return {
    add(waiting) {
      all.set(spanKey(waiting.call), waiting);
      index(waiting);
    },
    get: (key) => all.get(key),
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
    remove(waiting) {
      all.delete(spanKey(waiting.call));
      unindex(waiting);
    },
    move(waiting, call, missing) {
      unindex(waiting);
      waiting.call = call;
      waiting.missing = missing;
      index(waiting);
    },
    size: () => all.size,
  };
}
