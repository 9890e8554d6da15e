/**
 * How large a change is, beside how sure: estimates from strata with intervals that hold at every look.
 *
 * Everything is compared within strata and averaged with weights n_A·n_B/n (those of Mantel and Haenszel 1959), so that a moving
 * mix or a moving share of traffic is not mistaken for an effect. All functions take the strata of one metric that were bet on
 * (`betStrata`); strata with one arm count for nothing.
 */
import { badnessFunctions, binOf, valueOf } from './badness.ts';
import { compareStrata, isBet } from './evidence.ts';
import type { Cells, Metric, MetricBet, Scale, Stratum } from './types.ts';

/** Bounds are null until there are units enough for them to mean anything. */
export type Interval = {
  readonly estimate: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly confidence: number;
};

/** Candidate against baseline. */
export type Effect = Interval & { readonly kind: 'difference' | 'ratio_p50' | 'ratio_p95' | 'ratio_p99' };

export type ArmSummary = { readonly units: number; readonly value: number | null };

export const CONFIDENCE = 0.95;
const SMALLEST_CANDIDATE = 30;
const FEWEST_EVENTS = 8;
/** ρ is the variance at this many candidate units … */
const SHARPEST_AT_UNITS = 500;
/** … by this: where the boundary of the normal mixture is tightest at 95 %. */
const SHARPEST_DIVISOR = 10.8;

/** The strata of one metric that its evidence was made of, in the order of the bets. */
export const betStrata = (strata: readonly Stratum[], name: string, metric: Pick<MetricBet, 'from_slot'>): Stratum[] =>
  strata.filter((stratum) => stratum.metric === name && isBet(stratum, metric)).sort(compareStrata);

/** Units and mean of each arm, unstratified, for display. In the metric's own unit, to the precision of its bins; null without units. */
export const armsOf = (scale: Scale, strata: readonly Cells[]): { baseline: ArmSummary; candidate: ArmSummary } => {
  const value = (bin: number): number => valueOf(scale, bin);
  const summary = (arm: 'a' | 'b'): ArmSummary => {
    const { units, mean } = momentsOf(strata, arm, value);
    return { units, value: units === 0 ? null : mean };
  };
  return { baseline: summary('a'), candidate: summary('b') };
};

/**
 * Candidate's mean less baseline's, in the metric's own unit, for rates and scores. Null where no stratum has both arms.
 *
 * The interval is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024 ("Time-uniform central
 * limit theory and asymptotic confidence sequences", Theorem 2.2: Robbins' normal mixture), with V = Σ w²(v_A/n_A + v_B/n_B) as its clock.
 * It is asymptotic, so it is never bet on. Measured over 200 runs of 18,000 units looked at 24 times: the truth ever missed by 3.5 %
 * (.01 against .01, a tenth candidate), 5.5 % (.01 against .06, a tenth), 1.5 % (.01 against .06, half), 3 % (.3 against .4, a tenth).
 */
export const differenceOf = (scale: Scale, strata: readonly Cells[]): Effect | null => {
  const value = (bin: number): number => valueOf(scale, bin);
  const moments = { a: momentsOf(strata, 'a', value), b: momentsOf(strata, 'b', value) };
  const farthest = farthestOf(strata, moments, value);
  const variance = { a: varianceOf(scale, moments.a, farthest), b: varianceOf(scale, moments.b, farthest) };
  let weights = 0;
  let difference = 0;
  let clock = 0;
  let candidateUnits = 0;
  let sharpest: number | null = null;
  for (const { weight, unitsA, unitsB, difference: within } of contrasts(strata, value)) {
    weights += weight;
    difference += (weight / weights) * (within - difference);
    clock += weight ** 2 * (variance.a / unitsA + variance.b / unitsB);
    candidateUnits += unitsB;
    if (sharpest === null && candidateUnits >= SHARPEST_AT_UNITS) sharpest = clock;
  }
  if (weights === 0) return null;
  const events = scale.kind === 'rate' ? eventsOf(scale, strata) : farthest === 0 ? FEWEST_EVENTS : pooledSquares(moments) / farthest ** 2;
  const hasEnough = candidateUnits >= SMALLEST_CANDIDATE && events >= FEWEST_EVENTS;
  const unbounded: Effect = { kind: 'difference', estimate: difference, low: null, high: null, confidence: CONFIDENCE };
  if (!hasEnough) return unbounded;
  const rho = (sharpest ?? (clock * SHARPEST_AT_UNITS) / candidateUnits) / SHARPEST_DIVISOR;
  const spread = Math.sqrt((clock + rho) * (Math.log((clock + rho) / rho) + 2 * Math.log(1 / (1 - CONFIDENCE)))) / weights;
  const largest = Math.abs(valueOf(scale, binOf(scale, Number.POSITIVE_INFINITY)) - valueOf(scale, binOf(scale, Number.NEGATIVE_INFINITY)));
  return { ...unbounded, low: Math.max(difference - spread, -largest), high: Math.min(difference + spread, largest) };
};

/**
 * How much worse the candidate is, on the scale that a metric's tolerance is given in; positive is worse. As there are two badness
 * functions, because no one of them sees both a small shift of everything and a rare large fault, so there are two effects, and the
 * larger one counts:
 *   rate           the difference
 *   score          the superiority, or the difference on the score's scale from 0 to 1
 *   distribution   the superiority, or the relative increase of the root mean square (clipped at eight medians): 2.5 % of calls four
 *                  times as slow are a superiority of .025, but 17 % more root mean square
 * Superiority: the chance that a unit is worse than one of the reference less the chance that it is better, candidate against baseline
 * (twice the difference of mean ranks). Null where no stratum has both arms, or there is no reference.
 */
