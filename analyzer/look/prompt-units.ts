import { isSignalMetric, readingsOf } from '../metrics/index.ts';
import { createCrowd, type Crowd } from './crowd.ts';
import { createGathering, type Arms, type Gathering, type Judgement, type Reading } from './gathering.ts';
import type { CallObservation, ScoreObservation, Seen } from './observations.ts';
import { SLOT_MS } from '../slots.ts';
import { createUnitMemory, type FirstCall } from './unit-memory.ts';

/**
 * The units of one prompt, for all its open comparisons: who was met when, in the slots that the comparisons are fed. What a unit is to each comparison
 * follows from the arms that its calls have in it, and is kept as one letter for each; nearly all units of a prompt have the same few rows of letters. So what is
 * remembered grows with the units of the prompt, not with units times comparisons.
 */
export type PromptUnits = {
  /** A comparison that is open from now on. Returns its place in rows of letters. */
  join(member: Member): number;
  leave(place: number): void;
  /** One slot, in order: what its rows meet. Asked again for the same slot, by the other comparisons, it answers the same. */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): Meetings;
  /** Units of the longest session window; to be read after `feed`. */
  readonly gathering: Pick<Gathering, 'begunIn' | 'of'>;
  /** What happened before the first slot that is fed. */
  recall(past: Past): void;
  /** What units of before are in the comparison at a place; those that are not named are of neither arm. */
  recallArms(place: number, units: Iterable<PastArms>): void;
  firstSlot(unit: number): number;
  startMs(unit: number): number;
  /** The arm of its first call at a place. */
  firstArm(unit: number, place: number): Arm | null;
  /** The arm at a place that all its calls have had; null: they had several, or it is of neither. */
  onlyArm(unit: number, place: number): Arm | null;
  answered(unit: number): Answered;
  forgottenEarly(): number;
};

export type Arm = 'a' | 'b';

/** With which of its calls a unit first had one that was no error. */
export type Answered = 'at_first' | 'later' | 'never';

/** How a comparison tells arms. */
export type Member = {
  readonly armOf: (seen: Seen) => Arm | null;
  /** Units whose first call started before this are of neither: the candidate could not have got them. */
  readonly openedMs: number;
  readonly sessionWindowS: number;
};

/** By call and by score, in their order. */
export type Meetings = { readonly calls: readonly CallMeeting[]; readonly scores: readonly ScoreMeeting[] };
export type CallMeeting = { readonly unit: number; readonly isFirst: boolean; readonly arms: Arms; /** Until the slot of the call. */ readonly scored: readonly Scored[] };
export type ScoreMeeting = {
  /** Null: no call of it is known. */
  readonly unit: number | null;
  readonly isOfFirstCall: boolean;
  readonly arms: Arms;
  /** Those of before. */
  readonly scored: readonly Scored[];
};

/** That a unit was scored under a name: by a score of its first call or not, in these arms. */
export type Scored = { readonly name: string; readonly isOfFirstCall: boolean; readonly arms: Arms };

/** `slot`: that of the last call. */
export type PastUnit = { readonly id: string; readonly first: FirstCall; readonly slot: number; readonly answered: Answered; readonly scored: readonly { readonly name: string; readonly span_id: string }[] };
export type Past = {
  /** They never count (again). */
  readonly units: Iterable<PastUnit>;
  /** Sessions of the last 1,000 calls, oldest first; null: a call without one. */
  readonly sessions: Iterable<string | null>;
};
/** `only`: of all its calls; null where they are of several, or of neither. */
export type PastArms = { readonly id: string; readonly slot: number; readonly first: Arm | null; readonly only: Arm | null };

/** What is remembered of a unit. */
type Standing = { readonly first: Arms; readonly only: Arms; readonly answered: Answered; readonly scored: readonly Scored[] };

/** Beyond so many, equal standings are not shared: names that are different each time have no use for it. */
const MOST_SHARED = 1_000;

