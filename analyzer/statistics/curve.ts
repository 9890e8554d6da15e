/**
 * The conditional log likelihood ratio of one stratum: the one object that all evidence is made of.
 *
 * Units 1..n of a stratum have badness g_i; n_B of them are the candidate's. If the candidate is harmless, then given n_B and the
 * pooled g the labels are a uniformly random n_B-subset. With S_B the sum of g over the candidate,
 *
 *     logZ(λ) = log mean over all n_B-subsets of exp(λ · sum of g in the subset)          curve(λ) = λ·S_B − logZ(λ)
 *
 * so E[exp(curve(λ))] = 1 for every λ, whatever the distribution of g and however it moves between strata (the exact conditional
 * test of Fisher 1935 as an e-value; Grünwald, de Heide, Koolen 2024, "Safe testing", section on 2×2 tables; Ville 1939 for the product
 * over strata). Assumption: exchangeable labels within the stratum, and a stratum whose borders do not depend on what is in it.
 * For g in {0, 1} this is the log likelihood ratio of Fisher's noncentral hypergeometric distribution, λ the log odds ratio.
 *
 * Three ways to the same number, none of them an approximation beyond rounding:
 *   two values of g     sum over the hypergeometric support
 *   few units           recursion over units on means of k-subsets: only averages, so no cancellation
 *   the rest            Cauchy's integral for the coefficient on the circle through the saddlepoint (`coefficient.ts`), whose
 *                       aliasing is bounded below 1e-13. It costs the same for 1e3 and 1e6 units, so no stratum needs the
 *                       saddlepoint approximation itself, nor an allowance for its error.
 */
import { logCoefficient } from './coefficient.ts';

/** Counts by badness: g in [0, 1] (any finite reals work), a and b units of the baseline and the candidate. */
export type CurveCells = { readonly g: readonly number[]; readonly a: readonly number[]; readonly b: readonly number[] };

/** Recursion up to here (about 30 µs), integral beyond, where that one is faster. */
const RECURSION_STEPS = 8_000;
/** Products of k weights within exp(±690) fit a double without rescaling. */
const LOG_RANGE = 1_380;
/** Support of the hypergeometric sum beyond which the integral is faster. */
const SUPPORT = 2_000;

/** Pooled units by distinct badness. */
type Pool = { readonly g: Float64Array; readonly count: Float64Array; readonly units: number; readonly sum: number };

/**
 * curve(λ) for each of `lambdas`, in nats. Zeros where one arm is empty or all units are equally bad: such a stratum says nothing.
 * @throws RangeError where counts are not whole and non-negative, or g is not finite.
 */
export const curve = (cells: CurveCells, lambdas: readonly number[]): number[] => {
  const stratum = pool(cells);
  if (stratum === null) return lambdas.map(() => 0);
  const { pooled, candidateUnits, candidateSum } = stratum;
  const logZs = logMeans(pooled, candidateUnits, lambdas);
  return lambdas.map((lambda, index) => lambda * candidateSum - (logZs[index] ?? 0));
};

/** logZ(λ) for each of `lambdas`. */
export const logZ = (cells: CurveCells, lambdas: readonly number[]): number[] => {
  const stratum = pool(cells);
  if (stratum !== null) return logMeans(stratum.pooled, stratum.candidateUnits, lambdas);
  const candidateSum = cells.g.reduce((sum, g, cell) => sum + g * (cells.b[cell] ?? 0), 0);
  return lambdas.map((lambda) => lambda * candidateSum);
};

/** Merges equal badness. Null where only one labelling, or only one badness, is possible. */
const pool = (cells: CurveCells): { pooled: Pool; candidateUnits: number; candidateSum: number } | null => {
  const size = cells.g.length;
  if (cells.a.length !== size || cells.b.length !== size) throw new RangeError('cells: g, a and b must have one length');
  const order = ascending(cells.g);
  const g = new Float64Array(size);
  const count = new Float64Array(size);
  let distinct = 0;
  let units = 0;
  let sum = 0;
  let candidateUnits = 0;
  let candidateSum = 0;
  for (const cell of order) {
    const value = cells.g[cell] ?? Number.NaN;
    const a = cells.a[cell] ?? Number.NaN;
    const b = cells.b[cell] ?? Number.NaN;
    if (!Number.isFinite(value) || !isCount(a) || !isCount(b)) throw new RangeError(`cells: badness ${value} with ${a} and ${b} units`);
    if (a + b === 0) continue;
    if (distinct === 0 || g[distinct - 1] !== value) g[distinct++] = value;
    count[distinct - 1] = (count[distinct - 1] ?? 0) + a + b;
    units += a + b;
    sum += (a + b) * value;
    candidateUnits += b;
    candidateSum += b * value;
  }
  if (distinct < 2 || candidateUnits === 0 || candidateUnits === units) return null;
  return { pooled: { g: g.subarray(0, distinct), count: count.subarray(0, distinct), units, sum }, candidateUnits, candidateSum };
};

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Indices of g in ascending order. Badness rises or falls with the bin, so sorting is seldom needed. */
const ascending = (g: readonly number[]): number[] => {
  const order = g.map((_, index) => index);
  let isSorted = true;
  for (let index = 1; index < g.length; index++) isSorted &&= (g[index] ?? 0) >= (g[index - 1] ?? 0);
  return isSorted ? order : order.sort((left, right) => (g[left] ?? 0) - (g[right] ?? 0) || left - right);
};

