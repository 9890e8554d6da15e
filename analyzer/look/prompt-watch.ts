import { createHash } from 'node:crypto';
import type { Alert } from '../../schemas/alert.ts';
import type { Stratum } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { alertOf, findingOf, isPastThreshold, type Evidence } from './alerting.ts';
import { createComparison, stratumKey, type Comparison, type ComparisonIdentity } from './comparison.ts';
import { ALERT_RESOLVED, countComparisons, loadAlertStates, loadStrata, type AlertState, type LookRows, type StoredComparison } from './look-store.ts';
import { createNewcomers, firstStartMs, type Newcomers, type Welcome } from './newcomers.ts';
import {
  bySlot, selectCalls, selectExamples, selectRecentSessions, selectScoredUnits, selectScores, selectUnits, type CallObservation, type PromptKey, type ScoreObservation,
} from './observations.ts';
import { openComparison } from './opening.ts';
import type { MetricPolicy } from './references.ts';
import { slotOf, slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import { CROWD_CALLS, crowdAmong } from './unit-memory.ts';

/** What happens to one prompt: its open comparisons are fed, alerts raised and resolved, and comparisons opened for new versions. */
export type PromptWatch = {
  readonly key: PromptKey;
  readonly newcomers: Newcomers;
  /** One slot, in order. */
  lookAt(slot: number, seen: { readonly active: readonly string[]; readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] }): Promise<PromptEvent[]>;
  isBusy(): boolean;
  /** Files the state of every open comparison with the rows to be written. */
  keep(): void;
  /** Comparisons that have an alert. */
  alerted(): readonly string[];
  /** What people decided about alerts since the last look. */
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** Takes up a comparison that an earlier process left open. */
  restore(stored: StoredComparison): Promise<void>;
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
  /** Strata that were durable before the process that wrote them died: they count as they are. */
  readonly settled: Map<string, Stratum>;
  /** All of them, from the first time on that the evidence was past its threshold: an effect within its tolerance may stay so for days. */
  strata: Stratum[] | null;
  alert: Alert | null;
  sequence: number;
  /** An alert that was durable before the process could tell: told when the look comes to its slot. */
  untold: { readonly slot: number; readonly alert: Alert } | null;
};

const FOURTEEN_DAYS = 14 * SLOTS_PER_DAY;
/** An alert resolves when its culprit had no traffic for this long, while the baseline had. */
const RESOLVED_AFTER = SLOTS_PER_HOUR / 2;
const EXAMPLES = 5;