export function createPromptUnits(maximum?: number): PromptUnits {
  const gathering = createGathering();
  const memory = createUnitMemory<Standing>({ maximum, isHeld: gathering.isGathered });
  const crowd = createCrowd();
  const standing = createStandings();
  /** By place; one that was left is given to the next. */
  const members: (Member | null)[] = [];
  let fed: { readonly slot: number; readonly meetings: Meetings } = { slot: -1, meetings: { calls: [], scores: [] } };

  /** Of the slot that is fed. */
  const armsOfSeen = new Map<Seen, Arms>();
  const armsOf = (seen: Seen): Arms => {
    const arms = armsOfSeen.get(seen) ?? members.map((member) => member?.armOf(seen) ?? NEITHER).join('');
    armsOfSeen.set(seen, arms);
    return arms;
  };
  const eachArm = (arms: Arms, of: (arm: string, member: Member) => string): Arms => members.map((member, place) => (member === null ? NEITHER : of(arms[place] ?? NEITHER, member))).join('');
  /** The longest session window of any, in slots. */
  let windowSlots = 0;
  const setWindow = (): void => void (windowSlots = Math.max(0, ...members.map((member) => slotsIn(member?.sessionWindowS ?? 0))));

  const meet = (slot: number, call: CallObservation): CallMeeting => {
    crowd.count(call.session_id);
    const id = unitIdOf(call, crowd);
    const arms = armsOf(call.seen);
    const known = memory.find(id, slot);
    if (known !== null) {
      memory.touch(known, slot);
      const before = memory.kept(known);
      const only = common(before.only, arms);
      const answered = before.answered === 'never' && !call.is_error ? 'later' : before.answered;
      if (only !== before.only || answered !== before.answered) memory.keep(known, standing({ ...before, only, answered }));
      if (gathering.isGathered(known)) gathering.addCall(known, readingOf(call, arms));
      return { unit: known, isFirst: false, arms, scored: before.scored };
    }
    const first = eachArm(arms, (arm, { openedMs }) => (call.start_ms < openedMs ? NEITHER : arm));
    const unit = memory.add(id, { slot, span_id: call.span_id, start_ms: call.start_ms }, standing({ first, only: first, answered: call.is_error ? 'never' : 'at_first', scored: NOT_SCORED }));
    if (windowSlots > 0) gathering.begin(unit, readingOf(call, arms));
    return { unit, isFirst: true, arms, scored: NOT_SCORED };
  };

  const judge = (slot: number, score: ScoreObservation): ScoreMeeting => {
    const arms = armsOf(score.seen);
    const unit = memory.find(unitIdOf(score, crowd), slot);
    if (unit === null) return { unit, isOfFirstCall: false, arms, scored: NOT_SCORED };
    const isOfFirstCall = memory.isFirstSpan(unit, score.span_id);
    const before = memory.kept(unit);
    const { scored } = before;
    const isGathered = gathering.isGathered(unit);
    if (isGathered) gathering.addScore(unit, judgementOf(score, arms));
    // One that the session window leaves out does not count; one that comes when the unit is complete may.
    const afterMs = score.start_ms - memory.startMs(unit);
    const age = slot - memory.firstSlot(unit);
    const counted = !isGathered ? arms : eachArm(arms, (arm, member) => (age <= slotsIn(member.sessionWindowS) && afterMs > member.sessionWindowS * 1000 ? NEITHER : arm));
    if (!isSignalMetric(score.name)) memory.keep(unit, standing({ ...before, scored: withScored(scored, { name: score.name, isOfFirstCall, arms: counted }) }));
    return { unit, isOfFirstCall, arms, scored };
  };

  return {
    join(member) {
      const left = members.indexOf(null);
      const place = left < 0 ? members.length : left;
      members[place] = member;
      setWindow();
      return place;
    },
    leave(place) {
      members[place] = null;
      setWindow();
    },
    feed(slot, calls, scores) {
      if (slot === fed.slot) return fed.meetings;
      if (slot < fed.slot) throw new RangeError(`slot ${slot} comes after slot ${fed.slot}: units are fed in the order of slots`);
      gathering.forget(slot - windowSlots);
      if (windowSlots > 0 && calls.length > 0) gathering.open(slot, calls.length);
      armsOfSeen.clear();
      fed = { slot, meetings: { calls: calls.map((call) => meet(slot, call)), scores: scores.map((score) => judge(slot, score)) } };
      return fed.meetings;
    },
    gathering,
    recall({ units, sessions }) {
      const none = NEITHER.repeat(members.length);
      for (const { id, first, slot, answered, scored } of units) {
        const known = memory.find(id, slot);
        const unit = known ?? memory.add(id, first, standing({ first: none, only: none, answered, scored: scored.map(({ name, span_id }) => ({ name, isOfFirstCall: span_id === first.span_id, arms: none })) }));
        memory.touch(unit, slot);
      }
      for (const session of sessions) crowd.count(session);
    },
    recallArms(place, units) {
      for (const { id, slot, ...arms } of units) {
        const unit = memory.find(id, slot);
        if (unit === null) continue;
        const before = memory.kept(unit);
        const first = withLetter(before.first, place, arms.first);
        // A score is of the arm of its unit, as far as is known.
        memory.keep(unit, standing({ ...before, first, only: withLetter(before.only, place, arms.only), scored: before.scored.map((each) => ({ ...each, arms: first })) }));
      }
    },
    firstSlot: memory.firstSlot,
    startMs: memory.startMs,
    firstArm: (unit, place) => armAt(memory.kept(unit).first, place),
    onlyArm: (unit, place) => armAt(memory.kept(unit).only, place),
    answered: (unit) => memory.kept(unit).answered,
    forgottenEarly: memory.forgottenEarly,
  };
}

