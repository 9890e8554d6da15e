import { createHash } from 'node:crypto';
import { transitionIdOf, type Alert } from '../schemas/alert.ts';
import type { Stratum } from '../schemas/evidence.ts';
import type { Store } from '../schemas/store.ts';
import { alertOf, findingOf, isPastThreshold } from './alerting.ts';
import { createComparison, stratumKey, type Comparison, type ComparisonIdentity } from './comparison.ts';
import {
  bySlot, selectActivity, selectCalls, selectExamples, selectScoredUnits, selectScores, selectShares, selectUnits,
  type Activity, type CallObservation, type PromptKey, type ScoreObservation,
} from './observations.ts';
import { openComparison } from './opening.ts';
import { loadAlertStates, loadComparisons, loadProgress, loadStrata, loadVersions } from './look-store.ts';
import type { MetricPolicy } from './references.ts';
import { slotOf, slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from './slots.ts';

/**
 * The look loop: closes slots of the arrival clock, feeds them to the open comparisons of each prompt, opens new ones, and
 * raises alerts. It reads closed slots from the store only, so a restart goes on where the last durable look ended.
 */
export type Look = {
  /** Takes up the comparisons that an earlier process left open. */
  start(): Promise<void>;
  /** The whole log has passed `watermarkMs`: every slot that ended before is looked at, in order. */
  advance(watermarkMs: number): Promise<readonly LookEvent[]>;
};

export type LookEvent =
  | { readonly kind: 'look'; readonly slot: number; readonly comparisons: readonly { readonly comparison_id: string; readonly e_value: number }[] }
  | { readonly kind: 'alert'; readonly slot: number; readonly comparison_id: string; readonly alert: Alert };

export type LookSettings = {
  /** Who looks; progress is kept by owner. */
  readonly owner: string;
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly publicUrl: string;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  readonly promptPolicy: (prompt: string) => { readonly baseline?: string; readonly owner?: string };
  /** Slots that are read from the store in one go. */
  readonly slotsPerRead: number;
};

type PromptState = {
  readonly key: PromptKey;
  /** Last slot in which each version was active. */
  readonly versions: Map<string, { first: number; last: number }>;
  readonly comparisons: Map<string, Watched>;
  /** New versions for which no comparison could be opened yet. */
  readonly newcomers: Map<string, { readonly since: number; readonly start_ms: number }>;
  /** When comparisons were opened last: those within ten minutes share one α. */
  openedSlot: number;
};

type Watched = {
  readonly comparison: Comparison;
  /** Strata that were durable before the process that wrote them died: they count as they are. */
  readonly settled: Map<string, Stratum>;
  alert: Alert | null;
  sequence: number;
};

/** The baseline of an hour is someone: below this many earlier calls the ten minutes of DESIGN section 10 are waited for. */
const BASELINE_CALLS = 20;
const TEN_MINUTES = 20;
const FOURTEEN_DAYS = 14 * SLOTS_PER_DAY;
/** An alert resolves when its culprit had no traffic for this long, while the baseline had. */
const RESOLVED_AFTER = SLOTS_PER_HOUR / 2;
const EXAMPLES = 5;

export function createLook(deps: { readonly store: Store }, settings: LookSettings): Look {
  const { store } = deps;
  const prompts = new Map<string, PromptState>();
  let next: number | null = null;
  let pending = emptyRows();

  const stateOf = (key: PromptKey): PromptState => {
    const id = `${key.project}\0${key.environment}\0${key.prompt_name}`;
    let state = prompts.get(id);
    if (state === undefined) {
      const { project, environment, prompt_name } = key;
      state = { key: { project, environment, prompt_name }, versions: new Map(), comparisons: new Map(), newcomers: new Map(), openedSlot: Number.NEGATIVE_INFINITY };
      prompts.set(id, state);
    }
    return state;
  };

  /** Writes what is pending, evidence before what is concluded from it, progress last. */
  const flush = async (): Promise<void> => {
    const rows = pending;
    pending = emptyRows();
    await Promise.all([store.insert('strata', rows.strata), store.insert('looks', rows.looks)]);
    await store.insert('comparisons', rows.comparisons);
    await store.insert('alert_transitions', rows.transitions);
  };

  const keep = (watched: Watched, state: 'open' | 'closed' = 'open', reason = ''): void => {
    const { identity } = watched.comparison;
    const snapshot = watched.comparison.snapshot();
    const frozen = watched.comparison.settings();
    pending.comparisons.push({
      ...identity,
      opened_ms: frozen.opened_ms,
      state,
      reason,
      slot: snapshot.slot,
      settings: JSON.stringify(frozen),
      snapshot: JSON.stringify(snapshot),
    });
  };

  const transition = (watched: Watched, alert: Alert, atMs: number, reason: string): void => {
    watched.sequence += 1;
    watched.alert = alert;
    pending.transitions.push({
      transition_id: transitionIdOf(alert.id, watched.sequence),
      alert_id: alert.id,
      sequence: watched.sequence,
      project: alert.project,
      comparison_id: watched.comparison.identity.comparison_id,
      state: alert.state,
      at_ms: atMs,
      reason,
      body: JSON.stringify(alert),
    });
  };

  const open = async (prompt: PromptState, slot: number, candidates: readonly { version: string; start_ms: number }[], baseline: string): Promise<void> => {
    const range = { from: slot - SLOTS_PER_HOUR + 1, to: slot + 1 };
    const calls = await selectCalls(store, prompt.key, range);
    const scores = await selectScores(store, prompt.key, range);
    const units = await selectUnits(store, prompt.key, { from: slot - SLOTS_PER_DAY, to: slot + 1 });
    for (const { version, start_ms } of candidates) {
      const epoch = await store
        .select<{ earlier: number }>(
          `SELECT uniqExact(comparison_id) AS earlier FROM comparisons WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String}
             AND factor = 'prompt_version' AND baseline = {baseline:String} AND candidate = {candidate:String}`,
          { ...prompt.key, baseline, candidate: version },
        )
        .then(([row]) => row?.earlier ?? 0);
      const identity: ComparisonIdentity = { ...prompt.key, factor: 'prompt_version', baseline, candidate: version, epoch, comparison_id: comparisonIdOf(prompt.key, baseline, version, epoch) };
      const opening = openComparison({
        slot, baseline, candidate: version, opened_ms: start_ms, alpha: settings.alpha, stake: 1 / candidates.length,
        session_window_s: settings.sessionWindowS, policy: settings.metricPolicy(prompt.key.prompt_name), calls, scores,
      });
      const comparison = createComparison(identity, { ...opening, policy: settings.metricPolicy(prompt.key.prompt_name) });
      comparison.recall(units.map(({ id }) => ({ id, arm: null })), slot);
      const watched: Watched = { comparison, settled: new Map(), alert: null, sequence: 0 };
      prompt.comparisons.set(version, watched);
      prompt.newcomers.delete(version);
      keep(watched);
      await flush();
    }
    prompt.openedSlot = slot;
  };

  /** Opens what can be opened for the versions that appeared. */
  const welcome = async (prompt: PromptState, slot: number): Promise<void> => {
    if (prompt.newcomers.size === 0 || slot - prompt.openedSlot < TEN_MINUTES) return;
    const newcomers = [...prompt.newcomers].map(([version, { since, start_ms }]) => ({ version, since, start_ms })).sort((left, right) => left.start_ms - right.start_ms || (left.version < right.version ? -1 : 1));
    const first = newcomers[0];
    if (first === undefined) return;
    const day = { from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 };
    const configured = settings.promptPolicy(prompt.key.prompt_name).baseline;
    const earlier = (await selectShares(store, prompt.key, { ...day, before_ms: first.start_ms })).filter(({ version }) => !prompt.newcomers.has(version));
    const established = configured !== undefined && prompt.versions.has(configured) ? configured : earlier[0] !== undefined && earlier[0].calls >= BASELINE_CALLS ? earlier[0].version : null;
    if (established !== null) {
      const candidates = newcomers.filter(({ version }) => version !== established);
      prompt.newcomers.delete(established);
      if (candidates.length > 0) await open(prompt, slot, candidates, established);
      return;
    }
    // First sight of several at once: who has most calls in the first ten minutes is the baseline.
    const firstSlot = Math.min(...[...prompt.versions.values()].map((version) => version.first));
    if (slot < firstSlot + TEN_MINUTES) return;
    const shares = await selectShares(store, prompt.key, { ...day, before_ms: slotStartMs(slot + 1) });
    const baseline = shares[0]?.version;
    if (baseline === undefined) return;
    prompt.newcomers.delete(baseline);
    const candidates = shares.filter(({ version }) => version !== baseline).map(({ version }) => ({ version, start_ms: slotStartMs(slot + 1) }));
    prompt.newcomers.clear();
    if (candidates.length > 0) await open(prompt, slot, candidates, baseline);
  };

  const decide = async (prompt: PromptState, watched: Watched, slot: number, evidence: { e_value: number; metrics: Record<string, number> }): Promise<Alert | null> => {
    const { comparison } = watched;
    const frozen = comparison.settings();
    if (watched.alert !== null || !isPastThreshold(evidence, frozen)) return null;
    await flush();
    const strata = await loadStrata(store, comparison.identity.comparison_id, { after: -1, upTo: slot });
    const finding = findingOf(evidence, frozen, strata);
    if (finding === null) return null;
    const examples = await selectExamples(store, {
      ...prompt.key, version: comparison.identity.candidate, metric: finding.metric, direction: finding.settings.direction,
      onset_ms: finding.onsetMs, to_slot: slot, limit: EXAMPLES,
    });
    const raisedMs = slotStartMs(slot + 1);
    const owner = settings.promptPolicy(prompt.key.prompt_name).owner ?? null;
    const alert = alertOf({ identity: comparison.identity, settings: frozen, evidence, strata, finding, examples, raisedMs, owner, publicUrl: settings.publicUrl });
    transition(watched, alert, raisedMs, 'evidence past its threshold');
    return alert;
  };

  /** Whether a comparison is over, and why. */
  const endOf = (prompt: PromptState, watched: Watched, slot: number): string | null => {
    const { baseline, candidate } = watched.comparison.identity;
    const silent = (version: string): number => slot - (prompt.versions.get(version)?.last ?? 0);
    if (watched.alert?.state === 'resolved') return 'its alert was resolved';
    if (watched.alert === null) {
      if (silent(candidate) > SLOTS_PER_DAY) return `no call of ${candidate} for a day`;
      if (silent(baseline) > SLOTS_PER_DAY) return `no call of ${baseline} for a day`;
    }
    if (slot - watched.comparison.settings().opened_slot > FOURTEEN_DAYS) return 'fourteen days without a verdict';
    return null;
  };

  const resolveSilent = (prompt: PromptState, watched: Watched, slot: number): Alert | null => {
    const { baseline, candidate } = watched.comparison.identity;
    const last = (version: string): number => prompt.versions.get(version)?.last ?? 0;
    if (watched.alert === null || watched.alert.state === 'resolved') return null;
    if (slot - last(candidate) < RESOLVED_AFTER || slot - last(baseline) >= RESOLVED_AFTER) return null;
    const atMs = slotStartMs(slot + 1);
    const alert: Alert = { ...watched.alert, state: 'resolved', resolved_at: new Date(atMs).toISOString() };
    transition(watched, alert, atMs, `${candidate} takes no more traffic`);
    return alert;
  };

  const lookAt = async (prompt: PromptState, slot: number, active: readonly Activity[], calls: readonly CallObservation[], scores: readonly ScoreObservation[], events: LookEvent[]): Promise<void> => {
    // 1. Feed the open comparisons: strata that this slot closes are bet on.
    const looked: { comparison_id: string; e_value: number }[] = [];
    for (const [candidate, watched] of prompt.comparisons) {
      const { comparison_id } = watched.comparison.identity;
      if (watched.comparison.slot() >= slot) continue;
      const outcome = watched.comparison.feed(slot, calls, scores, watched.settled);
      if (outcome.strata.length > 0) {
        pending.strata.push(...outcome.strata.map((stratum) => ({ comparison_id, ...stratum, closed_at: slotStartMs(slot + 1) / 1000 })));
        pending.looks.push({ comparison_id, slot, at: slotStartMs(slot + 1) / 1000, e_value: outcome.e_value, metrics: outcome.metrics });
        looked.push({ comparison_id, e_value: outcome.e_value });
        // 2. Decide.
        const alert = await decide(prompt, watched, slot, outcome);
        if (alert !== null) events.push({ kind: 'alert', slot, comparison_id, alert });
      }
      const resolved = resolveSilent(prompt, watched, slot);
      if (resolved !== null) events.push({ kind: 'alert', slot, comparison_id, alert: resolved });
      const end = endOf(prompt, watched, slot);
      if (end !== null) {
        keep(watched, 'closed', end);
        prompt.comparisons.delete(candidate);
        // If it comes back, it is new again.
        prompt.versions.delete(candidate);
      }
    }
    if (looked.length > 0) events.push({ kind: 'look', slot, comparisons: looked });

    // 3. Greet new versions: a comparison opens with the slot after the one that a version was first seen in.
    for (const { version } of active) {
      const known = prompt.versions.get(version);
      const isNew = known === undefined || slot - known.last > SLOTS_PER_DAY;
      if (isNew && !prompt.comparisons.has(version)) {
        const start_ms = calls.reduce((earliest, call) => (call.version === version ? Math.min(earliest, call.start_ms) : earliest), slotStartMs(slot + 1));
        const isOnly = [...prompt.versions.values()].every(({ last }) => slot - last > SLOTS_PER_DAY) && active.length === 1;
        if (!isOnly) prompt.newcomers.set(version, { since: slot, start_ms });
      }
      prompt.versions.set(version, { first: isNew ? slot : (known?.first ?? slot), last: slot });
    }
    await welcome(prompt, slot);
  };

  const readRange = async (from: number, to: number): Promise<LookEvent[]> => {
    const events: LookEvent[] = [];
    await adoptDecisions();
    const activity = await selectActivity(store, { from, to });
    const ofPrompt = new Map<PromptState, Activity[]>();
    for (const row of activity) {
      const prompt = stateOf(row);
      const rows = ofPrompt.get(prompt);
      if (rows === undefined) ofPrompt.set(prompt, [row]);
      else rows.push(row);
    }
    for (const [, prompt] of [...prompts].sort(([left], [right]) => (left < right ? -1 : 1))) {
      const active = ofPrompt.get(prompt) ?? [];
      const versions = new Set([...prompt.versions.keys(), ...active.map((row) => row.version)]);
      const isWatched = prompt.comparisons.size > 0 || prompt.newcomers.size > 0 || versions.size > 1;
      if (!isWatched) {
        for (const { version, slot } of active) prompt.versions.set(version, { first: prompt.versions.get(version)?.first ?? slot, last: slot });
        continue;
      }
      const calls = bySlot(active.length === 0 ? [] : await selectCalls(store, prompt.key, { from, to }));
      const scores = bySlot(await selectScores(store, prompt.key, { from, to }));
      const activeIn = bySlot(active);
      for (let slot = from; slot < to; slot += 1) {
        await lookAt(prompt, slot, activeIn.get(slot) ?? [], calls.get(slot) ?? [], scores.get(slot) ?? [], events);
      }
      for (const watched of prompt.comparisons.values()) keep(watched);
    }
    await flush();
    await store.insert('look_progress', [{ owner: settings.owner, slot: to }]);
    events.sort((left, right) => left.slot - right.slot);
    return events;
  };

  /** What people decided about open alerts since the last look. */
  const adoptDecisions = async (): Promise<void> => {
    const alerted = [...prompts.values()].flatMap((prompt) => [...prompt.comparisons.values()]).filter((watched) => watched.alert !== null);
    if (alerted.length === 0) return;
    const states = await loadAlertStates(store, alerted.map((watched) => watched.comparison.identity.comparison_id));
    for (const watched of alerted) {
      const newest = states.get(watched.comparison.identity.comparison_id);
      if (newest !== undefined && newest.sequence > watched.sequence) Object.assign(watched, newest);
    }
  };

  const restore = async (prompt: PromptState, watched: Watched): Promise<void> => {
    const { comparison } = watched;
    const { baseline, candidate } = comparison.identity;
    const until = comparison.slot() + 1;
    const from = Math.max(comparison.settings().opened_slot + 1, Math.min(until, comparison.refillFrom()));
    const armOf = (version: string | null): 'a' | 'b' | null => (version === baseline ? 'a' : version === candidate ? 'b' : null);
    const before = { from: Math.max(1, until - SLOTS_PER_DAY), to: from };
    const units = await selectUnits(store, prompt.key, before);
    comparison.recall(units.map(({ id, version, start_ms }) => ({ id, arm: start_ms < comparison.settings().opened_ms ? null : armOf(version) })), from);
    comparison.recall((await selectScoredUnits(store, prompt.key, before)).map(({ id, name }) => ({ id: `${id}\0${name}`, arm: null })), from);
    const calls = bySlot(await selectCalls(store, prompt.key, { from, to: until }));
    const scores = bySlot(await selectScores(store, prompt.key, { from, to: until }));
    for (let slot = from; slot < until; slot += 1) comparison.refill(slot, calls.get(slot) ?? [], scores.get(slot) ?? []);
    for (const stratum of await loadStrata(store, comparison.identity.comparison_id, { after: until - 1, upTo: 2 ** 32 - 1 })) watched.settled.set(stratumKey(stratum), stratum);
  };

  return {
    async start() {
      next = await loadProgress(store, settings.owner);
      for (const { first_seen_ms, last_seen_ms, value, ...key } of await loadVersions(store)) {
        stateOf(key).versions.set(value, { first: slotOf(first_seen_ms), last: slotOf(last_seen_ms) });
      }
      for (const stored of await loadComparisons(store)) {
        const prompt = stateOf(stored.identity);
        const comparison = createComparison(stored.identity, { settings: stored.settings, schedule: [], policy: settings.metricPolicy(stored.identity.prompt_name) }, stored.snapshot);
        const watched: Watched = { comparison, settled: new Map(), alert: null, sequence: 0 };
        await restore(prompt, watched);
        prompt.comparisons.set(stored.identity.candidate, watched);
        prompt.openedSlot = Math.max(prompt.openedSlot, stored.settings.opened_slot);
        Object.assign(watched, (await loadAlertStates(store, [stored.identity.comparison_id])).get(stored.identity.comparison_id) ?? {});
      }
    },
    async advance(watermarkMs) {
      const closed = slotOf(watermarkMs);
      if (next === null) {
        const [first] = await store.select<{ earliest: number }>('SELECT min(slot) AS earliest FROM calls WHERE slot > 0');
        if (first === undefined || first.earliest === 0) return [];
        next = first.earliest;
      }
      const events: LookEvent[] = [];
      while (next < closed) {
        const to = Math.min(closed, next + settings.slotsPerRead);
        events.push(...(await readRange(next, to)));
        next = to;
      }
      return events;
    },
  };
}

function emptyRows(): { strata: object[]; looks: object[]; comparisons: object[]; transitions: object[] } {
  return { strata: [], looks: [], comparisons: [], transitions: [] };
}

function comparisonIdOf(key: PromptKey, baseline: string, candidate: string, epoch: number): string {
  const named = JSON.stringify([key.project, key.environment, key.prompt_name, 'prompt_version', baseline, candidate, epoch]);
  return `cmp_${createHash('sha256').update(named).digest('hex').slice(0, 20)}`;
}
