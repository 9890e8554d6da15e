/**
 * The e-process against "the candidate is worse by at least the tolerance": what proves `not_worse`.
 *
 * For true λ* ≥ λ_tol and λ < λ_tol, E exp(curve(λ) − curve(λ_tol)) ≤ 1, because logZ is convex: so the product over strata is an
 * e-process against the whole null, and wealth ≥ 1/α proves the candidate better than the tolerance whenever one looks. A stratum's
 * wealth is averaged over three alternatives, none of which is tuned.
 *
 * What is tolerated where nobody says otherwise:
 *
 *   rate           odds ratio of 1.5 on the outcome, or a candidate in which it is rarer than the tolerance: what nobody ever has cannot be held against anything by its odds
 *   score          exponential tilt of badness by tolerance/variance (that moves the mean by the tolerance, to first order; by less, where
 *                  it is large, which is the safe side); .02 of the scale. Exact if the candidate's scores are such a tilt, otherwise only near it: for a plain shift by
 *                  .02, 2 of 100 runs of 18,000 units were ever proved wrongly at a nominal 5 % (another prototype: 5 of 60).
 *   distribution   baseline units beyond their 95 % quantile against candidate units beyond it by one bin more (9.05 %), or by as many as are tolerated, a quantile of
 *                  the frozen reference. Exact at the boundary.
 */
import { binOf } from './badness.ts';
import { curve, type CurveCells } from './curve.ts';
import { deviation, quantileBin } from './reference.ts';
import type { Cells, Metric, Reference } from './types.ts';

/** By kind: an odds ratio above 1, a share of a score's range above 0, a ratio of quantiles of a bin (2^⅛) or more; of a bin's parts the next lower bin counts. */
const USUAL: Readonly<Record<Metric['kind'], number>> = { rate: 1.5, score: 0.02, distribution: 2 ** (1 / 8) };
const SCORE_DEVIATION_FLOOR = 0.05;
/** Bets λ_tol·(1 − x): halfway to "no change", no change, and as far beyond it. */
const BEYOND = [0.5, 1, 1.5];
/** Log odds ratios of exceeding a threshold that is 9 % higher, for an unchanged candidate: −.3 to −.8 by the tail's weight. */
const FEWER_EXCEEDANCES = [-0.2, -0.4, -0.8];

/** Effect that is not worth an alert: of a rate, a difference. */
type Tolerance = { readonly tolerance: number };

/** Shares of what can be bet that a unit of the candidate is no worse than a rate's tolerance: even one of a hundred that is, and none. */
const RARE_STAKES = [0.5, 0.9];

/** @param logWealth of each alternative, summed over strata. They began with equal stakes. */
export const wealthOf = (logWealth: readonly number[]): number => logWealth.reduce((sum, log) => sum + Math.exp(log), 0) / Math.max(1, logWealth.length);

/** What is compared, or null while a metric has no reference. */
type Test = { readonly cells: (stratum: Cells) => CurveCells; readonly null_lambda: number; readonly lambdas: readonly number[] };

/** The test of one metric: log wealth increments of one stratum by alternative. Empty while the metric's reference is being learnt. */
export const notWorseCurve = (metric: Metric, tolerated = USUAL[metric.kind]): ((stratum: Cells) => readonly number[]) => {
  const test = testOf(metric, tolerated);
  if (test === null) return () => [];
  return (stratum) => {
    const [atNull = 0, ...beyond] = curve(test.cells(stratum), [test.null_lambda, ...test.lambdas]);
    return beyond.map((value) => value - atNull);
  };
};

/**
 * The same with everything that proves it: besides, of a rate, that it is below its tolerance in the candidate, whatever it is in the baseline. For units
 * with badness g in [0, 1] and mean ≥ τ, E[1 + s·(τ − g)/(1 − τ)] ≤ 1, so both are e-processes against "worse by the odds *and* above the
 * tolerance", and so is their average. One's own tolerance replaces both.
 */
export const proofCurve = (metric: Metric & Tolerance, tolerated?: number): ((stratum: Cells) => readonly number[]) => {
  const curveOf = notWorseCurve(metric, tolerated);
  const { kind, direction, tolerance } = metric;
  if (kind !== 'rate' || tolerated !== undefined || tolerance >= 1) return curveOf;
  const badness = rateBadness({ kind, direction });
  return (stratum) => [
    ...curveOf(stratum),
    ...RARE_STAKES.map((stake) => stratum.bins.reduce((sum, bin, cell) => sum + (stratum.b[cell] ?? 0) * Math.log1p((stake * (tolerance - badness(bin))) / (1 - tolerance)), 0)),
  ];
};

const rateBadness = (metric: Pick<Metric, 'kind' | 'direction'>): ((bin: number) => number) => {
  const worst = binOf(metric, 1);
  return (bin) => (metric.direction === 'up' ? bin : worst - bin) / worst;
};

const testOf = (metric: Metric, tolerance: number): Test | null => {
  switch (metric.kind) {
    case 'rate':
      return tilted(rateBadness(metric), Math.log(tolerance));
    case 'score': {
      if (isEmpty(metric.reference)) return null;
      const badness = (bin: number): number => bin / WORST_SCORE_BIN;
      const scale = Math.max(deviation(metric.reference, badness), SCORE_DEVIATION_FLOOR);
      return tilted(badness, tolerance / (scale * scale));
    }
    case 'distribution': {
      if (isEmpty(metric.reference)) return null;
      const isUp = metric.direction === 'up';
      const quantile = quantileBin(metric.reference, isUp ? 0.95 : 0.05);
      const isBeyond = (bin: number, allowance: number): boolean => (isUp ? bin > quantile + allowance : bin < quantile - allowance);
      // Rounded first: 2^⅛ is one bin, whatever its last digit.
      const bins = Math.floor(Number((8 * Math.log2(tolerance)).toFixed(6)));
      return { cells: (stratum) => exceedances(stratum, isBeyond, bins), null_lambda: 0, lambdas: FEWER_EXCEEDANCES };
    }
  }
};

const WORST_SCORE_BIN = binOf({ kind: 'score', direction: 'up' }, 1);

const isEmpty = (reference: Reference | null): reference is null => reference === null || reference.bins.length === 0;

const tilted = (badness: (bin: number) => number, tolerated: number): Test => ({
  cells: ({ bins, a, b }) => ({ g: bins.map(badness), a, b }),
  null_lambda: tolerated,
  lambdas: BEYOND.map((share) => tolerated * (1 - share)),
});

const exceedances = ({ bins, a, b }: Cells, isBeyond: (bin: number, allowance: number) => boolean, allowance: number): CurveCells => {
  const units = { a: [0, 0], b: [0, 0] };
  bins.forEach((bin, cell) => {
    const baseline = isBeyond(bin, 0) ? 1 : 0;
    const candidate = isBeyond(bin, allowance) ? 1 : 0;
    units.a[baseline] = (units.a[baseline] ?? 0) + (a[cell] ?? 0);
    units.b[candidate] = (units.b[candidate] ?? 0) + (b[cell] ?? 0);
  });
  return { g: [0, 1], ...units };
};
