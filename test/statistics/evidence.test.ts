import { describe, expect, it } from 'vitest';
import { badnessFunctions, binOf } from '../../analyzer/statistics/badness.ts';
import { advance, createEvidence, evidenceOf, type EvidenceState } from '../../analyzer/statistics/evidence.ts';
import { curve } from '../../analyzer/statistics/curve.ts';
import { notWorseCurve, wealthOf } from '../../analyzer/statistics/not-worse.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import type { MetricBet, Settings, Stratum } from '../../analyzer/statistics/types.ts';
import { verify } from '../../analyzer/statistics/verify.ts';
import { Evidence } from '../../schemas/evidence.ts';
import { distribution, normal, rate, score, seeded, settingsOf, stratumOf } from './traffic.ts';

const HALF_HOUR = 60;
const latencyReference = referenceOf([70, 72, 75, 76, 80, 81, 85, 90, 95]);
const scoreReference = referenceOf([0, 2, 4, 5, 5, 7, 9, 20]);

/** Every way in which `size` of the units can be the candidate's. */
const relabelled = (name: string, metric: MetricBet, slot: number, values: readonly number[], size: number, model = 'm'): Stratum[] =>
  Array.from({ length: 2 ** values.length }, (_, mask) => mask)
    .filter((mask) => mask.toString(2).replaceAll('0', '').length === size)
    .map((mask) => stratumOf(name, metric, slot, values.map((value, unit) => ({ arm: (mask >> unit) & 1 ? 'b' : 'a', value })), model));

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);
const fold = (settings: Settings, strata: readonly Stratum[]): EvidenceState =>
  [...new Set(strata.map(({ slot }) => slot))].reduce((state, slot) => advance(state, settings, slot, strata.filter((stratum) => stratum.slot === slot)), createEvidence());

const cases: { name: string; metric: MetricBet; first: number[]; second: number[] }[] = [
  { name: 'error_rate', metric: rate, first: [0, 0, 1, 0, 1, 0], second: [1, 1, 0, 1, 1] },
  { name: 'error_rate of sessions', metric: rate, first: [0, 0.5, 1, 0, 0.2, 0], second: [1, 0.3, 0, 1, 0.9] },
  { name: 'quality', metric: score(scoreReference), first: [0.9, 0.8, 1, 0.2, 0.86, 0.85], second: [0.1, 0, 0.3, 0.9, 0.2] },
  { name: 'latency', metric: distribution(latencyReference), first: [900, 1200, 700, 0, 9000, 1100], second: [4000, 90_000, 800, 30, 3000] },
  { name: 'latency before its tail was bet on', metric: { ...distribution(latencyReference), tail: undefined }, first: [900, 1200, 700, 0, 9000, 1100], second: [4000, 90_000, 800, 30, 3000] },
  { name: 'throughput', metric: { ...distribution(latencyReference), direction: 'down' }, first: [900, 1200, 700, 0, 9000, 1100], second: [40, 900, 800, 30, 3000] },
];

