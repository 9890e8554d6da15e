import { findingOf, isPastThreshold, type Finding } from '../../analyzer/look/alerting.ts';
import { strataOver } from '../../analyzer/look/before-after.ts';
import { Comparison } from '../../analyzer/look/comparison.ts';
import { historyOf, planBeforeAfter } from '../../analyzer/look/cutover.ts';
import { factorNamed, type FactorName } from '../../analyzer/look/factors.ts';
import { bySlot } from '../../analyzer/look/observations.ts';
import { openComparison } from '../../analyzer/look/opening.ts';
import { countArms } from '../../analyzer/look/taking-up.ts';
import { createTape } from '../../analyzer/look/tape.ts';
import type { Stratum } from '../../schemas/evidence.ts';
import { SLOTS_PER_HOUR } from '../../analyzer/slots.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { metricSettingsFor } from '../../schemas/metric-settings.ts';
import { observationsOf, type Call } from '../simulation/traffic.ts';

/**
 * One full cutover from its traffic, and that of prompts beside it, to its evidence and what is concluded from it, by the code that the look
 * runs. Pure: no store, no clock.
 */
export type CutoverResult = {
  readonly largest: number;
  readonly crossed: boolean;
  /** What would be told first: a page or a ticket, by its grade; null: nothing. */
  readonly finding: (Pick<Finding, 'grade' | 'metric'> & { readonly slot: number }) | null;
  readonly pairs: number;
  readonly plan: { readonly window_slots: number; readonly controls: number } | null;
};

const config = ConfigFile.parse({});
const policy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => metricSettingsFor(config, 'refund-agent', name, kind === 'boolean' ? 'rate' : 'score');

export function cutover(
  target: readonly Call[],
  beside: Readonly<Record<string, readonly Call[]>>,
  { alpha, factor: factorName = 'prompt_version', baseline = 'v1', candidate = 'v2' }: { readonly alpha: number; readonly factor?: FactorName; readonly baseline?: string; readonly candidate?: string },
): CutoverResult {
  const factor = factorNamed(factorName);
  const own = observationsOf(target);
  const first = own.calls.find((call) => factor.valueOf(call.seen) === candidate);
  if (first === undefined) throw new RangeError(`no call of ${candidate}`);
  const { slot } = first;
  const group = factor.groupOf(first.seen);
  const arms = { factor, group, baseline, candidate };
  const opened_ms = Math.min(...own.calls.filter((call) => call.slot === slot && factor.valueOf(call.seen) === candidate).map((call) => call.start_ms));
  const ofHour = (row: { readonly slot: number }): boolean => row.slot <= slot && row.slot > slot - SLOTS_PER_HOUR;
  const opening = openComparison({ ...arms, slot, opened_ms, alpha, stake: 1, session_window_s: config.session_window_s, policy, calls: own.calls.filter(ofHour), scores: own.scores.filter(ofHour) });
  const comparison = new Comparison({ project: 'p', environment: 'e', prompt_name: 'refund-agent', factor: factorName, baseline, candidate, epoch: 0, comparison_id: 'c' }, { ...opening, policy });

  const begin = Math.floor((own.calls[0]?.slot ?? slot) / SLOTS_PER_HOUR) * SLOTS_PER_HOUR;
  const sides = Object.entries({ '': own, ...Object.fromEntries(Object.entries(beside).map(([name, calls]) => [name, observationsOf(calls)])) }).map(([name, observed]) => ({
    name, observed, tape: createTape(begin), calls: bySlot(observed.calls), scores: bySlot(observed.scores),
  }));
  const tapes = new Map(sides.map(({ name, tape }) => [name, tape]));
  const last = Math.max(...own.calls.map((call) => call.slot)) + 24;
  const strata: Stratum[] = [];
  let largest = 0;
  let finding: CutoverResult['finding'] = null;
  for (let now = begin; now <= last; now += 1) {
    for (const { tape, calls, scores } of sides) tape.record(now, calls.get(now) ?? [], scores.get(now) ?? []);
    if (now <= slot) continue;
    const [self] = sides;
    const calls = self?.calls.get(now) ?? [];
    comparison.count(now, countArms(arms, calls.map(({ seen }) => ({ ...seen, calls: 1 }))));
    const takeover = comparison.takeover();
    const history = takeover === null || self === undefined ? null : historyOf(self.tape, arms, comparison.settings(), { slot: now, ...takeover });
    if (takeover !== null && history !== null && self !== undefined) {
      const neighbours = sides.slice(1).map(({ name, tape }) => ({ prompt: name, version: 'v1', tape }));
      comparison.beginBeforeAfter(planBeforeAfter(arms, comparison.settings(), { slot: now, ...takeover }, { own: self.tape, history, neighbours }));
    }
    const compared = strataOver(now, arms, comparison.settings(), tapes);
    const outcome = comparison.feed(now, calls, self?.scores.get(now) ?? [], new Map(), compared);
    strata.push(...outcome.strata);
    if (outcome.strata.length === 0) continue;
    largest = Math.max(largest, outcome.e_value);
    if (finding !== null || !isPastThreshold(outcome, comparison.settings())) continue;
    const told = findingOf(outcome, comparison.settings(), strata);
    if (told !== null) finding = { grade: told.grade, metric: told.metric, slot: now - slot };
  }
  const plan = comparison.settings().before_after;
  return { largest, crossed: largest >= 1 / alpha, finding, pairs: strata.filter(({ use }) => use === 'pair').length, plan: plan === null ? null : { window_slots: plan.window_slots, controls: plan.controls.length } };
}
