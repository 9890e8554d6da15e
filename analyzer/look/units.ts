import { isFailed, isSignalMetric, readingsOf } from '../metrics/index.ts';
import type { Entry } from './entries.ts';
import { armOf, type Factor } from './factors.ts';
import type { Judgement, Reading } from './gathering.ts';
import type { JudgedUnits } from './judged.ts';
import type { CallObservation, ScoreObservation } from './observations.ts';
import { armAt, slotsIn, type Arm, type CallMeeting, type PastArms, type PromptUnits, type Scored, type ScoreMeeting } from './prompt-units.ts';
import { groupBy } from '../statistics/group-by.ts';
import { LONGEST as LONGEST_WINDOW } from '../statistics/window-length.ts';
import { scoreEntry, signalEntry, type Completed, type MetricLookUp } from './unit-values.ts';

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
export class Units {
  readonly #prompt: PromptUnits;
  readonly #settings: UnitSettings;
  readonly #place: number;
  readonly #windowSlots: number;
  /** Units that met another arm while they were watched, and in which slot; as long as a window may hold them. */
  readonly #mixed = new Map<number, number>();
  readonly #counts = { counted: 0, mixed: 0, repeated_calls: 0 };
  #started: ByArm = { a: 0, b: 0 };
  #routing: Routing;
  #isRefilling = false;

  /** @param prompt the units of the prompt, which its comparisons share. */
  constructor(prompt: PromptUnits, settings: UnitSettings, restored: Routing | null = null) {
    const { factor, openedMs, sessionWindowS } = settings;
    this.#prompt = prompt;
    this.#settings = settings;
    this.#windowSlots = slotsIn(sessionWindowS);
    this.#place = prompt.join({ armOf: (seen) => armOf(factor, settings, seen), openedMs, sessionWindowS });
    this.#routing = restored ?? { again: NONE, elsewhere: NONE, firstCallFrom: this.#windowSlots === 0 ? 0 : null };
  }

  /** A call of so many slots ago can still change what becomes of a unit; after a restart they are fed again. */
  get reachSlots(): number {
    return this.#windowSlots + WATCHED_SLOTS;
  }

