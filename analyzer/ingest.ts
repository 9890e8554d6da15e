import type { LlmCall } from '../schemas/call.ts';
import type { LogMessage } from '../schemas/log.ts';
import type { Decoded } from '../schemas/otlp.ts';
import type { Score } from '../schemas/score.ts';
import type { Store } from '../schemas/store.ts';
import { createAncestry, relativeOf } from './ancestry.ts';
import { spanKey } from './identity.ts';
import { createJoin, type PendingScore } from './join.ts';
import { createKnown } from './known.ts';
import { createTally, type Tally } from './ledger.ts';
import type { Normaliser, Relative } from './normalise.ts';
import { loadPendingScores, loadProvisionalCalls, loadRelatives, lookUpCalls, lookUpScores, reconcileLedger } from './recovery.ts';
import { callRow, factsOf, relativeRow, scoreRow, type CallFacts } from './rows.ts';
import { slotOf } from './slots.ts';
import { createWaiting, type WaitingCall } from './waiting.ts';

/**
 * The ingest loop: from log messages to rows. One batch at a time, in the order of the log.
 *
 * A call is *provisional* (slot 0) while an ancestor may still bring its prompt or session, and *complete* from then on:
 * it enters the slot of the arrival clock in which that happened. A score is complete when its call is.
 */
export type Ingest = {
  /** Takes up what an earlier process left: provisional calls, pending scores, a batch whose ledger was never written. */
  start(nowMs: number): Promise<void>;
  /** Writes a batch. Resolves when its rows and its ledger are durable. On an error nothing is acknowledged, and the same batch may come again. */
  write(messages: readonly LogMessage[]): Promise<BatchSummary>;
  /** The clock has passed `nowMs`: calls that waited long enough become complete as they are. After this, slots before it may be closed. */
  advance(nowMs: number): Promise<void>;
  waiting(): { readonly calls: number; readonly scores: number };
};

export type BatchSummary = { readonly received: number; readonly calls: number; readonly scores: number; readonly prompts: readonly string[] };

export type StoredSpan = { readonly end_ns: string; readonly revision: number; readonly slot: number };
export type StoredScore = { readonly value: number | null; readonly label: string | null; readonly revision: number; readonly slot: number };

export type IngestSettings = {
  /** How long a call waits for an ancestor. */
  readonly resolveWaitMs: number;
  /** Calls that may wait at a time; past it a call enters as it is (flagged). */
  readonly maxWaiting: number;
  /** Spans remembered against duplicates, in each of two generations. */
  readonly rememberedSpans: number;
  readonly rememberedCalls: number;
};

type Placed<Item> = { readonly item: Item; readonly stampMs: number };
type StagedCall = { call: LlmCall; stampMs: number; readonly stored: StoredSpan | undefined };
type StagedScore = { score: Score; stampMs: number; readonly stored: StoredScore | undefined };