/** The mean is over subsets of one arm's size; over the other arm it is the same mean with −λ, so take the smaller. */
const logMeans = (pooled: Pool, candidateUnits: number, lambdas: readonly number[]): number[] => {
  const isCandidateSmaller = 2 * candidateUnits <= pooled.units;
  const size = isCandidateSmaller ? candidateUnits : pooled.units - candidateUnits;
  const logMean = subsetMean(pooled, size);
  return lambdas.map((lambda) => {
    if (lambda === 0) return 0;
    return isCandidateSmaller ? logMean(lambda) : lambda * pooled.sum + logMean(-lambda);
  });
};

/** λ → log mean over all subsets of `size` units of exp(λ · sum). */
const subsetMean = (pooled: Pool, size: number): ((lambda: number) => number) => {
  const last = pooled.g.length - 1;
  const range = (pooled.g[last] ?? 0) - (pooled.g[0] ?? 0);
  if (last === 1 && Math.min(size, pooled.count[1] ?? 0) <= SUPPORT) return hypergeometric(pooled, size);
  const isFew = pooled.units * size <= RECURSION_STEPS;
  let logSubsets: number | null = null;
  return (lambda) => {
    if (isFew && Math.abs(lambda) * range * size <= LOG_RANGE) return recursion(pooled, size, lambda);
    logSubsets ??= logCoefficient([0], [pooled.units], size);
    return logCoefficient(pooled.g.map((g) => lambda * g), pooled.count, size) - logSubsets;
  };
};

/** Two values: the number x of worse units in the subset is hypergeometric. Terms relative to the first, in logs. */
const hypergeometric = (pooled: Pool, size: number): ((lambda: number) => number) => {
  const [low = 0, high = 0] = pooled.g;
  const [better = 0, worse = 0] = pooled.count;
  const from = Math.max(0, size - better);
  const to = Math.min(size, worse);
  const logTerms = new Float64Array(to - from + 1);
  for (let x = from; x < to; x++) {
    const ratio = ((worse - x) * (size - x)) / ((x + 1) * (better - size + x + 1));
    logTerms[x - from + 1] = (logTerms[x - from] ?? 0) + Math.log(ratio);
  }
  const logTotal = logSumTilted(logTerms, 0);
  return (lambda) => {
    const step = lambda * (high - low);
    return lambda * size * low + step * from + logSumTilted(logTerms, step) - logTotal;
  };
};

/** log Σ exp(terms[i] + step·i). */
const logSumTilted = (terms: Float64Array, step: number): number => {
  let largest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < terms.length; index++) largest = Math.max(largest, (terms[index] ?? 0) + step * index);
  let sum = 0;
  for (let index = 0; index < terms.length; index++) sum += Math.exp((terms[index] ?? 0) + step * index - largest);
  return largest + Math.log(sum);
};

/**
 * mean[k] = mean over k-subsets of the units so far of the product of their weights exp(λ(g − centre)):
 *     mean[k] ← (1 − k/m)·mean[k] + (k/m)·w·mean[k−1]
 * k beyond the target, and k from which the units left cannot reach it, are dropped. Centred on the middle of the range, so that
 * with |λ|·range·size ≤ LOG_RANGE nothing can overflow or underflow.
 */
const recursion = (pooled: Pool, size: number, lambda: number): number => {
  const { g, count, units } = pooled;
  const centre = ((g[0] ?? 0) + (g[g.length - 1] ?? 0)) / 2;
  const mean = new Float64Array(size + 1);
  mean[0] = 1;
  let seen = 0;
  for (let value = 0; value < g.length; value++) {
    const weight = Math.exp(lambda * ((g[value] ?? 0) - centre));
    for (let repeat = count[value] ?? 0; repeat > 0; repeat--) {
      seen++;
      const inverse = 1 / seen;
      const lowest = Math.max(1, size - (units - seen));
      for (let k = Math.min(seen, size); k >= lowest; k--) {
        const share = k * inverse;
        mean[k] = (1 - share) * (mean[k] ?? 0) + share * weight * (mean[k - 1] ?? 0);
      }
    }
  }
  return Math.log(mean[size] ?? Number.NaN) + lambda * size * centre;
};
