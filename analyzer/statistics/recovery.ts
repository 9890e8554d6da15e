/**
 * Whether a metric recovered when its culprit went away: tested, not assumed. Units since then against the culprit's own, and against what the baseline
 * was before, each as the e-value of `curve.ts` for one direction, averaged over badness functions and λ. Times are compared without controls, once, so this
 * tells what happened and never raises anything.
 */
import { badnessFunctions } from './badness.ts';
import { curve } from './curve.ts';
import type { Cells, Metric } from './types.ts';

export type Recovery = 'recovered' | 'not_recovered' | 'unknown';

const E_VALUE = 20;

/**
 * @param since strata of units since the culprit went (b) against the culprit's (a)
 * @param before strata of units since the culprit went (b) against the baseline's of the same comparison (a)
 */
export const recoveryOf = (metric: Metric, { since, before }: { readonly since: readonly Cells[]; readonly before: readonly Cells[] }): Recovery => {
  if (evidence(metric, before, 1) >= E_VALUE) return 'not_recovered';
  return evidence(metric, since, -1) >= E_VALUE ? 'recovered' : 'unknown';
};

const evidence = (metric: Metric, strata: readonly Cells[], direction: 1 | -1): number => {
  const badness = badnessFunctions(metric);
  const ofOne = badness.map(({ g, lambdas, share }) => {
    const signed = lambdas.map((lambda) => direction * lambda);
    const sums = signed.map(() => 0);
    for (const { bins, a, b } of strata) curve({ g: bins.map(g), a, b }, signed).forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
    return share * sums.reduce((mean, sum) => mean + Math.exp(Math.min(sum, 690)) / sums.length, 0);
  });
  return ofOne.length === 0 ? 1 : ofOne.reduce((total, value) => total + value, 0);
};
