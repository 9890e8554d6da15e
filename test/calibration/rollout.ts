import { findingOf, isPastThreshold } from '../../analyzer/look/alerting.ts';
import { createComparison } from '../../analyzer/look/comparison.ts';
import { factorNamed } from '../../analyzer/look/factors.ts';
import { bySlot } from '../../analyzer/look/observations.ts';
import { openComparison } from '../../analyzer/look/opening.ts';
import { SLOTS_PER_HOUR } from '../../analyzer/slots.ts';
import { ConfigFile } from '../../schemas/config.ts';
import type { ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import { metricSettingsFor } from '../../schemas/metric-settings.ts';
import { observationsOf, type Call } from '../simulation/traffic.ts';

/**
 * One rollout from its traffic to its evidence, by the code that the look runs: opened when v2 is first seen, fed slot by
 * slot, and looked at after every slot. Pure: no store, no clock.
 */
export type RolloutResult = {
  readonly largest: number;
  readonly crossed: boolean;
  /** Somebody would have been told: evidence past 1/α, by a metric beyond its tolerance. With the slots since the opening; null: never. */
  readonly pagedAfter: number | null;
  readonly strata: number;
  readonly mixed: number;
  readonly metrics: Readonly<Record<string, number>>;
};

export type RolloutRequest = {
  readonly alpha: number;
  readonly candidate?: string;
  /** Its share of α, where several came together. */
  readonly stake?: number;
  /** Shown all strata so far, after every slot that closed one. */
  readonly onLook?: (strata: readonly Stratum[], settings: ComparisonSettings) => void;
};

const config = ConfigFile.parse({});

export function rollout(calls: readonly Call[], { alpha, candidate = 'v2', stake = 1, onLook }: RolloutRequest): RolloutResult {
  const observed = observationsOf(calls);
  const [opened] = observed.calls.filter((call) => call.version === candidate);
  if (opened === undefined) throw new RangeError(`no call of ${candidate}`);
  const { slot } = opened;
  const started = observed.calls.filter((call) => call.slot === slot && call.version === candidate).map((call) => call.start_ms);
  const past = observed.calls.filter((call) => call.slot <= slot);
  const policy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => metricSettingsFor(config, 'refund-agent', name, kind === 'boolean' ? 'rate' : 'score');
  const ofHour = (row: { readonly slot: number }): boolean => row.slot <= slot && row.slot > slot - SLOTS_PER_HOUR;
  const opening = openComparison({
    factor: factorNamed('prompt_version'), group: '', slot, baseline: 'v1', candidate, opened_ms: Math.min(...started), alpha, stake, session_window_s: config.session_window_s, policy,
    calls: observed.calls.filter(ofHour), scores: observed.scores.filter(ofHour),
  });
  const identity = { project: 'default', environment: 'production', prompt_name: 'refund-agent', factor: 'prompt_version', baseline: 'v1', candidate, epoch: 0, comparison_id: 'c' } as const;
  const comparison = createComparison(identity, { ...opening, policy });
  comparison.recall({
    units: past.map((call) => ({ id: call.session_id === null ? `t:${call.trace_id}` : `s:${call.session_id}`, arm: null, first: { slot: call.slot, span_id: call.span_id, arm: null }, slot: call.slot, scored: [] })),
    sessions: past.map((call) => call.session_id),
  });
  const callsIn = bySlot(observed.calls);
  const scoresIn = bySlot(observed.scores);
  const last = Math.max(...callsIn.keys(), ...scoresIn.keys()) + 24;
  let largest = 0;
  const strata: Stratum[] = [];
  let pagedAfter: number | null = null;
  for (let now = slot + 1; now <= last; now += 1) {
    const outcome = comparison.feed(now, callsIn.get(now) ?? [], scoresIn.get(now) ?? [], new Map());
    if (outcome.strata.length === 0) continue;
    strata.push(...outcome.strata);
    largest = Math.max(largest, outcome.e_value);
    if (pagedAfter === null && isPastThreshold(outcome, comparison.settings()) && findingOf(outcome, comparison.settings(), strata) !== null) pagedAfter = now - slot;
    onLook?.(strata, comparison.settings());
  }
  return { largest, crossed: largest >= 1 / alpha, pagedAfter, strata: strata.length, mixed: comparison.unitCounts().mixed, metrics: comparison.evidence().metrics };
}

/** The fewest of `runs` that would be reached or passed by chance, at this chance each, less than once in a thousand times. */
export function tooMany(runs: number, chance: number): number {
  let probability = (1 - chance) ** runs;
  let tail = 1;
  for (let count = 0; ; count += 1) {
    if (tail < 0.001) return count;
    tail -= probability;
    probability *= ((runs - count) / (count + 1)) * (chance / (1 - chance));
  }
}
