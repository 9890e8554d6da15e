import type { Alert } from '../../schemas/alert.ts';
import type { Stratum } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { createAlertRecord, type AlertRecord } from './alert-record.ts';
import { alertOf, findingOf, isPastThreshold } from './alerting.ts';
import { strataOver, lastSlotOf } from './before-after.ts';
import type { Comparison, Evidence } from './comparison.ts';
import type { Bystander } from './drift-alert.ts';
import { planBeforeAfter, tapeNeedOf } from './cutover.ts';
import { FACTORS, factorNamed, type Factor, type FactorName } from './factors.ts';
import { ALERT_RESOLVED, loadAlertStates, loadStrata, type AlertState, type ComparisonFile, type LookRows, type StoredComparison } from './look-store.ts';
import { createNewcomers, firstStartMs, TEN_MINUTES, type Newcomers } from './newcomers.ts';
import { selectExamples, type Activity, type PromptKey } from './observations.ts';
import type { RangeRows } from './range-rows.ts';
import type { MetricPolicy } from './references.ts';
import { slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import type { Tape } from './tape.ts';
import type { Tapes } from './tapes.ts';
import { countArms, openFromStore, restoreFromStore } from './taking-up.ts';

/**
 * What happens to one prompt, slot by slot, in two steps: its open comparisons are fed; then, when all prompts have been, alerts are raised and
 * resolved, and comparisons opened for what is new on it.
 */
export type PromptWatch = {
  readonly key: PromptKey;
  feed(slot: number, active: readonly Activity[], rows: RangeRows): Promise<void>;
  conclude(slot: number, active: readonly Activity[], rows: RangeRows): Promise<PromptEvent[]>;
  /** Whether a slot with this activity has anything to do; else `greet` is enough. */
  isBusy(active: readonly Activity[]): boolean;
  greet(slot: number, active: readonly Activity[]): void;
  newcomersOf(factor: FactorName, group: string): Newcomers;
  recallOpening(slot: number): void;
  /** Comparisons that were opened within the hour before a slot: what changed on it. */
  changesBefore(slot: number): readonly Bystander[];
  /** Files the state of every open comparison with the rows to be written. */
  keep(): void;
  /** Comparisons that have an alert. */
  alerted(): readonly string[];
  /** What people decided about alerts since the last look. */
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** Takes up a comparison that an earlier process left open. */
  restore(stored: StoredComparison): Promise<void>;
  /** Tapes that its comparisons still read. */
  tapes(): Iterable<Tape>;
};

export type PromptEvent =
  | { readonly kind: 'look'; readonly slot: number; readonly comparisons: readonly { readonly comparison_id: string; readonly e_value: number }[] }
  | { readonly kind: 'alert'; readonly slot: number; readonly comparison_id: string; readonly alert: Alert };

export type PromptSettings = {
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly publicUrl: string;
  readonly metricPolicy: MetricPolicy;
  readonly baseline: string | undefined;
  readonly owner: string | null;
};

type Watched = {
  readonly comparison: Comparison;
  readonly newcomers: Newcomers;
  readonly settled: Map<string, Stratum>;
  readonly record: AlertRecord;
  /** All of them, from the first time on that the evidence was past its threshold: an effect within its tolerance may stay so for days. */
  strata: Stratum[] | null;
  /** Of the prompt (empty name) and its controls, while times are compared. */
  tapes: ReadonlyMap<string, Tape>;
  /** The slot that was fed last by this process, and the evidence after it where it closed a stratum. */
  fed: { readonly slot: number; readonly evidence: Evidence | null } | null;
};

const FOURTEEN_DAYS = 14 * SLOTS_PER_DAY;
/** An alert resolves when its culprit had no traffic for this long, while the baseline had. */
const RESOLVED_AFTER = SLOTS_PER_HOUR / 2;
const EXAMPLES = 5;

export function createPromptWatch(deps: { readonly store: Store; readonly rows: LookRows; readonly tapes: Tapes }, key: PromptKey, settings: PromptSettings): PromptWatch {
  const { store, rows, tapes } = deps;
  /** By factor, group and candidate. */
  const comparisons = new Map<string, Watched>();
  const newcomers = new Map<string, Newcomers>();
  /** When comparisons were opened last: those within ten minutes share one α. */
  let openedSlot = Number.NEGATIVE_INFINITY;
  const nameOf = (factor: FactorName, group: string, value: string): string => `${factor}\0${group}\0${value}`;

  const newcomersOf = (factorName: FactorName, group: string): Newcomers => {
    const name = nameOf(factorName, group, '');
    let known = newcomers.get(name);
    if (known === undefined) {
      const configured = factorName === 'prompt_version' ? settings.baseline : undefined;
      known = createNewcomers({ store, factor: factorNamed(factorName), group, configured, isCompared: (value) => comparisons.has(nameOf(factorName, group, value)) }, key);
      newcomers.set(name, known);
    }
    return known;
  };

  /** The values of every factor that were active. */
  const valuesIn = (active: readonly Activity[]): Map<Newcomers, string[]> => {
    const values = new Map<Newcomers, string[]>();
    for (const row of active) {
      for (const factor of FACTORS) {
        const seen = { ...row, operation: '', route: '' };
        const value = factor.valueOf(seen);
        if (value === '') continue;
        const of = newcomersOf(factor.name, factor.groupOf(seen));
        const known = values.get(of);
        if (known === undefined) values.set(of, [value]);
        else if (!known.includes(value)) known.push(value);
      }
    }
    return values;
  };

  const tapesFor = async ({ comparison }: Pick<Watched, 'comparison'>, upTo: number): Promise<ReadonlyMap<string, Tape>> => {
    const plan = comparison.settings().before_after;
    if (plan === null || plan.ended_slot !== null || upTo > lastSlotOf(plan)) return new Map();
    const need = { ...tapeNeedOf(plan), upTo };
    const held = new Map([['', await tapes.open(key, need)]]);
    for (const { prompt } of plan.controls) held.set(prompt, await tapes.open({ ...key, prompt_name: prompt }, need));
    return held;
  };

  /** Opens the comparison of times when the candidate has taken over. */
  const followTakeover = async (watched: Watched, slot: number): Promise<void> => {
    const { comparison } = watched;
    const takeover = comparison.takeover();
    if (takeover === null) return;
    const arms = armsOf(comparison);
    const plan = await planBeforeAfter({ store, tapes }, key, arms, comparison.settings(), { slot, ...takeover });
    if (plan === null) return;
    comparison.beginBeforeAfter(plan);
    watched.tapes = await tapesFor(watched, slot);
  };

  const decide = async (watched: Watched, slot: number, { evidence, version }: { readonly evidence: Evidence; readonly version: string | null }): Promise<Alert | null> => {
    const { comparison, record } = watched;
    const frozen = comparison.settings();
    const known = record.current();
    const isOpenEnded = known === null || (known.evidence.grade === 'alone' && known.state !== 'resolved');
    if (!isOpenEnded || !isPastThreshold(evidence, frozen)) return null;
    if (watched.strata === null) {
      await rows.flush();
      watched.strata = await loadStrata(store, comparison.identity.comparison_id, { after: -1, upTo: slot });
    }
    const { strata } = watched;
    const finding = findingOf(evidence, frozen, strata);
    if (finding === null || (known !== null && finding.grade === 'alone')) return null;
    const { candidate, factor } = comparison.identity;
    const examples = await selectExamples(store, factorNamed(factor), {
      ...key, group: frozen.group, value: candidate, metric: finding.metric, direction: finding.settings.direction, onset_ms: finding.onsetMs, to_slot: slot, limit: EXAMPLES,
    });
    const raisedMs = slotStartMs(slot + 1);
    const alert = alertOf({ identity: comparison.identity, settings: frozen, evidence, strata, finding, examples, raisedMs, version, owner: settings.owner, publicUrl: settings.publicUrl });
    return record.change(known === null ? alert : { ...alert, state: known.state }, { atMs: raisedMs, reason: known === null ? 'evidence past its threshold' : 'evidence past its threshold with controls as well' });
  };

  const silentFor = (watched: Watched, value: string, slot: number): number => slot - watched.newcomers.lastSlot(value);

  const resolveSilent = (watched: Watched, slot: number): Alert | null => {
    const { baseline, candidate } = watched.comparison.identity;
    const alert = watched.record.current();
    if (alert === null || alert.state === 'resolved') return null;
    if (silentFor(watched, candidate, slot) < RESOLVED_AFTER || silentFor(watched, baseline, slot) >= RESOLVED_AFTER) return null;
    const atMs = slotStartMs(slot + 1);
    return watched.record.change({ ...alert, state: 'resolved', resolved_at: new Date(atMs).toISOString() }, { atMs, reason: `${candidate} takes no more traffic` });
  };

  /** Whether a comparison is over, and why. With an open alert it goes on until that is resolved. */
  const endOf = (watched: Watched, slot: number): string | null => {
    const { comparison, record } = watched;
    const { baseline, candidate } = comparison.identity;
    const alert = record.current();
    if (alert !== null) {
      // Resolved in a slot that is still to be looked at again, after a restart: not over before it.
      return alert.state === 'resolved' && slotStartMs(slot + 1) >= Date.parse(alert.resolved_at ?? '') ? ALERT_RESOLVED : null;
    }
    if (silentFor(watched, candidate, slot) > SLOTS_PER_DAY) return `no call of ${candidate} for a day`;
    if (silentFor(watched, baseline, slot) > SLOTS_PER_DAY) return `no call of ${baseline} for a day`;
    if (slot - comparison.settings().opened_slot > FOURTEEN_DAYS) return 'fourteen days without a verdict';
    return null;
  };

  /** New values of all factors that can be compared now share one α. */
  const welcome = async (slot: number): Promise<void> => {
    if (slot - openedSlot < TEN_MINUTES) return;
    const welcomed: { readonly of: Newcomers; readonly baseline: string; readonly candidates: readonly { readonly value: string; readonly start_ms: number }[] }[] = [];
    for (const [, of] of [...newcomers].sort(([left], [right]) => (left < right ? -1 : 1))) {
      const found = await of.welcome(slot);
      if (found !== null) welcomed.push({ of, ...found });
    }
    if (welcomed.length === 0) return;
    openedSlot = slot;
    const stake = 1 / welcomed.reduce((sum, { candidates }) => sum + candidates.length, 0);
    const { alpha, sessionWindowS, metricPolicy } = settings;
    for (const { of, baseline, candidates } of welcomed) {
      for (const comparison of await openFromStore(store, key, { factor: of.factor, group: of.group, slot, baseline, candidates, alpha, stake, sessionWindowS, metricPolicy })) {
        const { factor, candidate, comparison_id } = comparison.identity;
        comparisons.set(nameOf(factor, of.group, candidate), { comparison, newcomers: of, settled: new Map(), record: createAlertRecord(rows, comparison_id), strata: null, tapes: new Map(), fed: null });
        rows.comparison(fileOf(comparison), 'open', '');
      }
    }
    // In one insert: that they share one α is true only if all are there after a crash.
    await rows.flush();
  };

  return {
    key,
    newcomersOf,
    async feed(slot, active, rangeRows) {
      for (const watched of comparisons.values()) {
        const { comparison } = watched;
        if (comparison.slot() >= slot) continue;
        comparison.count(slot, countArms(armsOf(comparison), active));
        await followTakeover(watched, slot);
        const compared = strataOver(slot, armsOf(comparison), comparison.settings(), watched.tapes);
        const outcome = comparison.feed(slot, await rangeRows.calls(key, slot), await rangeRows.scores(key, slot), watched.settled, compared);
        if (watched.tapes.size > 0 && !mayStillPair(comparison, slot)) watched.tapes = new Map();
        watched.fed = { slot, evidence: outcome.strata.length === 0 ? null : outcome };
        if (outcome.strata.length === 0) continue;
        rows.strata(comparison.identity.comparison_id, slot, outcome);
        watched.strata?.push(...outcome.strata);
      }
    },
    async conclude(slot, active, rangeRows) {
      const events: PromptEvent[] = [];
      const looked: { comparison_id: string; e_value: number }[] = [];
      const version = mostActive(active);
      for (const [name, watched] of comparisons) {
        const { comparison, fed } = watched;
        if (fed?.slot !== slot) continue;
        const { comparison_id, candidate } = comparison.identity;
        const told = (alert: Alert | null): void => void (alert !== null && events.push({ kind: 'alert', slot, comparison_id, alert }));
        // 1. Decide. A decision reads what is durable, so the strata are written first.
        if (fed.evidence !== null) {
          looked.push({ comparison_id, e_value: fed.evidence.e_value });
          told(await decide(watched, slot, { evidence: fed.evidence, version }));
        }
        told(watched.record.untoldIn(slot));
        // 2. Resolve and close.
        told(resolveSilent(watched, slot));
        const end = endOf(watched, slot);
        if (end === null) continue;
        rows.comparison(fileOf(comparison), 'closed', end);
        comparisons.delete(name);
        if (end === ALERT_RESOLVED) watched.newcomers.forget(candidate, slot);
      }
      if (looked.length > 0) events.push({ kind: 'look', slot, comparisons: looked });
      // 3. Greet what is new: a comparison opens with the slot after the one that a value was first seen in.
      const calls = active.length === 0 ? [] : await rangeRows.calls(key, slot);
      for (const [of, values] of valuesIn(active)) of.greet(slot, values, (value) => firstStartMs(calls, { factor: of.factor, group: of.group, value }, slot));
      await welcome(slot);
      return events;
    },
    isBusy(active) {
      if (comparisons.size > 0) return true;
      const values = valuesIn(active);
      return [...newcomers.values()].some((of) => of.isWorthWatching(values.get(of) ?? []));
    },
    greet(slot, active) {
      for (const [of, values] of valuesIn(active)) of.greet(slot, values, () => 0);
    },
    changesBefore(slot) {
      return [...comparisons.values()].flatMap(({ comparison }) => {
        const { opened_slot, opened_ms } = comparison.settings();
        if (opened_slot > slot || slot - opened_slot >= SLOTS_PER_HOUR) return [];
        const { factor, candidate } = comparison.identity;
        return [{ factor, prompt: key.prompt_name, value: candidate, at_ms: opened_ms, e_value: comparison.evidence().e_value }];
      });
    },
    recallOpening: (slot) => void (openedSlot = Math.max(openedSlot, slot)),
    keep() {
      for (const { comparison } of comparisons.values()) rows.comparison(fileOf(comparison), 'open', '');
    },
    alerted: () => [...comparisons.values()].filter(({ record }) => record.current() !== null).map(({ comparison }) => comparison.identity.comparison_id),
    adopt(states) {
      for (const { comparison, record } of comparisons.values()) record.adopt(states.get(comparison.identity.comparison_id));
    },
    async restore(stored) {
      const { comparison_id, factor, candidate } = stored.identity;
      const { comparison, settled } = await restoreFromStore(store, key, stored, settings.metricPolicy);
      const state = (await loadAlertStates(store, [comparison_id])).get(comparison_id) ?? null;
      const watched = { comparison, newcomers: newcomersOf(factor, stored.settings.group), settled, record: createAlertRecord(rows, comparison_id, state), strata: null, fed: null };
      comparisons.set(nameOf(factor, stored.settings.group, candidate), { ...watched, tapes: await tapesFor(watched, comparison.slot()) });
    },
    *tapes() {
      for (const watched of comparisons.values()) yield* watched.tapes.values();
    },
  };
}

const armsOf = (comparison: Comparison): { factor: Factor; group: string; baseline: string; candidate: string } => {
  const { factor, baseline, candidate } = comparison.identity;
  return { factor: factorNamed(factor), group: comparison.settings().group, baseline, candidate };
};

const fileOf = (comparison: Comparison): ComparisonFile => ({ identity: comparison.identity, settings: comparison.settings(), snapshot: comparison.snapshot() });

function mayStillPair(comparison: Comparison, slot: number): boolean {
  const plan = comparison.settings().before_after;
  return plan !== null && plan.ended_slot === null && slot < lastSlotOf(plan);
}

/** The version with most calls in a slot. */
function mostActive(active: readonly Activity[]): string | null {
  const calls = new Map<string, number>();
  for (const row of active) calls.set(row.version, (calls.get(row.version) ?? 0) + row.calls);
  return [...calls].sort(([left, ofLeft], [right, ofRight]) => ofRight - ofLeft || (left < right ? -1 : 1))[0]?.[0] ?? null;
}
