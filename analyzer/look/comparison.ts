import type { BeforeAfter, ComparisonSettings, Guard, MetricSettings, Stratum } from '../../schemas/evidence.ts';
import { takenOverSince, isGivenBack, withSlot, type Traffic } from './cutover.ts';
import { carrying, factorNamed, type FactorName } from './factors.ts';
import { JudgedUnits, stretchOf } from './judged.ts';
import { bySlot, type PromptKey, type CallObservation, type ScoreObservation } from './observations.ts';
import { learnMetric, type MetricPolicy } from './references.ts';
import { FORM, type ComparisonSnapshot } from './snapshot.ts';
import { StartWindows } from './start-windows.ts';
import { advance, controlsOf, createEvidence, evidenceOf, pairsAfter, type EvidenceState } from '../statistics/evidence.ts';
import { createPromptUnits, slotsIn, type PastArms, type PromptUnits } from './prompt-units.ts';
import { Units, type UnitCounts } from './units.ts';
import { LONGEST as LONGEST_WINDOW } from '../statistics/window-length.ts';
import type { MetricLookUp } from './unit-values.ts';
import { Windows, type WindowSchedule } from './windows.ts';

export type ComparisonIdentity = PromptKey & {
  readonly comparison_id: string;
  readonly factor: FactorName;
  readonly baseline: string;
  readonly candidate: string;
  readonly epoch: number;
};

export type CountedUnits = Pick<JudgedUnits, 'began' | 'evidence' | 'judges' | 'isHeardAt'>;

export type SlotOutcome = Evidence & { readonly strata: readonly Stratum[] };

/** `controls`: how those of each metric did; null while both arms run together. */
export type Evidence = { readonly e_value: number; readonly metrics: Readonly<Record<string, number>>; readonly controls: ReturnType<typeof controlsOf> };

/** Units of a metric that was not there at the opening, from which it is learnt before it is bet on. */
const LEARNING_UNITS = 50;
/** A score name can be anything; past this many metrics a comparison takes no new ones. */
const MAX_METRICS = 64;
const NO_UNITS = { a: 0, b: 0 };
/** One for all that learn nothing. */
const NOTHING: ComparisonSnapshot['learning'] = {};

/**
 * One comparison while it is open: a baseline and a candidate value of one factor of one prompt, fed slot by slot.
 * Everything that decides how a slot is bet on was fixed before it: references, weights, models, window lengths.
 */
export class Comparison {
  readonly identity: ComparisonIdentity;
  readonly #policy: MetricPolicy;
  readonly #units: Units;
  readonly #windows: Windows;
  readonly #startWindows: StartWindows;
  readonly #judged: JudgedUnits;
  #settings: ComparisonSettings;
  #slot: number;
  #changed: number;
  #evidence: EvidenceState;
  #traffic: Traffic;
  #guardsOverTime: readonly Guard[];
  #learning: ComparisonSnapshot['learning'];
  /** The slot whose rows are taken, or were last; one that is taken again after a restart is in the snapshot, with what its units taught and counted. */
  #taken = 0;
  #isRefilling = false;

  /** @param promptUnits those of the prompt, which its comparisons share. */
  constructor(
    identity: ComparisonIdentity,
    { settings, schedule, policy }: { readonly settings: ComparisonSettings; readonly schedule: WindowSchedule; readonly policy: MetricPolicy },
    restored: ComparisonSnapshot | null = null,
    promptUnits: PromptUnits = createPromptUnits(),
  ) {
    this.identity = identity;
    this.#policy = policy;
    this.#settings = settings;
    this.#slot = restored?.slot ?? settings.opened_slot;
    this.#changed = this.#slot;
    this.#evidence = restored?.evidence ?? createEvidence();
    this.#traffic = restored?.traffic ?? [];
    this.#guardsOverTime = restored?.guards_over_time ?? [];
    this.#windows = new Windows(settings.opened_slot, restored?.schedule ?? schedule);
    this.#startWindows = new StartWindows(settings.opened_ms, restored?.startWindows);
    this.#learning = restored?.learning ?? NOTHING;
    this.#judged = new JudgedUnits(
      {
        first: restored === null ? stretchOf(settings.opened_slot + 1) : stretchOf(restored.slot) + 1,
        windowSlots: slotsIn(settings.session_window_s),
        isMetric: (name) => Object.hasOwn(this.#settings.metrics, name) || Object.hasOwn(this.#learning, name),
      },
      restored?.judged,
    );
    const { carried, group, opened_slot, opened_ms, session_window_s } = settings;
    const { baseline, candidate } = identity;
    const metric: MetricLookUp = (name, value, kind) => this.#metricFor(name, value, kind);
    this.#units = new Units(
      promptUnits,
      { factor: carrying(factorNamed(identity.factor), carried), group, baseline, candidate, openedSlot: opened_slot, openedMs: opened_ms, sessionWindowS: session_window_s, metric, judged: this.#judged },
      restored?.routing,
    );
  }

