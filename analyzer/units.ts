import type { MetricSettings } from '../schemas/evidence.ts';
import { SIGNAL_METRICS } from './metrics/index.ts';
import type { CallObservation, ScoreObservation } from './observations.ts';
import { SLOT_MS, SLOTS_PER_DAY } from './slots.ts';
import { binOf } from './statistics/badness.ts';
import type { Entry, Family, UnitArm } from './windows.ts';

/**
 * From calls to units: what counts once. A unit is the session where one is known, else the trace. It belongs to the arm
 * of its calls; one that met another version too counts for neither. Its value is the mean over its calls that started
 * within the session window of its first (log-mean for distributions); without a window it is its first call.
 * A unit is remembered for a day and never counts again in that time.
 */
export type Units = {
  /** Calls and scores of one slot, in order. Returns what became complete in it. */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): readonly Completed[];
  /** New units of the slot that was fed last, by arm. */
  started(): { readonly a: number; readonly b: number };
  counts(): UnitCounts;
  /** Units of before the opening, or before a restart: they never count (again). With an arm, their late scores still do. */
  recall(units: Iterable<{ readonly id: string; readonly arm: 'a' | 'b' | null }>, slot: number): void;
};

export type Completed = { readonly family: Family; readonly entry: Entry };

/** Shown with a comparison: how clean its routing is. */
export type UnitCounts = { counted: number; mixed: number; repeated_calls: number };

type Unit = UnitArm & {
  readonly id: string;
  readonly startMs: number;
  readonly firstSlot: number;
  readonly calls: CallObservation[];
  readonly scores: Map<string, ScoreObservation[]>;
  isComplete: boolean;
};

export type UnitSettings = {
  readonly baseline: string;
  readonly candidate: string;
  /** Units whose first call started before this never count: the candidate could not have got them. */
  readonly openedMs: number;
  readonly sessionWindowS: number;
  /** How a metric is binned; null: unknown here, its readings are passed over. Asked once for each metric and unit. */
  readonly metric: (name: string, value: number, kind: 'signal' | 'numeric' | 'boolean') => MetricSettings | null;
};

/** Windows last at most 16 slots; until then a second version makes a unit mixed. */
const WATCHED_SLOTS = 17;
/** A session with more than this share of the last 1,000 calls is no session. */
const CROWD_CALLS = 1_000;
const CROWD_SHARE = 0.05;

export function createUnits(settings: UnitSettings): Units {
  const windowSlots = Math.ceil((settings.sessionWindowS * 1000) / SLOT_MS);
  const watched = new Map<string, Unit>();
  const remembered = createDayMemory();
  const crowd = createCrowd();
  const counts: UnitCounts = { counted: 0, mixed: 0, repeated_calls: 0 };
  let started = { a: 0, b: 0 };

  const meet = (slot: number, call: CallObservation, completed: Completed[]): void => {
    if (call.session_id !== null) crowd.count(call.session_id);
    const id = unitIdOf(call, crowd);
    const arm = call.version === settings.candidate ? 'b' : call.version === settings.baseline ? 'a' : null;
    const known = watched.get(id);
    if (known !== undefined) {
      counts.repeated_calls += 1;
      if (known.arm !== arm) {
        if (!known.mixed) counts.mixed += 1;
        known.mixed = true;
      } else if (!known.isComplete && call.start_ms - known.startMs <= settings.sessionWindowS * 1000) {
        known.calls.push(call);
      }
      return;
    }
    if (remembered.has(id)) {
      counts.repeated_calls += 1;
      return;
    }
    if (arm === null || call.start_ms < settings.openedMs) {
      remembered.add(id, slot);
      return;
    }
    const unit: Unit = { id, arm, mixed: false, startMs: call.start_ms, firstSlot: slot, calls: [call], scores: new Map(), isComplete: false };
    watched.set(id, unit);
    started[arm] += 1;
    if (windowSlots === 0) complete(unit, completed);
  };

  const judge = (score: ScoreObservation, completed: Completed[]): void => {
    const id = unitIdOf(score, crowd);
    const unit = watched.get(id);
    const key = scoredKey(id, score.name);
    if (remembered.has(key)) return;
    if (unit === undefined) {
      // Its unit is counted already and no longer watched: a late judge. The arm is that of the call it judges.
      const arm = remembered.armOf(id);
      if (arm === null || arm !== armOf(score.version, settings)) return;
      remembered.add(key, score.slot);
      push(completed, scoreEntry({ arm, mixed: false }, score.start_ms, [score], settings));
      return;
    }
    if (unit.mixed || unit.arm !== armOf(score.version, settings)) return;
    if (!unit.isComplete) {
      if (score.start_ms - unit.startMs > settings.sessionWindowS * 1000) return;
      const scores = unit.scores.get(score.name);
      if (scores === undefined) unit.scores.set(score.name, [score]);
      else scores.push(score);
      return;
    }
    remembered.add(key, score.slot);
    push(completed, scoreEntry(unit, unit.startMs, [score], settings));
  };

  const complete = (unit: Unit, completed: Completed[]): void => {
    unit.isComplete = true;
    counts.counted += 1;
    for (const among of ['errors', 'successes'] as const) push(completed, signalEntry(unit, among, settings));
    for (const [name, scores] of unit.scores) {
      remembered.add(scoredKey(unit.id, name), unit.firstSlot);
      push(completed, scoreEntry(unit, unit.startMs, scores, settings));
    }
    unit.scores.clear();
  };

  return {
    feed(slot, calls, scores) {
      const completed: Completed[] = [];
      started = { a: 0, b: 0 };
      for (const call of calls) meet(slot, call, completed);
      for (const score of scores) judge(score, completed);
      // Watched units stand in the order of their first slot.
      for (const unit of watched.values()) {
        if (unit.firstSlot + windowSlots > slot) break;
        if (!unit.isComplete) complete(unit, completed);
      }
      for (const unit of watched.values()) {
        if (unit.firstSlot + windowSlots + WATCHED_SLOTS > slot) break;
        watched.delete(unit.id);
        remembered.add(unit.id, slot, unit.mixed ? null : unit.arm);
      }
      remembered.forget(slot);
      return completed;
    },
    started: () => started,
    counts: () => counts,
    recall(units, slot) {
      for (const { id, arm } of units) remembered.add(id, slot, arm);
    },
  };
}

