import { describe, expect, it } from 'vitest';
import { advanceDrift, driftEvidence, driftOnset, driftRatio, isGrouped, leftOutWith, noDrift, type DriftMetric, type DriftState } from '../../analyzer/statistics/drift.ts';
import { seeded } from './traffic.ts';

const RATE: DriftMetric = { kind: 'rate', direction: 'up' };
const RANKED: DriftMetric = { kind: 'ranked', tolerance: 0.25 };
const reference = (share: number) => ({ bins: [0, 50], counts: [Math.round(10_000 * (1 - share)), Math.round(10_000 * share)] });

/** Slots of 20 units; each prompt's share of failures from slot `from` on. Returns the slot of the alarm. */
function alarm(prompts: Readonly<Record<string, { readonly normal: number; readonly later: number }>>, { slots, from, threshold, seed, leavesOut = 'prompt' }: { slots: number; from: number; threshold: number; seed: number; leavesOut?: 'prompt' | 'nothing' }): number | null {
  const random = seeded(seed);
  const ratioOf = new Map(Object.entries(prompts).map(([name, { normal }]) => [name, driftRatio(RATE, reference(normal))]));
  let state: DriftState = noDrift;
  for (let slot = 0; slot < slots; slot += 1) {
    const ratios = Object.entries(prompts).map(([name, { normal, later }]): [string, number[]] => {
      const bad = Array.from({ length: 20 }, () => random() < (slot >= from ? later : normal)).filter(Boolean).length;
      return [name, ratioOf.get(name)?.({ bins: [0, 50], counts: [20 - bad, bad] }) ?? []];
    });
    state = advanceDrift(state, new Map(ratios));
    if (driftEvidence({ prompts: state, models: noDrift }, leavesOut) >= threshold) return slot;
  }
  return null;
}

describe('the likelihood ratio of a slot', () => {
  it('of a rate is that of binomials, against twice the odds of the reference', () => {
    const share = (500 + 1) / (10_000 + 2);
    const odds = (2 * share) / (1 - share);
    const tolerated = odds / (1 + odds);
    const ratio = driftRatio(RATE, reference(0.05))({ bins: [0, 50], counts: [17, 3] });
    for (const [at, lambda] of [2, 4, 8, 20].map(Math.log).entries()) {
      const tilted = (tolerated * Math.exp(lambda)) / (1 - tolerated + tolerated * Math.exp(lambda));
      expect(ratio[at]).toBeCloseTo(3 * Math.log(tilted / tolerated) + 17 * Math.log((1 - tilted) / (1 - tolerated)), 10);
    }
  });

  it('has expectation 1 at most where everything is as it was, and exactly 1 at the tolerated tilt', () => {
    const counts = [5, 20, 40, 25, 10];
    const bins = [0, 1, 2, 3, 4];
    const ratioOf = driftRatio(RANKED, { bins, counts });
    const expectation = (weights: readonly number[], l: number): number => bins.reduce((sum, bin, at) => sum + (weights[at] ?? 0) * Math.exp(ratioOf({ bins: [bin], counts: [1] })[l] ?? 0), 0);
    for (const l of [0, 1, 2, 3]) expect(expectation(counts.map((count) => count / 100), l)).toBeLessThan(1);
    const ranks = [0.025, 0.15, 0.45, 0.775, 0.95];
    const mean = ranks.reduce((sum, rank, at) => sum + (rank * (counts[at] ?? 0)) / 100, 0);
    const spread = Math.sqrt(ranks.reduce((sum, rank, at) => sum + ((rank - mean) ** 2 * (counts[at] ?? 0)) / 100, 0));
    const tilted = ranks.map((rank, at) => ((counts[at] ?? 0) / 100) * Math.exp((0.25 / spread) * rank));
    const total = tilted.reduce((sum, weight) => sum + weight, 0);
    for (const l of [0, 1, 2, 3]) expect(expectation(tilted.map((weight) => weight / total), l)).toBeCloseTo(1, 10);
  });

  it('of a rate that is to be high counts its failures', () => {
    const passed = driftRatio({ kind: 'rate', direction: 'down' }, { bins: [0, 50], counts: [100, 9_900] });
    expect(passed({ bins: [0, 50], counts: [5, 15] })).toEqual(driftRatio(RATE, reference(0.01))({ bins: [0, 50], counts: [15, 5] }));
  });
});

