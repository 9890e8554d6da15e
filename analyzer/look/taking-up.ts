import { derivedId } from '../../schemas/derived-id.ts';
import type { BeforeAfter, ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import type { Arms } from './before-after.ts';
import { MOST_CALLS_READ, recentFrom } from './busy.ts';
import { stratumKey, Comparison, type ComparisonIdentity } from './comparison.ts';
import { CROWD_CALLS, crowdAmong } from './crowd.ts';
import { historyOf, neighboursOf, planBeforeAfter, slotsOf, tapeNeedOf, type Takeover } from './cutover.ts';
import { armOf, factorNamed, type Factor } from './factors.ts';
import { countComparisons, loadStrata, type StoredComparison } from './look-store.ts';
import { selectBoth, selectBothBySlot } from './call-rows.ts';
import { selectNeighbours, selectRecentSessions, selectScoredUnits, selectUnits, type Activity, type PromptKey, type UnitsRange } from './observations.ts';
import { openComparison } from './opening.ts';
import { createPromptUnits, type PastArms, type PastUnit, type PromptUnits } from './prompt-units.ts';
import type { MetricPolicy } from './references.ts';
import { SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import type { Tape } from './tape.ts';
import type { Tapes } from './tapes.ts';
import { MAX_REMEMBERED } from './unit-memory.ts';

/** Comparisons from the store: new ones from the day before, those that an earlier process left from where it left them. */

export type OpeningOrder = {
  readonly factor: Factor;
  readonly group: string;
  readonly slot: number;
  readonly baseline: string;
  readonly candidates: readonly { readonly value: string; readonly start_ms: number }[];
  readonly alpha: number;
  /** Each candidate's share of α. */
  readonly stake: number;
  readonly sessionWindowS: number;
  readonly metricPolicy: MetricPolicy;
};

/** The units of a prompt of which nothing is compared yet: those of the last day, none of which counts in what opens now. */
export async function unitsFromStore(store: Store, key: PromptKey, { factor, group, slot }: Pick<OpeningOrder, 'factor' | 'group' | 'slot'>): Promise<PromptUnits> {
  const { sessions, known } = await knownUnits(store, key, { from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 });
  const units = createPromptUnits();
  units.recall({ units: (await selectUnits(store, key, factor, { ...known, group })).map((unit) => pastOf(unit, [])), sessions });
  return units;
}

/** Which units of a range are remembered, and the sessions of its last calls. */
async function knownUnits(store: Store, key: PromptKey, range: { readonly from: number; readonly to: number }): Promise<{ sessions: (string | null)[]; known: UnitsRange }> {
  const since = await recentFrom(store, key, range, MAX_REMEMBERED);
  const sessions = await selectRecentSessions(store, key, { from: since, to: range.to, limit: CROWD_CALLS });
  return { sessions, known: { ...range, since, crowd: crowdAmong(sessions) } };
}

/** @param units those of the prompt, up to the slot of the opening. */
export async function openFromStore(store: Store, key: PromptKey, order: OpeningOrder, units: PromptUnits): Promise<Comparison[]> {
  const { factor, group, slot, baseline, metricPolicy } = order;
  const to = slot + 1;
  const hour = { from: await recentFrom(store, key, { from: to - SLOTS_PER_HOUR, to }, MOST_CALLS_READ), to };
  const [calls, scores] = await selectBoth(store, key, hour);
  const comparisons: Comparison[] = [];
  for (const { value, start_ms } of order.candidates) {
    const epoch = await countComparisons(store, key, { factor: factor.name, baseline, candidate: value });
    const identity: ComparisonIdentity = { ...key, factor: factor.name, baseline, candidate: value, epoch, comparison_id: comparisonIdOf(key, { factor: factor.name, baseline, candidate: value, epoch }) };
    const opening = openComparison({
      factor, group, slot, baseline, candidate: value, opened_ms: start_ms, alpha: order.alpha, stake: order.stake, session_window_s: order.sessionWindowS, policy: metricPolicy, calls, scores,
    });
    comparisons.push(new Comparison(identity, { ...opening, policy: metricPolicy }, null, units));
  }
  return comparisons;
}

/** A comparison that was left open. `settled`: strata that were durable before the process that wrote them died; they count as they are. */
export type Restored = { readonly stored: StoredComparison; readonly comparison: Comparison; readonly settled: ReadonlyMap<string, Stratum> };

/** All that were left open on one prompt, which share its units. @param next the slot that is looked at next: up to it, what was not kept was idle. */
export async function restoreFromStore(store: Store, key: PromptKey, { left, next }: { readonly left: readonly StoredComparison[]; readonly next: number | null }, policy: MetricPolicy): Promise<{ units: PromptUnits; restored: Restored[] }> {
  const units = createPromptUnits();
  const comparisons = left.map((stored) => ({ stored, comparison: new Comparison(stored.identity, { settings: stored.settings, schedule: [], policy }, stored.snapshot, units) }));
  for (const { comparison } of comparisons) comparison.rest(next ?? 0);
  // One that was opened right before the end has seen slots that the others have not: it is refilled with those when they are fed again.
  const until = Math.min(...comparisons.map(({ comparison }) => comparison.slot() + 1));
  const from = Math.min(until, ...comparisons.map(({ comparison }) => Math.max(comparison.settings().opened_slot + 1, comparison.refillFrom())));
  // 1. Units and sessions of before, as far back as they count.
  const before = { from: Math.max(1, until - SLOTS_PER_DAY), to: from };
  const { sessions, known } = await knownUnits(store, key, before);
  const scored = new Map((await selectScoredUnits(store, key, known)).map((unit) => [unit.id, unit.scored]));
  const read = new Map<string, StoredUnit[]>();
  for (const { stored, comparison } of comparisons) {
    const { factor, baseline, candidate } = stored.identity;
    const { group } = stored.settings;
    const alike = JSON.stringify([factor, group]);
    const rows = read.get(alike) ?? (await selectUnits(store, key, factorNamed(factor), { ...known, group }));
    if (read.size === 0) units.recall({ units: rows.map((unit) => pastOf(unit, scored.get(unit.id) ?? [])), sessions });
    read.set(alike, rows);
    comparison.recall(rows.map((unit) => armsOf(unit, stored.settings, { baseline, candidate })));
  }
  // 2. Open windows, and units that are still watched.
  const [calls, scores] = await selectBothBySlot(store, key, { from, to: until });
  for (let slot = from; slot < until; slot += 1) {
    for (const { comparison } of comparisons) comparison.refill(slot, calls.get(slot) ?? [], scores.get(slot) ?? []);
  }
  // 3. What was bet on: over times up to the state that was kept, and all that came after it.
  const restored: Restored[] = [];
  for (const { stored, comparison } of comparisons) {
    const { comparison_id } = stored.identity;
    const kept = stored.snapshot.slot;
    if (stored.settings.before_after !== null) comparison.recallPairs(await loadStrata(store, comparison_id, { after: -1, upTo: kept, uses: ['pair', 'control'] }));
    const since = await loadStrata(store, comparison_id, { after: kept, upTo: 2 ** 32 - 1 });
    comparison.recallBets(since.filter(({ slot }) => slot <= comparison.slot()));
    const later = since.filter(({ slot }) => slot > comparison.slot());
    restored.push({ stored, comparison, settled: new Map(later.map((stratum) => [stratumKey(stratum), stratum])) });
  }
  return { units, restored };
}

type StoredUnit = Awaited<ReturnType<typeof selectUnits>>[number];

function pastOf({ id, first_slot, first_span, first_answered, answered, start_ms, last_slot }: StoredUnit, scored: PastUnit['scored']): PastUnit {
  return { id, first: { slot: first_slot, span_id: first_span, start_ms }, slot: last_slot, answered: first_answered ? 'at_first' : answered ? 'later' : 'never', scored };
}

function armsOf({ id, value, first_slot, first_value, last_slot, start_ms }: StoredUnit, { opened_slot, opened_ms }: ComparisonSettings, { baseline, candidate }: { readonly baseline: string; readonly candidate: string }): PastArms {
  const armNamed = (name: string | null): 'a' | 'b' | null => (name === baseline ? 'a' : name === candidate ? 'b' : null);
  const isBefore = first_slot <= opened_slot || start_ms < opened_ms;
  return { id, slot: last_slot, first: isBefore ? null : armNamed(first_value), only: isBefore ? null : armNamed(value) };
}

/** How times are compared after a takeover, with the tapes that it needs. Null where nothing is known of before. */
export async function planFromStore(deps: { readonly store: Store; readonly tapes: Tapes }, key: PromptKey, arms: Arms, settings: ComparisonSettings, takeover: Takeover): Promise<BeforeAfter | null> {
  const need = { ...tapeNeedOf(slotsOf(settings, takeover)), upTo: takeover.slot };
  const own = await deps.tapes.open(key, need);
  const history = historyOf(own, arms, settings, takeover);
  if (history === null) return null;
  const neighbours: { prompt: string; version: string; tape: Tape }[] = [];
  for (const { prompt_name, version } of await selectNeighbours(deps.store, key, neighboursOf(history))) {
    neighbours.push({ prompt: prompt_name, version, tape: await deps.tapes.open({ ...key, prompt_name }, need) });
  }
  return planBeforeAfter(arms, settings, takeover, { own, history, neighbours });
}

/** Calls of each arm among those that became complete in one slot. */
export function countArms(arms: { readonly factor: Factor; readonly group: string; readonly baseline: string; readonly candidate: string }, active: readonly Omit<Activity, keyof PromptKey | 'slot'>[]): { a: number; b: number } {
  const counts = { a: 0, b: 0 };
  for (const row of active) {
    const arm = armOf(arms.factor, arms, { ...row, operation: '', route: '' });
    if (arm !== null) counts[arm] += row.calls;
  }
  return counts;
}

function comparisonIdOf(key: PromptKey, pair: { readonly factor: string; readonly baseline: string; readonly candidate: string; readonly epoch: number }): string {
  const named = JSON.stringify([key.project, key.environment, key.prompt_name, pair.factor, pair.baseline, pair.candidate, pair.epoch]);
  return derivedId('cmp', named);
}
