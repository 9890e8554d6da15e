import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import { arrivingScores, type ArrivingScore } from './arriving-scores.ts';
import type { Draft, StoredScore } from './draft.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import { createJoin } from './join.ts';
import { createKnown, createRemembered, type Orphaned } from './known.ts';
import type { Tally } from './ledger.ts';
import type { BatchReading } from './reading.ts';
import { loadPendingScores, loadScoreNames, loadScores, loadScoresOfCalls, lookUpScores } from './recovery-scores.ts';
import { factsOf } from './rows.ts';
import { createScopes, creditOf } from './scope.ts';
import { batchesOf } from './shards.ts';
import { createScoreNames, type ConfiguredType, type ScoreName } from './score-names.ts';

/**
 * Scores in the ingest loop: what is known of them, what waits for its call, which names there are. The loop says when
 * (ingest.ts has the steps); nothing here writes.
 */
export type Scoring = {
  /** Takes up what the store says, with a new memory; `draft` gets the pending scores whose calls are there. `completed`: calls of this turn. */
  takeUp(draft: Draft, at: { readonly inferences: Inferences; readonly bornMs: number; readonly nowMs: number; readonly orphaned: Orphaned<StoredScore> }): Promise<void>;
  /** What a batch brings, told apart from what is known. */
  arriving(reading: BatchReading, tally: Tally, nowMs: number): Promise<Map<string, ArrivingScore>>;
  /**
   * Joins what a batch brings with its calls, and what waited with the calls that became complete; and looks anew at the scores of calls
   * whose rows change by what others say. `beside`: the spans of the batch itself.
   */
  draft(draft: Draft, arrivals: ReadonlyMap<string, ArrivingScore>, beside: SpansOfBatch): Promise<void>;
  /** Credits scores that have waited long enough for the calls of their scope. Returns what to do when all is drafted. */
  draftDue(draft: Draft, nowMs: number): Promise<(() => void)[]>;
  hasDue(nowMs: number): boolean;
  /** All is drafted. */
  remember(draft: Draft, nowMs: number): void;
  /** To be written with the turn. */
  takeNewNames(): ScoreName[];
  waiting(): number;
};

type SpansOfBatch = { readonly relatives: readonly { readonly item: SpanIdentity }[]; readonly calls: ReadonlyMap<string, { readonly item: SpanIdentity }>; readonly nowMs: number };

export type ScoringSettings = {
  readonly rememberedScores: number;
  readonly rememberedCalls: number;
  /** How long a score waits for the calls of its scope. */
  readonly waitMs: number;
  readonly type: ConfiguredType;
  readonly shard: number;
  /** There is no other shard. */
  readonly isAlone: boolean;
  /** Slot of a moment, as the loop counts it. */
  readonly slotAt: (ms: number) => number;
};