export const worseningOf = (metric: Metric, strata: readonly Cells[]): number | null => {
  const [first, second] = badnessFunctions(metric);
  if (first === undefined) return null;
  const found = meanContrast(strata, first.g);
  if (found === null) return null;
  switch (metric.kind) {
    case 'rate':
      return found.difference;
    case 'score':
      return Math.max(2 * found.difference, meanContrast(strata, (bin) => bin / SCORE_STEPS)?.difference ?? 0);
    case 'distribution': {
      const squares = second === undefined ? null : meanContrast(strata, second.g);
      const ratio = squares === null || squares.baseline === 0 ? 1 : (squares.baseline + squares.difference) / squares.baseline;
      return Math.max(2 * found.difference, Math.sqrt(Math.max(0, ratio)) - 1);
    }
  }
};

/** Bins of a score are fiftieths of its scale (`badness.ts`). */
const SCORE_STEPS = 50;

/** The stratified difference of means, and the baseline's mean with the same weights. */
const meanContrast = (strata: readonly Cells[], value: (bin: number) => number): { readonly difference: number; readonly baseline: number } | null => {
  let weights = 0;
  let difference = 0;
  let baseline = 0;
  for (const contrast of contrasts(strata, value)) {
    weights += contrast.weight;
    difference += (contrast.weight / weights) * (contrast.difference - difference);
    baseline += (contrast.weight / weights) * (contrast.meanA - baseline);
  }
  return weights === 0 ? null : { difference, baseline };
};

type Contrast = { readonly weight: number; readonly unitsA: number; readonly unitsB: number; readonly meanA: number; readonly difference: number };

/** Difference of means in each stratum that has both arms. */
const contrasts = (strata: readonly Cells[], value: (bin: number) => number): Contrast[] =>
  strata.flatMap((stratum) => {
    const a = momentsOf([stratum], 'a', value);
    const b = momentsOf([stratum], 'b', value);
    if (a.units === 0 || b.units === 0) return [];
    const weight = (a.units * b.units) / (a.units + b.units);
    return [{ weight, unitsA: a.units, unitsB: b.units, meanA: a.mean, difference: b.mean - a.mean }];
  });

type Moments = { readonly units: number; readonly mean: number; readonly squares: number };

/** Units, mean and sum of squared deviations of one arm, by West's weighted update (1979): no difference of squares. */
const momentsOf = (strata: readonly Cells[], arm: 'a' | 'b', value: (bin: number) => number): Moments => {
  let units = 0;
  let mean = 0;
  let squares = 0;
  for (const stratum of strata) {
    const counts = stratum[arm];
    for (let cell = 0; cell < counts.length; cell++) {
      const count = counts[cell] ?? 0;
      if (count === 0) continue;
      const x = value(stratum.bins[cell] ?? Number.NaN);
      units += count;
      const step = x - mean;
      mean += (step * count) / units;
      squares += count * step * (x - mean);
    }
  }
  return { units, mean, squares };
};

/** Of the units of both arms about the mean of both. */
const pooledSquares = ({ a, b }: { readonly a: Moments; readonly b: Moments }): number => a.squares + b.squares + ((a.units * b.units) / (a.units + b.units)) * (a.mean - b.mean) ** 2;

/** The largest distance of any unit, of either arm, from the mean of both. */
const farthestOf = (strata: readonly Cells[], { a, b }: { readonly a: Moments; readonly b: Moments }, value: (bin: number) => number): number => {
  const mean = (a.units * a.mean + b.units * b.mean) / Math.max(1, a.units + b.units);
  return strata.reduce((most, stratum) => stratum.bins.reduce((far, bin, cell) => ((stratum.a[cell] ?? 0) + (stratum.b[cell] ?? 0) > 0 ? Math.max(far, Math.abs(value(bin) - mean)) : far), most), 0);
};

/**
 * Variance of one unit, never zero. Rates: p(1 − p) with p = (k + 1)/(n + 2), at least that of a session's mean outcome. Others: with
 * one pseudo-unit as far from the mean as any unit was, and a quarter of the range at least, for arms whose units are all alike so far: where one
 * answer in forty fails, the first forty of a candidate say nothing of it (without, 13 % of intervals of scores that are nearly all perfect ever missed).
 */
const varianceOf = (scale: Scale, { units, mean, squares }: Moments, farthest: number): number => {
  if (scale.kind === 'rate') {
    const p = (units * mean + 1) / (units + 2);
    return p * (1 - p);
  }
  const range = scale.kind === 'score' ? (scale.maximum ?? 1) - (scale.minimum ?? 0) : 4 * mean;
  return (squares + Math.max(farthest, range / 4) ** 2) / (units + 1);
};

/** The rarer of outcomes and non-outcomes, in both arms. Of scores: squared deviations in those of the farthest unit, which comes to the same. */
const eventsOf = (scale: Scale, strata: readonly Cells[]): number => {
  const { baseline, candidate } = armsOf(scale, strata);
  const events = baseline.units * (baseline.value ?? 0) + candidate.units * (candidate.value ?? 0);
  return Math.min(events, baseline.units + candidate.units - events);
};