describe('a harmless candidate', () => {
  it.each(cases)('has an expected e-value of exactly the stake for $name, at any stopping time', ({ name, metric, first, second }) => {
    const settings = settingsOf({ [name]: { ...metric, weight: 0.7 } }, { stake: 0.5, reserve: 0.3, models: ['m', 'n'] });
    const afterFirst: number[] = [];
    const afterSecond: number[] = [];
    const stopped: number[] = [];
    // The second stratum closes after three restarts, on the other model.
    const seconds = relabelled(name, metric, 3 * HALF_HOUR + 5, second, 3, 'n');
    for (const one of relabelled(name, metric, 2, first, 2)) {
      const state = advance(createEvidence(), settings, 2, [one]);
      const before = evidenceOf(state, settings).e_value;
      afterFirst.push(before);
      for (const two of seconds) {
        const after = evidenceOf(advance(state, settings, two.slot, [two]), settings).e_value;
        afterSecond.push(after);
        stopped.push(before > 0.5 ? before : after);
      }
    }
    expect(Math.max(...afterSecond)).toBeGreaterThan(0.6);
    expect(mean(afterFirst)).toBeCloseTo(0.5, 10);
    expect(mean(afterSecond)).toBeCloseTo(0.5, 10);
    expect(mean(stopped)).toBeCloseTo(0.5, 10);
  });

  it('has it too when a metric joins late from the reserve', () => {
    const opening = settingsOf({ a: { ...rate, weight: 0.8 } }, { reserve: 0.2 });
    const later = settingsOf({ a: { ...rate, weight: 0.8 }, b: { ...rate, weight: 0.1, from_slot: 9 } }, { reserve: 0.1 });
    const values: number[] = [];
    for (const one of relabelled('a', rate, 1, [1, 0, 0, 1], 2)) {
      const state = advance(createEvidence(), opening, 1, [one]);
      expect(evidenceOf(state, later).e_value).toBeCloseTo(evidenceOf(state, opening).e_value, 12);
      for (const two of relabelled('b', rate, 9, [1, 0, 0, 1, 1], 2)) values.push(evidenceOf(advance(state, later, 9, [two]), later).e_value);
    }
    expect(mean(values)).toBeCloseTo(1, 10);
  });

  it('would not have it if the labels followed the outcomes (this test can fail)', () => {
    const settings = settingsOf({ error_rate: rate });
    const biased = relabelled('error_rate', rate, 1, [0, 0, 1, 0, 1, 0], 2).filter(({ b }) => (b[1] ?? 0) > 0);
    expect(mean(biased.map((stratum) => evidenceOf(fold(settings, [stratum]), settings).e_value))).toBeGreaterThan(1.1);
  });
});

