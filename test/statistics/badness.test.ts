import fc from 'fast-check';
import { standardDeviation } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { badnessFunctions, binOf, multipleOf, valueOf, ZERO_BIN } from '../../analyzer/statistics/badness.ts';
import { deviation, midRank, quantileBin, referenceOf, referenceOfCells, referenceUnits, shareAbove } from '../../analyzer/statistics/reference.ts';
import type { Metric, Scale } from '../../analyzer/statistics/types.ts';

const latency: Scale = { kind: 'distribution', direction: 'up' };
const quality: Scale = { kind: 'score', direction: 'down' };
const stars: Scale = { kind: 'score', direction: 'down', minimum: 1, maximum: 5 };
const toxicity: Scale = { kind: 'score', direction: 'up' };
const scales: Scale[] = [latency, quality, stars, toxicity, { kind: 'rate', direction: 'up' }];

const functionOf = (metric: Metric, name: string): ((bin: number) => number) => {
  const found = badnessFunctions(metric).find((badness) => badness.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found.g;
};

describe('bins', () => {
  it('are what the contract says', () => {
    expect(binOf({ kind: 'rate', direction: 'up' }, 1)).toBe(50);
    expect(binOf({ kind: 'rate', direction: 'up' }, 0.5)).toBe(25);
    expect(binOf(quality, 1)).toBe(0);
    expect(binOf(stars, 1)).toBe(50);
    expect(binOf(stars, 2)).toBe(38);
    expect(binOf(toxicity, 1)).toBe(50);
    expect(binOf(latency, 1024)).toBe(80);
    expect(binOf(latency, 1)).toBe(0);
  });

  it('are eight an octave, each exactly twice the one eight below, whatever computes them', () => {
    for (let bins = -8_000; bins < 8_184; bins += 1) expect(multipleOf(bins + 8)).toBe(2 * multipleOf(bins));
    for (let bins = -80; bins <= 80; bins += 1) expect(Math.abs(multipleOf(bins) / Math.exp((bins / 8) * Math.LN2) - 1)).toBeLessThan(1e-14);
    expect([multipleOf(-1_000_000), multipleOf(9_000)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it('take any number, and fit Int16', () => {
    for (const scale of scales) {
      for (const value of [-1e308, -1, 0, 1e-308, 1e308, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        expect(Math.abs(binOf(scale, value))).toBeLessThan(2 ** 15);
        expect(Number.isInteger(binOf(scale, value))).toBe(true);
      }
      expect(() => binOf(scale, Number.NaN)).toThrow(RangeError);
    }
    expect(binOf(latency, -3)).toBe(ZERO_BIN);
    expect(valueOf(latency, ZERO_BIN)).toBe(0);
  });

  it('survive the way back and forth', () => {
    fc.assert(
      fc.property(fc.constantFrom(...scales), fc.double({ min: 0, max: 5, noNaN: true }), (scale, value) => {
        const bin = binOf(scale, value);
        expect(binOf(scale, valueOf(scale, bin))).toBe(bin);
      }),
    );
    expect(valueOf(latency, binOf(latency, 1234)) / 1234).toBeCloseTo(1, 1);
    expect(valueOf(stars, binOf(stars, 3))).toBeCloseTo(3);
  });

  it('refuse a score whose range is upside down', () => {
    expect(() => binOf({ kind: 'score', direction: 'down', minimum: 5, maximum: 1 }, 3)).toThrow(/maximum 1/);
  });
});

describe('reference', () => {
  const bins = [3, 3, 5, 9, 9, 9, 12];
  const reference = referenceOf(bins);

  it('counts units by bin', () => {
    expect(reference).toEqual({ bins: [3, 5, 9, 12], counts: [2, 1, 3, 1] });
    expect(referenceUnits(reference)).toBe(7);
    expect(referenceOfCells([{ bins: [3, 5], a: [1, 1], b: [1, 0] }, { bins: [9, 12, 40], a: [3, 0, 0], b: [0, 1, 0] }])).toEqual(reference);
  });

  it('ranks in the middle of ties', () => {
    const rank = midRank(reference);
    for (const bin of [0, 3, 4, 5, 9, 10, 12, 99]) {
      const below = bins.filter((other) => other < bin).length;
      const at = bins.filter((other) => other === bin).length;
      expect(rank(bin)).toBeCloseTo((below + at / 2) / 7, 12);
    }
  });

  it('has the median and deviation of its units', () => {
    expect(quantileBin(reference, 0.5)).toBe(9);
    expect(quantileBin(reference, 0.99)).toBe(12);
    expect(deviation(reference, (bin) => bin)).toBeCloseTo(standardDeviation(bins), 12);
    expect(() => midRank({ bins: [], counts: [] })).toThrow(RangeError);
  });

  it('tells how rare is what it never saw, from its largest twentieth', () => {
    // Each bin has .9 of the units of the one below: a power law without end, but for what two million units show of it.
    const counts = Array.from({ length: 140 }, (_, bin) => Math.round(2e6 * 0.1 * 0.9 ** bin));
    const share = shareAbove({ bins: counts.map((_, bin) => bin), counts });
    const truth = (bin: number): number => 0.95 * 0.9 ** bin;
    for (const bin of [0, 5, 20]) expect(share(bin), `bin ${bin}`).toBeCloseTo(truth(bin), 4);
    for (const bin of [40, 80, 160, 240]) expect(share(bin) / truth(bin), `bin ${bin}`).toBeCloseTo(1, 0);
    const bins = Array.from({ length: 300 }, (_, bin) => bin - 5);
    expect(bins.map(share)).toEqual(bins.map(share).toSorted((left, right) => right - left));
  });

  it('knows of no tail where all units are alike', () => {
    const share = shareAbove(referenceOf(Array.from({ length: 99 }, () => 7)));
    expect([share(6), share(7), share(8), share(500)].map((value) => Number(value.toFixed(6)))).toEqual([0.995, 0.5, 0.005, 0.005]);
    expect(() => shareAbove({ bins: [], counts: [] })).toThrow(RangeError);
  });
});

describe('badness', () => {
  const reference = referenceOf([70, 74, 78, 80, 80, 82, 90]);

  it('is between 0 and 1, grows with what is worse, and has a finite grid', () => {
    const metrics: Metric[] = scales.flatMap((scale) => {
      const histogram = scale.kind === 'distribution' ? reference : referenceOf([2, 7, 7, 10, 31]);
      const both: Metric[] = [{ ...scale, reference: histogram }];
      if (scale.kind === 'distribution') both.push({ ...scale, direction: 'down', reference: histogram, tail: true }, { ...scale, reference: histogram, tail: true });
      return both;
    });
    for (const metric of metrics) {
      const { minimum = 0, maximum = 1 } = metric;
      const shares = [0, 0.2, 0.5, 0.9, 1].map((share) => minimum + share * (maximum - minimum));
      const values = metric.kind === 'distribution' ? [0, 1, 400, 900, 1024, 1100, 9000, 1e9] : shares;
      const ordered = metric.direction === 'up' ? values : values.toReversed();
      for (const { g, lambdas } of badnessFunctions(metric)) {
        const badness = ordered.map((value) => g(binOf(metric, value)));
        expect(badness.every((value) => value >= 0 && value <= 1)).toBe(true);
        expect(badness).toEqual(badness.toSorted((left, right) => left - right));
        expect(badness[badness.length - 1]).toBeGreaterThan(badness[0] ?? 1);
        expect(lambdas.every((lambda) => lambda > 0 && lambda < 1_000)).toBe(true);
      }
    }
  });

  it('has the functions of each kind', () => {
    const names = (metric: Metric): string[] => badnessFunctions(metric).map(({ name }) => name);
    expect(names({ kind: 'rate', direction: 'up', reference: null })).toEqual(['outcome']);
    expect(names({ ...quality, reference })).toEqual(['rank', 'square']);
    expect(names({ ...latency, reference })).toEqual(['rank', 'square']);
    expect(names({ ...latency, reference, tail: true })).toEqual(['rank', 'square', 'tail']);
    expect(names({ ...latency, reference: null })).toEqual([]);
    expect(names({ ...latency, reference: { bins: [], counts: [] } })).toEqual([]);
  });

  it('divides the stake of a metric between them', () => {
    const shares = (metric: Metric): number[] => badnessFunctions(metric).map(({ share }) => share);
    expect(shares({ kind: 'rate', direction: 'up', reference: null })).toEqual([1]);
    expect(shares({ ...quality, reference })).toEqual([0.5, 0.5]);
    expect(shares({ ...latency, reference })).toEqual([0.5, 0.5]);
    expect(shares({ ...latency, reference, tail: true })).toEqual([0.5, 0.25, 0.25]);
  });

  it('bets on the tail that what one in a hundred reaches comes twice as often, one in a million 10,001 times', () => {
    const hundreds = { bins: [0, 40, 80], counts: [9_800, 199, 1] };
    for (const direction of ['up', 'down'] as const) {
      const tail = badnessFunctions({ ...latency, direction, reference: direction === 'up' ? hundreds : { bins: [-80, -40, 0], counts: [1, 199, 9_800] }, tail: true })[2];
      const worse = (bin: number): number => Math.exp((tail?.unit ?? 0) * (tail?.g(direction === 'up' ? bin : -bin) ?? 0));
      const above = shareAbove(hundreds);
      expect(worse(0)).toBeCloseTo(1 + 0.01 / 0.51, 6);
      for (const bin of [41, 60, 100]) expect(worse(bin)).toBeCloseTo(1 + 0.01 / above(bin), 6);
      expect(worse(10_000)).toBeCloseTo(10_001, 6);
      expect(tail?.lambdas.at(-1)).toBe(tail?.unit);
    }
  });

  it('squares the multiple of the median, clipped at eight', () => {
    const square = functionOf({ ...latency, reference }, 'square');
    expect(square(80)).toBeCloseTo(1 / 64);
    expect(square(88)).toBeCloseTo(4 / 64);
    expect(square(200)).toBe(1);
    expect(square(ZERO_BIN)).toBeCloseTo(0);
    expect(functionOf({ ...latency, direction: 'down', reference }, 'square')(ZERO_BIN)).toBe(1);
  });

  it('keeps the grid finite where all of the reference is alike', () => {
    const constant = referenceOf(Array.from({ length: 50 }, () => 0));
    for (const { lambdas } of badnessFunctions({ ...quality, reference: constant })) expect(lambdas.every(Number.isFinite)).toBe(true);
  });
});
