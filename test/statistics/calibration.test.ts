/**
 * False alarms under continuous looking, on traffic that is nasty to pooled tests: a daily rhythm, a canary that ramps up while it
 * runs, and an outage of the provider in the middle of the ramp. Nothing here depends on the candidate.
 */
import { describe, expect, it } from 'vitest';
import { binOf } from '../../analyzer/statistics/badness.ts';
import { curve } from '../../analyzer/statistics/curve.ts';
import { advance, createEvidence, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import type { MetricBet, Stratum } from '../../analyzer/statistics/types.ts';
import { distribution, normal, rate, score, seeded, settingsOf, stratumOf, type Unit } from './traffic.ts';

const SLOTS = 150;
const SECONDS_A_SLOT = 60;
const RUNS = 150;
const ALPHA = 0.05;

type Call = { readonly error: number; readonly latency: number; readonly quality: number };

const callAt = (slot: number, random: () => number): Call => {
  const rhythm = Math.sin((2 * Math.PI * slot) / SLOTS);
  const isOutage = slot >= 60 && slot < 80;
  return {
    error: Number(random() < (isOutage ? 0.4 : 0.02)),
    latency: 900 * Math.exp(0.5 * normal(random) + 0.3 * rhythm + (isOutage ? 1 : 0)),
    quality: Math.min(1, 0.86 - 0.04 * rhythm + 0.1 * normal(random)),
  };
};

const settingsFor = (random: () => number) => {
  const history = Array.from({ length: 300 }, () => callAt(0, random));
  const latencyScale = { kind: 'distribution', direction: 'up' } as const;
  const qualityScale = { kind: 'score', direction: 'down' } as const;
  const metrics: Record<string, MetricBet> = {
    error_rate: { ...rate, weight: 0.3 },
    latency: { ...distribution(referenceOf(history.map((call) => binOf(latencyScale, call.latency)))), weight: 0.3 },
    quality: { ...score(referenceOf(history.map((call) => binOf(qualityScale, call.quality)))), weight: 0.2 },
  };
  return settingsOf(metrics, { slot_seconds: SECONDS_A_SLOT, reserve: 0.2, models: ['m', 'n'] });
};

/** P(more than `count` of `runs` at this chance each), summed from the far end. */
const binomialTail = (count: number, runs: number, chance: number): number => {
  let probability = (1 - chance) ** runs;
  let tail = 1;
  for (let k = 0; k <= count; k++) {
    tail -= probability;
    probability *= ((runs - k) / (k + 1)) * (chance / (1 - chance));
  }
  return tail;
};

const rollout = (seed: number, broken: (call: Call) => Call) => {
  const random = seeded(seed);
  const settings = settingsFor(random);
  let state = createEvidence();
  let largest = 0;
  let crossed: number | null = null;
  const pooled = { a: [0, 0], b: [0, 0] };
  let isPooledCrossed = false;
  for (let slot = 0; slot < SLOTS; slot++) {
    // More traffic by day, and the share follows the ramp and the outage, as retries and roll-outs do.
    const units = Math.round(16 * (1 + 0.6 * Math.sin((2 * Math.PI * slot) / SLOTS)));
    const share = slot < 30 ? 0.05 : slot < 60 ? 0.2 : 0.6;
    const strata: Stratum[] = ['m', 'n'].flatMap((model) => {
      const calls = Array.from({ length: units }, () => {
        const arm: Unit['arm'] = random() < share ? 'b' : 'a';
        const call = callAt(slot, random);
        return { arm, call: arm === 'b' ? broken(call) : call };
      });
      for (const { arm, call } of calls) pooled[arm][call.error] = (pooled[arm][call.error] ?? 0) + 1;
      return (['error_rate', 'latency', 'quality'] as const).map((name) => {
        const value = (call: Call): number => (name === 'error_rate' ? call.error : call[name]);
        const metric = settings.metrics[name] ?? rate;
        return stratumOf(name, metric, slot, calls.map(({ arm, call }) => ({ arm, value: value(call) })), model);
      });
    });
    state = advance(state, settings, slot, strata);
    const { e_value } = evidenceOf(state, settings);
    largest = Math.max(largest, e_value);
    if (e_value >= 1 / ALPHA) crossed ??= slot;
    isPooledCrossed ||= (curve({ g: [0, 1], ...pooled }, [0.5])[0] ?? 0) >= Math.log(1 / ALPHA);
  }
  return { largest, crossed, isPooledCrossed };
};

describe('continuous looking', () => {
  it(`pages at most α of ${RUNS} harmless rollouts (seeds 1–${RUNS}), where a pooled test pages most`, { timeout: 60_000 }, () => {
    const runs = Array.from({ length: RUNS }, (_, index) => rollout(index + 1, (call) => call));
    const paged = runs.filter(({ crossed }) => crossed !== null).length;
    const pooledPaged = runs.filter(({ isPooledCrossed }) => isPooledCrossed).length;
    console.log(`harmless rollouts ever at 1/α, α = ${ALPHA}: ${paged} of ${RUNS}; pooled test: ${pooledPaged} of ${RUNS}; seeds 1–${RUNS}`);
    // So many or more would come by chance at α once in a thousand times.
    let allowed = 0;
    while (binomialTail(allowed, RUNS, ALPHA) > 0.001) allowed++;
    expect(paged).toBeLessThanOrEqual(allowed);
    expect(pooledPaged).toBeGreaterThan(0.9 * RUNS);
    // Bets are made at all: wealth moves.
    expect(runs.filter(({ largest }) => largest > 1.5).length).toBeGreaterThan(RUNS / 20);
  });

  it.each([
    { fault: 'errors', broken: (call: Call, random: () => number): Call => ({ ...call, error: random() < 0.15 ? 1 : call.error }) },
    { fault: 'slow answers', broken: (call: Call): Call => ({ ...call, latency: 1.7 * call.latency }) },
    { fault: 'a few very slow answers', broken: (call: Call, random: () => number): Call => ({ ...call, latency: (random() < 0.08 ? 6 : 1) * call.latency }) },
    { fault: 'poor answers', broken: (call: Call): Call => ({ ...call, quality: call.quality - 0.06 }) },
    { fault: 'a few failed answers', broken: (call: Call, random: () => number): Call => ({ ...call, quality: random() < 0.1 ? 0.1 : call.quality }) },
  ])('finds $fault in every one of 8 rollouts on the same traffic (seeds 901–908)', ({ broken }) => {
    for (let seed = 901; seed <= 908; seed++) {
      const random = seeded(seed + 50_000);
      expect(rollout(seed, (call) => broken(call, random)).crossed, `seed ${seed}`).not.toBeNull();
    }
  });
});