  /** What guards are told by, where arms run together. */
  get judged(): CountedUnits {
    return this.#judged;
  }

  settings(): ComparisonSettings {
    return this.#settings;
  }

  /** How many calls each arm had in the slot that is fed next. */
  count(slot: number, counts: { readonly a: number; readonly b: number }): void {
    this.#traffic = withSlot(this.#traffic, slot, counts);
    const plan = this.#settings.before_after;
    // A window of both arms that began before this is given up with it: no unit is bet on twice.
    if (plan !== null && plan.ended_slot === null && isGivenBack(this.#traffic, slot)) this.#settings = { ...this.#settings, before_after: { ...plan, ended_slot: slot } };
  }

  /** From the last counted slot on the candidate has all calls: since which slot. Null: no, or it is known. */
  takeover(): { readonly since: number; readonly hasRunTogether: boolean } | null {
    const last = this.#traffic.at(-1)?.[0];
    const since = this.#settings.before_after !== null || last === undefined ? null : takenOverSince(this.#traffic, last);
    return since === null ? null : { since, hasRunTogether: Object.keys(this.#evidence.metrics).length > 0 };
  }

  /** Which guards fire. Those of times stay as they are where they are not told. */
  guard({ together, overTime = this.#guardsOverTime }: { readonly together: readonly Guard[]; readonly overTime?: readonly Guard[] | undefined }): void {
    this.#guardsOverTime = overTime;
    const guards = [...together, ...overTime.filter(({ metric }) => !together.some((guard) => guard.metric === metric))];
    if (JSON.stringify(guards) === JSON.stringify(this.#settings.guards)) return;
    this.#settings = { ...this.#settings, guards };
    this.#changed = this.#slot;
  }

  /** From now on times are compared. */
  beginBeforeAfter(plan: BeforeAfter): void {
    this.#settings = { ...this.#settings, before_after: plan };
  }

  /**
   * One slot, in order. `compared` are strata of times that it completes. Returns the strata that it closed and the evidence after them. `settled`: strata that are durable
   * already (written by a process that died before it could say so); the first durable row is the one that counts.
   */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[], settled: ReadonlyMap<string, Stratum>, compared: readonly Stratum[] = []): SlotOutcome {
    this.#slot = slot;
    const completed = this.#take(slot, calls, scores);
    const together = this.#close(slot, this.#units.started());
    const closed = [...(this.#isOverTime(slot) ? [] : together), ...compared];
    const strata = settled.size === 0 ? closed : closed.map((stratum) => settled.get(stratumKey(stratum)) ?? stratum);
    if (strata.length > 0) this.#evidence = advance(this.#evidence, this.#settings, slot, strata);
    if (calls.length + scores.length + completed + strata.length > 0 || this.#settings.before_after !== null) this.#changed = slot;
    return { strata, ...this.evidence() };
  }

  /**
   * Passes the slots up to (without) one: those after the state that was kept, in which nothing came of the prompt and nothing came of what was there. To be called before
   * units and open windows are filled.
   */
  rest(until: number): void {
    for (let slot = this.#slot + 1; slot < until; slot += 1) {
      this.count(slot, NO_UNITS);
      this.#slot = slot;
      this.#close(slot, NO_UNITS);
    }
  }

  /** The last slot in which more happened than that time passed. While times are compared, any. */
  changed(): number {
    return this.#changed;
  }

  /** Feeds a slot that was bet on before a restart: units and open windows are filled, nothing is bet. Once; again it does nothing. */
  refill(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): void {
    if (slot <= this.#taken) return;
    this.#isRefilling = true;
    this.#take(slot, calls, scores);
    this.#isRefilling = false;
  }

  /** The arms of units of before `refillFrom`. */
  recall(units: Iterable<PastArms>): void {
    this.#units.recall(units);
  }

  /** Strata that became durable in slots that were passed: what was bet on counts, also where the prompt was set aside before its slot was done with. */
  recallBets(strata: readonly Stratum[]): void {
    for (const [slot, ofSlot] of bySlot(strata)) this.#evidence = advance(this.#evidence, this.#settings, slot, ofSlot);
  }

  /** Strata of times that were bet on before a restart, in order of slots. */
  recallPairs(strata: readonly Stratum[]): void {
    for (const ofSlot of bySlot(strata).values()) this.#evidence = { ...this.#evidence, pairs: pairsAfter(this.#evidence.pairs, this.#settings, ofSlot) };
  }

  /** The slot of the last bet-on or seen slot; before the first, that of the opening. */
  slot(): number {
    return this.#slot;
  }

  /** From here on rows must be read again after a restart. */
  refillFrom(): number {
    return Math.min(this.#slot + 1, this.#windows.oldestOpenSlot()) - this.#units.reachSlots;
  }

  evidence(): Evidence {
    return { ...evidenceOf(this.#evidence, this.#settings), controls: controlsOf(this.#evidence, this.#settings) };
  }

  unitCounts(): UnitCounts {
    return this.#units.counts();
  }

  /** What was left out because there was too much of it, in words; empty: nothing. */
  leftOut(): string {
    const { forgotten_early } = this.#units.counts();
    return [
      this.#windows.leftOut() > 0 ? `${this.#windows.leftOut()} units of very many routes or models are not compared` : '',
      forgotten_early > 0 ? `${forgotten_early} units were forgotten before their day was over` : '',
    ].filter((limit) => limit !== '').join('; ');
  }

  snapshot(): ComparisonSnapshot {
    return {
      form: FORM, slot: this.#slot, evidence: { ...this.#evidence, pairs: {} }, traffic: this.#traffic, schedule: this.#windows.schedule(), startWindows: this.#startWindows.snapshot(), routing: this.#units.routing(),
      learning: this.#learning, judged: this.#judged.snapshot(), guards_over_time: this.#guardsOverTime,
    };
  }

  /** It is over. */
  leave(): void {
    this.#units.leave();
  }

  /**
   * A metric that the comparison has; one that it meets for the first time is learnt from its first units. Units of the slots in
   * which it was learnt are not bet on, though their window may close later.
   */
  #metricFor(name: string, value: number, kind: 'signal' | 'numeric' | 'boolean'): MetricSettings | null {
    const { metrics, reserve } = this.#settings;
    const known = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
    if (known !== undefined) return this.#taken >= known.from_slot ? known : null;
    const learning = new Map(Object.entries(this.#learning));
    if (Object.keys(metrics).length + learning.size >= MAX_METRICS && !learning.has(name)) return null;
    if (this.#isRefilling) return null;
    const values = [...(learning.get(name) ?? []), value];
    const choice = this.#policy(name, kind);
    const isLearnt = choice.kind === 'rate' || values.length >= LEARNING_UNITS;
    if (isLearnt) learning.delete(name);
    else learning.set(name, values);
    // fromEntries, because a score may be called "__proto__".
    this.#learning = Object.fromEntries(learning);
    if (!isLearnt) return null;
    const weight = choice.weight > 0 ? reserve / 2 : 0;
    const metric = learnMetric(choice, values, { weight, fromSlot: this.#taken + 1 });
    this.#settings = { ...this.#settings, reserve: reserve - weight, metrics: { ...metrics, [name]: metric } };
    return null;
  }

  /** Returns how many units became complete. */
  #take(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): number {
    this.#taken = slot;
    const completed = this.#isRefilling ? this.#units.refill(slot, calls, scores) : this.#units.feed(slot, calls, scores);
    for (const { family, entry } of completed) {
      if (this.#isRefilling) this.#windows.refill(family, slot, entry);
      else this.#windows.add(family, slot, entry);
    }
    return completed.length;
  }

  #close(slot: number, started: { readonly a: number; readonly b: number }): Stratum[] {
    this.#judged.close(slot);
    this.#startWindows.observe(slot, started);
    const asked = { startWindowOf: (startMs: number) => this.#startWindows.windowOf(startMs), isMixed: (unit: number) => this.#units.isMixed(unit) };
    return this.#windows.close(slot, asked).map((closed): Stratum => ({ ...closed, use: 'bet' }));
  }

  #isOverTime(slot: number): boolean {
    const { before_after } = this.#settings;
    return before_after !== null && (before_after.ended_slot === null || slot <= before_after.ended_slot + LONGEST_WINDOW);
  }
}

/** What makes two strata of a comparison the same. */
export function stratumKey(stratum: Omit<Stratum, 'use'>): string {
  return JSON.stringify([stratum.metric, stratum.slot, stratum.begin_slot, stratum.start_window_ms, stratum.model, stratum.operation, stratum.route, stratum.control]);
}
