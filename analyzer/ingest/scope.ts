import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import type { DueScore, Join, RememberedCall } from './join.ts';
import { MAX_DEPTH } from './nesting.ts';
import { selectCallFacts, selectTracesOfSpans } from './recovery-scores.ts';
import type { CallFacts } from './rows.ts';

/**
 * A judgement of more than one call (a trace, a session, a wrapper around calls) is credited to the version that all of them have. It
 * counts once, so it stands on one of them: the first to start. That call began the unit, and where a unit is its first
 * call (analyzer/look/units.ts) only its scores count. With several versions nobody can say whose merit it is: ambiguous,
 * kept and shown, and not compared.
 */
export type Credit = { readonly kind: 'joined'; readonly call: CallFacts } | { readonly kind: 'ambiguous' };

/** Null: there is no call to credit. */
export function creditOf(calls: readonly CallFacts[]): Credit | null {
  if (calls.length === 0) return null;
  if (calls.some((call) => call.prompt_attribution === 'ambiguous')) return { kind: 'ambiguous' };
  // A call without a prompt (an embedding beside the answer) has no part in the verdict on one that has.
  const attributed = calls.filter((call) => call.prompt_name !== null || call.prompt_version !== null);
  if (new Set(attributed.map((call) => JSON.stringify([call.prompt_name, call.prompt_version]))).size > 1) return { kind: 'ambiguous' };
  const [first] = (attributed.length === 0 ? [...calls] : attributed).sort(byStart);
  return first === undefined ? null : { kind: 'joined', call: first };
}

function byStart(one: CallFacts, other: CallFacts): number {
  const difference = BigInt(one.start_time_ns) - BigInt(other.start_time_ns);
  if (difference !== 0n) return difference < 0n ? -1 : 1;
  const [left, right] = [`${one.trace_id}${one.span_id}`, `${other.trace_id}${other.span_id}`];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Whether calls other than the one that it names, if it names one, may stand for what it judges. */
export function hasScope(score: Score): boolean {
  return score.change === 'judgement' && !score.is_deleted && (score.trace_id !== null || score.span_id !== null || score.target_session_id !== null);
}

export type Scopes = {
  /**
   * What these scores are credited to, by `scoreKey`; absent: nothing is there yet. Only calls that were complete by a score's
   * deadline count, so that the answer does not depend on when it is asked for. `completed`: calls of this turn, which the store does not have yet.
   */
  credits(due: readonly DueScore[], completed: readonly RememberedCall[]): Promise<Map<string, Credit>>;
};

/** Traces of a process that has run for less than this may have calls from before it. */
const LONG_TRACE_MS = 3_600_000;

/** @param settings.slotAt of a moment, as the ingest loop counts it. @param settings.bornMs when memory began; 0: with an empty store. */
export function createScopes(
  deps: { readonly store: Store; readonly inferences: Pick<Inferences, 'at' | 'recallTraces'>; readonly join: Pick<Join, 'ofTrace'> },
  settings: { readonly bornMs: number; readonly slotAt: (ms: number) => number },
): Scopes {
  const { store, inferences, join } = deps;

  /** A span that was named without its trace: that of the stored span of this id. Several: nobody can say which. */
  const withTraces = async (due: readonly DueScore[]): Promise<DueScore[]> => {
    const spans = due.flatMap(({ score }) => (score.trace_id === null && score.span_id !== null ? [score.span_id] : []));
    const traces = await selectTracesOfSpans(store, spans);
    return due.map((waiting) => {
      const { score } = waiting;
      if (score.trace_id !== null || score.span_id === null) return waiting;
      const found = traces.filter(({ project, span_id }) => project === score.project && span_id === score.span_id);
      const [only] = found;
      return found.length === 1 && only !== undefined ? { ...waiting, score: { ...score, trace_id: only.trace_id } } : waiting;
    });
  };

  return {
    async credits(due, completed) {
      const scores = await withTraces(due);
      const young = (deadlineMs: number): boolean => settings.bornMs > 0 && deadlineMs < settings.bornMs + LONG_TRACE_MS;
      const traces = new Set<string>();
      const sessions = new Set<string>();
      for (const { score, deadlineMs } of scores) {
        if (score.trace_id === null && score.target_session_id !== null) sessions.add(score.target_session_id);
        if (score.trace_id !== null && (young(deadlineMs) || join.ofTrace(score).length === 0)) traces.add(score.trace_id);
      }
      const stored = [...(await selectCallFacts(store, 'trace_id', [...traces])), ...(await selectCallFacts(store, 'session_id', [...sessions]))];

      const scoped = scores.map((waiting) => {
        const { score, deadlineMs } = waiting;
        const lastSlot = settings.slotAt(deadlineMs);
        const isOf = ({ call }: RememberedCall): boolean =>
          call.project === score.project && (score.trace_id === null ? score.target_session_id !== null && call.session_id === score.target_session_id : call.trace_id === score.trace_id);
        const found = [...stored, ...join.ofTrace(score), ...completed].filter((remembered) => remembered.slot <= lastSlot && isOf(remembered));
        return { score, calls: [...new Map(found.map(({ call }) => [`${call.trace_id}/${call.span_id}`, call])).values()] };
      });
      await recallAncestors(scoped.flatMap(({ score, calls }) => (score.span_id === null ? [] : calls.map((call) => ({ call, span_id: score.span_id ?? '' })))));
      const credits = new Map<string, Credit>();
      for (const { score, calls } of scoped) {
        const { span_id } = score;
        // A span whose trace is unknown has no scope.
        if (span_id !== null && score.trace_id === null) continue;
        const credit = creditOf(span_id === null ? calls : calls.filter((call) => call.span_id === span_id || isBelow(call, span_id) === 'yes'));
        if (credit !== null) credits.set(scoreKey(score), credit);
      }
      return credits;
    },
  };

  /** The spans between calls and what may stand above them, where memory has let them go. */
  async function recallAncestors(pairs: readonly { readonly call: CallFacts; readonly span_id: string }[]): Promise<void> {
    await inferences.recallTraces(pairs.filter(({ call, span_id }) => isBelow(call, span_id) === 'unknown').map(({ call }) => call));
  }

  /** Whether a span stands above another, as far as the spans between them are remembered. */
  function isBelow(span: SpanIdentity, ancestor: string): 'yes' | 'no' | 'unknown' {
    const sought = spanKey({ ...span, span_id: ancestor });
    let key: string | null = spanKey(span);
    for (let depth = 0; key !== null && depth < MAX_DEPTH; depth += 1) {
      if (key === sought) return depth === 0 ? 'no' : 'yes';
      const node = inferences.at(key);
      if (node?.hasCome !== true) return 'unknown';
      key = node.parent;
    }
    return 'no';
  }
}
