/**
 * From a value to a bin, and from a bin to badness.
 *
 * Bins are what the store keeps, so that evidence can be recomputed from counts alone:
 *   rate           0..50: the mean outcome of the unit (a single call is 0 or 50)
 *   score          0..50: badness on the score's own scale, so bin 0 is the best there is whichever way is worse
 *   distribution   round(8·log2 x), eight an octave (±4.4 %); values that are zero or below share ZERO_BIN
 *
 * Badness g is in [0, 1], larger is worse, and a fixed function of the bin. Several functions for scores and distributions, because
 * no one of them finds both a small shift of everything (rank) and a rare large fault (square, tail): measured, the rank alone
 * needs 20 to 1,000 times as many units for 2 % of answers that fail outright, the square 1.7 times as many for a 10 % slow-down.
 */
import { deviation, midRank, quantileBin, shareAbove } from './reference.ts';
import type { Metric, Reference, Scale } from './types.ts';

export const ZERO_BIN = -1_000;
const STEPS = 50;
const BINS_PER_OCTAVE = 8;
/** Int16 in the store; 8·log2 of any double is within ±8,600, and below 2^−124 nothing is told apart. */
const SMALLEST_BIN = ZERO_BIN + 1;
const LARGEST_MULTIPLE = 8;

/** @throws RangeError where the value is NaN. */
export const binOf = (scale: Scale, value: number): number => {
  if (Number.isNaN(value)) throw new RangeError('value: not a number');
  switch (scale.kind) {
    case 'rate':
      return Math.round(STEPS * clip01(value));
    case 'score': {
      const scaled = clip01((value - minimumOf(scale)) / rangeOf(scale));
      return Math.round(STEPS * (scale.direction === 'down' ? 1 - scaled : scaled));
    }
    case 'distribution':
      if (value <= 0) return ZERO_BIN;
      return Math.max(SMALLEST_BIN, Math.round(BINS_PER_OCTAVE * Math.log2(Math.min(value, Number.MAX_VALUE))));
  }
};

/** The centre of a bin, in the metric's own unit. */
export const valueOf = (scale: Scale, bin: number): number => {
  switch (scale.kind) {
    case 'rate':
      return bin / STEPS;
    case 'score': {
      const scaled = scale.direction === 'down' ? 1 - bin / STEPS : bin / STEPS;
      return minimumOf(scale) + scaled * rangeOf(scale);
    }
    case 'distribution':
      return bin <= ZERO_BIN ? 0 : multipleOf(bin);
  }
};

/** 2^(k/8), correctly rounded. */
const EIGHTHS = [1, 1.0905077326652577, 1.189207115002721, 1.2968395546510096, Math.SQRT2, 1.5422108254079407, 1.681792830507429, 1.8340080864093424];

/** 2^(bins/8), of whole bins. Of a table, since `**` rounds otherwise in Node.js before 24: evidence is the same, bit by bit, whichever computes it. */
export const multipleOf = (bins: number): number => {
  const octaves = Math.floor(bins / BINS_PER_OCTAVE);
  return (EIGHTHS[bins - octaves * BINS_PER_OCTAVE] ?? Number.NaN) * 2 ** octaves;
};

const minimumOf = (scale: Scale): number => scale.minimum ?? 0;
const rangeOf = (scale: Scale): number => {
  const range = (scale.maximum ?? 1) - minimumOf(scale);
  if (!(range > 0)) throw new RangeError(`score: maximum ${scale.maximum ?? 1} must be above minimum ${minimumOf(scale)}`);
  return range;
};

const clip01 = (value: number): number => Math.min(1, Math.max(0, value));

/** One way of telling how bad a unit is, with the grid of λ to bet it on. */
export type Badness = {
  readonly name: 'outcome' | 'rank' | 'square' | 'tail';
  /** Of the metric's stake; those of a metric's functions make one. */
  readonly share: number;
  readonly g: (bin: number) => number;
  readonly lambdas: readonly number[];
  /** The λ of one: a log odds ratio of one, a shift by one standard deviation, or the tail's own likelihood ratio. */
  readonly unit: number;
};

/** Log odds ratios: from the smallest worth a page to a total failure. */
const LOG_ODDS_RATIOS = [1.25, 1.6, 2.2, 3.5, 6, 12, 30].map((ratio) => Math.log(ratio));
/** In standard deviations of the badness over the reference. */
const SHIFTS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6];

/**
 * Floors under that standard deviation, for a reference whose units are (almost) all alike. They keep the grid finite: from OR 1.6 to
 * e^16 for a jump over half of the ranks, and λ from 25 to 800 for squares, whose honest deviation can be as small as .003.
 */
const RANK_DEVIATION_FLOOR = 0.05;
const SQUARE_DEVIATION_FLOOR = 0.002;

/** The bet with exponent 1 is that what this share of the reference reaches comes twice as often. */
const TAIL_SHARE = 0.01;
/** Nothing is taken for rarer than one in a million. */
const RAREST = 1e-6;
const LARGEST_TAIL = Math.log1p(TAIL_SHARE / RAREST);
/** Of the likelihood ratio to the power of ¼, ½ and 1. */
const TAIL_LAMBDAS = [0.25, 0.5, 1].map((exponent) => exponent * LARGEST_TAIL);

/** A reference, and its ranks; they are worked out once for all functions. */
type Ranked = { readonly reference: Reference; readonly below: (bin: number) => number };
type BadnessFunction = (metric: Metric, ranked: Ranked, share: number) => Badness;

