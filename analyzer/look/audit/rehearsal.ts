import type { ComparisonSettings, Stratum } from '../../../schemas/evidence.ts';
import { findingOf, isPastThreshold } from '../alerting.ts';
import { Comparison } from '../comparison.ts';
import { factorNamed } from '../factors.ts';
import { bySlot, type CallObservation, type ScoreObservation } from '../observations.ts';
import { openComparison } from '../opening.ts';
import { createPromptUnits, unitIdOf } from '../prompt-units.ts';
import type { MetricPolicy } from '../references.ts';
import { SLOTS_PER_HOUR } from '../../slots.ts';

/**
 * One rollout of a version from rows in memory to its evidence, by the code that the look runs: opened when the candidate is first seen, fed
 * slot by slot, looked at after every slot. Pure: no store, no clock. For audits and calibration.
 */
export type RehearsalRequest = {
  /** Of one prompt, by slot. */
  readonly calls: readonly CallObservation[];
  readonly scores: readonly ScoreObservation[];
  readonly baseline: string;
  readonly candidate: string;
  readonly alpha: number;
  /** The candidate's share of α. */
  readonly stake: number;
  readonly sessionWindowS: number;
  readonly policy: MetricPolicy;
  /** Shown all strata so far, after every slot that closed one. */
  readonly onLook?: ((strata: readonly Stratum[], settings: ComparisonSettings) => void) | undefined;
};

export type Rehearsal = {
  /** The largest evidence of any look. */
  readonly largest: number;
  /** Somebody would have been told: evidence past 1/α, by a metric beyond its tolerance. In slots since the opening; null: never. */
  readonly told: { readonly slots: number; readonly metric: string } | null;
  readonly strata: number;
  readonly mixed: number;
  /** Evidence of each metric by itself: at the end, … */
  readonly metrics: Readonly<Record<string, number>>;
  /** … and at its largest. */
  readonly peaks: ReadonlyMap<string, number>;
  readonly settings: ComparisonSettings;
};

/** Slots after the last row: sessions end, windows close. */
const CLOSING_SLOTS = 24;

/** @throws RangeError where the candidate has no call. */
export function rehearse({ calls, scores, baseline, candidate, alpha, stake, sessionWindowS, policy, onLook }: RehearsalRequest): Rehearsal {
  const opened = calls.find((call) => call.seen.version === candidate);
  if (opened === undefined) throw new RangeError(`no call of ${candidate}`);
  const { slot } = opened;
  const opened_ms = calls.reduce((first, call) => (call.slot === slot && call.seen.version === candidate ? Math.min(first, call.start_ms) : first), opened.start_ms);
  const ofHour = (row: { readonly slot: number }): boolean => row.slot <= slot && row.slot > slot - SLOTS_PER_HOUR;
  const opening = openComparison({
    factor: factorNamed('prompt_version'), group: '', slot, baseline, candidate, opened_ms, alpha, stake, session_window_s: sessionWindowS, policy, calls: calls.filter(ofHour), scores: scores.filter(ofHour),
  });
  const identity = { project: '', environment: '', prompt_name: '', factor: 'prompt_version', baseline, candidate, epoch: 0, comparison_id: '' } as const;
  const units = createPromptUnits();
  const past = calls.filter((call) => call.slot <= slot);
  units.recall({
    units: past.map((call) => ({ id: unitIdOf(call, { isCrowd: () => false }), first: call, slot: call.slot, answered: call.is_error ? 'never' : 'at_first', scored: [] })),
    sessions: past.map((call) => call.session_id),
  });
  const comparison = new Comparison(identity, { ...opening, policy }, null, units);
  const [callsIn, scoresIn] = [bySlot(calls), bySlot(scores)];
  const last = Math.max(calls.at(-1)?.slot ?? slot, scores.at(-1)?.slot ?? slot) + CLOSING_SLOTS;
  const strata: Stratum[] = [];
  const peaks = new Map<string, number>();
  let largest = 0;
  let told: Rehearsal['told'] = null;
  for (let now = slot + 1; now <= last; now += 1) {
    const outcome = comparison.feed(now, callsIn.get(now) ?? [], scoresIn.get(now) ?? [], new Map());
    if (outcome.strata.length === 0) continue;
    strata.push(...outcome.strata);
    largest = Math.max(largest, outcome.e_value);
    for (const [name, e_value] of Object.entries(outcome.metrics)) peaks.set(name, Math.max(peaks.get(name) ?? 0, e_value));
    if (told === null && isPastThreshold(outcome, comparison.settings())) {
      const finding = findingOf(outcome, comparison.settings(), strata);
      if (finding !== null) told = { slots: now - slot, metric: finding.metric };
    }
    onLook?.(strata, comparison.settings());
  }
  return { largest, told, strata: strata.length, mixed: comparison.unitCounts().mixed, metrics: comparison.evidence().metrics, peaks, settings: comparison.settings() };
}
