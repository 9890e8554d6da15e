import { isSignalMetric } from '../metrics/index.ts';
import type { Entry } from './entries.ts';
import { armOf, type Factor } from './factors.ts';
import type { JudgedUnits } from './judged.ts';
import type { CallObservation, ScoreObservation } from './observations.ts';
import { armAt, slotsIn, type Arm, type CallMeeting, type Gathered, type PastArms, type PromptUnits, type Scored, type ScoreMeeting } from './prompt-units.ts';
import { groupBy } from '../statistics/group-by.ts';
import { LONGEST as LONGEST_WINDOW } from '../statistics/window-length.ts';
import { scoreEntry, signalEntry, type Completed, type MetricLookUp } from './unit-values.ts';

/**
 * From calls to units: what counts once. A unit is the session where one is known, else the trace. A unit is remembered for a
 * day after its last call and never counts again in that time.
 *
 * There are two ways to make one value of a unit:
 *   gathered    the mean over its calls that started within the session window of its first (log-mean for distributions). One that met
 *               another version too counts for neither arm.
 *   first call  that call alone, and its scores, whatever came after it.
 * Gathering sees more, and is sound only where a session stays with its version. Where each call is routed anew, those of a small
 * candidate that are not mixed are short ones, and anything that goes with length tells the arms apart (measured at a share of 10 %, sessions
 * of two calls, each further call adding .04 to the score: 4 of 10 harmless rollouts past 1/α at α = 5 %, with the first call none). So units are
 * gathered until calls are seen to change version within a session, and from the next slot on the first call counts.
 */
