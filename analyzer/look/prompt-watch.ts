import type { Alert } from '../../schemas/alert.ts';
import { isSetAside } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import type { Bystander } from './drift/alert.ts';
import type { Change } from './coincidence.ts';
import { factorNamed, toldAs, type Factor, type FactorName } from './factors.ts';
import { ALERT_RESOLVED, loadAlertStates, type AlertState, type LookRows, type StoredComparison } from './look-store.ts';
import { createNewcomers, firstStartMs, TEN_MINUTES, type Newcomers, type Welcome } from './newcomers.ts';
import type { Activity, PromptKey } from './observations.ts';
import type { RecentChange } from './drift/prompt-alert.ts';
import type { PromptUnits } from './prompt-units.ts';
import type { RangeRows } from './range-rows.ts';
import type { MetricPolicy } from './references.ts';
import { createRollout, type Rollout, type RolloutSettings } from './rollout.ts';
import { SLOT_MS, slotStartMs, SLOTS_PER_HOUR } from '../slots.ts';
import { openFromStore, restoreFromStore, unitsFromStore } from './taking-up.ts';
import type { Tape } from './tape.ts';
import type { Tapes } from './tapes.ts';

/**
 * What happens to one prompt, slot by slot, in two steps: its open comparisons are fed; then, when all prompts have been, alerts are raised and
 * resolved, and comparisons opened for what is new on it.
 */
export type PromptWatch = {
  readonly key: PromptKey;
  feed(slot: number, active: readonly Activity[], rows: RangeRows): Promise<void>;
  conclude(slot: number, active: readonly Activity[], rows: RangeRows): Promise<PromptEvent[]>;
  /** Whether a comparison is open. */
  isComparing(): boolean;
  /** Whether a slot with this activity has anything to do; else `greet` is enough. */
  isBusy(slot: number, active: readonly Activity[]): boolean;
  greet(slot: number, active: readonly Activity[]): void;
  newcomersOf(factor: FactorName, group: string): Newcomers;
  recallOpening(slot: number): void;
  /** Comparisons that were opened within the hour before a slot: what changed on it, by itself or, perhaps, with others. */
  changesBefore(slot: number, which: 'own' | 'shared'): readonly Bystander[];
  /** Whether it can be held against its hour before `reference_slot`: nothing changed since that begins, no two values run side by side, and nothing is accused. */
  isSettled(reference_slot: number, slot: number): boolean;
  changesSince(slot: number): readonly RecentChange[];
  /** Files the state of every open comparison that changed with the rows to be written. */
  keep(): void;
  /** Comparisons that have an alert. */
  alerted(): readonly string[];
  /** What people decided about alerts since the last look. */
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** Takes up the comparisons that an earlier process left open. @param next the slot that is looked at next; null: nobody knows. */
  restore(left: readonly StoredComparison[], next: number | null): Promise<void>;
  /** Tapes that its comparisons still read. */
  tapes(): Iterable<Tape>;
};

export type PromptEvent =
  | { readonly kind: 'look'; readonly project: string; readonly slot: number; readonly comparisons: readonly { readonly comparison_id: string; readonly e_value: number }[] }
  /** alert: it opened, or its state changed. update: only its evidence grew. */
  | { readonly kind: 'alert' | 'update'; readonly slot: number; readonly comparison_id: string; readonly alert: Alert };

export type PromptSettings = RolloutSettings & {
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly metricPolicy: MetricPolicy;
  readonly baseline: string | undefined;
  readonly factors: readonly Factor[];
};

/** Both arms had calls within so long: they run together. */
const TOGETHER_SLOTS = SLOTS_PER_HOUR / 2;