describe('an alarm', () => {
  const three = (later: number) => ({ p: { normal: 0.01, later }, q: { normal: 0.01, later }, r: { normal: 0.002, later } });

  it('comes within three slots of an outage (seeds 1–5)', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const slot = alarm(three(0.3), { slots: 200, from: 150, threshold: 1e6, seed });
      expect(slot, `seed ${seed}`).not.toBeNull();
      expect((slot ?? 0) - 150, `seed ${seed}`).toBeLessThan(3);
    }
  });

  it('does not come for one prompt, however broken (seeds 1–5)', () => {
    for (const seed of [1, 2, 3, 4, 5]) expect(alarm({ ...three(0.01), r: { normal: 0.002, later: 0.9 } }, { slots: 200, from: 50, threshold: 1e3, seed }), `seed ${seed}`).toBeNull();
  });

  it('does not come for what is tolerated, twice the odds, any oftener than once in A slots on average (seeds 1–40)', () => {
    const A = 2_000;
    const twice = { p: { normal: 0.02, later: 0.039 }, q: { normal: 0.02, later: 0.039 } };
    // 40 runs of A/10 slots: at most 4 alarms are expected, 12 or more come by chance less than once in a thousand times.
    const alarms = Array.from({ length: 40 }, (_, run) => alarm(twice, { slots: A / 10, from: 0, threshold: A, seed: run + 1 })).filter((slot) => slot !== null).length;
    console.log(`at the tolerated rate: ${alarms} alarms in 40 runs of ${A / 10} slots, threshold ${A}; seeds 1–40`);
    expect(alarms).toBeLessThan(12);
  });

  it('of a prompt by itself comes at once where it breaks, and for what is tolerated no oftener than once in A slots on average (seeds 1–40)', () => {
    expect((alarm({ p: { normal: 0.01, later: 0.4 } }, { slots: 120, from: 100, threshold: 1e8, seed: 1, leavesOut: 'nothing' }) ?? 0) - 100).toBeLessThan(5);
    const A = 2_000;
    const alarms = Array.from({ length: 40 }, (_, run) => alarm({ p: { normal: 0.02, later: 0.039 } }, { slots: A / 10, from: 0, threshold: A, seed: run + 1, leavesOut: 'nothing' })).filter((slot) => slot !== null).length;
    console.log(`one prompt at the tolerated rate: ${alarms} alarms in 40 runs of ${A / 10} slots, threshold ${A}; seeds 1–40`);
    expect(alarms).toBeLessThan(12);
  });

  it('of a provider needs two models as well', () => {
    const twoPrompts = advanceDrift(noDrift, new Map([['p', [9, 9, 9, 9]], ['q', [9, 9, 9, 9]]]));
    const oneModel = advanceDrift(noDrift, new Map([['m', [18, 18, 18, 18]], ['n', [0, 0, 0, 0]]]));
    expect(driftEvidence({ prompts: twoPrompts, models: noDrift }, 'prompt')).toBeGreaterThan(1_000);
    expect(driftEvidence({ prompts: twoPrompts, models: oneModel }, 'prompt_or_model')).toBe(1);
  });

  it('needs two prompts', () => {
    expect(driftEvidence({ prompts: advanceDrift(noDrift, new Map([['p', [9, 9, 9, 9]]])), models: noDrift }, 'prompt')).toBe(0);
  });

  it('leaves prompts out in groups where there are many, which is never less strict', () => {
    expect([isGrouped(64), isGrouped(65)]).toEqual([false, true]);
    expect(new Set(Array.from({ length: 1_000 }, (_, at) => leftOutWith(`prompt ${at}`, true))).size).toBeLessThanOrEqual(64);
    expect(leftOutWith('p', false)).toBe('p');
  });

  it('counts R from the slot before, whatever a prompt that comes later missed', () => {
    const one = advanceDrift(noDrift, new Map([['p', [1, 1, 1, 1]]]));
    const two = advanceDrift(one, new Map([['q', [2, 2, 2, 2]]]));
    // Without q: (1 + e) · e^0. Without p: (1 + 1) · e^2, as R without p was 1.
    expect(Math.exp(two.without.q?.[0] ?? 0)).toBeCloseTo(1 + Math.E, 12);
    expect(Math.exp(two.without.p?.[0] ?? 0)).toBeCloseTo(2 * Math.E ** 2, 12);
    expect(JSON.parse(JSON.stringify(two))).toEqual(two);
  });
});

describe('the onset', () => {
  it('is the start of the stretch with the largest sum', () => {
    const at = (slot: number, x: number) => ({ slot, ratio: [x, x / 2, -1, -1] });
    expect(driftOnset([at(1, -1), at(2, 0.5), at(3, -2), at(4, 3), at(5, 3)])).toBe(4);
    expect(driftOnset([])).toBeNull();
  });
});