describe('advance', () => {
  const settings = settingsOf({ error_rate: rate });
  const broken = (slot: number, model = 'm'): Stratum =>
    stratumOf('error_rate', rate, slot, Array.from({ length: 60 }, (_, unit) => ({ arm: unit < 6 ? 'b' : 'a', value: Number(unit < 3 || unit === 30) })), model);

  it('finds a big fault within a few strata', () => {
    const evidence = (slots: number): number =>
      evidenceOf(fold(settings, Array.from({ length: slots }, (_, slot) => broken(slot))), settings).e_value;
    expect(evidence(1)).toBeGreaterThan(5);
    expect(evidence(3)).toBeGreaterThan(1_000);
  });

  it('finds a fault of one model sooner with a part of its own', () => {
    const healthy = (slot: number): Stratum =>
      stratumOf('error_rate', rate, slot, Array.from({ length: 60 }, (_, unit) => ({ arm: unit < 6 ? 'b' : 'a', value: Number(unit > 50) })), 'n');
    const strata = Array.from({ length: 20 }, (_, slot) => [slot % 4 === 0 ? broken(slot) : { ...healthy(slot), slot }]).flat();
    const together = evidenceOf(fold(settings, strata), settings).e_value;
    const parts = settingsOf({ error_rate: rate }, { models: ['m', 'n'] });
    expect(evidenceOf(fold(parts, strata), parts).e_value).toBeGreaterThan(10 * together);
  });

  it('finds a late fault sooner than a bet that has paid for the healthy time', () => {
    const random = seeded(3);
    const healthy = (slot: number): Stratum =>
      stratumOf('error_rate', rate, slot, Array.from({ length: 60 }, (_, unit) => ({ arm: unit < 6 ? 'b' : 'a', value: Number(random() < 0.05) })));
    const late = [...Array.from({ length: 420 }, (_, slot) => healthy(slot)), broken(420), broken(421), broken(422), broken(423)];
    const state = fold(settings, late);
    const [{ g, lambdas } = { g: () => 0, lambdas: [] }] = badnessFunctions(rate);
    const curves = late.map(({ bins, a, b }) => curve({ g: bins.map(g), a, b }, lambdas));
    const withoutStarts = mean(lambdas.map((_, l) => Math.exp(curves.reduce((sum, increments) => sum + (increments[l] ?? 0), 0))));
    expect(evidenceOf(state, settings).e_value).toBeGreaterThan(5 * withoutStarts);
  });

  it('finds 2.5 % of calls that take four times as long sooner by its tail, and a shift of all no later than 5 % (seeds 1–20)', () => {
    const strataUntil = (seed: number, hasTail: boolean, worsened: (random: () => number) => number): number => {
      const random = seeded(seed);
      const call = (): number => 900 * Math.exp(0.45 * normal(random));
      const latency = { ...distribution(referenceOf(Array.from({ length: 2_000 }, () => binOf({ kind: 'distribution', direction: 'up' }, call())))), tail: hasTail };
      const alone = settingsOf({ latency });
      let state = createEvidence();
      for (let slot = 0; slot < 400; slot++) {
        const units = Array.from({ length: 40 }, (_, unit) => (unit % 2 === 0 ? { arm: 'a' as const, value: call() } : { arm: 'b' as const, value: call() * worsened(random) }));
        state = advance(state, alone, slot, [stratumOf('latency', latency, slot, units)]);
        if (evidenceOf(state, alone).e_value >= 700) return slot + 1;
      }
      return 400;
    };
    const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
    const average = (hasTail: boolean, worsened: (random: () => number) => number): number => mean(seeds.map((seed) => strataUntil(seed, hasTail, worsened)));
    const ofTail = (random: () => number): number => (random() < 0.025 ? 4 : 1);
    expect(average(true, ofTail)).toBeLessThan(0.92 * average(false, ofTail));
    expect(average(true, () => 1.15)).toBeLessThan(1.05 * average(false, () => 1.15));
  });

  it('passes over what is not to be bet on', () => {
    const reference = { ...broken(1), use: 'reference' as const };
    expect(advance(createEvidence(), settings, 1, [reference, { ...broken(1), metric: 'unknown' }])).toEqual(createEvidence());
    const later = settingsOf({ error_rate: { ...rate, from_slot: 5 } });
    expect(advance(createEvidence(), later, 4, [broken(4)])).toEqual(createEvidence());
    const learning = settingsOf({ quality: { ...score(scoreReference), reference: null } });
    expect(advance(createEvidence(), learning, 1, [stratumOf('quality', learning.metrics['quality'] ?? rate, 1, [{ arm: 'a', value: 1 }])])).toEqual(createEvidence());
    expect(evidenceOf(createEvidence(), settings)).toEqual({ e_value: 1, metrics: { error_rate: 1 } });
  });

  it('bets on a slot once', () => {
    const state = advance(createEvidence(), settings, 7, [broken(7)]);
    expect(() => advance(state, settings, 7, [broken(7)])).toThrow(RangeError);
    expect(() => advance(state, settings, 9, [broken(8)])).toThrow(RangeError);
  });

  it('keeps plain, small state that survives JSON bit by bit', () => {
    const many = settingsOf(Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`m${index}`, distribution(latencyReference)])), { models: ['m', 'n'] });
    const strataOf = (slot: number): Stratum[] =>
      Object.keys(many.metrics).flatMap((name) =>
        ['m', 'n'].map((model) => stratumOf(name, distribution(latencyReference), slot, [{ arm: 'a', value: 900 }, { arm: 'b', value: 1300 + slot }, { arm: 'a', value: 700 }], model)),
      );
    const first = advance(createEvidence(), many, 1, strataOf(1));
    const restored: EvidenceState = JSON.parse(JSON.stringify(first));
    expect(restored).toEqual(first);
    expect(advance(restored, many, 2, strataOf(2))).toEqual(advance(first, many, 2, strataOf(2)));
    expect(JSON.stringify(first).length).toBeLessThan(16_384);
  });

  it('does not depend on the order of strata within a slot', () => {
    const strata = [broken(1, 'm'), { ...broken(1, 'n'), route: 'x' }, { ...broken(1, 'm'), begin_slot: 0 }];
    expect(advance(createEvidence(), settings, 1, strata)).toEqual(advance(createEvidence(), settings, 1, strata.toReversed()));
  });

  it('takes a metric called __proto__ for what it is', () => {
    const odd = settingsOf(Object.fromEntries([['__proto__', rate], ['constructor', rate]]));
    const state = advance(createEvidence(), odd, 1, [{ ...broken(1), metric: '__proto__' }]);
    const evidence = new Map(Object.entries(evidenceOf(state, odd).metrics));
    expect(evidence.get('__proto__')).toBeGreaterThan(5);
    expect(evidence.get('constructor')).toBe(1);
  });

  it('reports a finite number whatever comes', () => {
    const { e_value } = evidenceOf(fold(settings, Array.from({ length: 2_000 }, (_, slot) => broken(slot))), settings);
    expect(Number.isFinite(e_value)).toBe(true);
    expect(e_value).toBeGreaterThan(1e250);
  });
});

