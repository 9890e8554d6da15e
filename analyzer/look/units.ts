import { isSignalMetric } from '../metrics/index.ts';
import { armOf, type Factor } from './factors.ts';
import type { CallObservation, ScoreObservation } from './observations.ts';
import { SLOT_MS } from '../slots.ts';
import { createCrowd, createDayMemory, createNameSets, NO_NAMES, type Crowd } from './unit-memory.ts';
import { scoreEntry, signalEntry, type Completed, type MetricLookUp } from './unit-values.ts';
import type { UnitArm } from './windows.ts';

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
export type Arm = 'a' | 'b';

export type Units = {
  /** Calls and scores of one slot, in order. Returns what became complete in it. */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[];
  /** The same for a slot of before a restart, of which `routing` knows already. */
  refill(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[];
  routing(): Routing;
  /** New units of the slot that was fed last, by arm. */
  started(): { readonly a: number; readonly b: number };
  counts(): UnitCounts;
  /** What happened before the opening, or before a restart. */
  recall(past: Past): void;
  /** A call of so many slots ago can still change what becomes of a unit; after a restart they are fed again. */
  readonly reachSlots: number;
};

export type Past = {
  /** They never count (again). With an arm, scores of other names still do. `slot`: that of the last call. */
  readonly units: Iterable<{
    readonly id: string;
    /** Of all its calls; null where they are of several, or of neither. */
    readonly arm: Arm | null;
    readonly first: { readonly slot: number; readonly span_id: string; readonly arm: Arm | null };
    readonly slot: number;
    readonly scored: readonly { readonly name: string; readonly span_id: string }[];
  }>;
  /** Sessions of the last 1,000 calls, oldest first; null: a call without one. */
  readonly sessions: Iterable<string | null>;
};

/** Whether sessions stay with their version: of the further calls of units that began in each arm, how many went elsewhere. */
export type Routing = { readonly again: ByArm; readonly elsewhere: ByArm; /** Units that begin in this slot or later are their first call; null: they are gathered. */ readonly firstCallFrom: number | null };
type ByArm = { readonly a: number; readonly b: number };

/** Shown with a comparison: how clean its routing is. */
export type UnitCounts = { counted: number; mixed: number; repeated_calls: number; forgotten_early: number };

/** A comparison holds some hundreds at a time, and there may be thousands of comparisons: rows are let go as soon as they are counted. */
type Unit = UnitArm & {
  readonly id: string;
  readonly startMs: number;
  readonly firstSlot: number;
  lastSlot: number;
  hasMetOthers: boolean;
  /** Of its first call, where that alone counts; null: it is gathered. */
  readonly firstSpan: string | null;
  /** Null: it is complete. */
  gathered: Gathered | null;
  /** Names that it has counted under. */
  scored: ReadonlySet<string>;
};

type Gathered = { readonly calls: CallObservation[]; /** By name; null: there are none yet. */ scores: Map<string, ScoreObservation[]> | null };

export type UnitSettings = {
  readonly factor: Factor;
  readonly group: string;
  readonly baseline: string;
  readonly candidate: string;
  /** Units whose first call started before this never count: the candidate could not have got them. */
  readonly openedMs: number;
  /** 0: a unit is its first call. */
  readonly sessionWindowS: number;
  readonly metric: MetricLookUp;
};

/** Windows last at most 16 slots; until then a second version makes a unit mixed. */
const WATCHED_SLOTS = 17;
/** Past this share of further calls that went elsewhere, and so many, routing is not sticky. A ramp moves sessions too, but few at a time. */
const ELSEWHERE_SHARE = 0.2;
const ELSEWHERE_CALLS = 5;

export function createUnits(settings: UnitSettings, restored: Routing | null = null): Units {
  const windowSlots = Math.ceil((settings.sessionWindowS * 1000) / SLOT_MS);
  const watched = new Map<string, Unit>();
  const memory = createDayMemory();
  const crowd = createCrowd();
  const withName = createNameSets();
  const counts: UnitCounts = { counted: 0, mixed: 0, repeated_calls: 0, forgotten_early: 0 };
  let started = { a: 0, b: 0 };
  const again = { ...(restored?.again ?? { a: 0, b: 0 }) };
  const elsewhere = { ...(restored?.elsewhere ?? { a: 0, b: 0 }) };
  let firstCallFrom: number | null = restored?.firstCallFrom ?? (windowSlots === 0 ? 0 : null);
  const isFirstCall = (firstSlot: number): boolean => firstCallFrom !== null && firstSlot >= firstCallFrom;

  const meet = (slot: number, call: CallObservation, completed: Completed[]): void => {
    crowd.count(call.session_id);
    const id = unitIdOf(call, crowd);
    const arm = armOf(settings.factor, settings, call);
    const known = watched.get(id);
    if (known !== undefined) {
      counts.repeated_calls += 1;
      known.lastSlot = slot;
      again[known.arm] += 1;
      if (known.arm !== arm) {
        elsewhere[known.arm] += 1;
        if (!known.hasMetOthers) counts.mixed += 1;
        known.hasMetOthers = true;
        if (known.firstSpan === null) known.mixed = true;
      } else if (known.gathered !== null && call.start_ms - known.startMs <= settings.sessionWindowS * 1000) {
        known.gathered.calls.push(call);
      }
      return;
    }
    const past = memory.get(id, slot);
    if (past !== null) {
      counts.repeated_calls += 1;
      // Late scores of a unit that has met both arms would not say whose they are.
      memory.keep(id, { ...past, slot, arm: past.firstSpan !== null || past.arm === arm ? past.arm : null });
      return;
    }
    if (arm === null || call.start_ms < settings.openedMs) {
      memory.keep(id, { arm: null, firstSpan: null, slot, scored: NO_NAMES });
      return;
    }
    const unit: Unit = {
      id, arm, mixed: false, hasMetOthers: false, startMs: call.start_ms, firstSlot: slot, lastSlot: slot, firstSpan: isFirstCall(slot) ? call.span_id : null,
      gathered: { calls: [call], scores: null }, scored: NO_NAMES,
    };
    watched.set(id, unit);
    started[arm] += 1;
    if (unit.firstSpan !== null) complete(unit, completed);
  };

  const judge = (slot: number, score: ScoreObservation, completed: Completed[]): void => {
    // A judge may call its score "latency"; the calls' own latency is what that name means here.
    if (isSignalMetric(score.name)) return;
    const id = unitIdOf(score, crowd);
    const arm = armOf(settings.factor, settings, score);
    const unit = watched.get(id);
    if (unit === undefined) {
      // Its unit is counted already and no longer watched: a late judge. The arm is that of the call it judges.
      const past = memory.get(id, slot);
      if (past === null || past.arm === null || past.arm !== arm || past.scored.has(score.name)) return;
      if (past.firstSpan !== null && past.firstSpan !== score.span_id) return;
      memory.keep(id, { ...past, scored: withName(past.scored, score.name) });
      push(completed, scoreEntry({ arm, mixed: false }, score.start_ms, [score], settings));
      return;
    }
    if (unit.mixed || unit.arm !== arm || unit.scored.has(score.name)) return;
    if (unit.firstSpan !== null && unit.firstSpan !== score.span_id) return;
    if (unit.gathered === null) {
      unit.scored = withName(unit.scored, score.name);
      push(completed, scoreEntry(unit, unit.startMs, [score], settings));
      return;
    }
    if (score.start_ms - unit.startMs > settings.sessionWindowS * 1000) return;
    unit.gathered.scores ??= new Map();
    const scores = unit.gathered.scores.get(score.name);
    if (scores === undefined) unit.gathered.scores.set(score.name, [score]);
    else scores.push(score);
  };

  const complete = (unit: Unit, completed: Completed[]): void => {
    const { gathered } = unit;
    if (gathered === null) return;
    unit.gathered = null;
    counts.counted += 1;
    for (const among of ['errors', 'successes'] as const) push(completed, signalEntry(unit, unit.startMs, { among, calls: gathered.calls }, settings));
    for (const [name, scores] of gathered.scores ?? []) {
      unit.scored = withName(unit.scored, name);
      push(completed, scoreEntry(unit, unit.startMs, scores, settings));
    }
  };

  const feed = (slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): Completed[] => {
    const completed: Completed[] = [];
    started = { a: 0, b: 0 };
    for (const call of calls) meet(slot, call, completed);
    for (const score of scores) judge(slot, score, completed);
    // Watched units stand in the order of their first slot.
    for (const unit of watched.values()) {
      if (unit.firstSlot + windowSlots > slot) break;
      complete(unit, completed);
    }
    for (const unit of watched.values()) {
      if (unit.firstSlot + windowSlots + WATCHED_SLOTS > slot) break;
      watched.delete(unit.id);
      memory.keep(unit.id, { arm: unit.mixed ? null : unit.arm, firstSpan: unit.firstSpan, slot: unit.lastSlot, scored: unit.scored });
    }
    memory.forget(slot);
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
      const completed = feed(slot, calls, scores);
      Object.assign(again, known.again);
      Object.assign(elsewhere, known.elsewhere);
      return completed;
    },
    routing: () => ({ again: { ...again }, elsewhere: { ...elsewhere }, firstCallFrom }),
    started: () => started,
    counts: () => ({ ...counts, forgotten_early: memory.forgottenEarly() }),
    recall({ units, sessions }) {
      for (const { id, arm, first, slot, scored } of units) {
        const [counts, firstSpan] = isFirstCall(first.slot) ? [first.arm, first.span_id] : [arm, null];
        const names = scored.filter(({ span_id }) => firstSpan === null || firstSpan === span_id).map(({ name }) => name);
        memory.keep(id, { arm: counts, firstSpan, slot, scored: names.reduce(withName, NO_NAMES) });
      }
      for (const session of sessions) crowd.count(session);
    },
    reachSlots: windowSlots + WATCHED_SLOTS,
  };
}

export function unitIdOf(observation: { readonly session_id: string | null; readonly trace_id: string }, crowd: Crowd): string {
  const { session_id, trace_id } = observation;
  return session_id === null || crowd.isCrowd(session_id) ? `t:${trace_id}` : `s:${session_id}`;
}

function push(completed: Completed[], entry: Completed | null): void {
  if (entry !== null) completed.push(entry);
}
