/** Prints one JSON line: seconds for 1,000 comparisons × 10 metrics × one stratum of 60 units, 6 of them the candidate's. */
import { advance, createEvidence, evidenceOf, type EvidenceState } from '../../analyzer/statistics/evidence.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import { binOf } from '../../analyzer/statistics/badness.ts';
import type { MetricBet, Stratum } from '../../analyzer/statistics/types.ts';
import { distribution, normal, rate, score, seeded, settingsOf, stratumOf } from '../statistics/traffic.ts';

const COMPARISONS = 1_000;
const random = seeded(1);
const values: Record<string, () => number> = {
  error_rate: () => Number(random() < 0.02),
  format: () => Number(random() < 0.02),
  truncated: () => Number(random() < 0.02),
  empty: () => Number(random() < 0.01),
  latency: () => Math.exp(7 + 0.5 * normal(random)),
  ttft: () => Math.exp(5 + 0.5 * normal(random)),
  cost: () => Math.exp(-6 + 0.6 * normal(random)),
  output_tokens: () => Math.exp(5 + 0.6 * normal(random)),
  quality: () => 0.86 + 0.1 * normal(random),
  tone: () => 0.7 + 0.2 * normal(random),
};
const kindOf = (name: string): MetricBet['kind'] =>
  ['quality', 'tone'].includes(name) ? 'score' : ['latency', 'ttft', 'cost', 'output_tokens'].includes(name) ? 'distribution' : 'rate';
const metricOf = (name: string, value: () => number): MetricBet => {
  const kind = kindOf(name);
  if (kind === 'rate') return { ...rate, weight: 0.08 };
  const scale = { kind, direction: kind === 'score' ? 'down' : 'up' } as const;
  const reference = referenceOf(Array.from({ length: 1_000 }, () => binOf(scale, value())));
  return { ...(kind === 'score' ? score(reference) : distribution(reference)), weight: 0.08 };
};
const metrics = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, metricOf(name, value)]));
const settings = settingsOf(metrics, { reserve: 0.2, models: ['m', 'n'] });
const strataOf = (slot: number): Stratum[] =>
  Object.entries(metrics).map(([name, metric]) =>
    stratumOf(name, metric, slot, Array.from({ length: 60 }, (_, unit) => ({ arm: unit < 6 ? 'b' : 'a', value: values[name]?.() ?? 0 }))),
  );

const slots = 4;
const prepared = Array.from({ length: slots }, (_, slot) => Array.from({ length: COMPARISONS }, () => strataOf(slot)));
let states: EvidenceState[] = Array.from({ length: COMPARISONS }, createEvidence);
const seconds: number[] = [];
for (const [slot, bySlot] of prepared.entries()) {
  const start = performance.now();
  states = states.map((state, comparison) => advance(state, settings, slot, bySlot[comparison] ?? []));
  for (const state of states) evidenceOf(state, settings);
  seconds.push((performance.now() - start) / 1_000);
}
console.log(
  JSON.stringify({
    bench: 'statistics',
    comparisons: COMPARISONS,
    metrics: Object.keys(metrics).length,
    units: 60,
    candidate_units: 6,
    first_slot_s: Number(seconds[0]?.toFixed(3)),
    later_slot_s: Number((seconds.slice(1).reduce((sum, value) => sum + value, 0) / (slots - 1)).toFixed(3)),
    state_bytes: JSON.stringify(states[0]).length,
  }),
);
