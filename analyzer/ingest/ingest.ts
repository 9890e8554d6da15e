import type { LlmCall } from '../../schemas/call.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import type { Store } from '../../schemas/store.ts';
import { createAncestry, relativeOf } from './ancestry.ts';
import { arrivingCalls, type Arrival } from './arrivals.ts';
import { createCardinality, dayStartMs, DEFAULT_LIMITS, type CardinalityLimits } from './cardinality.ts';
import { createDraft, type Draft, type StoredSpan } from './draft.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import { createKnown } from './known.ts';
import { createLate } from './late.ts';
import { createTally, type Tally } from './ledger.ts';
import type { Normaliser, Relative } from '../normalise.ts';
import { readMessages } from './reading.ts';
import { loadProvisionalCalls, loadRelatives, loadVersionsSince, lookUpCalls, reconcileLedger } from './recovery.ts';
import type { ConfiguredType } from './score-names.ts';
import { createScoring } from './scoring.ts';
import { slotOf } from '../slots.ts';
import { createWaiting } from './waiting.ts';
import { createSeenVersions } from './seen-versions.ts';
import { writeTurn } from './writing.ts';

/**
 * The ingest loop: from log messages to rows. One batch at a time, in the order of the log.
 *
 * A call is *provisional* (slot 0) while an ancestor may still bring its prompt or session, and *complete* from then on:
 * it enters the slot of the arrival clock in which that happened. A score is complete when its call is.
 *
 * A turn (a batch, a tick of the clock) drafts its rows from what is remembered, writes them, and remembers them when they are
 * durable. If it fails, nobody knows which rows are there: the same doubt as after a crash, and it is resolved in the same way,
 * by reading the store before anything else is done (`takeUp`).
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

export type IngestSettings = {
  /** How long a call waits for an ancestor. */
  readonly resolveWaitMs: number;
  /** Past this many a call enters as it is (flagged `not_awaited`). */
  readonly maxWaiting: number;
  /** Spans remembered against duplicates, in each of two generations. */
  readonly rememberedSpans: number;
  readonly rememberedCalls: number;
  readonly cardinality?: CardinalityLimits;
  /** The types of scores that are configured. Default: that of the first of each name. */
  readonly scoreType?: ConfiguredType;
};