export type Units = {
  /** Calls and scores of one slot, in order. Returns what became complete in it. */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[];
  /** The same for a slot of before a restart, of which `routing` knows already. */
  refill(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[];
  /** Whether a unit met another arm while it was watched: it counts for neither. */
  isMixed(unit: number): boolean;
  routing(): Routing;
  /** New units of the slot that was fed last, by arm. */
  started(): { readonly a: number; readonly b: number };
  counts(): UnitCounts;
  /** The arms of units of before a restart. */
  recall(units: Iterable<PastArms>): void;
  /** A call of so many slots ago can still change what becomes of a unit; after a restart they are fed again. */
  readonly reachSlots: number;
  /** The comparison is over. */
  leave(): void;
};

/** Whether sessions stay with their version: of the further calls of units that began in each arm, how many went elsewhere. */
export type Routing = { readonly again: ByArm; readonly elsewhere: ByArm; /** Units that begin in this slot or later are their first call; null: they are gathered. */ readonly firstCallFrom: number | null };
type ByArm = { readonly a: number; readonly b: number };

/** Shown with a comparison: how clean its routing is. */
export type UnitCounts = { counted: number; mixed: number; repeated_calls: number; forgotten_early: number };

export type UnitSettings = {
  readonly factor: Factor;
  readonly group: string;
  readonly baseline: string;
  readonly candidate: string;
  /** Units that were met until then, or whose first call started before, never count: the candidate could not have got them. */
  readonly openedSlot: number;
  readonly openedMs: number;
  /** 0: a unit is its first call. */
  readonly sessionWindowS: number;
  readonly metric: MetricLookUp;
  /** Told of units and how they are judged, but for slots of before a restart, which it knows of. */
  readonly judged: JudgedUnits;
};

/** Windows last at most 16 slots; until then a second version makes a unit mixed. */
const WATCHED_SLOTS = LONGEST_WINDOW + 1;
/** Past this share of further calls that went elsewhere, and so many, routing is not sticky. A ramp moves sessions too, but few at a time. */
const ELSEWHERE_SHARE = 0.2;
const ELSEWHERE_CALLS = 5;

/** @param prompt the units of the prompt, which its comparisons share. */
export function createUnits(prompt: PromptUnits, settings: UnitSettings, restored: Routing | null = null): Units {
  const { factor, openedSlot, openedMs, sessionWindowS } = settings;
  const windowSlots = slotsIn(sessionWindowS);
  const reachSlots = windowSlots + WATCHED_SLOTS;
  const place = prompt.join({ armOf: (seen) => armOf(factor, settings, seen), openedMs, sessionWindowS });
  /** Units that met another arm while they were watched, and in which slot; as long as a window may hold them. */
  const mixed = new Map<number, number>();
  const counts = { counted: 0, mixed: 0, repeated_calls: 0 };
  let started = { a: 0, b: 0 };
  const again = { ...(restored?.again ?? { a: 0, b: 0 }) };
  const elsewhere = { ...(restored?.elsewhere ?? { a: 0, b: 0 }) };
  let firstCallFrom: number | null = restored?.firstCallFrom ?? (windowSlots === 0 ? 0 : null);
  let judged: JudgedUnits | null = settings.judged;

  const isFirstCall = (unit: number): boolean => firstCallFrom !== null && prompt.firstSlot(unit) >= firstCallFrom;
  /** The arm that a unit began in; null: it never counts. */
  const ownArm = (unit: number): Arm | null => (prompt.firstSlot(unit) <= openedSlot ? null : prompt.firstArm(unit, place));
  /** Whether it has an answer that could be judged: of a unit that is its first call, that one's. */
  const isAnswered = (unit: number): boolean => prompt.answered(unit) === 'at_first' || (!isFirstCall(unit) && prompt.answered(unit) === 'later');
  /** The scores of a unit that count for an arm. */
  const ofArm = (scored: readonly Scored[], { arm, isGathered }: { readonly arm: Arm; readonly isGathered: boolean }): readonly Scored[] => scored.filter((each) => armAt(each.arms, place) === arm && (isGathered || each.isOfFirstCall));

  const meet = (slot: number, call: CallObservation, { unit, isFirst, arms, scored }: CallMeeting, completed: Completed[]): void => {
    const own = ownArm(unit);
    if (isFirst) {
      if (own === null) return;
      started[own] += 1;
      judged?.begin(own);
      if (isFirstCall(unit)) complete(slot, { arm: own, unit: null, startMs: call.start_ms }, { calls: [call], scores: [] }, completed);
      return;
    }
    counts.repeated_calls += 1;
    if (own === null || slot - prompt.firstSlot(unit) > reachSlots) return;
    again[own] += 1;
    if (armAt(arms, place) === own) return;
    elsewhere[own] += 1;
    if (mixed.has(unit)) return;
    counts.mixed += 1;
    mixed.set(unit, slot);
    const firstSlot = prompt.firstSlot(unit);
    // When it was complete it was taken for a unit of its arm.
    if (!isFirstCall(unit) && slot > firstSlot + windowSlots && isAnswered(unit)) judged?.leave({ firstSlot, arm: own }, new Set(ofArm(scored, { arm: own, isGathered: true }).map(({ name }) => name)));
  };

  const judge = (slot: number, score: ScoreObservation, { unit, isOfFirstCall, arms, scored }: ScoreMeeting, completed: Completed[]): void => {
    // A judge may call its score "latency"; the calls' own latency is what that name means here.
    if (isSignalMetric(score.name) || unit === null) return;
    const own = ownArm(unit);
    if (own === null || armAt(arms, place) !== own) return;
    const isGathered = !isFirstCall(unit);
    // Scores of a unit that has met both arms would not say whose they are.
    if (isGathered ? prompt.onlyArm(unit, place) !== own : !isOfFirstCall) return;
    judged?.hear(score.name, own, score.evaluator);
    const firstSlot = prompt.firstSlot(unit);
    const age = slot - firstSlot;
    if (isGathered && age <= windowSlots) return;
    if (ofArm(scored, { arm: own, isGathered }).some((before) => before.name === score.name)) return;
    // A late judge of a unit that is no longer watched: the start is that of the call it judges.
    const isWatched = age <= reachSlots;
    push(completed, scoreEntry({ arm: own, unit: isGathered && isWatched ? unit : null, startMs: isWatched ? prompt.startMs(unit) : score.start_ms }, [score], settings));
    if (isAnswered(unit)) judged?.judge({ firstSlot, arm: own }, score.name);
  };

  const complete = (firstSlot: number, of: Omit<Entry, 'bins'>, { calls, scores }: { readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] }, completed: Completed[]): void => {
    counts.counted += 1;
    for (const among of ['errors', 'successes'] as const) push(completed, signalEntry(of, { among, calls }, settings));
    const byName = groupBy(scores, ({ name }) => name);
    for (const ofName of byName.values()) push(completed, scoreEntry(of, ofName, settings));
    if ((of.unit === null || !mixed.has(of.unit)) && calls.some((call) => !call.is_error)) judged?.count({ firstSlot, arm: of.arm }, byName.keys());
  };

  /** The calls and scores of a unit that are of its arm and started within the session window of its first. */
  const completeGathered = (unit: number, gathered: Gathered, completed: Completed[]): void => {
    const arm = ownArm(unit);
    if (arm === null || isFirstCall(unit)) return;
    const mixedSlot = mixed.get(unit) ?? Number.POSITIVE_INFINITY;
    const startMs = prompt.startMs(unit);
    const isOfUnit = (row: { readonly start_ms: number }, arms: string): boolean => armAt(arms, place) === arm && row.start_ms - startMs <= sessionWindowS * 1000;
    const calls = gathered.calls.filter(({ call, arms }) => isOfUnit(call, arms)).map(({ call }) => call);
    const scores = gathered.scores.filter(({ score, arms }) => isOfUnit(score, arms) && score.slot < mixedSlot && !isSignalMetric(score.name)).map(({ score }) => score);
    complete(prompt.firstSlot(unit), { arm, unit, startMs }, { calls, scores }, completed);
  };

  const feed = (slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): Completed[] => {
    const met = prompt.feed(slot, calls, scores);
    const completed: Completed[] = [];
    started = { a: 0, b: 0 };
    for (const [at, meeting] of met.calls.entries()) {
      const call = calls[at];
      if (call !== undefined) meet(slot, call, meeting, completed);
    }
    for (const [at, meeting] of met.scores.entries()) {
      const score = scores[at];
      if (score !== undefined) judge(slot, score, meeting, completed);
    }
    if (windowSlots > 0) {
      for (const [unit, gathered] of prompt.gathered()) {
        if (prompt.firstSlot(unit) + windowSlots === slot) completeGathered(unit, gathered, completed);
      }
    }
    for (const unit of mixed.keys()) if (slot - prompt.firstSlot(unit) > reachSlots + LONGEST_WINDOW) mixed.delete(unit);
    return completed;
  };
  const isSticky = (arm: Arm): boolean => elsewhere[arm] < ELSEWHERE_CALLS || elsewhere[arm] <= ELSEWHERE_SHARE * again[arm];

  return {
    feed(slot, calls, scores) {
      const completed = feed(slot, calls, scores);
      if (firstCallFrom === null && !(isSticky('a') && isSticky('b'))) firstCallFrom = slot + 1;
      return completed;
    },
    refill(slot, calls, scores) {
      const known = { again: { ...again }, elsewhere: { ...elsewhere } };
      judged = null;
      const completed = feed(slot, calls, scores);
      judged = settings.judged;
      Object.assign(again, known.again);
      Object.assign(elsewhere, known.elsewhere);
      return completed;
    },
    isMixed: (unit) => mixed.has(unit),
    routing: () => ({ again: { ...again }, elsewhere: { ...elsewhere }, firstCallFrom }),
    started: () => started,
    counts: () => ({ ...counts, forgotten_early: prompt.forgottenEarly() }),
    recall: (units) => prompt.recallArms(place, units),
    reachSlots,
    leave: () => prompt.leave(place),
  };
}

function push(completed: Completed[], entry: Completed | null): void {
  if (entry !== null) completed.push(entry);
}
