import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import { groupBy } from '../statistics/group-by.ts';
import { isBelow } from './ancestry.ts';
import type { RememberedCall } from './call-memory.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import type { DueScore, Join } from './join.ts';
import { selectCallFacts, selectDuplicates, selectTracesOfSpans } from './recovery-scores.ts';
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

/** LangSmith's root run, which has the id of its trace: where no span has it, what is judged is the trace all the same (collector/rest/langsmith.ts). */
function isRoot({ trace_id, span_id }: { readonly trace_id: string; readonly span_id: string }): boolean {
  return trace_id.startsWith(span_id);
}

/** A run of LangSmith's that was named alone may be a root, and then its UUID is the id of its trace. Null: it is no such run. */
function traceOfRun({ run_id, span_id }: Score): string | null {
  const run = run_id?.replaceAll('-', '').toLowerCase() ?? '';
  return UUID.test(run) && span_id !== null && run.startsWith(span_id) ? run : null;
}

const UUID = /^[0-9a-f]{32}$/;

/** Traces of a process that has run for less than this may have calls from before it. */
const LONG_TRACE_MS = 3_600_000;

/** @param settings.slotAt of a moment, as the ingest loop counts it. @param settings.bornMs when memory began; 0: with an empty store. */
export function createScopes(
  deps: { readonly store: Store; readonly inferences: Pick<Inferences, 'at' | 'recallTraces' | 'standInsFor'>; readonly join: Pick<Join, 'factsOf' | 'ofTrace'> },
  settings: { readonly bornMs: number; readonly slotAt: (ms: number) => number },
): Scopes {
  const { store, inferences, join } = deps;

  /** A span that was named without its trace: that of the stored span of this id, or that of which it is the root. Several: nobody can say which. */
  const withTraces = async (due: readonly DueScore[]): Promise<DueScore[]> => {
    const spans = due.flatMap(({ score }) => (score.trace_id === null && score.span_id !== null ? [score.span_id] : []));
    const traces = groupBy(await selectTracesOfSpans(store, spans), ({ project, span_id }) => `${project}/${span_id}`);
    return due.map((waiting) => {
      const { score } = waiting;
      if (score.trace_id !== null || score.span_id === null) return waiting;
      const [only, ...others] = traces.get(`${score.project}/${score.span_id}`) ?? [];
      const trace_id = only?.trace_id ?? traceOfRun(score);
      return trace_id === null || others.length > 0 ? waiting : { ...waiting, score: { ...score, trace_id } };
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
      const ofTrace = groupBy([...(await selectCallFacts(store, 'trace_id', [...traces])), ...completed], ({ call }) => `${call.project}/${call.trace_id}`);
      const ofSession = groupBy([...(await selectCallFacts(store, 'session_id', [...sessions])), ...completed], ({ call }) => `${call.project}/${call.session_id}`);

      const scoped = scores.map((waiting) => {
        const { score } = waiting;
        if (score.trace_id !== null) return { waiting, found: [...(ofTrace.get(`${score.project}/${score.trace_id}`) ?? []), ...join.ofTrace(score)] };
        return { waiting, found: score.target_session_id === null ? [] : (ofSession.get(`${score.project}/${score.target_session_id}`) ?? []) };
      });
      await recallAncestors(scoped.flatMap(({ waiting: { score }, found }) => (score.span_id === null ? [] : found.map(({ call }) => ({ call, span_id: score.span_id ?? '' })))));
      const within = scoped.map(({ waiting, found }) => {
        const { span_id, trace_id } = waiting.score;
        // A span whose trace is unknown has no scope.
        if (span_id === null || trace_id === null) return { waiting, found: span_id === null ? found : [] };
        const below = found.filter(({ call }) => call.span_id === span_id || isBelow(call, span_id, inferences.at) === 'yes');
        return { waiting, found: below.length === 0 && isRoot({ trace_id, span_id }) ? found : below };
      });
      const twins = await elsewhere(within.flatMap(({ waiting, found }) => (found.length === 0 ? [waiting.score] : [])));
      const credits = new Map<string, Credit>();
      for (const { waiting: { score, deadlineMs }, found } of within) {
        const inTime = (found.length > 0 ? found : (twins.get(scoreKey(score)) ?? [])).filter(({ slot }) => slot <= settings.slotAt(deadlineMs));
        const credit = creditOf([...new Map(inTime.map(({ call }) => [spanKey(call), call])).values()]);
        if (credit !== null) credits.set(scoreKey(score), credit);
      }
      return credits;
    },
  };

  /** For spans and traces without a call of their own: the calls that count for the inferences which they do have, in other traces or beside them. By `scoreKey`. */
  async function elsewhere(scores: readonly Score[]): Promise<Map<string, readonly RememberedCall[]>> {
    const duplicates = await selectDuplicates(store, [...new Set(scores.flatMap(({ trace_id, span_id }) => (span_id === null ? (trace_id ?? []) : [])))]);
    const ofTrace = groupBy(duplicates, ({ project, trace_id }) => `${project}/${trace_id}`);
    const spansOf = ({ project, trace_id, span_id }: Score): readonly SpanIdentity[] => {
      if (trace_id === null) return [];
      return span_id === null ? (ofTrace.get(`${project}/${trace_id}`) ?? []) : [{ project, trace_id, span_id }];
    };
    const named = scores.map((score) => ({ key: scoreKey(score), spans: spansOf(score) }));
    await inferences.recallTraces(named.flatMap(({ spans }) => spans.filter((span) => (inferences.standInsFor(spanKey(span)) ?? []).length === 0)));
    const scoped = named.map(({ key, spans }) => ({ key, calls: spans.flatMap((span) => inferences.standInsFor(spanKey(span)) ?? []) }));
    const facts = await join.factsOf(scoped.flatMap(({ calls }) => calls));
    return new Map(scoped.map(({ key, calls }) => [key, calls.flatMap((call) => facts.get(spanKey(call)) ?? [])]));
  }

  /** The spans between calls and what may stand above them, where memory has let them go. */
  async function recallAncestors(pairs: readonly { readonly call: CallFacts; readonly span_id: string }[]): Promise<void> {
    await inferences.recallTraces(pairs.filter(({ call, span_id }) => isBelow(call, span_id, inferences.at) === 'unknown').map(({ call }) => call));
  }
}
