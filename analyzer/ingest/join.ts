import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import type { StoredScore } from './draft.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import type { CallFacts } from './rows.ts';

/**
 * Scores meet their calls: by span where they name one, else by response id; whichever comes first waits for the other.
 * Recent calls are remembered; for older ones the store is asked once, when the score arrives. A score that names a span which does not
 * count itself (a wrapper, the second span of an inference) goes to the call that counts for it, where that is one.
 */
export type PendingScore = { readonly score: Score; readonly stored: StoredScore };

export type Join = {
  /** The calls that these scores judge, by score id. Asks the store for those that memory does not have. Only complete calls are found. */
  find(scores: readonly Score[]): Promise<Map<string, CallFacts>>;
  /** A call is complete. */
  learn(call: CallFacts): void;
  /** Scores that wait for this call, or for a span that it stands for. They stay until `settle`. */
  waitingFor(call: CallFacts): readonly PendingScore[];
  /** Scores that wait for these spans, by key, whatever they are. */
  waitingAt(keys: readonly string[]): readonly PendingScore[];
  /** In the place of an earlier judgement of the same score. */
  wait(pending: PendingScore): void;
  settle(scoreId: string): void;
  size(): number;
};

const LOOKUP_CHUNK = 2_000;
/** Past this many, the score that has waited longest is let go: it stays stored as pending. */
const MAX_PENDING = 100_000;

const FACTS_COLUMNS = `project, trace_id, span_id, toString(start_ns) AS start_time_ns, environment, operation, prompt_name, prompt_version,
  prompt_attribution, request_model, response_model, response_id, session_id, stratum_attributes, is_experiment`;

/** The keys under which a score waits: by span, by response id. */
function targetsOf(score: Score): string[] {
  const targets: string[] = [];
  const span = spanOf(score);
  if (span !== null) targets.push(spanKey(span));
  if (score.response_id !== null) targets.push(responseKey(score.project, score.response_id));
  return targets;
}

function spanOf({ project, trace_id, span_id }: Score): SpanIdentity | null {
  return trace_id === null || span_id === null ? null : { project, trace_id, span_id };
}

function responseKey(project: string, responseId: string): string {
  return `${project}?${responseId}`;
}

function namesOf(call: CallFacts): string[] {
  return call.response_id === null ? [spanKey(call)] : [spanKey(call), responseKey(call.project, call.response_id)];
}

/** @param capacity calls remembered in each of two generations. */
export function createJoin(store: Store, inferences: Pick<Inferences, 'recallTraces' | 'standInsFor' | 'standsFor'>, capacity: number): Join {
  const calls = createGenerations<CallFacts>(capacity);
  /** In order of arrival. */
  const pending = new Map<string, PendingScore>();
  const byTarget = new Map<string, Set<string>>();
  const settle = (scoreId: string): void => {
    const waited = pending.get(scoreId);
    if (waited === undefined) return;
    pending.delete(scoreId);
    for (const target of targetsOf(waited.score)) {
      const ids = byTarget.get(target);
      ids?.delete(scoreId);
      if (ids?.size === 0) byTarget.delete(target);
    }
  };


  /** The span that is judged: the only call that counts for the named one; the named one itself, where nothing is known of it. */
  const judgedSpan = (score: Score): SpanIdentity | null => {
    const span = spanOf(score);
    const standIns = span === null ? undefined : inferences.standInsFor(spanKey(span));
    return standIns === undefined ? span : standIns.length === 1 ? (standIns[0] ?? null) : null;
  };
  const callOf = (score: Score, known: Pick<ReadonlyMap<string, CallFacts>, 'get'>): CallFacts | undefined => {
    const span = judgedSpan(score);
    return (span === null ? undefined : known.get(spanKey(span))) ?? (score.response_id === null ? undefined : known.get(responseKey(score.project, score.response_id)));
  };

  const lookUp = async (column: 'trace_id' | 'response_id', values: readonly string[]): Promise<Map<string, CallFacts>> => {
    const found = new Map<string, CallFacts>();
    for (let from = 0; from < values.length; from += LOOKUP_CHUNK) {
      const rows = await store.select<CallFacts>(
        `SELECT * EXCEPT (slot, role) FROM (SELECT ${FACTS_COLUMNS}, slot, role FROM calls WHERE ${column} IN {values:Array(String)} ORDER BY calls.revision DESC LIMIT 1 BY project, trace_id, span_id)
         WHERE slot > 0 AND role = 'call'`,
        { values: values.slice(from, from + LOOKUP_CHUNK) },
      );
      for (const row of rows) for (const name of namesOf(row)) found.set(name, row);
    }
    return found;
  };

  const waitingUnder = (targets: readonly string[]): PendingScore[] => {
    const ids = new Set(targets.flatMap((target) => [...(byTarget.get(target) ?? [])]));
    return [...ids].flatMap((id) => pending.get(id) ?? []);
  };

  return {
    async find(scores) {
      const found = new Map<string, CallFacts>();
      const remembered = (wanted: readonly Score[]): Score[] =>
        wanted.filter((score) => {
          const call = callOf(score, calls);
          if (call !== undefined) found.set(score.score_id, call);
          return call === undefined;
        });
      let missed = remembered(scores);
      if (missed.length === 0) return found;
      // What the named spans are may have been forgotten as well.
      await inferences.recallTraces(missed.flatMap((score) => (spanOf(score) ?? [])).filter((span) => inferences.standInsFor(spanKey(span)) === undefined));
      missed = remembered(missed);
      const traces = [...new Set(missed.flatMap((score) => judgedSpan(score)?.trace_id ?? []))];
      const responses = [...new Set(missed.flatMap((score) => score.response_id ?? []))];
      const stored = new Map([...(await lookUp('trace_id', traces)), ...(await lookUp('response_id', responses))]);
      for (const score of missed) {
        const call = callOf(score, stored);
        if (call !== undefined) found.set(score.score_id, call);
      }
      return found;
    },
    learn(call) {
      for (const name of namesOf(call)) calls.set(name, call);
    },
    waitingFor: (call) => (pending.size === 0 ? [] : waitingUnder([...namesOf(call), ...inferences.standsFor(call, (key) => byTarget.has(key))])),
    waitingAt: (keys) => (pending.size === 0 ? [] : waitingUnder(keys)),
    wait(waited) {
      const { score } = waited;
      settle(score.score_id);
      const targets = targetsOf(score);
      // It names no call, only a trace: nothing to wait for.
      if (targets.length === 0) return;
      const [oldest] = pending.keys();
      if (pending.size >= MAX_PENDING && oldest !== undefined) settle(oldest);
      pending.set(score.score_id, waited);
      for (const target of targets) {
        const ids = byTarget.get(target);
        if (ids === undefined) byTarget.set(target, new Set([score.score_id]));
        else ids.add(score.score_id);
      }
    },
    settle,
    size: () => pending.size,
  };
}