export function createPromptWatch(deps: { readonly store: Store; readonly rows: LookRows }, key: PromptKey, settings: PromptSettings): PromptWatch {
  const { store, rows } = deps;
  /** By candidate. */
  const comparisons = new Map<string, Watched>();
  const newcomers = createNewcomers({ store, configured: settings.baseline, isCompared: (version) => comparisons.has(version) }, key);

  const transition = (watched: Watched, alert: Alert, what: { readonly atMs: number; readonly reason: string }): void => {
    watched.sequence += 1;
    watched.alert = alert;
    rows.transition(watched.comparison.identity.comparison_id, watched.sequence, alert, what);
  };

  const decide = async (watched: Watched, slot: number, evidence: Evidence): Promise<Alert | null> => {
    const { comparison } = watched;
    const frozen = comparison.settings();
    if (watched.alert !== null || !isPastThreshold(evidence, frozen)) return null;
    if (watched.strata === null) {
      await rows.flush();
      watched.strata = await loadStrata(store, comparison.identity.comparison_id, { after: -1, upTo: slot });
    }
    const { strata } = watched;
    const finding = findingOf(evidence, frozen, strata);
    if (finding === null) return null;
    const examples = await selectExamples(store, {
      ...key, version: comparison.identity.candidate, metric: finding.metric, direction: finding.settings.direction, onset_ms: finding.onsetMs, to_slot: slot, limit: EXAMPLES,
    });
    const raisedMs = slotStartMs(slot + 1);
    const alert = alertOf({ identity: comparison.identity, settings: frozen, evidence, strata, finding, examples, raisedMs, owner: settings.owner, publicUrl: settings.publicUrl });
    transition(watched, alert, { atMs: raisedMs, reason: 'evidence past its threshold' });
    return alert;
  };

  const silentFor = (version: string, slot: number): number => slot - newcomers.lastSlot(version);

  const resolveSilent = (watched: Watched, slot: number): Alert | null => {
    const { baseline, candidate } = watched.comparison.identity;
    if (watched.alert === null || watched.alert.state === 'resolved') return null;
    if (silentFor(candidate, slot) < RESOLVED_AFTER || silentFor(baseline, slot) >= RESOLVED_AFTER) return null;
    const atMs = slotStartMs(slot + 1);
    const alert: Alert = { ...watched.alert, state: 'resolved', resolved_at: new Date(atMs).toISOString() };
    transition(watched, alert, { atMs, reason: `${candidate} takes no more traffic` });
    return alert;
  };

  /** Whether a comparison is over, and why. With an open alert it goes on until that is resolved. */
  const endOf = ({ comparison, alert }: Watched, slot: number): string | null => {
    const { baseline, candidate } = comparison.identity;
    if (alert !== null) {
      // Resolved in a slot that is still to be looked at again, after a restart: not over before it.
      return alert.state === 'resolved' && slotStartMs(slot + 1) >= Date.parse(alert.resolved_at ?? '') ? ALERT_RESOLVED : null;
    }
    if (silentFor(candidate, slot) > SLOTS_PER_DAY) return `no call of ${candidate} for a day`;
    if (silentFor(baseline, slot) > SLOTS_PER_DAY) return `no call of ${baseline} for a day`;
    if (slot - comparison.settings().opened_slot > FOURTEEN_DAYS) return 'fourteen days without a verdict';
    return null;
  };

  const open = async (slot: number, { baseline, candidates }: Welcome): Promise<void> => {
    const hour = { from: slot - SLOTS_PER_HOUR + 1, to: slot + 1 };
    const day = { from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 };
    const calls = await selectCalls(store, key, hour);
    const scores = await selectScores(store, key, hour);
    const sessions = await selectRecentSessions(store, key, { ...day, limit: CROWD_CALLS });
    const units = (await selectUnits(store, key, { ...day, crowd: crowdAmong(sessions) })).map(({ id, first_slot, first_span, last_slot }) => {
      return { id, arm: null, first: { slot: first_slot, span_id: first_span, arm: null }, slot: last_slot, scored: [] };
    });
    for (const { version, start_ms } of candidates) {
      const epoch = await countComparisons(store, key, { baseline, candidate: version });
      const identity: ComparisonIdentity = { ...key, factor: 'prompt_version', baseline, candidate: version, epoch, comparison_id: comparisonIdOf(key, { baseline, candidate: version, epoch }) };
      const opening = openComparison({
        slot, baseline, candidate: version, opened_ms: start_ms, alpha: settings.alpha, stake: 1 / candidates.length,
        session_window_s: settings.sessionWindowS, policy: settings.metricPolicy, calls, scores,
      });
      const comparison = createComparison(identity, { ...opening, policy: settings.metricPolicy });
      comparison.recall({ units, sessions });
      comparisons.set(version, { comparison, settled: new Map(), strata: null, alert: null, sequence: 0, untold: null });
      rows.comparison(comparison, 'open', '');
    }
    // In one insert: that they share one α is true only if all are there after a crash.
    await rows.flush();
  };

  return {
    key,
    newcomers,
    async lookAt(slot, { active, calls, scores }) {
      const events: PromptEvent[] = [];
      const looked: { comparison_id: string; e_value: number }[] = [];
      for (const [candidate, watched] of comparisons) {
        const { comparison } = watched;
        const { comparison_id } = comparison.identity;
        if (comparison.slot() >= slot) continue;
        const told = (alert: Alert | null): void => void (alert !== null && events.push({ kind: 'alert', slot, comparison_id, alert }));
        // 1. Feed: strata that this slot closes are bet on.
        const outcome = comparison.feed(slot, calls, scores, watched.settled);
        if (outcome.strata.length > 0) {
          rows.strata(comparison_id, slot, outcome);
          watched.strata?.push(...outcome.strata);
          looked.push({ comparison_id, e_value: outcome.e_value });
          // 2. Decide. A decision reads what is durable, so the strata are written first.
          told(await decide(watched, slot, outcome));
        }
        if (watched.untold?.slot === slot) told(watched.untold.alert);
        // 3. Resolve and close.
        told(resolveSilent(watched, slot));
        const end = endOf(watched, slot);
        if (end === null) continue;
        rows.comparison(comparison, 'closed', end);
        comparisons.delete(candidate);
        if (end === ALERT_RESOLVED) newcomers.forget(candidate, slot);
      }
      if (looked.length > 0) events.push({ kind: 'look', slot, comparisons: looked });
      // 4. Greet new versions: a comparison opens with the slot after the one that a version was first seen in.
      newcomers.greet(slot, active, (version) => firstStartMs(calls, version, slot));
      const welcome = await newcomers.welcome(slot);
      if (welcome !== null) await open(slot, welcome);
      return events;
    },
    isBusy: () => comparisons.size > 0,
    keep() {
      for (const { comparison } of comparisons.values()) rows.comparison(comparison, 'open', '');
    },
    alerted: () => [...comparisons.values()].filter(({ alert }) => alert !== null).map(({ comparison }) => comparison.identity.comparison_id),
    adopt(states) {
      for (const watched of comparisons.values()) {
        const newest = states.get(watched.comparison.identity.comparison_id);
        if (newest !== undefined && newest.sequence > watched.sequence) Object.assign(watched, { alert: newest.alert, sequence: newest.sequence });
      }
    },
    async restore(stored) {
      const { comparison_id, baseline, candidate } = stored.identity;
      const comparison = createComparison(stored.identity, { settings: stored.settings, schedule: [], policy: settings.metricPolicy }, stored.snapshot);
      const { opened_slot, opened_ms } = stored.settings;
      const until = comparison.slot() + 1;
      const from = Math.max(opened_slot + 1, Math.min(until, comparison.refillFrom()));
      // 1. Units and sessions of before, as far back as they count.
      const before = { from: Math.max(1, until - SLOTS_PER_DAY), to: from };
      const armOf = (version: string | null): 'a' | 'b' | null => (version === baseline ? 'a' : version === candidate ? 'b' : null);
      const sessions = await selectRecentSessions(store, key, { ...before, limit: CROWD_CALLS });
      const known = { ...before, crowd: crowdAmong(sessions) };
      const scored = new Map((await selectScoredUnits(store, key, known)).map((unit) => [unit.id, unit.scored]));
      const units = (await selectUnits(store, key, known)).map(({ id, version, first_slot, first_span, first_version, last_slot, start_ms }) => {
        const isBefore = first_slot <= opened_slot || start_ms < opened_ms;
        const first = { slot: first_slot, span_id: first_span, arm: isBefore ? null : armOf(first_version) };
        return { id, arm: isBefore ? null : armOf(version), first, slot: last_slot, scored: scored.get(id) ?? [] };
      });
      comparison.recall({ units, sessions });
      // 2. Open windows, and units that are still watched.
      const calls = bySlot(await selectCalls(store, key, { from, to: until }));
      const scores = bySlot(await selectScores(store, key, { from, to: until }));
      for (let slot = from; slot < until; slot += 1) comparison.refill(slot, calls.get(slot) ?? [], scores.get(slot) ?? []);
      // 3. What was bet on and concluded after the state that was kept.
      const later = await loadStrata(store, comparison_id, { after: until - 1, upTo: 2 ** 32 - 1 });
      const state = (await loadAlertStates(store, [comparison_id])).get(comparison_id);
      const untold = state === undefined ? null : { slot: slotOf(state.at_ms) - 1, alert: state.alert };
      const settled = new Map(later.map((stratum) => [stratumKey(stratum), stratum]));
      comparisons.set(candidate, { comparison, settled, strata: null, alert: state?.alert ?? null, sequence: state?.sequence ?? 0, untold });
    },
  };
}

function comparisonIdOf(key: PromptKey, pair: { readonly baseline: string; readonly candidate: string; readonly epoch: number }): string {
  const named = JSON.stringify([key.project, key.environment, key.prompt_name, 'prompt_version', pair.baseline, pair.candidate, pair.epoch]);
  return `cmp_${createHash('sha256').update(named).digest('hex').slice(0, 20)}`;
}
