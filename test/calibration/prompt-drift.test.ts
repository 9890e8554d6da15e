import { describe, expect, it } from 'vitest';
import { advanceDrift, driftEvidence, driftRatio, noDrift, type DriftMetric } from '../../analyzer/statistics/drift.ts';
import { normal, seeded } from '../statistics/traffic.ts';

/**
 * A fleet of healthy prompts, each watched by itself with a reference that is learnt from its hour before, as the look does it: how often any of them alarms.
 * The promise, one false alarm a month for all of them, is for a true reference; here it is an estimated one, and traffic has a daily rhythm.
 */
const HOUR = 120;
const HOURS = 36;
const PROMPTS = 25;
const THRESHOLD = 30 * 24 * HOUR * PROMPTS * 2;
const RATE: DriftMetric = { kind: 'rate', direction: 'up' };
const LATENCY: DriftMetric = { kind: 'ranked', tolerance: 0.35 };

type Counts = { readonly bins: readonly number[]; readonly counts: readonly number[] };
function countsOf(values: readonly number[]): Counts {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].sort(([left], [right]) => left - right);
  return { bins: sorted.map(([bin]) => bin), counts: sorted.map(([, count]) => count) };
}

/** Alarms of one prompt in all its hours, and the largest R. */
function run(seed: number): { readonly alarms: number; readonly largest: number } {
  const random = seeded(seed);
  const [share, perSlot, sigma] = [0.002 + 0.03 * random(), 4 + Math.floor(20 * random()), 0.3 + 0.4 * random()];
  const slotOf = (slot: number): { rate: number[]; latency: number[] } => {
    const units = Math.max(1, Math.round(perSlot * (1 + 0.6 * Math.sin((2 * Math.PI * slot) / (24 * HOUR))) + Math.sqrt(perSlot) * normal(random)));
    return { rate: Array.from({ length: units }, () => (random() < share ? 50 : 0)), latency: Array.from({ length: units }, () => Math.round((8 * sigma * normal(random)) / Math.LN2)) };
  };
  let alarms = 0;
  let largest = 0;
  let before = Array.from({ length: HOUR }, (_, slot) => slotOf(slot));
  for (let hour = 1; hour < HOURS; hour += 1) {
    const settled = before.slice(0, HOUR - 10);
    const now = Array.from({ length: HOUR }, (_, slot) => slotOf(hour * HOUR + slot));
    for (const [name, metric] of [['rate', RATE], ['latency', LATENCY]] as const) {
      const ratio = driftRatio(metric, countsOf(settled.flatMap((slot) => slot[name])));
      let state = noDrift;
      for (const slot of now) {
        state = advanceDrift(state, new Map([['', ratio(countsOf(slot[name]))]]));
        const evidence = driftEvidence({ prompts: state, models: noDrift }, 'nothing');
        largest = Math.max(largest, evidence);
        if (evidence >= THRESHOLD) alarms += 1;
      }
    }
    before = now;
  }
  return { alarms, largest };
}

describe('prompts that are watched by themselves', () => {
  it(`raise no alarm where all are well: ${PROMPTS} prompts, ${HOURS} hours (seeds 1–${PROMPTS})`, () => {
    const runs = Array.from({ length: PROMPTS }, (_, at) => run(at + 1));
    const largest = Math.max(...runs.map((one) => one.largest));
    console.log(`${PROMPTS} healthy prompts, ${HOURS} h, errors and latency: largest R ${largest.toPrecision(3)} of ${THRESHOLD.toPrecision(3)}`);
    expect(runs.reduce((sum, { alarms }) => sum + alarms, 0)).toBe(0);
  }, 120_000);
});
