import type { LlmCall } from '../../schemas/call.ts';
import type { LogMessage } from '../../schemas/log.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import { resolve as resolveFrom, type Resolution } from './ancestry.ts';
import { arrivingCalls, type SpanArrival } from './arrivals.ts';
import { createCardinality, dayStartMs, DEFAULT_LIMITS, type CardinalityLimits } from './cardinality.ts';
import { createDraft, type Draft, type StoredSpan, type ProjectSummary } from './draft.ts';
import { spanKey } from './identity.ts';
import { createInferences, type Inferences } from './inferences.ts';
import { createKnown } from './known.ts';
import { createLate } from './late.ts';
import { reassign } from './late-flags.ts';
import { countRoles, createTally, type Tally } from './ledger.ts';
import type { Normaliser, Relative } from '../normalise.ts';
import type { Orphans } from './orphans.ts';
import { gather, readMessage, type PlacedCall, type Reading } from './reading.ts';
import { loadProvisionalCalls, loadVersionsSince, lookUpCalls, reconcileLedger } from './recovery.ts';
import { msOf, type ContentOf } from './rows.ts';
import type { ConfiguredType } from './score-names.ts';
import { createScoring } from './scoring.ts';
import { batchesOf, numbersAfter } from './shards.ts';
import { settle } from './settling.ts';
import { slotOf } from '../slots.ts';
import { toldUnclear } from './twins.ts';
import { createTurns } from './turns.ts';
import { awaited, createWaiting } from './waiting.ts';
import { createSeenVersions } from './seen-versions.ts';
import { withTextVersions } from './text-versions.ts';
import { rowsOf, writeLedger, writeRows, type WritesTo } from './writing.ts';

/**
 * The ingest loop: from log messages to rows, batch by batch, in the order of the log.
 *
 * A call is *provisional* (slot 0) while an ancestor may still bring its prompt or session, and *complete* from then on:
 * it enters the slot of the arrival clock in which that happened. A score is complete when its call is. Of the spans around one inference
 * one counts (inferences.ts); a wrapper that could stand for what it wraps is a *candidate* until the same wait is over.
 *
 * A turn (a batch, a tick of the clock) drafts its rows from what is remembered, remembers them and hands them over to be written; the next one is drafted
 * meanwhile (turns.ts). If it fails, nobody knows which rows are there: the same doubt as after a crash, and it is resolved in the same way,
 * by reading the store before anything else is done (`takeUp`).
 */
export type Ingest = {
  /**
   * Takes up what an earlier process left: provisional calls, pending scores, a batch whose ledger was never written. `nowMs`: where the clock of the log
   * stands; `startedMs`: now. They differ where the log is read long after it was written.
   */
  start(nowMs: number, startedMs?: number): Promise<void>;
  /** What a message says, for `write`. It asks no store and changes no row, so any number may be read ahead of the batch that is being written, in the order of the log. Throws PermanentError where it cannot be read. */
  read(message: LogMessage): Reading;
  /** Writes a batch. Resolves when its rows and its ledger are durable. On an error nothing is acknowledged, and the same batch may come again. */
  write(batch: readonly Reading[]): Promise<BatchSummary>;
  /** The clock has passed `nowMs`: calls that waited long enough become complete as they are. After this, slots before it may be closed. */
  advance(nowMs: number): Promise<void>;
  waiting(): { readonly calls: number; readonly scores: number };
  /** Resolves when no turn that was begun before is under way, whatever became of it. */
  idle(): Promise<void>;
};

export type BatchSummary = { readonly received: number; readonly calls: number; readonly scores: number; readonly projects: readonly ProjectSummary[] };

export type IngestSettings = {
  /** How long a call waits for an ancestor. */
  readonly resolveWaitMs: number;
  /** Past this many a call enters as it is (flagged `not_awaited`). */
  readonly maxWaiting: number;
  /** Spans remembered against duplicates, in each of two generations. */
  readonly rememberedSpans: number;
  readonly rememberedCalls: number;
  readonly cardinality?: CardinalityLimits;
  /** The shard of the log that this loop has (shards.ts). Default: all of it, as shard 0. */
  readonly shard?: number;
  /** The types of scores that are configured. Default: that of the first of each name. */
  readonly scoreType?: ConfiguredType;
};

/** The clocks of senders, and of who had the shard before, may run ahead: what is younger by so much than what is stored is looked up as well. */
const CLOCKS_APART_MS = 10_000;

export type IngestDependencies = WritesTo & {
  readonly decode: (message: LogMessage) => Decoded;
  readonly normaliser: Normaliser;
  /** Waited for before rows are revised that have a slot already, of which this is the earliest: who must see closed slots as they were, holds it up. */
  readonly beforeRevising?: (slot: number) => Promise<void>;
};