function unitIdOf(observation: { readonly session_id: string | null; readonly trace_id: string }, crowd: Crowd): string {
  const { session_id, trace_id } = observation;
  return session_id === null || crowd.isCrowd(session_id) ? `t:${trace_id}` : `s:${session_id}`;
}

/** Under this key a unit is remembered as having been scored; unit ids themselves hold no NUL. */
function scoredKey(unitId: string, scoreName: string): string {
  return `${unitId}\0${scoreName}`;
}

function armOf(version: string, settings: UnitSettings): 'a' | 'b' | null {
  return version === settings.candidate ? 'b' : version === settings.baseline ? 'a' : null;
}

function push(completed: Completed[], entry: Completed | null): void {
  if (entry !== null) completed.push(entry);
}

/** The readings of a unit's calls, each metric as one value. Its stratum is that of its first such call. */
function signalEntry(unit: Unit, among: 'errors' | 'successes', settings: UnitSettings): Completed | null {
  const calls = among === 'errors' ? unit.calls : unit.calls.filter((call) => !call.is_error);
  const first = calls[0];
  if (first === undefined) return null;
  const bins: [string, number][] = [];
  for (const metric of SIGNAL_METRICS) {
    if (metric.among !== among) continue;
    const readings = calls.map(metric.read).filter((reading) => reading !== null);
    if (readings.length === 0) continue;
    const value = meanOf(readings, metric.kind);
    const chosen = settings.metric(metric.name, value, 'signal');
    if (chosen !== null) bins.push([metric.name, binOf(chosen, value)]);
  }
  if (bins.length === 0) return null;
  const model = among === 'errors' ? first.request_model : first.response_model;
  return { family: { group: among, model, operation: first.operation, route: first.route }, entry: { unit, startMs: unit.startMs, bins } };
}

function scoreEntry(unit: UnitArm, startMs: number, scores: readonly ScoreObservation[], settings: UnitSettings): Completed | null {
  const first = scores[0];
  if (first === undefined) return null;
  const value = meanOf(scores.map((score) => score.value), 'score');
  const chosen = settings.metric(first.name, value, first.data_type === 'boolean' ? 'boolean' : 'numeric');
  if (chosen === null) return null;
  const family = { group: `score:${first.name}`, model: first.response_model, operation: first.operation, route: first.route };
  return { family, entry: { unit, startMs, bins: [[first.name, binOf(chosen, value)]] } };
}

/** Log-mean for distributions (zeros apart, which have no logarithm: a unit of zeros only is zero), else the mean. */
function meanOf(values: readonly number[], kind: MetricSettings['kind']): number {
  if (values.length === 1) return values[0] ?? 0;
  if (kind !== 'distribution') return values.reduce((sum, value) => sum + value / values.length, 0);
  const positive = values.filter((value) => value > 0);
  return positive.length === 0 ? 0 : Math.exp(positive.reduce((sum, value) => sum + Math.log(value) / positive.length, 0));
}

/** Ids of the last day or two, each with the arm it counted for. */
function createDayMemory() {
  let young = new Map<string, 'a' | 'b' | null>();
  let old = new Map<string, 'a' | 'b' | null>();
  let youngSince: number | null = null;
  return {
    has: (id: string): boolean => young.has(id) || old.has(id),
    armOf: (id: string): 'a' | 'b' | null => young.get(id) ?? old.get(id) ?? null,
    add(id: string, slot: number, arm: 'a' | 'b' | null = null): void {
      youngSince ??= slot;
      young.set(id, arm);
    },
    forget(slot: number): void {
      if (youngSince === null || slot - youngSince < SLOTS_PER_DAY) return;
      old = young;
      young = new Map();
      youngSince = slot;
    },
  };
}

type Crowd = { readonly isCrowd: (session: string) => boolean; readonly count: (session: string) => void };

/** Sessions among the last 1,000 calls: an id that stands on more than 5 % of them is a constant, not a session. */
function createCrowd(): Crowd {
  const recent: string[] = [];
  let next = 0;
  const calls = new Map<string, number>();
  return {
    isCrowd: (session) => recent.length === CROWD_CALLS && (calls.get(session) ?? 0) > CROWD_CALLS * CROWD_SHARE,
    count(session) {
      const forgotten = recent[next];
      if (forgotten !== undefined) {
        const left = (calls.get(forgotten) ?? 1) - 1;
        if (left === 0) calls.delete(forgotten);
        else calls.set(forgotten, left);
      }
      recent[next] = session;
      next = (next + 1) % CROWD_CALLS;
      calls.set(session, (calls.get(session) ?? 0) + 1);
    },
  };
}