export function createScoring(deps: { readonly store: Store; readonly inferences: Inferences }, settings: ScoringSettings): Scoring {
  const { store } = deps;
  const { slotAt } = settings;
  const memoryOf = (inferences: Inferences, bornMs: number, orphaned?: Orphaned<StoredScore>) => {
    const join = createJoin({ store, inferences }, { capacity: settings.rememberedCalls, waitMs: settings.waitMs });
    return {
      inferences,
      join,
      names: createScoreNames(settings.type),
      scopes: createScopes({ store, inferences, join }, { bornMs, slotAt }),
      known: createKnown<Score, StoredScore>(
        {
          keyOf: scoreKey,
          // A correction has another time than what it corrects: only the call that it judges says since when there can be a score.
          // And where there are other shards, the score that it corrects may have come through another one.
          sinceMs: (score) => (settings.isAlone && score.change === 'judgement' ? (join.startedMs(score) ?? 0) : 0),
          lookUp: (scores) => lookUpScores(store, scores),
          orphaned,
        },
        createRemembered({ coversFromMs: bornMs, capacity: settings.rememberedScores }),
      ),
    };
  };
  let memory = memoryOf(deps.inferences, 0);

  /** What this turn writes of calls. Those that count no more first: one that does now may have their response id. */
  const learn = (draft: Draft): void => {
    for (const [key, { call, stored, former }] of draft.calls) if (former === 'call' && stored.role !== 'call') memory.join.unlearn(key, call);
    for (const [key, { call, stored }] of draft.calls) if (stored.role === 'call' && stored.slot > 0) memory.join.learn(key, draft.completed.get(key)?.call ?? factsOf(call), stored.slot);
  };
  const draftJoined = (draft: Draft): void => {
    for (const { call, slot } of draft.completed.values()) {
      for (const { score, stored } of memory.join.waitingFor(call)) {
        if (draft.scores.has(scoreKey(score))) continue;
        // Scores and spans may come through logs of their own: then the score can be read first although it arrived later.
        const both = Math.max(slot, slotAt(score.received_time_ms));
        draft.placedScore(score, { kind: 'joined', call }, stored, { slot: both, now: both });
      }
    }
  };

  /**
   * The scores of complete calls whose rows change by what others say: another span counts now, or an ancestor came late. They go to the
   * calls that stand there now, and keep their slots and what was bet on. Where nobody can say which those are, they stay as they are.
   */
  const draftAnew = async (draft: Draft, sent: SpansOfBatch['calls'], nowMs: number): Promise<void> => {
    const { inferences, join } = memory;
    const changed = [...draft.calls].filter(([key, { stored, former }]) => former !== null && stored.slot > 0 && !draft.completed.has(key) && (former !== stored.role || !sent.has(key)));
    const standing = new Map(changed.map(([key, { call, stored }]) => [key, stored.role === 'call' ? [call] : (inferences.standInsFor(key) ?? [])] as const));
    const scores = await loadScoresOfCalls(store, changed.map(([, { call }]) => call));
    if (scores.length === 0) return;
    const facts = await join.factsOf([...standing.values()].flat());
    for (const { score, target, stored } of scores) {
      const calls = (standing.get(spanKey(target)) ?? []).flatMap((span) => facts.get(spanKey(span))?.call ?? []);
      const [only, ...others] = calls;
      const place = only !== undefined && others.length === 0 ? { kind: 'joined' as const, call: only } : creditOf(calls);
      if (place !== null) draft.placedScore(score, place, stored, { slot: stored.slot, now: slotAt(nowMs) });
    }
  };

  return {
    async takeUp(draft, { inferences, bornMs, nowMs, orphaned }) {
      memory = memoryOf(inferences, bornMs, orphaned);
      const { join, names } = memory;
      names.restore(await loadScoreNames(store));
      const pending = await loadPendingScores(store, batchesOf(settings.shard));
      // Their calls may have been stored just before the end, and they not.
      learn(draft);
      const judged = await join.find(pending.map(({ score }) => score));
      for (const waited of pending) {
        const call = judged.get(scoreKey(waited.score));
        if (call === undefined) join.wait(waited, nowMs);
        else {
          const slot = Math.max(slotAt(nowMs), slotAt(waited.score.received_time_ms));
          draft.placedScore(waited.score, { kind: 'joined', call }, waited.stored, { slot, now: slot });
        }
      }
    },
    async arriving(reading, tally, nowMs) {
      const known = await memory.known.find(reading.scores.map(({ item }) => item), nowMs);
      return arrivingScores(reading, known, { load: (changed) => loadScores(store, changed), admit: (score) => memory.names.admit(score), tally });
    },
    async draft(draft, arrivals, { relatives, calls, nowMs }) {
      const { join } = memory;
      learn(draft);
      await draftAnew(draft, calls, nowMs);
      // What waits for a span that has turned out to be one with a call which was complete before.
      const waiting = join.waitingAt([...relatives.map(({ item }) => item), ...[...draft.calls.values()].map(({ call }) => call)]).filter(({ score }) => !arrivals.has(scoreKey(score)));
      const judged = await join.find([...waiting, ...arrivals.values()].map(({ score }) => score));
      const slotWith = (call: SpanIdentity, now: number) => ({ slot: Math.max(now, draft.completed.get(spanKey(call))?.slot ?? 0), now });
      for (const { score, stored } of waiting) {
        const call = judged.get(scoreKey(score));
        if (call === undefined) continue;
        // One that came with this batch is complete in its own slot, wherever the batch ends.
        const now = draft.completed.has(spanKey(call)) ? slotAt(score.received_time_ms) : slotAt(nowMs);
        draft.placedScore(score, { kind: 'joined', call }, stored, slotWith(call, now));
      }
      for (const [key, { score, stampMs, stored }] of arrivals) {
        const now = slotAt(stampMs);
        const call = judged.get(key);
        if (stored !== undefined && stored.stored.slot > 0) draft.placedScore(score, draft.scores.get(key)?.place ?? stored.place, stored.stored, { slot: now, now });
        else if (call === undefined || score.change !== 'judgement') draft.pendingScore(score, stored?.stored, now);
        else draft.placedScore(score, { kind: 'joined', call }, stored?.stored, slotWith(call, now));
      }
      draftJoined(draft);
    },
    async draftDue(draft, nowMs) {
      const { join } = memory;
      learn(draft);
      draftJoined(draft);
      const due = join.due(nowMs).filter(({ score }) => !draft.scores.has(scoreKey(score)));
      const credits = await memory.scopes.credits(due, [...draft.completed.values()]);
      const whenDrafted: (() => void)[] = [];
      for (const { score, stored, deadlineMs } of due) {
        const key = scoreKey(score);
        const credit = credits.get(key);
        if (credit === undefined) whenDrafted.push(() => join.again(key, deadlineMs));
        else draft.placedScore(score, credit, stored, { slot: slotAt(deadlineMs), now: slotAt(deadlineMs) });
      }
      return whenDrafted;
    },
    hasDue: (nowMs) => memory.join.hasDue(nowMs),
    remember(draft, nowMs) {
      for (const { score, place, stored } of draft.scores.values()) {
        memory.known.remember(scoreKey(score), stored);
        if (place.kind === 'pending') memory.join.wait({ score, stored }, nowMs);
        else memory.join.settle(scoreKey(score));
      }
    },
    takeNewNames: () => memory.names.takeNew(),
    waiting: () => memory.join.size(),
  };
}
