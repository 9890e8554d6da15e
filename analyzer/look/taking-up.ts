import { derivedId } from '../../schemas/derived-id.ts';
import type { BeforeAfter, ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import type { Arms } from './before-after.ts';
import { createComparison, stratumKey, type Comparison, type ComparisonIdentity } from './comparison.ts';
import { historyOf, neighboursOf, planBeforeAfter, slotsOf, tapeNeedOf, type Takeover } from './cutover.ts';
import { armOf, factorNamed, type Factor } from './factors.ts';
import { countComparisons, loadStrata, type StoredComparison } from './look-store.ts';
import { bySlot, selectCalls, selectNeighbours, selectRecentSessions, selectScoredUnits, selectScores, selectUnits, type Activity, type PromptKey } from './observations.ts';
import { openComparison } from './opening.ts';
import type { MetricPolicy } from './references.ts';
import { SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import type { Tape } from './tape.ts';
import type { Tapes } from './tapes.ts';
import { CROWD_CALLS, crowdAmong } from './unit-memory.ts';

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

export async function openFromStore(store: Store, key: PromptKey, order: OpeningOrder): Promise<Comparison[]> {
  const { factor, group, slot, baseline, metricPolicy } = order;
  const hour = { from: slot - SLOTS_PER_HOUR + 1, to: slot + 1 };
  const day = { from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 };
  const calls = await selectCalls(store, key, hour);
  const scores = await selectScores(store, key, hour);
  const sessions = await selectRecentSessions(store, key, { ...day, limit: CROWD_CALLS });
  const units = (await selectUnits(store, key, factor, { ...day, group, crowd: crowdAmong(sessions) })).map(({ id, first_slot, first_span, last_slot }) => {
    return { id, arm: null, first: { slot: first_slot, span_id: first_span, arm: null }, slot: last_slot, scored: [] };
  });
  const comparisons: Comparison[] = [];
  for (const { value, start_ms } of order.candidates) {
    const epoch = await countComparisons(store, key, { factor: factor.name, baseline, candidate: value });
    const identity: ComparisonIdentity = { ...key, factor: factor.name, baseline, candidate: value, epoch, comparison_id: comparisonIdOf(key, { factor: factor.name, baseline, candidate: value, epoch }) };
    const opening = openComparison({
      factor, group, slot, baseline, candidate: value, opened_ms: start_ms, alpha: order.alpha, stake: order.stake, session_window_s: order.sessionWindowS, policy: metricPolicy, calls, scores,
    });
    const comparison = createComparison(identity, { ...opening, policy: metricPolicy });
    comparison.recall({ units, sessions });
    comparisons.push(comparison);
  }
  return comparisons;
}

/** `settled`: strata that were durable before the process that wrote them died; they count as they are. */
export async function restoreFromStore(store: Store, key: PromptKey, stored: StoredComparison, policy: MetricPolicy): Promise<{ comparison: Comparison; settled: Map<string, Stratum> }> {
  const { comparison_id, baseline, candidate } = stored.identity;
  const factor = factorNamed(stored.identity.factor);
  const { group, opened_slot, opened_ms } = stored.settings;
  const comparison = createComparison(stored.identity, { settings: stored.settings, schedule: [], policy }, stored.snapshot);
  const until = comparison.slot() + 1;
  const from = Math.max(opened_slot + 1, Math.min(until, comparison.refillFrom()));
  // 1. Units and sessions of before, as far back as they count.
  const before = { from: Math.max(1, until - SLOTS_PER_DAY), to: from };
  const armNamed = (value: string | null): 'a' | 'b' | null => (value === baseline ? 'a' : value === candidate ? 'b' : null);
  const sessions = await selectRecentSessions(store, key, { ...before, limit: CROWD_CALLS });
  const known = { ...before, crowd: crowdAmong(sessions) };
  const scored = new Map((await selectScoredUnits(store, key, known)).map((unit) => [unit.id, unit.scored]));
  const units = (await selectUnits(store, key, factor, { ...known, group })).map(({ id, value, first_slot, first_span, first_value, last_slot, start_ms }) => {
    const isBefore = first_slot <= opened_slot || start_ms < opened_ms;
    const first = { slot: first_slot, span_id: first_span, arm: isBefore ? null : armNamed(first_value) };
    return { id, arm: isBefore ? null : armNamed(value), first, slot: last_slot, scored: scored.get(id) ?? [] };
  });
  comparison.recall({ units, sessions });
  // 2. Open windows, and units that are still watched.
  const calls = bySlot(await selectCalls(store, key, { from, to: until }));
  const scores = bySlot(await selectScores(store, key, { from, to: until }));
  for (let slot = from; slot < until; slot += 1) comparison.refill(slot, calls.get(slot) ?? [], scores.get(slot) ?? []);
  // 3. What was bet on: over times up to the state that was kept, and all that came after it.
  if (stored.settings.before_after !== null) comparison.recallPairs(await loadStrata(store, comparison_id, { after: -1, upTo: until - 1, uses: ['pair', 'control'] }));
  const later = await loadStrata(store, comparison_id, { after: until - 1, upTo: 2 ** 32 - 1 });
  return { comparison, settled: new Map(later.map((stratum) => [stratumKey(stratum), stratum])) };
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
