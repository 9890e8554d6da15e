/**
 * From a value to a bin, and from a bin to badness.
 *
 * Bins are what the store keeps, so that evidence can be recomputed from counts alone:
 *   rate           0..50: the mean outcome of the unit (a single call is 0 or 50)
 *   score          0..50: badness on the score's own scale, so bin 0 is the best there is whichever way is worse
 *   distribution   round(8·log2 x), eight an octave (±4.4 %); values that are zero or below share ZERO_BIN
 *
 * Badness g is in [0, 1], larger is worse, and a fixed function of the bin. Two functions for scores and distributions, because
 * no one of them finds both a small shift of everything (rank) and a rare large fault (square): measured, the rank alone
 * needs 20 to 1,000 times as many units for 2 % of answers that fail outright, the square 1.7 times as many for a 10 % slow-down.
 */
import { deviation, midRank, quantileBin } from './reference.ts';
import type { Metric, MetricKind, Reference, Scale } from './types.ts';

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
      return bin <= ZERO_BIN ? 0 : 2 ** (bin / BINS_PER_OCTAVE);
  }
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
  readonly name: 'outcome' | 'rank' | 'square';
  readonly g: (bin: number) => number;
  readonly lambdas: readonly number[];
  /** The λ of one: a log odds ratio of one, or a shift by one standard deviation. */
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

type BadnessFunction = (metric: Metric, reference: Reference) => Badness;

const outcome = (metric: Metric): Badness => ({
  name: 'outcome',
  g: metric.direction === 'up' ? (bin) => bin / STEPS : (bin) => 1 - bin / STEPS,
  lambdas: LOG_ODDS_RATIOS,
  unit: 1,
});

const rank: BadnessFunction = (metric, reference) => {
  const below = midRank(reference);
  // A score's bins ascend with badness already.
  const g = metric.kind === 'distribution' && metric.direction === 'down' ? (bin: number) => 1 - below(bin) : below;
  return { name: 'rank', g, ...shifts(reference, g, RANK_DEVIATION_FLOOR) };
};

const squaredBadness: BadnessFunction = (_, reference) => {
  const g = (bin: number): number => (bin / STEPS) ** 2;
  return { name: 'square', g, ...shifts(reference, g, SQUARE_DEVIATION_FLOOR) };
};

/** Squared multiple of the median, clipped at eight medians: reaches the bound for tails (10 % of calls twice as slow). */
const squaredMultiple: BadnessFunction = (metric, reference) => {
  const median = quantileBin(reference, 0.5);
  const sign = metric.direction === 'up' ? 1 : -1;
  const g = (bin: number): number => (Math.min(2 ** ((sign * (bin - median)) / BINS_PER_OCTAVE), LARGEST_MULTIPLE) / LARGEST_MULTIPLE) ** 2;
  return { name: 'square', g, ...shifts(reference, g, SQUARE_DEVIATION_FLOOR) };
};

const shifts = (reference: Reference, g: (bin: number) => number, floor: number): Pick<Badness, 'lambdas' | 'unit'> => {
  const unit = 1 / Math.max(deviation(reference, g), floor);
  return { lambdas: SHIFTS.map((shift) => shift * unit), unit };
};

const withReference: Readonly<Record<Exclude<MetricKind, 'rate'>, readonly BadnessFunction[]>> = {
  score: [rank, squaredBadness],
  distribution: [rank, squaredMultiple],
};

/** Every badness function of a metric, in the order of the evidence. Empty while its reference is still being learnt. */
export const badnessFunctions = (metric: Metric): readonly Badness[] => {
  if (metric.kind === 'rate') return [outcome(metric)];
  const { reference } = metric;
  if (reference === null || !reference.counts.some((count) => count > 0)) return [];
  return withReference[metric.kind].map((of) => of(metric, reference));
};