const outcome = (metric: Metric): Badness => ({
  name: 'outcome',
  share: 1,
  g: metric.direction === 'up' ? (bin) => bin / STEPS : (bin) => 1 - bin / STEPS,
  lambdas: LOG_ODDS_RATIOS,
  unit: 1,
});

const rank: BadnessFunction = (metric, { reference, below }, share) => {
  // A score's bins ascend with badness already.
  const g = metric.kind === 'distribution' && metric.direction === 'down' ? (bin: number) => 1 - below(bin) : below;
  return { name: 'rank', share, g, ...shifts(metric, 'rank', () => Math.max(deviation(reference, g), RANK_DEVIATION_FLOOR)) };
};

const squaredBadness: BadnessFunction = (metric, { reference }, share) => {
  const g = (bin: number): number => (bin / STEPS) ** 2;
  return { name: 'square', share, g, ...shifts(metric, 'square', () => Math.max(deviation(reference, g), SQUARE_DEVIATION_FLOOR)) };
};

/** Squared multiple of the median, clipped at eight medians: reaches the bound for tails (10 % of calls twice as slow). */
const squaredMultiple: BadnessFunction = (metric, { reference }, share) => {
  const median = quantileBin(reference, 0.5);
  const sign = metric.direction === 'up' ? 1 : -1;
  const g = (bin: number): number => (Math.min(multipleOf(sign * (bin - median)), LARGEST_MULTIPLE) / LARGEST_MULTIPLE) ** 2;
  return { name: 'square', share, g, ...shifts(metric, 'square', () => Math.max(deviation(reference, g), SQUARE_DEVIATION_FLOOR)) };
};

/**
 * How rare what is so bad, or worse, is in the reference: log(1 + .01/S) with S its share, over the largest that this can be. Its likelihood ratio, 1 + .01/S, is that of as
 * many units more in each power of ten of rarity: so nothing is guessed of how many calls get slower, and by how much. Exponents below 1 are for a reference that has a tail already.
 *
 * Measured by the nats that a unit gains at the best λ of the grid, as a share of what any test can that lets the baseline move freely (half and half, log-normal
 * latency; `square` / `tail`): σ .45, 79 / 91 % for 2.5 % of calls four times as slow, 71 / 78 for 1 % eight times, 95 / 94 for 5 % twice, 92 / 90 for 10 % twice;
 * σ .8, 80 / 92, 46 / 82, 85 / 72, 80 / 67. Everything 10 % slower is for the rank (95 and 94).
 */
const tail: BadnessFunction = (metric, { reference, below }, share) => {
  const sign = metric.direction === 'up' ? 1 : -1;
  const above = metric.direction === 'up' ? shareAbove(reference, below) : shareAbove(mirrored(reference));
  const g = (bin: number): number => Math.log1p(TAIL_SHARE / Math.max(above(sign * bin), RAREST)) / LARGEST_TAIL;
  return { name: 'tail', share, g, lambdas: TAIL_LAMBDAS, unit: LARGEST_TAIL };
};

const mirrored = ({ bins, counts }: Reference): Reference => ({ bins: bins.map((bin) => -bin).reverse(), counts: counts.toReversed() });

/**
 * By metric. A deviation over 40 bins costs as much as a stratum, the rest next to nothing, so of what is read from frozen settings only this is kept. Filled in
 * where it is: each copy by spread was given a hidden class of its own, more than it holds.
 */
const knownUnits = new WeakMap<Metric, { rank: number | null; square: number | null }>();

const shifts = (metric: Metric, name: 'rank' | 'square', deviationOf: () => number): Pick<Badness, 'lambdas' | 'unit'> => {
  let known = knownUnits.get(metric);
  if (known === undefined) knownUnits.set(metric, (known = { rank: null, square: null }));
  const unit = (known[name] ??= 1 / deviationOf());
  return { lambdas: SHIFTS.map((shift) => shift * unit), unit };
};

type Shares = readonly (readonly [BadnessFunction, number])[];

const OF_SCORES: Shares = [
  [rank, 0.5],
  [squaredBadness, 0.5],
];
/** The rank has its half with the tail and without, so that a shift of everything is found as soon. */
const OF_DISTRIBUTIONS: Shares = [
  [rank, 0.5],
  [squaredMultiple, 0.25],
  [tail, 0.25],
];
const OF_DISTRIBUTIONS_BEFORE_TAIL: Shares = [
  [rank, 0.5],
  [squaredMultiple, 0.5],
];

const functionsOf = ({ kind, tail: hasTail }: Metric): Shares => {
  if (kind === 'score') return OF_SCORES;
  return hasTail === true ? OF_DISTRIBUTIONS : OF_DISTRIBUTIONS_BEFORE_TAIL;
};

/** Every badness function of a metric, in the order of the evidence. Empty while its reference is still being learnt. */
export const badnessFunctions = (metric: Metric): readonly Badness[] => {
  if (metric.kind === 'rate') return [outcome(metric)];
  const { reference } = metric;
  if (reference === null || !reference.counts.some((count) => count > 0)) return [];
  const ranked = { reference, below: midRank(reference) };
  return functionsOf(metric).map(([of, share]) => of(metric, ranked, share));
};

/** The badness functions of a metric, once it has a reference: their shares, and how many λ each is bet on. */
export const badnessGrids = (metric: Metric): readonly { readonly share: number; readonly points: number }[] =>
  metric.kind === 'rate' ? [{ share: 1, points: LOG_ODDS_RATIOS.length }] : functionsOf(metric).map(([of, share]) => ({ share, points: of === tail ? TAIL_LAMBDAS.length : SHIFTS.length }));