export function createIngest(deps: IngestDependencies, settings: IngestSettings): Ingest {
  const turns = createTurns(deps.store);
  const { store } = turns;
  const { shard = 0 } = settings;
  const isAlone = settings.shard === undefined;
  let orphans: Orphans | undefined;
  const knownBy = (inferences: Inferences) =>
    createKnown<PlacedCall, StoredSpan>(
      { keyOf: ({ key }) => key, sinceMs: ({ item }) => msOf(item.start_time_ns), canBeStored: ({ item }, stampMs) => !inferences.hasNothingOf(item, stampMs), lookUp: (calls) => lookUpCalls(store, calls.map(({ item }) => item)), orphaned: orphans?.calls },
      inferences.stored,
    );
  let inferences = createInferences(store, { capacity: settings.rememberedSpans, coversFromMs: 0, shard });
  const resolve = (call: LlmCall): Resolution => resolveFrom(call, inferences.at);
  const late = createLate({ store, resolve, at: (key) => inferences.at(key) }, settings.rememberedCalls);
  const cardinality = withTextVersions(createCardinality(settings.cardinality ?? DEFAULT_LIMITS));
  let known = knownBy(inferences);
  let waiting = createWaiting();
  const seenVersions = createSeenVersions();
  let batch = numbersAfter({ shard, lastBatch: batchesOf(shard).from_batch });
  /** The stamp of the youngest message that was tried to be written. */
  let newestMs = 0;
  /** Slots before this one may be closed: nothing enters them any more. */
  let openSlot = 1;
  const slotAt = (stampMs: number): number => Math.max(slotOf(stampMs), openSlot);
  const scoring = createScoring(
    { store, inferences },
    { rememberedScores: settings.rememberedSpans, rememberedCalls: settings.rememberedCalls, waitMs: settings.resolveWaitMs, type: settings.scoreType ?? (() => null), shard, isAlone, slotAt },
  );

  const write = async (readings: readonly Reading[]): Promise<BatchSummary> => {
    if (readings.length === 0) return { received: 0, calls: 0, scores: 0, projects: [] };
    const nowMs = readings.reduce((newest, { stampMs }) => Math.max(newest, stampMs), 0);
    newestMs = Math.max(newestMs, nowMs);
    if (turns.isInDoubt()) await takeUp(nowMs);
    // 1. Put together what was read. A failure up to step 7 leaves nothing in the store.
    const tally = createTally();
    const reading = gather(readings, tally);
    const draft = createDraft();
    const whenDrafted: (() => void)[] = [];

    // 2. Tell new from known. What was sent again is counted; only what is new or better goes on.
    const sent = arrivingCalls(reading.calls, await known.find(reading.calls, nowMs), tally);
    const scores = await scoring.arriving(reading, tally, nowMs);

    // 2b. Take spans of which a feature flag was logged afterwards as if they came again.
    const { calls, relatives, spans: reassigned } = await reassign({ store, inferences }, reading.assignments, { calls: sent, relatives: reading.relatives });

    // 3. See all of it, ancestors first, so that the order inside a batch does not matter; and look up what stands around it.
    await inferences.recall(relatives.map(({ item }) => item), [...calls.values()].map(({ item }) => item), nowMs);
    for (const { key, item } of relatives) inferences.seeRelative(key, item);
    for (const [key, { item, reason }] of calls) inferences.seeInference(key, item, reason);
    await recallAncestors([...calls.values()].flatMap(({ item, stored }) => (stored === undefined ? [] : [item])));

    // 4. Tell which span counts for each inference; then draft calls, those that wait, or waited too long.
    const settled = await settle({ store, inferences, resolve }, calls, nowMs);
    for (const [key, arrival] of settled) draftCall(draft, key, arrival, whenDrafted);
    for (const { key, stampMs } of relatives) draftWoken(draft, key, stampMs, whenDrafted);
    for (const [key, { stampMs }] of calls) draftWoken(draft, key, stampMs, whenDrafted);
    const arrived = [...relatives.map(({ key }) => key), ...calls.keys()];
    const admit = (call: LlmCall): LlmCall => cardinality.admit(call, nowMs);
    whenDrafted.push(...(await late.correct(draft, arrived, admit)));
    await late.reconsider(draft, reassigned, admit);

    // 5. Join scores with their calls, in both directions; and anew where another span counts than did, or an ancestor came late.
    await scoring.draft(draft, scores, { relatives, calls: sent, nowMs });

    // 6. Remember; 7. write the rows; 8. write the ledger, last. See `commit`.
    commit(draft, { relatives: relatives.map(({ item }) => item), contents: reading.contents, tally, whenDrafted, nowMs });
    return { received: reading.received, calls: draft.calls.size, scores: draft.scores.size, projects: draft.projects() };
  };

  const advance = async (nowMs: number): Promise<void> => {
    if (turns.isInDoubt()) await takeUp(nowMs);
    const expired = waiting.expired(nowMs);
    if (expired.length > 0 || scoring.hasDue(nowMs)) {
      const draft = createDraft();
      const whenDrafted: (() => void)[] = expired.map(({ call }) => () => waiting.remove(call));
      await recallAncestors(expired.map(({ call }) => call));
      for (const { call: asWaiting, stored, deadlineMs } of expired) {
        const { call, unseen } = resolve(asWaiting);
        const key = spanKey(call);
        const filing = { key, call: cardinality.admit(call, nowMs), stored, reason: stored.reason };
        const role = inferences.roleOf(key, stored.reason);
        // What was just recalled may say so.
        if (role === 'wrapper' || role === 'duplicate') draft.setAside(filing, role);
        else draft.completeCall(filing, slotAt(deadlineMs));
        if (unseen !== null) whenDrafted.push(() => late.expect(unseen, call));
      }
      whenDrafted.push(...(await scoring.draftDue(draft, nowMs)));
      commit(draft, { relatives: [], tally: createTally(), whenDrafted, nowMs });
    }
    openSlot = Math.max(openSlot, slotOf(nowMs));
  };

  /**
   * From when on the memory has everything: what started later cannot be stored. Who takes up a shard far behind knows of a backlog that none of it is, and looks
   * none of it up. Not where a write has failed, whose rows may be there and younger than the clock of the log, nor where a shard has nothing yet: its traces may
   * have been another's, when there were fewer.
   */
  const coveredFrom = (found: { readonly isEmpty: boolean; readonly lastArrivalMs: number }, { nowMs, startedMs }: { readonly nowMs: number; readonly startedMs: number | undefined }): number => {
    const triedMs = Math.max(nowMs, newestMs);
    if (isAlone) return found.isEmpty ? 0 : triedMs;
    const storedUntilMs = startedMs === undefined ? triedMs : found.lastArrivalMs === 0 ? startedMs : Math.min(startedMs, found.lastArrivalMs);
    return storedUntilMs + CLOCKS_APART_MS;
  };

  /** What is remembered is what the store says: at the start of a process, and after a write that failed. */
  const takeUp = async (nowMs: number, startedMs?: number): Promise<void> => {
    await turns.beginAnew();
    seenVersions.reset();
    const found = await reconcileLedger(store, batch);
    ({ batch, orphans } = found);
    openSlot = Math.max(openSlot, found.openSlot);
    const bornMs = coveredFrom(found, { nowMs, startedMs });
    cardinality.restore(await loadVersionsSince(store, dayStartMs(nowMs)), nowMs);

    waiting = createWaiting();
    inferences = createInferences(store, { capacity: settings.rememberedSpans, coversFromMs: bornMs, shard });
    known = knownBy(inferences);
    const draft = createDraft();
    const provisional = await loadProvisionalCalls(store, batchesOf(shard), settings.maxWaiting);
    for (const { call, stored } of provisional) known.remember(spanKey(call), stored);
    await recallAncestors(provisional.map(({ call }) => call));
    await inferences.recallTraces(provisional.map(({ call }) => call));
    // Read back, two may be one that were not known to be: one has inherited by now what both say.
    const whenDrafted: (() => void)[] = [];
    for (const [key, arrival] of await settle({ store, inferences, resolve }, new Map(), nowMs)) draftCall(draft, key, arrival, whenDrafted);
    for (const { call: asStored, stored } of provisional) {
      const key = spanKey(asStored);
      if (draft.calls.has(key)) continue;
      const { call, unseen, missing } = resolve(asStored);
      const filing = { key, call: cardinality.admit(call, nowMs), stored, reason: stored.reason };
      const role = inferences.roleOf(key, stored.reason);
      if (role === 'wrapper' || role === 'duplicate') draft.setAside(filing, role);
      else if (role !== 'call' || missing !== null) waiting.put({ call, missing: awaited(stored, missing), stored, deadlineMs: nowMs + settings.resolveWaitMs });
      else draft.completeCall(filing, slotAt(nowMs));
      if (unseen !== null && draft.completed.has(key)) late.expect(unseen, call);
    }
    await scoring.takeUp(draft, { inferences, bornMs, nowMs, orphaned: orphans.scores });
    commit(draft, { relatives: [], tally: createTally(), whenDrafted, nowMs });
  };

  /** Remembers what was drafted, and hands it over to be written. */
  const commit = (draft: Draft, beside: { readonly relatives: readonly Relative[]; readonly contents?: readonly ContentOf[]; readonly tally: Tally; readonly whenDrafted: readonly (() => void)[]; readonly nowMs: number }): void => {
    batch = { ...batch, number: batch.number + 1 };
    const { relatives, contents = [], tally, nowMs } = beside;
    countRoles(draft.calls.values(), tally);
    const revised = draft.earliestSlot();
    const rows = rowsOf({ draft, relatives, contents, tally, batch, versions: seenVersions.due(draft.versionRows(nowMs), nowMs), scoreNames: scoring.takeNewNames(), lateHours: orphans?.takeHours() });
    for (const [key, { stored }] of draft.calls) known.remember(key, stored);
    scoring.remember(draft, nowMs);
    for (const remember of beside.whenDrafted) remember();
    turns.write({
      async rows() {
        if (revised !== null && revised < openSlot) await deps.beforeRevising?.(revised);
        await writeRows(deps.store, rows);
      },
      ledger: () => writeLedger(deps, rows),
    });
  };

  /** A look at the store, for calls whose ancestors may have come before the memory began. */
  async function recallAncestors(calls: readonly LlmCall[]): Promise<void> {
    await inferences.recallTraces(calls.filter((call) => resolve(call).unseen !== null));
  }

  function draftCall(draft: Draft, key: string, { item, stampMs, stored, reason }: SpanArrival, whenDrafted: (() => void)[]): void {
    const { call: resolved, unseen, missing } = resolve(item);
    const role = inferences.roleOf(key, reason);
    const filing = { key, call: toldUnclear(cardinality.admit(resolved, stampMs), inferences.isUnclear(key)), stored, reason };
    // What is due when all is drafted is, above all, waiting.
    const hasRoom = waiting.size() + whenDrafted.length < settings.maxWaiting;
    const wait = (provisional: StoredSpan): void => void whenDrafted.push(() => waiting.put({ call: resolved, missing: awaited(provisional, missing), stored: provisional, deadlineMs: stampMs + settings.resolveWaitMs }));
    if (role === 'wrapper' || role === 'duplicate') {
      draft.setAside(filing, role);
      if (stored !== undefined) whenDrafted.push(() => waiting.remove(item));
    } else if (role === 'call' && stored !== undefined && stored.slot > 0) {
      draft.correctedCall({ ...filing, stored });
    } else if (role === 'candidate' && hasRoom) {
      wait(draft.setAside(filing, role));
    } else if (role === 'call' && missing !== null && hasRoom && stored?.role !== 'duplicate') {
      wait(draft.waitingCall(filing));
    } else {
      const isWhole = role === 'call' && missing === null;
      draft.completeCall(isWhole ? filing : { ...filing, call: { ...filing.call, flags: [...filing.call.flags, 'not_awaited'] } }, slotAt(stampMs));
      if (unseen !== null) whenDrafted.push(() => late.expect(unseen, item));
      if (stored !== undefined) whenDrafted.push(() => waiting.remove(item));
    }
  }

  /** Calls that waited for this span: they are complete, or wait for the next one above it. */
  function draftWoken(draft: Draft, ancestor: string, stampMs: number, whenDrafted: (() => void)[]): void {
    for (const waiter of waiting.forAncestor(ancestor)) {
      // It comes anew in this batch, or an ancestor before this one woke it.
      const key = spanKey(waiter.call);
      if (draft.calls.has(key)) continue;
      const { call, unseen, missing } = resolve(waiter.call);
      if (missing === null) draft.completeCall({ key, call: cardinality.admit(call, stampMs), stored: waiter.stored, reason: waiter.stored.reason }, slotAt(stampMs));
      whenDrafted.push(() => (missing === null ? waiting.remove(call) : waiting.put({ ...waiter, call, missing })));
      if (missing === null && unseen !== null) whenDrafted.push(() => late.expect(unseen, call));
    }
  }

  // Batches and ticks take turns: each sees the memory that the one before it left.
  return {
    start: (nowMs, startedMs = nowMs) => turns.take(() => takeUp(nowMs, startedMs)),
    read: (message) => readMessage(message, deps),
    write: (batch) => turns.take(() => write(batch)),
    advance: (nowMs) => turns.take(() => advance(nowMs)),
    waiting: () => ({ calls: waiting.size(), scores: scoring.waiting() }),
    idle: () => turns.idle(),
  };
}
