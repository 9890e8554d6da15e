import type { BeforeAfter, ComparisonSettings, Guard, MetricSettings, Stratum } from '../../schemas/evidence.ts';
import { takenOverSince, isGivenBack, withSlot, type Traffic } from './cutover.ts';
import { FORM } from './earlier-form.ts';
import { carrying, factorNamed, type FactorName } from './factors.ts';
import { JudgedUnits, stretchOf, type JudgedState } from './judged.ts';
import { bySlot, type PromptKey, type CallObservation, type ScoreObservation } from './observations.ts';
import { learnMetric, type MetricPolicy } from './references.ts';
import { createStartWindows, type StartWindowState } from './start-windows.ts';
import { advance, controlsOf, createEvidence, evidenceOf, pairsAfter, type EvidenceState } from '../statistics/evidence.ts';
import { createPromptUnits, slotsIn, type PastArms, type PromptUnits } from './prompt-units.ts';
import { createUnits, type Routing, type UnitCounts } from './units.ts';
import { LONGEST as LONGEST_WINDOW } from '../statistics/window-length.ts';
import { createWindows, type WindowSchedule } from './windows.ts';

/**
 * One comparison while it is open: a baseline and a candidate value of one factor of one prompt, fed slot by slot.
 * Everything that decides how a slot is bet on was fixed before it: references, weights, models, window lengths.
 */
export type ComparisonIdentity = PromptKey & {
  readonly comparison_id: string;
  readonly factor: FactorName;
  readonly baseline: string;
  readonly candidate: string;
  readonly epoch: number;
};

export type Comparison = {
  readonly identity: ComparisonIdentity;
  settings(): ComparisonSettings;
  /** How many calls each arm had in the slot that is fed next. */
  count(slot: number, counts: { readonly a: number; readonly b: number }): void;
  /** From the last counted slot on the candidate has all calls: since which slot. Null: no, or it is known. */
  takeover(): { readonly since: number; readonly hasRunTogether: boolean } | null;
  /** What guards are told by, where arms run together. */
  readonly judged: CountedUnits;
  /** Which guards fire. Those of times stay as they are where they are not told. */
  guard(guards: { readonly together: readonly Guard[]; readonly overTime?: readonly Guard[] | undefined }): void;
  /** From now on times are compared. */
  beginBeforeAfter(plan: BeforeAfter): void;
  /**
   * One slot, in order. `compared` are strata of times that it completes. Returns the strata that it closed and the evidence after them. `settled`: strata that are durable
   * already (written by a process that died before it could say so); the first durable row is the one that counts.
   */
  feed(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[], settled: ReadonlyMap<string, Stratum>, compared?: readonly Stratum[]): SlotOutcome;
  /** Feeds a slot that was bet on before a restart: units and open windows are filled, nothing is bet. Once; again it does nothing. */
  refill(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): void;
  /** The arms of units of before `refillFrom`. */
  recall(units: Iterable<PastArms>): void;
  /** Strata of times that were bet on before a restart, in order of slots. */
  recallPairs(strata: readonly Stratum[]): void;
  /** The slot of the last bet-on or seen slot; before the first, that of the opening. */
  slot(): number;
  /** From here on rows must be read again after a restart. */
  refillFrom(): number;
  evidence(): Evidence;
  unitCounts(): UnitCounts;
  /** What was left out because there was too much of it, in words; empty: nothing. */
  leftOut(): string;
  snapshot(): ComparisonSnapshot;
  /** It is over. */
  leave(): void;
};

export type CountedUnits = Pick<JudgedUnits, 'began' | 'evidence' | 'judges' | 'isHeardAt'>;

export type SlotOutcome = Evidence & { readonly strata: readonly Stratum[] };

/** `controls`: how those of each metric did; null while both arms run together. */
export type Evidence = { readonly e_value: number; readonly metrics: Readonly<Record<string, number>>; readonly controls: ReturnType<typeof controlsOf> };