export function createPromptWatch(deps: { readonly store: Store; readonly rows: LookRows; readonly tapes: Tapes }, key: PromptKey, settings: PromptSettings): PromptWatch {
  const { store, rows } = deps;
  /** By factor, group and candidate. */
  const rollouts = new Map<string, Rollout>();
  /** While anything is compared. */
  let units: PromptUnits | null = null;
  const newcomers = new Map<string, Newcomers>();
  /** When comparisons were opened last: those within ten minutes share one α. */
  let openedSlot = Number.NEGATIVE_INFINITY;
  const nameOf = (factor: FactorName, group: string, value: string): string => `${factor}\0${group}\0${value}`;

  const newcomersOf = (factorName: FactorName, group: string): Newcomers => {
    const name = nameOf(factorName, group, '');
    let known = newcomers.get(name);
    if (known === undefined) {
      const configured = factorName === 'prompt_version' ? settings.baseline : undefined;
      known = createNewcomers({ store, factor: factorNamed(factorName), group, configured, isCompared: (value) => rollouts.has(nameOf(factorName, group, value)) }, key);
      newcomers.set(name, known);
    }
    return known;
  };

  /** The values of every factor that were active. */
  const valuesIn = (active: readonly Activity[]): Map<Newcomers, string[]> => {
    const values = new Map<Newcomers, string[]>();
    for (const row of active) {
      const seen = { ...row, operation: '', route: '' };
      for (const factor of settings.factors) {
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

  const changeOf = ({ comparison }: Rollout): Change => ({
    factor: comparison.identity.factor, group: comparison.settings().group, value: comparison.identity.candidate, start_ms: comparison.settings().opened_ms,
  });

  /** What is compared, and what still waits for it. */
  const changes = (): Change[] => [
    ...[...rollouts.values()].map(changeOf),
    ...[...newcomers.values()].flatMap((of) => [...of.waiting()].map(([value, start_ms]) => ({ factor: of.factor.name, group: of.group, value, start_ms }))),
  ];

  /** Changes of other factors that began in the same ten minutes. */
  const togetherWith = (rollout: Rollout): Change[] => {
    const own = changeOf(rollout);
    return changes().filter(({ factor, start_ms }) => factor !== own.factor && Math.abs(start_ms - own.start_ms) < TEN_MINUTES * SLOT_MS);
  };

  /** New values of all factors that can be compared now share one α. */
  const welcome = async (slot: number): Promise<void> => {
    if (slot - openedSlot < TEN_MINUTES) return;
    const welcomed: (Welcome & { readonly of: Newcomers })[] = [];
    for (const [, of] of [...newcomers].sort(([left], [right]) => (left < right ? -1 : 1))) {
      const found = await of.welcome(slot);
      if (found !== null) welcomed.push({ of, ...found });
    }
    if (welcomed.length === 0) return;
    openedSlot = slot;
    const stake = 1 / welcomed.reduce((sum, { candidates }) => sum + candidates.length, 0);
    const { alpha, sessionWindowS, metricPolicy } = settings;
    for (const { of, baseline, candidates } of welcomed) {
      const { factor, group } = of;
      units ??= await unitsFromStore(store, key, { factor, group, slot });
      for (const comparison of await openFromStore(store, key, { factor, group, slot, baseline, candidates, alpha, stake, sessionWindowS, metricPolicy }, units)) {
        const rollout = await createRollout({ ...deps, newcomers: of }, key, settings, comparison);
        rollouts.set(nameOf(factor.name, group, comparison.identity.candidate), rollout);
        rollout.keep();
      }
    }
    // In one insert: that they share one α is true only if all are there after a crash.
    await rows.flush();
  };

  return {
    key,
    newcomersOf,
    async feed(slot, active, rangeRows) {
      for (const rollout of rollouts.values()) await rollout.feed(slot, active, rangeRows);
    },
    async conclude(slot, active, rangeRows) {
      const events: PromptEvent[] = [];
      const looked: { comparison_id: string; e_value: number }[] = [];
      const version = mostActive(active);
      for (const [name, rollout] of rollouts) {
        const conclusion = await rollout.conclude(slot, { version, together: () => togetherWith(rollout) });
        if (conclusion === null) continue;
        const { comparison_id, factor, candidate } = rollout.comparison.identity;
        if (conclusion.e_value !== null) looked.push({ comparison_id, e_value: conclusion.e_value });
        for (const alert of conclusion.alerts) events.push({ kind: 'alert', slot, comparison_id, alert });
        if (conclusion.update !== null) events.push({ kind: 'update', slot, comparison_id, alert: conclusion.update });
        if (conclusion.end === null) continue;
        rollouts.delete(name);
        rollout.comparison.leave();
        if (conclusion.end === ALERT_RESOLVED) newcomersOf(factor, rollout.comparison.settings().group).forget(candidate, slot);
      }
      if (rollouts.size === 0) units = null;
      if (looked.length > 0) events.push({ kind: 'look', project: key.project, slot, comparisons: looked });
      // Greet what is new: a comparison opens with the slot after the one that a value was first seen in.
      const calls = active.length === 0 ? [] : await rangeRows.calls(key, slot);
      for (const [of, values] of valuesIn(active)) of.greet(slot, values, (value) => firstStartMs(calls, { factor: of.factor, group: of.group, value }, slot));
      await welcome(slot);
      return events;
    },
    isComparing: () => rollouts.size > 0,
    isBusy(slot, active) {
      if (rollouts.size > 0) return true;
      const values = valuesIn(active);
      return [...newcomers.values()].some((of) => of.isWorthWatching(slot, values.get(of) ?? []));
    },
    greet(slot, active) {
      for (const [of, values] of valuesIn(active)) of.greet(slot, values, () => 0);
    },
    changesBefore(slot, which) {
      return [...rollouts.values()].flatMap(({ comparison }) => {
        const { opened_slot, opened_ms } = comparison.settings();
        const { factor, baseline, candidate } = comparison.identity;
        if (factorNamed(factor).isOfPrompt !== (which === 'own') || opened_slot >= slot || slot - opened_slot >= SLOTS_PER_HOUR) return [];
        return [{ factor: toldAs(factor), prompt: key.prompt_name, value: candidate, baseline, at_ms: opened_ms, e_value: comparison.evidence().e_value }];
      });
    },
    isSettled(reference_slot, slot) {
      // Versions have series of their own: half an hour of one is enough, once its comparison has had its hour.
      const lastOf = (factor: FactorName): number => (factor === 'prompt_version' ? Math.min(reference_slot - SLOTS_PER_HOUR / 2, slot - SLOTS_PER_HOUR) : reference_slot - SLOTS_PER_HOUR);
      if (changes().some(({ factor, start_ms }) => start_ms >= slotStartMs(lastOf(factor)))) return false;
      return [...rollouts.values()].every(({ comparison, record }) => {
        const { factor, baseline, candidate } = comparison.identity;
        const of = newcomersOf(factor, comparison.settings().group);
        const isTogether = [baseline, candidate].every((value) => slot - of.lastSlot(value) < TOGETHER_SLOTS);
        return !isTogether && (record.alert()?.state ?? 'resolved') === 'resolved';
      });
    },
    changesSince: (slot) =>
      [...rollouts.values()].map(changeOf).filter(({ start_ms }) => start_ms >= slotStartMs(slot)).sort((left, right) => left.start_ms - right.start_ms).map(({ factor, value, start_ms }) => ({ factor: toldAs(factor), value, at_ms: start_ms })),
    recallOpening: (slot) => void (openedSlot = Math.max(openedSlot, slot)),
    keep() {
      for (const rollout of rollouts.values()) rollout.keep();
    },
    alerted: () => [...rollouts.values()].filter(({ record }) => record.alert() !== null).map(({ comparison }) => comparison.identity.comparison_id),
    adopt(states) {
      for (const { comparison, record } of rollouts.values()) record.adopt(states.get(comparison.identity.comparison_id));
    },
    async restore(left, next) {
      const taken = await restoreFromStore(store, key, { left, next }, settings.metricPolicy);
      ({ units } = taken);
      for (const { stored, comparison, settled } of taken.restored) {
        const { comparison_id, factor, candidate } = stored.identity;
        const { group } = stored.settings;
        const state = (await loadAlertStates(store, [comparison_id])).get(comparison_id) ?? null;
        const rollout = await createRollout({ ...deps, newcomers: newcomersOf(factor, group) }, key, settings, comparison, { settled, state, reason: isSetAside(stored) ? '' : stored.reason });
        rollouts.set(nameOf(factor, group, candidate), rollout);
      }
    },
    *tapes() {
      for (const rollout of rollouts.values()) yield* rollout.tapes();
    },
  };
}

/** The version with most calls in a slot. */
function mostActive(active: readonly Activity[]): string | null {
  const calls = new Map<string, number>();
  for (const row of active) calls.set(row.version, (calls.get(row.version) ?? 0) + row.calls);
  return [...calls].sort(([left, ofLeft], [right, ofRight]) => ofRight - ofLeft || (left < right ? -1 : 1))[0]?.[0] ?? null;
}