describe('not_worse', () => {
  const proofOf = (metric: MetricBet, strata: readonly Stratum[]): number => {
    const curveOf = notWorseCurve(metric);
    return wealthOf(strata.map(curveOf).reduce((sums, increments) => increments.map((increment, alternative) => (sums[alternative] ?? 0) + increment), []));
  };

  /** Expectation of the not_worse e-value of one stratum if labels are tilted by exp(λ · badness). */
  const expectation = (lambda: number): number => {
    let total = 0;
    let weights = 0;
    for (const stratum of relabelled('error_rate', rate, 1, [1, 0, 0, 1, 0, 1, 0, 0], 3)) {
      const weight = Math.exp(lambda * (stratum.b[stratum.bins.indexOf(50)] ?? 0));
      weights += weight;
      total += weight * proofOf(rate, [stratum]);
    }
    return total / weights;
  };

  it('has expectation 1 at the tolerance, less beyond it, more for a harmless candidate', () => {
    expect(expectation(Math.log(1.5))).toBeCloseTo(1, 10);
    expect(expectation(Math.log(3))).toBeLessThan(0.9);
    expect(expectation(0)).toBeGreaterThan(1.001);
  });

  const draws: Record<MetricBet['kind'], (random: () => number) => number> = {
    rate: (random) => Number(random() < 0.25),
    score: (random) => 0.86 + 0.1 * normal(random),
    distribution: (random) => 1_000 * Math.exp(0.4 * normal(random)),
  };
  const moved: Record<MetricBet['kind'], (value: number, random: () => number) => number> = {
    rate: (value, random) => (random() < 0.2 ? 1 : value),
    score: (value) => value - 0.05,
    distribution: (value) => value * 1.5,
  };

  it.each([
    ['rate', 'up'],
    ['score', 'down'],
    ['distribution', 'up'],
    ['distribution', 'down'],
  ] as const)('is proved in time for a harmless %s (worse: %s), and not for a bad one', (kind, direction) => {
    const random = seeded(8);
    const worsened = (value: number): number => (kind === 'distribution' && direction === 'down' ? value / 1.5 : moved[kind](value, random));
    const draw = (): number => draws[kind](random);
    const reference = kind === 'rate' ? null : referenceOf(Array.from({ length: 500 }, () => binOf({ kind, direction }, draw())));
    const metric: MetricBet = { kind, direction, weight: 1, from_slot: 0, reference };
    const proofAfter = (slots: number, worsen: (value: number) => number): number => {
      const strata = Array.from({ length: slots }, (_, slot) =>
        stratumOf('name', metric, slot, Array.from({ length: 60 }, (_, unit) => (unit % 2 === 0 ? { arm: 'a', value: draw() } : { arm: 'b', value: worsen(draw()) }))),
      );
      return proofOf(metric, strata);
    };
    expect(proofAfter(300, (value) => value)).toBeGreaterThan(20);
    expect(proofAfter(300, worsened)).toBeLessThan(0.1);
  });
});