export type ComparisonSnapshot = {
  readonly form: typeof FORM;
  readonly slot: number;
  readonly evidence: EvidenceState;
  readonly schedule: WindowSchedule;
  readonly startWindows: StartWindowState;
  readonly routing: Routing;
  readonly traffic: Traffic;
  /** First values of metrics that are still being learnt. */
  readonly learning: Readonly<Record<string, readonly number[]>>;
  /** Null: it was written before they were counted. */
  readonly judged: JudgedState | null;
  readonly guards_over_time: readonly Guard[];
};

/** Units of a metric that was not there at the opening, from which it is learnt before it is bet on. */
const LEARNING_UNITS = 50;
/** A score name can be anything; past this many metrics a comparison takes no new ones. */
const MAX_METRICS = 64;

/** @param promptUnits those of the prompt, which its comparisons share. */
export function createComparison(
  identity: ComparisonIdentity,
  opening: { readonly settings: ComparisonSettings; readonly schedule: WindowSchedule; readonly policy: MetricPolicy },
  restored: ComparisonSnapshot | null = null,
  promptUnits: PromptUnits = createPromptUnits(),
): Comparison {
  let settings = opening.settings;
  let slotNow = restored?.slot ?? settings.opened_slot;
  let evidence: EvidenceState = restored?.evidence ?? createEvidence();
  let traffic: Traffic = restored?.traffic ?? [];
  const factor = factorNamed(identity.factor);
  const windows = createWindows(settings.opened_slot, restored?.schedule ?? opening.schedule);
  const startWindows = createStartWindows(settings.opened_ms, restored?.startWindows);
  const learning = new Map<string, number[]>(Object.entries(restored?.learning ?? {}).map(([name, values]) => [name, [...values]]));

  /** The slot whose rows are taken, or were last; one that is taken again after a restart is in the snapshot, with what its units taught and counted. */
  let taken = 0;
  let isRefilling = false;

  /**
   * A metric that the comparison has; one that it meets for the first time is learnt from its first units. Units of the slots in
   * which it was learnt are not bet on, though their window may close later.
   */
  const metricFor = (name: string, value: number, kind: 'signal' | 'numeric' | 'boolean'): MetricSettings | null => {
    const known = Object.hasOwn(settings.metrics, name) ? settings.metrics[name] : undefined;
    if (known !== undefined) return taken >= known.from_slot ? known : null;
    if (Object.keys(settings.metrics).length + learning.size >= MAX_METRICS && !learning.has(name)) return null;
    if (isRefilling) return null;
    const values = learning.get(name) ?? [];
    learning.set(name, values);
    values.push(value);
    const choice = opening.policy(name, kind);
    if (choice.kind !== 'rate' && values.length < LEARNING_UNITS) return null;
    learning.delete(name);
    const weight = choice.weight > 0 ? settings.reserve / 2 : 0;
    const metric = learnMetric(choice, values, { weight, fromSlot: taken + 1 });
    settings = { ...settings, reserve: settings.reserve - weight, metrics: { ...settings.metrics, [name]: metric } };
    return null;
  };

  const judged = new JudgedUnits(
    {
      first: restored === null ? stretchOf(settings.opened_slot + 1) : stretchOf(restored.slot) + 1,
      windowSlots: slotsIn(settings.session_window_s),
      isMetric: (name) => Object.hasOwn(settings.metrics, name) || learning.has(name),
    },
    restored?.judged,
  );
  let guardsOverTime: readonly Guard[] = restored?.guards_over_time ?? [];

  const units = createUnits(
    promptUnits,
    { factor: carrying(factor, settings.carried), group: settings.group, baseline: identity.baseline, candidate: identity.candidate, openedSlot: settings.opened_slot, openedMs: settings.opened_ms, sessionWindowS: settings.session_window_s, metric: metricFor, judged },
    restored?.routing,
  );

  const take = (slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): void => {
    taken = slot;
    if (isRefilling) for (const { family, entry } of units.refill(slot, calls, scores)) windows.refill(family, slot, entry);
    else for (const { family, entry } of units.feed(slot, calls, scores)) windows.add(family, slot, entry);
  };

  const isOverTime = (slot: number): boolean => settings.before_after !== null && (settings.before_after.ended_slot === null || slot <= settings.before_after.ended_slot + LONGEST_WINDOW);

  return {
    identity,
    settings: () => settings,
    count(slot, counts) {
      traffic = withSlot(traffic, slot, counts);
      const plan = settings.before_after;
      // A window of both arms that began before this is given up with it: no unit is bet on twice.
      if (plan !== null && plan.ended_slot === null && isGivenBack(traffic, slot)) settings = { ...settings, before_after: { ...plan, ended_slot: slot } };
    },
    takeover() {
      const last = traffic.at(-1)?.[0];
      const since = settings.before_after !== null || last === undefined ? null : takenOverSince(traffic, last);
      return since === null ? null : { since, hasRunTogether: Object.keys(evidence.metrics).length > 0 };
    },
    judged,
    guard({ together, overTime = guardsOverTime }) {
      guardsOverTime = overTime;
      settings = { ...settings, guards: [...together, ...overTime.filter(({ metric }) => !together.some((guard) => guard.metric === metric))] };
    },
    beginBeforeAfter: (plan) => void (settings = { ...settings, before_after: plan }),
    feed(slot, calls, scores, settled, compared = []) {
      slotNow = slot;
      take(slot, calls, scores);
      judged.close(slot);
      startWindows.observe(slot, units.started());
      const together = windows.close(slot, { startWindowOf: startWindows.windowOf, isMixed: units.isMixed }).map((closed): Stratum => ({ ...closed, use: 'bet' }));
      const closed = [...(isOverTime(slot) ? [] : together), ...compared];
      const strata = settled.size === 0 ? closed : closed.map((stratum) => settled.get(stratumKey(stratum)) ?? stratum);
      if (strata.length > 0) evidence = advance(evidence, settings, slot, strata);
      return { strata, ...evidenceOf(evidence, settings), controls: controlsOf(evidence, settings) };
    },
    refill(slot, calls, scores) {
      if (slot <= taken) return;
      isRefilling = true;
      take(slot, calls, scores);
      isRefilling = false;
    },
    recall: units.recall,
    recallPairs(strata) {
      for (const ofSlot of bySlot(strata).values()) evidence = { ...evidence, pairs: pairsAfter(evidence.pairs, settings, ofSlot) };
    },
    slot: () => slotNow,
    refillFrom: () => Math.min(slotNow + 1, windows.oldestOpenSlot()) - units.reachSlots,
    evidence: () => ({ ...evidenceOf(evidence, settings), controls: controlsOf(evidence, settings) }),
    unitCounts: units.counts,
    leftOut: () => [
      windows.leftOut() > 0 ? `${windows.leftOut()} units of very many routes or models are not compared` : '',
      units.counts().forgotten_early > 0 ? `${units.counts().forgotten_early} units were forgotten before their day was over` : '',
    ].filter((limit) => limit !== '').join('; '),
    snapshot: () => ({ form: FORM, slot: slotNow, evidence: { ...evidence, pairs: {} }, traffic, schedule: windows.schedule(), startWindows: startWindows.snapshot(), routing: units.routing(), learning: Object.fromEntries(learning), judged: judged.snapshot(), guards_over_time: guardsOverTime }),
    leave: units.leave,
  };
}

/** What makes two strata of a comparison the same. */
export function stratumKey(stratum: Omit<Stratum, 'use'>): string {
  return JSON.stringify([stratum.metric, stratum.slot, stratum.begin_slot, stratum.start_window_ms, stratum.model, stratum.operation, stratum.route, stratum.control]);
}
