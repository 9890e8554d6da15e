import { binOf, badnessFunctions } from '../../analyzer/statistics/badness.ts';
import { curve, type CurveCells } from '../../analyzer/statistics/curve.ts';
import { differenceOf } from '../../analyzer/statistics/effect.ts';
import { notWorseCurve } from '../../analyzer/statistics/not-worse.ts';
import { oddsRatioOf } from '../../analyzer/statistics/odds-ratio.ts';
import { quantileRatioOf, type QuantileRatio } from '../../analyzer/statistics/quantile-ratio.ts';
import { deviation, quantileBin, referenceOf } from '../../analyzer/statistics/reference.ts';
import type { MetricBet, Stratum } from '../../analyzer/statistics/types.ts';
import { distribution, normal, rate, score, seeded, stratumOf } from '../statistics/traffic.ts';

/**
 * Whether an interval ever leaves the truth out, looked at after every stratum. Nothing but the statistics: strata of 60 units whose
 * difference between the arms is known exactly.
 *
 * Intervals that are inverted tests cost too much to compute 200 times a run. So the test of the truth itself is followed stratum by stratum, and
 * the interval is computed where that rejects (only there can it leave the truth out) and at every look that has a fifth more strata.
 */
export type CoverageCase = {
  readonly interval: string;
  readonly truth: string;
  readonly share: number;
  /** A new run: returns what is asked after each stratum, whether the truth is left out. */
  readonly begin: () => { readonly draw: (random: () => number, arm: 'a' | 'b') => number; readonly metric: MetricBet; readonly misses: (strata: readonly Stratum[]) => boolean };
};

const UNITS = 60;
const STRATA = 200;
const ERROR = 0.05;

/** Whether the truth was ever outside. */
export function everMissed(one: CoverageCase, seed: number): boolean {
  const random = seeded(seed);
  const { draw, metric, misses } = one.begin();
  const strata: Stratum[] = [];
  for (let slot = 0; slot < STRATA; slot += 1) {
    const units = Array.from({ length: UNITS }, () => {
      const arm: 'a' | 'b' = random() < one.share ? 'b' : 'a';
      return { arm, value: draw(random, arm) };
    });
    strata.push(stratumOf('metric', metric, slot, units));
    if (misses(strata)) return true;
  }
  return false;
}

type Bounds = { readonly low: number | null; readonly high: number | null } | null;
const isOutside = (interval: Bounds, truth: number): boolean => interval !== null && ((interval.low !== null && interval.low > truth) || (interval.high !== null && interval.high < truth));

/** Follows log mean exp of the curve at `alternatives` less that at the truth. */
function follow(cellsOf: (stratum: Stratum) => CurveCells, truth: number, alternatives: readonly number[]): (stratum: Stratum) => boolean {
  const sums = [truth, ...alternatives].map(() => 0);
  return (stratum) => {
    curve(cellsOf(stratum), [truth, ...alternatives]).forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
    const atTruth = sums[0] ?? 0;
    return sums.slice(1).reduce((mean, sum) => mean + Math.exp(sum - atTruth) / alternatives.length, 0) >= 1 / ERROR;
  };
}

/** True at 1, 2, … and then whenever a fifth has been added. */
const isLook = (count: number): boolean => Math.floor(Math.log(count + 1) / Math.log(1.2)) > Math.floor(Math.log(count) / Math.log(1.2));