  /** Calls and scores of one slot, in order. Returns what became complete in it. */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[] {
    const completed = this.#fed(slot, calls, scores);
    if (this.#routing.firstCallFrom === null && !(this.#isSticky('a') && this.#isSticky('b'))) this.#routing = { ...this.#routing, firstCallFrom: slot + 1 };
    return completed;
  }

  /** The same for a slot of before a restart, of which `routing` knows already. */
  refill(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[] {
    const known = this.#routing;
    this.#isRefilling = true;
    const completed = this.#fed(slot, calls, scores);
    this.#isRefilling = false;
    this.#routing = known;
    return completed;
  }

  /** Whether a unit met another arm while it was watched: it counts for neither. */
  isMixed(unit: number): boolean {
    return this.#mixed.has(unit);
  }

  routing(): Routing {
    return this.#routing;
  }

  /** New units of the slot that was fed last, by arm. */
  started(): ByArm {
    return this.#started;
  }

  counts(): UnitCounts {
    return { ...this.#counts, forgotten_early: this.#prompt.forgottenEarly() };
  }

  /** The arms of units of before a restart. */
  recall(units: Iterable<PastArms>): void {
    this.#prompt.recallArms(this.#place, units);
  }

  /** The comparison is over. */
  leave(): void {
    this.#prompt.leave(this.#place);
  }

  #fed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): Completed[] {
    const met = this.#prompt.feed(slot, calls, scores);
    const completed: Completed[] = [];
    this.#started = NONE;
    for (const [at, meeting] of met.calls.entries()) {
      const call = calls[at];
      if (call !== undefined) this.#meet(slot, call, meeting, completed);
    }
    for (const [at, meeting] of met.scores.entries()) {
      const score = scores[at];
      if (score !== undefined) this.#judge(slot, score, meeting, completed);
    }
    if (this.#windowSlots > 0) {
      for (const unit of this.#prompt.gathering.begunIn(slot - this.#windowSlots)) this.#completeGathered(unit, completed);
    }
    for (const unit of this.#mixed.keys()) if (slot - this.#prompt.firstSlot(unit) > this.reachSlots + LONGEST_WINDOW) this.#mixed.delete(unit);
    return completed;
  }

  #meet(slot: number, call: CallObservation, { unit, isFirst, arms, scored }: CallMeeting, completed: Completed[]): void {
    const own = this.#ownArm(unit);
    if (isFirst) {
      // Its number may have been that of another.
      this.#mixed.delete(unit);
      if (own === null) return;
      this.#started = withOne(this.#started, own);
      this.#judged()?.begin(own);
      if (this.#isFirstCall(unit)) this.#complete(slot, { arm: own, unit: null, startMs: call.start_ms }, { calls: [{ seen: call.seen, readings: readingsOf(call) }], scores: [] }, completed);
      return;
    }
    this.#counts.repeated_calls += 1;
    const firstSlot = this.#prompt.firstSlot(unit);
    if (own === null || slot - firstSlot > this.reachSlots) return;
    this.#routing = { ...this.#routing, again: withOne(this.#routing.again, own) };
    if (armAt(arms, this.#place) === own) return;
    this.#routing = { ...this.#routing, elsewhere: withOne(this.#routing.elsewhere, own) };
    if (this.#mixed.has(unit)) return;
    this.#counts.mixed += 1;
    this.#mixed.set(unit, slot);
    // When it was complete it was taken for a unit of its arm.
    if (!this.#isFirstCall(unit) && slot > firstSlot + this.#windowSlots && this.#isAnswered(unit)) this.#judged()?.leave({ firstSlot, arm: own }, new Set(this.#ofArm(scored, { arm: own, isGathered: true }).map(({ name }) => name)));
  }

  #judge(slot: number, score: ScoreObservation, { unit, isOfFirstCall, arms, scored }: ScoreMeeting, completed: Completed[]): void {
    // A judge may call its score "latency"; the calls' own latency is what that name means here.
    if (isSignalMetric(score.name) || unit === null) return;
    const own = this.#ownArm(unit);
    if (own === null || armAt(arms, this.#place) !== own) return;
    const isGathered = !this.#isFirstCall(unit);
    // Scores of a unit that has met both arms would not say whose they are.
    if (isGathered ? this.#prompt.onlyArm(unit, this.#place) !== own : !isOfFirstCall) return;
    this.#judged()?.hear(score.name, own, score.evaluator);
    const firstSlot = this.#prompt.firstSlot(unit);
    const age = slot - firstSlot;
    if (isGathered && age <= this.#windowSlots) return;
    if (this.#ofArm(scored, { arm: own, isGathered }).some((before) => before.name === score.name)) return;
    // A late judge of a unit that is no longer watched: the start is that of the call it judges.
    const isWatched = age <= this.reachSlots;
    push(completed, scoreEntry({ arm: own, unit: isGathered && isWatched ? unit : null, startMs: isWatched ? this.#prompt.startMs(unit) : score.start_ms }, [score], this.#settings));
    if (this.#isAnswered(unit)) this.#judged()?.judge({ firstSlot, arm: own }, score.name);
  }

  #complete(firstSlot: number, of: Omit<Entry, 'bins'>, { calls, scores }: { readonly calls: readonly Pick<Reading, 'seen' | 'readings'>[]; readonly scores: readonly Judgement[] }, completed: Completed[]): void {
    this.#counts.counted += 1;
    for (const among of ['errors', 'successes'] as const) push(completed, signalEntry(of, { among, calls }, this.#settings));
    const byName = groupBy(scores, ({ name }) => name);
    for (const ofName of byName.values()) push(completed, scoreEntry(of, ofName, this.#settings));
    if ((of.unit === null || !this.#mixed.has(of.unit)) && calls.some(({ readings }) => !isFailed(readings))) this.#judged()?.count({ firstSlot, arm: of.arm }, byName.keys());
  }

  /** The calls and scores of a unit that are of its arm and started within the session window of its first. */
  #completeGathered(unit: number, completed: Completed[]): void {
    const arm = this.#ownArm(unit);
    if (arm === null || this.#isFirstCall(unit)) return;
    const mixedSlot = this.#mixed.get(unit) ?? Number.POSITIVE_INFINITY;
    const startMs = this.#prompt.startMs(unit);
    const isOfUnit = ({ start_ms, arms }: Reading | Judgement): boolean => armAt(arms, this.#place) === arm && start_ms - startMs <= this.#settings.sessionWindowS * 1000;
    const gathered = this.#prompt.gathering.of(unit);
    const calls = gathered.calls.filter(isOfUnit);
    const scores = gathered.scores.filter((score) => isOfUnit(score) && score.slot < mixedSlot && !isSignalMetric(score.name));
    this.#complete(this.#prompt.firstSlot(unit), { arm, unit, startMs }, { calls, scores }, completed);
  }

  #judged(): JudgedUnits | null {
    return this.#isRefilling ? null : this.#settings.judged;
  }

  #isFirstCall(unit: number): boolean {
    const { firstCallFrom } = this.#routing;
    return firstCallFrom !== null && this.#prompt.firstSlot(unit) >= firstCallFrom;
  }

  /** The arm that a unit began in; null: it never counts. */
  #ownArm(unit: number): Arm | null {
    return this.#prompt.firstSlot(unit) <= this.#settings.openedSlot ? null : this.#prompt.firstArm(unit, this.#place);
  }

  /** Whether it has an answer that could be judged: of a unit that is its first call, that one's. */
  #isAnswered(unit: number): boolean {
    return this.#prompt.answered(unit) === 'at_first' || (!this.#isFirstCall(unit) && this.#prompt.answered(unit) === 'later');
  }

  /** The scores of a unit that count for an arm. */
  #ofArm(scored: readonly Scored[], { arm, isGathered }: { readonly arm: Arm; readonly isGathered: boolean }): readonly Scored[] {
    return scored.filter((each) => armAt(each.arms, this.#place) === arm && (isGathered || each.isOfFirstCall));
  }

  #isSticky(arm: Arm): boolean {
    const { again, elsewhere } = this.#routing;
    return elsewhere[arm] < ELSEWHERE_CALLS || elsewhere[arm] <= ELSEWHERE_SHARE * again[arm];
  }
}

const NONE: ByArm = { a: 0, b: 0 };

function withOne({ a, b }: ByArm, arm: Arm): ByArm {
  return arm === 'a' ? { a: a + 1, b } : { a, b: b + 1 };
}

function push(completed: Completed[], entry: Completed | null): void {
  if (entry !== null) completed.push(entry);
}