export function unitIdOf(observation: { readonly session_id: string | null; readonly trace_id: string }, crowd: Pick<Crowd, 'isCrowd'>): string {
  const { session_id, trace_id } = observation;
  return session_id === null || crowd.isCrowd(session_id) ? `t:${trace_id}` : `s:${session_id}`;
}

function readingOf(call: CallObservation, arms: Arms): Reading {
  return { start_ms: call.start_ms, seen: call.seen, arms, readings: readingsOf(call) };
}

function judgementOf({ slot, start_ms, seen, name, value, data_type }: ScoreObservation, arms: Arms): Judgement {
  return { slot, start_ms, seen, name, value, data_type, arms };
}

/** Slots until a session window is over. */
export const slotsIn = (seconds: number): number => Math.ceil((seconds * 1000) / SLOT_MS);

const NEITHER = '-';
const NOT_SCORED: readonly Scored[] = [];

export function armAt(arms: Arms, place: number): Arm | null {
  const letter = arms[place];
  return letter === 'a' || letter === 'b' ? letter : null;
}

/** The letters that two rows have in common. */
function common(left: Arms, right: Arms): Arms {
  return left === right ? left : Array.from(left, (letter, place) => (letter === right[place] ? letter : NEITHER)).join('');
}

function withLetter(arms: Arms, place: number, arm: Arm | null): Arms {
  return `${arms.slice(0, place).padEnd(place, NEITHER)}${arm ?? NEITHER}${arms.slice(place + 1)}`;
}

function withScored(scored: readonly Scored[], added: Scored): readonly Scored[] {
  return scored.some(({ name, isOfFirstCall, arms }) => name === added.name && isOfFirstCall === added.isOfFirstCall && arms === added.arms) ? scored : [...scored, added];
}

/** Equal standings are one object. */
function createStandings(): (standing: Standing) => Standing {
  const shared = new Map<string, Standing>();
  return (made) => {
    const { first, only, answered, scored } = made;
    const key = JSON.stringify([first, only, answered, scored.map(({ name, isOfFirstCall, arms }) => JSON.stringify([name, isOfFirstCall, arms])).sort()]);
    const known = shared.get(key);
    if (known !== undefined) return known;
    if (shared.size < MOST_SHARED) shared.set(key, made);
    return made;
  };
}