/** A discrete score: values in fiftieths, by weight. */
const discrete = (weights: readonly number[]) => {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = weights.reduce((sum, weight, index) => sum + (weight / total) * (index / 50), 0);
  return {
    mean,
    draw: (random: () => number): number => {
      let left = random() * total;
      for (const [index, weight] of weights.entries()) if ((left -= weight) < 0) return index / 50;
      return 1;
    },
  };
};
/** Judged well, mostly; badness of its bin is 1 − value. */
const USUAL = Array.from({ length: 51 }, (_, index) => (index / 50) ** 9 * (1.02 - index / 50));
const PERFECT = Array.from({ length: 51 }, (_, index) => (index === 50 ? 30 : index > 40 ? 0.1 : 0.02));
const worse = (weights: readonly number[], tilt: number): number[] => weights.map((weight, index) => weight * Math.exp(tilt * (1 - index / 50)));
const shifted = (weights: readonly number[]): number[] => weights.map((_, index) => (index === 0 ? (weights[0] ?? 0) + (weights[1] ?? 0) : index === 50 ? 0 : (weights[index + 1] ?? 0)));
const bernoulli = (p: number) => (random: () => number): number => Number(random() < p);
const scoreBet = (weights: readonly number[]): MetricBet => {
  const { draw } = discrete(weights);
  const random = seeded(17);
  return score(referenceOf(Array.from({ length: 20_000 }, () => binOf({ kind: 'score', direction: 'down' }, draw(random)))));
};

function difference(truth: string, share: number, arms: { readonly a: { mean: number; draw: (random: () => number) => number }; readonly b: { mean: number; draw: (random: () => number) => number } }, metric: MetricBet): CoverageCase {
  return {
    interval: metric.kind === 'rate' ? 'difference of rates' : 'difference of means', truth, share,
    begin: () => ({ metric, draw: (random, arm) => arms[arm].draw(random), misses: (strata) => isOutside(differenceOf(metric, strata), arms.b.mean - arms.a.mean) }),
  };
}
const rates = (share: number, a: number, b: number): CoverageCase => difference(`${a} / ${b}`, share, { a: { mean: a, draw: bernoulli(a) }, b: { mean: b, draw: bernoulli(b) } }, rate);
const means = (name: string, share: number, weights: readonly number[], tilt: number): CoverageCase => {
  const [a, b] = [discrete(weights), discrete(worse(weights, tilt))];
  return difference(`${name}: ${a.mean.toFixed(3)} / ${b.mean.toFixed(3)}`, share, { a, b }, scoreBet(weights));
};

const odds = (share: number, a: number, b: number): CoverageCase => ({
  interval: 'odds ratio', truth: `${a} / ${b}`, share,
  begin: () => {
    const lambda = Math.log((b / (1 - b)) * ((1 - a) / a));
    const [outcome] = badnessFunctions(rate);
    const alternatives = (outcome?.lambdas ?? []).flatMap((each) => [-each, each]);
    const rejects = follow(({ bins, a: ofA, b: ofB }) => ({ g: bins.map((bin) => bin / 50), a: ofA, b: ofB }), lambda, alternatives);
    return {
      metric: rate,
      draw: (random, arm) => Number(random() < (arm === 'a' ? a : b)),
      misses(strata) {
        const last = strata.at(-1);
        const isRejected = last !== undefined && rejects(last);
        return (isRejected || isLook(strata.length)) && isOutside(oddsRatioOf(rate, strata), Math.exp(lambda));
      },
    };
  },
});

const LATENCY = {
  'log-normal': (random: () => number): number => 900 * Math.exp(0.45 * normal(random)),
  'heavy tail': (random: () => number): number => 900 * Math.exp(1.3 * normal(random)) * (random() < 0.03 ? 10 : 1),
} as const;
const latencyBet = (draw: (random: () => number) => number, units: number, seed: number): MetricBet => {
  const random = seeded(seed);
  return distribution(referenceOf(Array.from({ length: units }, () => binOf({ kind: 'distribution', direction: 'up' }, draw(random)))));
};
const SHARES: Readonly<Record<QuantileRatio, number>> = { ratio_p50: 0.5, ratio_p95: 0.95, ratio_p99: 0.99 };