export function createIngest(
  deps: { readonly store: Store; readonly decode: (message: LogMessage) => Decoded; readonly normaliser: Normaliser },
  settings: IngestSettings,
): Ingest {
  const { store } = deps;
  const memory = (coversFromMs: number) => ({
    calls: createKnown<LlmCall, StoredSpan>(
      { keyOf: spanKey, sinceMs: (call) => Number(BigInt(call.start_time_ns) / 1_000_000n), lookUp: (calls) => lookUpCalls(store, calls) },
      { coversFromMs, capacity: settings.rememberedSpans },
    ),
    scores: createKnown<Score, StoredScore>(
      { keyOf: (score) => score.score_id, sinceMs: (score) => Number(BigInt(score.observed_time_ns) / 1_000_000n), lookUp: (scores) => lookUpScores(store, scores) },
      { coversFromMs, capacity: settings.rememberedSpans },
    ),
  });
  let known = memory(0);
  const ancestry = createAncestry(settings.rememberedSpans);
  const waiting = createWaiting();
  const join = createJoin(store, settings.rememberedCalls);
  let batch = 0;
  /** Slots before this one may be closed: nothing enters them any more. */
  let openSlot = 1;
  const slotAt = (stampMs: number): number => Math.max(slotOf(stampMs), openSlot);

  const read = (messages: readonly LogMessage[], tally: Tally) => {
    const calls: Placed<LlmCall>[] = [];
    const relatives: Placed<Relative>[] = [];
    const scores: Placed<Score>[] = [];
    /** Log records that are scores are counted with what becomes of them; scores on span events belong to their span. */
    const counted = new Set<Score>();
    let received = 0;
    for (const message of messages) {
      const stampMs = message.received_ms;
      const context = { project: message.project, received_ms: stampMs };
      const entry = { project: message.project, receivedMs: stampMs, signal: message.signal };
      const decoded = deps.decode(message);
      received += decoded.received;
      if (decoded.received > 0) tally.count({ ...entry, outcome: 'received', reason: '' }, decoded.received);
      for (const [reason, count] of decoded.rejected) tally.count({ ...entry, outcome: 'rejected', reason }, count);
      if (decoded.signal === 'traces') {
        for (const group of decoded.groups) {
          for (const span of group.spans) {
            const read = deps.normaliser.span(context, group.resource, group.scope, span);
            if (read.kind === 'call') {
              calls.push({ item: read.call, stampMs });
            } else {
              relatives.push({ item: read.relative, stampMs });
              tally.count({ ...entry, outcome: 'ignored', reason: read.reason });
            }
            for (const score of read.scores) scores.push({ item: score, stampMs });
          }
        }
      } else {
        for (const group of decoded.groups) {
          for (const record of group.records) {
            const read = deps.normaliser.record(context, group.resource, group.scope, record);
            if (read.kind === 'score') {
              scores.push({ item: read.score, stampMs });
              counted.add(read.score);
            } else {
              tally.count({ ...entry, outcome: 'ignored', reason: read.reason });
            }
          }
        }
      }
    }
    return { calls, relatives, scores, counted, received };
  };

  const write = async (messages: readonly LogMessage[]): Promise<BatchSummary> => {
    batch += 1;
    const tally = createTally();
    // 1. Read. Nothing is remembered yet: a failure here leaves no trace.
    const input = read(messages, tally);
    const newestStampMs = messages.reduce((newest, message) => Math.max(newest, message.received_ms), 0);

    // 2. Tell new from known. A span that is sent again with a later end corrects its row; otherwise it is only counted.
    const storedCalls = await known.calls.find(input.calls.map((call) => call.item), newestStampMs);
    const stagedCalls = new Map<string, StagedCall>();
    for (const { item: call, stampMs } of input.calls) {
      const key = spanKey(call);
      const entry = { project: call.project, receivedMs: stampMs, signal: 'traces' as const };
      const staged = stagedCalls.get(key);
      const stored = staged?.stored ?? storedCalls.get(key);
      const lastEnd = staged?.call.end_time_ns ?? stored?.end_ns;
      if (lastEnd === undefined) {
        stagedCalls.set(key, { call, stampMs, stored: undefined });
        tally.count({ ...entry, outcome: 'stored', reason: 'call' });
      } else if (BigInt(call.end_time_ns) > BigInt(lastEnd)) {
        stagedCalls.set(key, { call, stampMs: staged?.stampMs ?? stampMs, stored });
        tally.count({ ...entry, outcome: 'duplicate', reason: 'later_end' });
      } else {
        tally.count({ ...entry, outcome: 'duplicate', reason: 'sent_again' });
      }
    }

    // 3. Resolve. Ancestors first, so that the order inside a batch does not matter; then calls; then those that waited.
    for (const { item } of input.relatives) ancestry.add(item);
    for (const { call } of stagedCalls.values()) ancestry.add(relativeOf(call));
    const callRows: object[] = [];
    const completed: { readonly call: CallFacts; readonly slot: number }[] = [];
    const toRemember: { readonly call: LlmCall; readonly stored: StoredSpan }[] = [];
    const toWait: WaitingCall[] = [];
    const place = (call: LlmCall, slot: number, revision: number): void => {
      callRows.push(callRow(call, { slot, batch, revision }));
      toRemember.push({ call, stored: { end_ns: call.end_time_ns, revision, slot } });
    };
    for (const { call: asSent, stampMs, stored } of stagedCalls.values()) {
      const { call, missing } = ancestry.resolve(asSent);
      if (stored !== undefined) {
        place(call, stored.slot, stored.revision + 2);
      } else if (missing !== null && waiting.size() + toWait.length < settings.maxWaiting) {
        place(call, 0, 0);
        toWait.push({ call, missing, revision: 0, deadlineMs: stampMs + settings.resolveWaitMs });
      } else {
        const slot = slotAt(stampMs);
        place(missing === null ? call : { ...call, flags: [...call.flags, 'not_awaited'] }, slot, 1);
        completed.push({ call: factsOf(call), slot });
      }
    }
    const woken = new Set<WaitingCall>();
    const moved = new Map<WaitingCall, { readonly call: LlmCall; readonly missing: string }>();
    const wake = (ancestor: { readonly project: string; readonly trace_id: string; readonly span_id: string }, stampMs: number): void => {
      for (const waiter of waiting.forAncestor(spanKey(ancestor))) {
        const { call, missing } = ancestry.resolve(waiter.call);
        if (missing !== null) {
          moved.set(waiter, { call, missing });
          continue;
        }
        if (woken.has(waiter)) continue;
        woken.add(waiter);
        const slot = slotAt(stampMs);
        place(call, slot, waiter.revision + 1);
        completed.push({ call: factsOf(call), slot });
      }
    };
    for (const { item, stampMs } of input.relatives) wake(item, stampMs);
    for (const { call, stampMs } of stagedCalls.values()) wake(call, stampMs);

    // 4. Join scores with their calls, in both directions.
    for (const { call } of completed) join.learn(call);
    const scoreRows: object[] = [];
    const scoresToRemember: { readonly score: Score; readonly stored: StoredScore }[] = [];
    const toPend: PendingScore[] = [];
    const settled: PendingScore[] = [];
    const fileScore = (score: Score, call: CallFacts | null, slot: number, revision: number): void => {
      scoreRows.push(scoreRow(score, call, { slot, batch, revision }));
      scoresToRemember.push({ score, stored: { value: score.value, label: score.label, revision, slot } });
    };
    const storedScores = await known.scores.find(input.scores.map((score) => score.item), newestStampMs);
    const stagedScores = new Map<string, StagedScore>();
    for (const { item: score, stampMs } of input.scores) {
      const entry = { project: score.project, receivedMs: stampMs, signal: 'logs' as const };
      const staged = stagedScores.get(score.score_id);
      const stored = staged?.stored ?? storedScores.get(score.score_id);
      const last = staged?.score ?? stored;
      const isCounted = input.counted.has(score);
      if (last === undefined) {
        stagedScores.set(score.score_id, { score, stampMs, stored: undefined });
        if (isCounted) tally.count({ ...entry, outcome: 'stored', reason: 'score' });
      } else {
        const isCorrection = last.value !== score.value || last.label !== score.label;
        if (isCorrection) stagedScores.set(score.score_id, { score, stampMs: staged?.stampMs ?? stampMs, stored });
        if (isCounted) tally.count({ ...entry, outcome: 'duplicate', reason: isCorrection ? 'corrected' : 'sent_again' });
      }
    }
    const judged = await join.find([...stagedScores.values()].map((staged) => staged.score));
    for (const { score, stampMs, stored } of stagedScores.values()) {
      const call = judged.get(score.score_id) ?? null;
      const revision = stored === undefined ? (call === null ? 0 : 1) : stored.revision + 2;
      // The first value is the one that is bet on: a correction keeps the slot of what it corrects.
      const slot = call === null ? 0 : stored !== undefined && stored.slot > 0 ? stored.slot : slotAt(stampMs);
      fileScore(score, call, slot, revision);
      if (call === null) toPend.push({ score, revision });
    }
    for (const { call, slot } of completed) {
      for (const pending of join.waitingFor(call)) {
        fileScore(pending.score, call, slot, pending.revision + 1);
        settled.push(pending);
      }
    }

    // 5. Write the rows. If it fails, or the process dies here, the sender sends again, and step 2 finds what is there.
    try {
      await Promise.all([
        store.insert('calls', callRows),
        store.insert('relatives', input.relatives.filter(({ item }) => isWorthKeeping(item)).map(({ item }) => relativeRow(item))),
        store.insert('scores', scoreRows),
        store.insert('versions', versionRows(completed, newestStampMs)),
      ]);
      // 6. Write the ledger, last: a batch without one is counted at the next start, from its rows.
      await store.insert('ledger', tally.rows(batch));
    } catch (error) {
      known.calls.reset(newestStampMs);
      known.scores.reset(newestStampMs);
      throw error;
    }

    // 7. Remember. Only what is durable.
    for (const { call, stored } of toRemember) known.calls.remember(call, stored);
    for (const { score, stored } of scoresToRemember) known.scores.remember(score, stored);
    for (const { call, stored } of toRemember) {
      const waiter = stored.slot === 0 ? waiting.get(spanKey(call)) : undefined;
      if (waiter !== undefined) {
        waiter.call = call;
        waiter.revision = stored.revision;
      }
    }
    for (const waiter of woken) waiting.remove(waiter);
    for (const [waiter, { call, missing }] of moved) if (!woken.has(waiter)) waiting.move(waiter, call, missing);
    for (const waiter of toWait) waiting.add(waiter);
    for (const pending of settled) join.settle(pending);
    for (const pending of toPend) join.wait(pending);
    const prompts = new Set<string>();
    for (const { call } of completed) if (call.prompt_name !== null) prompts.add(call.prompt_name);
    return { received: input.received, calls: callRows.length, scores: scoreRows.length, prompts: [...prompts] };
  };

  const advance = async (nowMs: number): Promise<void> => {
    const expired = waiting.expired(nowMs);
    if (expired.length > 0) {
      batch += 1;
      // A last look at the store: the ancestor may have come before the memory began.
      for (const relative of await loadRelatives(store, expired.map((waiter) => waiter.call))) ancestry.add(relative);
      const callRows: object[] = [];
      const scoreRows: object[] = [];
      const settled: PendingScore[] = [];
      const remembered: { readonly call: LlmCall; readonly stored: StoredSpan }[] = [];
      const completed: { readonly call: CallFacts; readonly slot: number }[] = [];
      for (const waiter of expired) {
        const { call } = ancestry.resolve(waiter.call);
        const slot = slotAt(waiter.deadlineMs);
        callRows.push(callRow(call, { slot, batch, revision: waiter.revision + 1 }));
        remembered.push({ call, stored: { end_ns: call.end_time_ns, revision: waiter.revision + 1, slot } });
        completed.push({ call: factsOf(call), slot });
        for (const pending of join.waitingFor(call)) {
          scoreRows.push(scoreRow(pending.score, factsOf(call), { slot, batch, revision: pending.revision + 1 }));
          settled.push(pending);
        }
      }
      await Promise.all([store.insert('calls', callRows), store.insert('scores', scoreRows), store.insert('versions', versionRows(completed, nowMs))]);
      for (const { call, stored } of remembered) known.calls.remember(call, stored);
      for (const { call } of completed) join.learn(call);
      for (const pending of settled) join.settle(pending);
      for (const waiter of expired) waiting.remove(waiter);
    }
    openSlot = Math.max(openSlot, slotOf(nowMs));
  };

  // Batches and ticks take turns: each sees the memory that the one before it left.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  };

  return {
    start: (nowMs) =>
      inTurn(async () => {
        const recovered = await reconcileLedger(store);
        batch = recovered.lastBatch;
        openSlot = Math.max(openSlot, recovered.openSlot);
        known = memory(recovered.isEmpty ? 0 : nowMs);
        const provisional = await loadProvisionalCalls(store, settings.maxWaiting);
        for (const relative of await loadRelatives(store, provisional.map(({ call }) => call))) ancestry.add(relative);
        for (const { call, revision } of provisional) ancestry.add(relativeOf(call)), toWaitAgain(call, revision, nowMs);
        for (const pending of await loadPendingScores(store)) join.wait(pending);
      }),
    write: (messages) => inTurn(() => write(messages)),
    advance: (nowMs) => inTurn(() => advance(nowMs)),
    waiting: () => ({ calls: waiting.size(), scores: join.size() }),
  };

  function toWaitAgain(call: LlmCall, revision: number, nowMs: number): void {
    const { missing } = ancestry.resolve(call);
    waiting.add({ call, missing: missing ?? '', revision, deadlineMs: missing === null ? nowMs : nowMs + settings.resolveWaitMs });
  }
}

/** A span that stands under nothing and carries nothing has nothing to pass on. */
function isWorthKeeping(relative: Relative): boolean {
  return relative.parent_span_id !== null || relative.prompt_name !== null || relative.prompt_version !== null || relative.session_id !== null || relative.user_id !== null;
}

function versionRows(completed: readonly { readonly call: CallFacts }[], stampMs: number): object[] {
  const rows = new Map<string, { calls: number } & Record<string, unknown>>();
  for (const { call } of completed) {
    if (call.prompt_name === null || call.prompt_version === null) continue;
    const key = `${call.project}\0${call.environment}\0${call.prompt_name}\0${call.prompt_version}`;
    const row = rows.get(key);
    if (row !== undefined) {
      row.calls += 1;
      continue;
    }
    const { project, environment, prompt_name, prompt_version } = call;
    rows.set(key, { project, environment, prompt_name, factor: 'prompt_version', value: prompt_version, first_seen_ms: stampMs, last_seen_ms: stampMs, calls: 1 });
  }
  return [...rows.values()];
}
