import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import { createCallMemory, responseKey, untracedKey, type CallMemory, type RememberedCall } from './call-memory.ts';
import type { StoredScore } from './draft.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import { selectCallFacts, selectCallFactsOfSpans } from './recovery-scores.ts';
import { msOf, type CallFacts } from './rows.ts';
import { hasScope } from './scope.ts';

/**
 * Scores meet their calls: by span where they name one, else by response id; whichever comes first waits for the other.
 * Recent calls are remembered; for older ones the store is asked once, when the score arrives. A score that names the second span of an
 * inference goes to the call that counts for it.
 *
 * A score that may mean more than one call (of a trace, a session, a span that is no call) waits a while for the others of its scope to be there
 * too, even where one is there already, and is then credited (scope.ts). Where nothing is there yet it is tried again after twice the time, and so on for
 * an hour; after that only the very call that it names would still find it.
 */
export type PendingScore = { readonly score: Score; readonly stored: StoredScore };
export type DueScore = PendingScore & { readonly deadlineMs: number };

export type Join = {
  /** The calls that these scores name, by `scoreKey`. Asks the store for those that memory does not have. Only complete calls are found. */
  find(scores: readonly Score[]): Promise<Map<string, CallFacts>>;
  /** Those of these spans that are complete calls and count, by `spanKey`. Asks the store for those that memory does not have. */
  factsOf(spans: readonly SpanIdentity[]): Promise<Map<string, RememberedCall>>;
  /** A call is complete, and counts. `key`: its `spanKey`. */
  learn(key: string, call: CallFacts, slot: number): void;
  /** A call does not count any more. */
  unlearn(key: string, call: CallFacts): void;
  /** Scores that wait for this call, or for a span that it stands for. They stay until `settle`. */
  waitingFor(call: CallFacts): readonly PendingScore[];
  /** Scores that wait for these spans, whatever they are. */
  waitingAt(spans: Iterable<SpanIdentity>): readonly PendingScore[];
  /** In the place of an earlier judgement of the same score. */
  wait(pending: PendingScore, nowMs: number): void;
  settle(key: string): void;
  /** Scores whose scope is looked at now, in order. They stay until `settle`, or until they are to be tried again. */
  due(nowMs: number): readonly DueScore[];
  hasDue(nowMs: number): boolean;
  /** Nothing was there. */
  again(key: string, nowMs: number): void;
  /** Calls of a trace that are remembered, with the slots in which they became complete. */
  ofTrace(trace: Pick<Score, 'project' | 'trace_id'>): readonly RememberedCall[];
  /** When the call that it names started (ms): the score cannot have come before. Null: not remembered; of its trace earlier calls may be forgotten. */
  startedMs(score: Score): number | null;
  size(): number;
};

/** Past this many, the score that has waited longest is let go: it stays stored as pending. */
const MAX_PENDING = 100_000;
/** Looks at a scope, each after twice the time of the one before: 30 s, 1 min, … 32 min. */
const TRIES = 7;

type Waiting = DueScore & { readonly tries: number };

/** The keys under which a score waits, and a call is found: by span, with or without its trace, and by response id. */
function targetsOf(score: Score): string[] {
  const span = spanOf(score);
  return span === null ? otherNamesIn(score) : [spanKey(span), ...otherNamesIn(score)];
}

function otherNamesIn({ project, trace_id, span_id, response_id }: Score): string[] {
  const names = trace_id === null && span_id !== null ? [untracedKey({ project, span_id })] : [];
  if (response_id !== null) names.push(responseKey(project, response_id));
  return names;
}

function spanOf({ project, trace_id, span_id }: Score): SpanIdentity | null {
  return trace_id === null || span_id === null ? null : { project, trace_id, span_id };
}

function namesOf(call: CallFacts): string[] {
  const names = [spanKey(call), untracedKey(call)];
  if (call.response_id !== null) names.push(responseKey(call.project, call.response_id));
  return names;
}

function firstOf(values: Iterable<number>): number | undefined {
  for (const value of values) return value;
  return undefined;
}

/**
 * @param settings.capacity calls remembered in each of two generations.
 * @param settings.waitMs how long a score waits for the calls of its scope.
 */