/** `steps`: the truth in bins, 2^(steps/8); what is between two bins is tested at both. */
const quantile = (kind: QuantileRatio, shape: keyof typeof LATENCY, share: number, steps: number): CoverageCase => {
  let run = 0;
  return {
    interval: kind.replace('ratio_', 'ratio of '), truth: `${shape}, ${(2 ** (steps / 8)).toFixed(3)}`, share,
    begin: () => {
      const draw = LATENCY[shape];
      const metric = latencyBet(draw, 600, 7_000 + (run += 1));
      const threshold = quantileBin(metric.reference ?? { bins: [], counts: [] }, SHARES[kind]);
      const beyond = (step: number) => ({ bins, a, b }: Stratum): CurveCells => {
        const count = (arm: readonly number[], from: number): number[] => bins.reduce((found, bin, cell) => (bin > from ? [found[0] ?? 0, (found[1] ?? 0) + (arm[cell] ?? 0)] : [(found[0] ?? 0) + (arm[cell] ?? 0), found[1] ?? 0]), [0, 0]);
        const [ofA, ofB] = [count(a, threshold), count(b, threshold + step)];
        return { g: [0, 1], a: ofA, b: ofB };
      };
      const tests = [...new Set([Math.floor(steps), Math.ceil(steps)])].map((step) => follow(beyond(step), 0, [-1, -0.4, 0.4, 1]));
      return {
        metric,
        draw: (random, arm) => draw(random) * (arm === 'a' ? 1 : 2 ** (steps / 8)),
        misses(strata) {
          const last = strata.at(-1);
          const isRejected = last !== undefined && tests.map((rejects) => rejects(last)).some(Boolean);
          return (isRejected || isLook(strata.length)) && isOutside(quantileRatioOf(metric, strata, kind), 2 ** (steps / 8));
        },
      };
    },
  };
};

const notWorse = (truth: string, share: number, metric: MetricBet, draw: (random: () => number, arm: 'a' | 'b') => number): CoverageCase => ({
  interval: 'not_worse, proved falsely', truth, share,
  begin: () => {
    const increments = notWorseCurve(metric);
    const wealth: number[] = [];
    return {
      metric, draw,
      misses(strata) {
        const last = strata.at(-1);
        if (last !== undefined) increments(last).forEach((value, index) => (wealth[index] = (wealth[index] ?? 0) + value));
        return wealth.reduce((sum, log) => sum + Math.exp(log) / wealth.length, 0) >= 1 / ERROR;
      },
    };
  },
});
const usual = scoreBet(USUAL);
const deviationOfUsual = deviation(usual.reference ?? { bins: [], counts: [] }, (bin) => bin / 50);
const [ofA, tilted, byOneBin] = [discrete(USUAL), discrete(worse(USUAL, 0.02 / deviationOfUsual ** 2)), discrete(shifted(USUAL))];
const oddsTimes = (p: number, ratio: number): number => (ratio * p) / (1 - p + ratio * p);

export const COVERAGE: readonly CoverageCase[] = [0.1, 0.5].flatMap((share) => [
  rates(share, 0.01, 0.01), rates(share, 0.01, 0.06), rates(share, 0.3, 0.4), rates(share, 0.002, 0.002),
  means('usual', share, USUAL, 0), means('usual', share, USUAL, 2), means('nearly all perfect', share, PERFECT, 0), means('nearly all perfect', share, PERFECT, 2),
  odds(share, 0.01, 0.01), odds(share, 0.01, 0.06), odds(share, 0.3, 0.4),
  ...(['ratio_p50', 'ratio_p95', 'ratio_p99'] as const).flatMap((kind) => [quantile(kind, 'log-normal', share, 0), quantile(kind, 'log-normal', share, 8 * Math.log2(1.25)), quantile(kind, 'heavy tail', share, 2)]),
  notWorse('errors .01, odds 1.5', share, rate, (random, arm) => Number(random() < (arm === 'a' ? 0.01 : oddsTimes(0.01, 1.5)))),
  notWorse('errors .05, odds 1.5', share, rate, (random, arm) => Number(random() < (arm === 'a' ? 0.05 : oddsTimes(0.05, 1.5)))),
  notWorse('score worse by .02, a tilt', share, usual, (random, arm) => (arm === 'a' ? ofA : tilted).draw(random)),
  notWorse('score worse by .02, a shift', share, usual, (random, arm) => (arm === 'a' ? ofA : byOneBin).draw(random)),
  notWorse('p95 9 % higher', share, latencyBet(LATENCY['log-normal'], 600, 1), (random, arm) => LATENCY['log-normal'](random) * (arm === 'a' ? 1 : 2 ** (1 / 8))),
]);