export function createIngest(
  deps: { readonly store: Store; readonly decode: (message: LogMessage) => Decoded; readonly normaliser: Normaliser },
  settings: IngestSettings,
): Ingest {
  const { store } = deps;
  const memory = (coversFromMs: number) =>
    createKnown<LlmCall, StoredSpan>(
      { keyOf: spanKey, sinceMs: (call) => Number(BigInt(call.start_time_ns) / 1_000_000n), lookUp: (calls) => lookUpCalls(store, calls) },
      { coversFromMs, capacity: settings.rememberedSpans },
    );
  const ancestry = createAncestry(settings.rememberedSpans);
  const late = createLate({ store, ancestry }, settings.rememberedCalls);
  const cardinality = createCardinality(settings.cardinality ?? DEFAULT_LIMITS);
  let known = memory(0);
  let waiting = createWaiting();
  const seenVersions = createSeenVersions();
  let isInDoubt = false;
  let batch = 0;
  /** Slots before this one may be closed: nothing enters them any more. */
  let openSlot = 1;
  const slotAt = (stampMs: number): number => Math.max(slotOf(stampMs), openSlot);
  const scoring = createScoring(
    { store, ancestry },
    { rememberedScores: settings.rememberedSpans, rememberedCalls: settings.rememberedCalls, waitMs: settings.resolveWaitMs, type: settings.scoreType ?? (() => null), slotAt },
  );

  const write = async (messages: readonly LogMessage[]): Promise<BatchSummary> => {
    if (messages.length === 0) return { received: 0, calls: 0, scores: 0, prompts: [] };
    const nowMs = messages.reduce((newest, message) => Math.max(newest, message.received_ms), 0);
    if (isInDoubt) await takeUp(nowMs);
    // 1. Read. A failure up to step 5 leaves nothing in the store.
    const tally = createTally();
    const reading = readMessages(messages, { ...deps, tally });
    const draft = createDraft();
    const whenDurable: (() => void)[] = [];

    // 2. Tell new from known. What was sent again is counted; only what is new or better goes on.
    const calls = arrivingCalls(reading.calls, await known.find(reading.calls.map(({ item }) => item), nowMs), tally);
    const scores = await scoring.arriving(reading, tally, nowMs);

    // 3. Resolve. Ancestors first, so that the order inside a batch does not matter; then calls; then those that wait, or waited too long.
    for (const { item } of reading.relatives) ancestry.add(item);
    for (const { item } of calls.values()) ancestry.add(relativeOf(item));
    await recallAncestors([...calls.values()].flatMap(({ item, stored }) => (stored === undefined ? [] : [item])));
    for (const arrival of calls.values()) draftCall(draft, arrival, whenDurable);
    const ancestors = [...reading.relatives, ...calls.values()];
    for (const { item, stampMs } of ancestors) draftWoken(draft, item, stampMs, whenDurable);
    const corrected = await late.correct(draft, ancestors.map(({ item }) => item), (call) => cardinality.admit(call, nowMs));
    whenDurable.push(...corrected.whenDurable);

    // 4. Join scores with their calls, in both directions.
    await scoring.draft(draft, scores, corrected.calls);

    // 5. Write the rows; 6. write the ledger, last; 7. remember. See `commit`.
    await commit(draft, { relatives: reading.relatives.map(({ item }) => item), tally, whenDurable, nowMs });
    return { received: reading.received, calls: draft.calls.size, scores: draft.scores.size, prompts: draft.prompts() };
  };

  const advance = async (nowMs: number): Promise<void> => {
    if (isInDoubt) await takeUp(nowMs);
    const expired = waiting.expired(nowMs);
    if (expired.length > 0 || scoring.hasDue(nowMs)) {
      const draft = createDraft();
      const whenDurable: (() => void)[] = expired.map(({ call }) => () => waiting.remove(call));
      await recallAncestors(expired.map(({ call }) => call));
      for (const { call: asWaiting, stored, deadlineMs } of expired) {
        const { call, missing } = ancestry.resolve(asWaiting);
        draft.completeCall(cardinality.admit(call, nowMs), stored, slotAt(deadlineMs));
        if (missing !== null) whenDurable.push(() => late.expect(missing, call));
      }
      whenDurable.push(...(await scoring.draftDue(draft, nowMs)));
      await commit(draft, { relatives: [], tally: createTally(), whenDurable, nowMs });
    }
    openSlot = Math.max(openSlot, slotOf(nowMs));
  };

  /** What is remembered is what the store says: at the start of a process, and after a write that failed. */
  const takeUp = async (nowMs: number): Promise<void> => {
    seenVersions.reset();
    const found = await reconcileLedger(store);
    batch = Math.max(batch, found.lastBatch);
    openSlot = Math.max(openSlot, found.openSlot);
    const bornMs = found.isEmpty ? 0 : nowMs;
    known = memory(bornMs);
    cardinality.restore(await loadVersionsSince(store, dayStartMs(nowMs)), nowMs);

    waiting = createWaiting();
    const draft = createDraft();
    const provisional = await loadProvisionalCalls(store, settings.maxWaiting);
    await recallAncestors(provisional.map(({ call }) => call));
    for (const { call: asStored, stored } of provisional) {
      const { call, missing } = ancestry.resolve(asStored);
      if (missing === null) draft.completeCall(cardinality.admit(call, nowMs), stored, slotAt(nowMs));
      else waiting.put({ call, missing, stored, deadlineMs: nowMs + settings.resolveWaitMs });
    }
    await scoring.takeUp(draft, { bornMs, nowMs });
    await commit(draft, { relatives: [], tally: createTally(), whenDurable: [], nowMs });
    isInDoubt = false;
  };

  const commit = async (draft: Draft, beside: { readonly relatives: readonly Relative[]; readonly tally: Tally; readonly whenDurable: readonly (() => void)[]; readonly nowMs: number }): Promise<void> => {
    batch += 1;
    const { relatives, tally, nowMs } = beside;
    await writeTurn(store, { draft, relatives, tally, batch, versions: seenVersions.due(draft.versionRows(nowMs), nowMs), scoreNames: scoring.takeNewNames() });
    for (const { call, stored } of draft.calls.values()) known.remember(call, stored);
    scoring.remember(draft, nowMs);
    for (const remember of beside.whenDurable) remember();
  };

  /** A look at the store, for calls whose ancestors may have come before the memory began. */
  async function recallAncestors(calls: readonly LlmCall[]): Promise<void> {
    const unsure = calls.filter((call) => ancestry.resolve(call).missing !== null);
    for (const relative of await loadRelatives(store, unsure)) ancestry.add(relative);
  }

  function draftCall(draft: Draft, { item, stampMs, stored }: Arrival<LlmCall, StoredSpan>, whenDurable: (() => void)[]): void {
    const { call: resolved, missing } = ancestry.resolve(item);
    const call = cardinality.admit(resolved, stampMs);
    if (stored !== undefined && stored.slot > 0) {
      draft.correctedCall(call, stored);
      // What is due when this batch is durable is, above all, waiting.
    } else if (missing !== null && waiting.size() + whenDurable.length < settings.maxWaiting) {
      const provisional = draft.waitingCall(call, stored);
      whenDurable.push(() => waiting.put({ call: resolved, missing, stored: provisional, deadlineMs: stampMs + settings.resolveWaitMs }));
    } else {
      draft.completeCall(missing === null ? call : { ...call, flags: [...call.flags, 'not_awaited'] }, stored, slotAt(stampMs));
      if (missing !== null) whenDurable.push(() => late.expect(missing, item));
      if (stored !== undefined) whenDurable.push(() => waiting.remove(item));
    }
  }

  /** Calls that waited for this span: they are complete, or wait for the next one above it. */
  function draftWoken(draft: Draft, ancestor: SpanIdentity, stampMs: number, whenDurable: (() => void)[]): void {
    for (const waiter of waiting.forAncestor(spanKey(ancestor))) {
      // It comes anew in this batch, or an ancestor before this one woke it.
      if (draft.calls.has(spanKey(waiter.call))) continue;
      const { call, missing } = ancestry.resolve(waiter.call);
      if (missing === null) draft.completeCall(cardinality.admit(call, stampMs), waiter.stored, slotAt(stampMs));
      whenDurable.push(() => (missing === null ? waiting.remove(call) : waiting.put({ ...waiter, call, missing })));
    }
  }

  // Batches and ticks take turns: each sees the memory that the one before it left.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = turn.then(work);
    turn = result.catch(() => (isInDoubt = true));
    return result;
  };
  return {
    start: (nowMs) => inTurn(() => takeUp(nowMs)),
    write: (messages) => inTurn(() => write(messages)),
    advance: (nowMs) => inTurn(() => advance(nowMs)),
    waiting: () => ({ calls: waiting.size(), scores: scoring.waiting() }),
  };
}