export function createJoin(
  deps: { readonly store: Store; readonly inferences: Pick<Inferences, 'recallTraces' | 'callFor' | 'standsFor'> },
  settings: { readonly capacity: number; readonly waitMs: number },
): Join {
  const { store, inferences } = deps;
  const calls = createCallMemory(settings.capacity);
  /** In order of arrival. */
  const pending = new Map<string, Waiting>();
  const byTarget = new Map<string, Set<string>>();
  /** Deadlines by number of tries: within one they come in order. */
  const deadlines = Array.from({ length: TRIES }, () => new Map<string, number>());

  const forget = (key: string): Waiting | undefined => {
    const waited = pending.get(key);
    if (waited === undefined) return undefined;
    pending.delete(key);
    deadlines[waited.tries]?.delete(key);
    for (const target of targetsOf(waited.score)) {
      const keys = byTarget.get(target);
      keys?.delete(key);
      if (keys?.size === 0) byTarget.delete(target);
    }
    return waited;
  };
  const hold = (waiting: Waiting): void => {
    const { score, tries, deadlineMs } = waiting;
    const key = scoreKey(score);
    const targets = targetsOf(score);
    const isTried = hasScope(score) && tries < TRIES;
    // It names nothing that a call could still bring.
    if (score.change !== 'judgement' || score.is_deleted || (targets.length === 0 && !isTried)) return;
    const [oldest] = pending.keys();
    if (pending.size >= MAX_PENDING && oldest !== undefined) forget(oldest);
    pending.set(key, waiting);
    if (isTried) deadlines[tries]?.set(key, deadlineMs);
    for (const target of targets) {
      const keys = byTarget.get(target);
      if (keys === undefined) byTarget.set(target, new Set([key]));
      else keys.add(key);
    }
  };
  const waitingUnder = (names: Iterable<string>): PendingScore[] => {
    const found = new Set<PendingScore>();
    for (const name of names) {
      for (const key of byTarget.get(name) ?? []) {
        const waited = pending.get(key);
        if (waited !== undefined) found.add(waited);
      }
    }
    return [...found];
  };

  /** The span that is judged: the call that counts for the named one; the named one itself, where nothing is known of it. Null: it is no call, so it has a scope. */
  const judgedSpan = (score: Score): SpanIdentity | null => {
    const span = spanOf(score);
    const call = span === null ? undefined : inferences.callFor(spanKey(span));
    return call === undefined ? span : call;
  };
  const namedBy = (score: Score, memory: CallMemory): CallFacts | undefined => {
    for (const span of [judgedSpan(score), spanOf(score)]) {
      const found = span === null ? undefined : memory.ofSpan(spanKey(span));
      if (found !== undefined) return found.call;
    }
    for (const name of otherNamesIn(score)) {
      const found = memory.named(name);
      if (found !== undefined) return found.call;
    }
    return undefined;
  };

  return {
    async find(scores) {
      const found = new Map<string, CallFacts>();
      const missing = (wanted: readonly Score[], memory: CallMemory): Score[] =>
        wanted.filter((score) => {
          const call = namedBy(score, memory);
          if (call !== undefined) found.set(scoreKey(score), call);
          return call === undefined && targetsOf(score).length > 0;
        });
      const missed = missing(scores, calls);
      if (missed.length === 0) return found;
      // What the named spans are may have been forgotten as well.
      await inferences.recallTraces(missed.flatMap((score) => spanOf(score) ?? []).filter((span) => inferences.callFor(spanKey(span)) === undefined));
      const ids = (of: (score: Score) => string | null): string[] => [...new Set(missed.flatMap((score) => of(score) ?? []))];
      const stored = createCallMemory(Number.POSITIVE_INFINITY);
      for (const remembered of [
        ...(await selectCallFactsOfSpans(store, missed.flatMap((score) => judgedSpan(score) ?? []))),
        ...(await selectCallFacts(store, 'span_id', ids((score) => (score.trace_id === null ? score.span_id : null)))),
        ...(await selectCallFacts(store, 'response_id', ids((score) => score.response_id))),
      ]) {
        stored.remember(spanKey(remembered.call), remembered);
      }
      missing(missing(missed, calls), stored);
      return found;
    },
    async factsOf(spans) {
      const found = new Map<string, RememberedCall>();
      const missed = spans.filter((span) => {
        const key = spanKey(span);
        const remembered = calls.ofSpan(key);
        if (remembered !== undefined) found.set(key, remembered);
        return remembered === undefined;
      });
      for (const remembered of await selectCallFactsOfSpans(store, missed)) found.set(spanKey(remembered.call), remembered);
      return found;
    },
    learn: (key, call, slot) => calls.remember(key, { call, slot }),
    unlearn: (key, call) => calls.forget(key, call),
    waitingFor: (call) => (byTarget.size === 0 ? [] : waitingUnder([...namesOf(call), ...inferences.standsFor(call, (key) => byTarget.has(key))])),
    waitingAt: (spans) => (byTarget.size === 0 ? [] : waitingUnder([...spans].flatMap((span) => [spanKey(span), untracedKey(span)]))),
    wait({ score, stored }, nowMs) {
      const before = forget(scoreKey(score));
      // A correction does not begin anew.
      hold({ score, stored, tries: before?.tries ?? 0, deadlineMs: before?.deadlineMs ?? nowMs + settings.waitMs });
    },
    again(key, nowMs) {
      const tried = forget(key);
      if (tried === undefined) return;
      const tries = tried.tries + 1;
      hold({ ...tried, tries, deadlineMs: nowMs + Math.max(settings.waitMs, 1_000) * 2 ** tries });
    },
    settle: (key) => void forget(key),
    hasDue: (nowMs) => deadlines.some((ofTries) => (firstOf(ofTries.values()) ?? Number.POSITIVE_INFINITY) <= nowMs),
    due(nowMs) {
      const found: Waiting[] = [];
      for (const ofTries of deadlines) {
        for (const [key, deadlineMs] of ofTries) {
          if (deadlineMs > nowMs) break;
          const waited = pending.get(key);
          if (waited !== undefined) found.push(waited);
        }
      }
      return found.sort((one, other) => one.deadlineMs - other.deadlineMs);
    },
    ofTrace: ({ project, trace_id }) => (trace_id === null ? [] : calls.ofTrace({ project, trace_id })),
    startedMs(score) {
      const call = namedBy(score, calls);
      return call === undefined ? null : msOf(call.start_time_ns);
    },
    size: () => pending.size,
  };
}