describe('verify', () => {
  const settings = settingsOf({ error_rate: { ...rate, weight: 0.5 }, latency: { ...distribution(latencyReference), weight: 0.4 } }, { reserve: 0.1, models: ['m', 'n'] });
  const random = seeded(21);
  const strata = Array.from({ length: 150 }, (_, slot) => [
    stratumOf('error_rate', rate, slot, Array.from({ length: 30 }, (_, unit) => ({ arm: unit < 5 ? 'b' : 'a', value: Number(random() < 0.1) })), slot % 2 === 0 ? 'm' : 'n'),
    stratumOf('latency', distribution(latencyReference), slot, Array.from({ length: 30 }, (_, unit) => ({ arm: unit < 5 ? 'b' : 'a', value: 2000 * random() }))),
  ]).flat();
  const evidence = { settings, slot: 149, ...evidenceOf(fold(settings, strata), settings), strata };

  it('agrees with what was recorded, in whatever order the strata are listed', () => {
    expect(verify(evidence)).toMatchObject({ agrees: true, difference: 0, e_value: evidence.e_value });
    expect(verify(JSON.parse(JSON.stringify({ ...evidence, strata: strata.toReversed() })))).toMatchObject({ agrees: true });
  });

  it('recomputes evidence from before the tail was bet on by the rule of then', () => {
    const { latency = rate } = settings.metrics;
    const { tail: _, ...older } = latency;
    // As the code of then had it.
    const recorded = { ...evidence, settings: { ...settings, metrics: { ...settings.metrics, latency: older } }, e_value: 0.3535384060725807, metrics: { error_rate: 0.15547516415644524, latency: 0.43950205998589514 } };
    expect(verify(recorded)).toMatchObject({ agrees: true });
    expect(verify({ ...recorded, settings }).agrees).toBe(false);
  });

  it('reads what the contract of an evidence file parses', () => {
    const comparison = { id: 'c', project: 'default', environment: '', prompt: 'p', factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0 };
    const metrics = Object.fromEntries(Object.entries(settings.metrics).map(([name, metric]) => [name, { ...metric, tolerance: 0.005, severity: 'page' }]));
    const file = { schema: 'culprit.evidence/1', comparison, ...evidence, settings: { ...settings, metrics, alpha: 0.01, opened_slot: 0, opened_ms: 0, session_window_s: 0 } };
    expect(verify(Evidence.parse(JSON.parse(JSON.stringify(file))))).toMatchObject({ agrees: true });
  });

  it('disagrees when one count, the e-value, a weight or a reference was changed', () => {
    const changed = structuredClone(strata);
    const cells = changed.find(({ metric, b }) => metric === 'error_rate' && (b[1] ?? 0) > 0);
    if (cells === undefined) throw new Error('no candidate error in the sample');
    const [errorsB = 0] = cells.b.slice(1);
    const [errorsA = 0] = cells.a.slice(1);
    const moved = changed.map((stratum) => (stratum === cells ? { ...stratum, a: [stratum.a[0] ?? 0, errorsA + 1], b: [stratum.b[0] ?? 0, errorsB - 1] } : stratum));
    expect(verify({ ...evidence, strata: moved }).agrees).toBe(false);
    expect(verify({ ...evidence, strata: strata.slice(0, -1) }).agrees).toBe(false);
    expect(verify({ ...evidence, e_value: evidence.e_value * 1.000001 }).agrees).toBe(false);
    expect(verify({ ...evidence, metrics: { ...evidence.metrics, latency: 1e6 } }).agrees).toBe(false);
    expect(verify({ ...evidence, e_value: Number.NaN }).agrees).toBe(false);
    expect(verify({ ...evidence, settings: { ...settings, reserve: 0.2 } }).agrees).toBe(false);
  });
});
