/**
 * `npm run calibration`: the promise and the intervals, measured over far more runs than the test suite has time for, as the tables of
 * docs/STATISTICS.md. Options: `--rollouts N` of each shape (default 72), `--runs N` of each interval (default 400).
 */
import { parseArgs } from 'node:util';
import { betStrata, differenceOf } from '../../analyzer/statistics/effect.ts';
import { quantileRatioOf } from '../../analyzer/statistics/quantile-ratio.ts';
import { callsOf, scenario } from '../simulation/traffic.ts';
import { COVERAGE, everMissed } from './coverage.ts';
import { HARMLESS } from './harmless.ts';
import { rollout, tooMany } from './rollout.ts';

const { values } = parseArgs({ options: { rollouts: { type: 'string', default: '72' }, runs: { type: 'string', default: '400' } } });
const ROLLOUTS = Number(values.rollouts);
const RUNS = Number(values.runs);
const ALPHAS = [0.05, 0.01] as const;
const INTERVAL_ERROR = 0.05;

/** Several candidates share one α: the largest sum counts, of stakes of one half each. */
const shapes: readonly (readonly [string, readonly string[], Parameters<typeof callsOf>[0]])[] = [
  ...Object.entries(HARMLESS).map(([name, traffic]) => [name, ['v2'], traffic] as const),
  ['two candidates at once, a fifth each', ['v2', 'v3'], scenario({ minutes: 150, callsPerMinute: 40, rhythm: 0.9, versions: [[0, { v1: 1 }], [20, { v1: 0.6, v2: 0.2, v3: 0.2 }]] })],
];

type Judged = { readonly largest: number; readonly told: readonly boolean[]; readonly missesDifference: boolean; readonly missesQuantile: boolean };

function harmless(seed: number, candidates: readonly string[], traffic: Parameters<typeof callsOf>[0]): Judged {
  const calls = callsOf(traffic, seed);
  const stake = 1 / candidates.length;
  let [missesDifference, missesQuantile] = [false, false];
  const results = candidates.map((candidate) => {
    let looked = 0;
    return rollout(calls, {
      alpha: ALPHAS[0], candidate, stake,
      onLook(strata, { metrics }) {
        if (strata.length < 1.5 * looked) return;
        looked = strata.length;
        for (const [name, metric] of Object.entries(metrics)) {
          const bets = betStrata(strata, name, metric);
          if (name === 'latency') missesQuantile ||= leavesOut(quantileRatioOf(metric, bets, 'ratio_p95'), 1);
          else if (name === 'error_rate' || name === 'quality') missesDifference ||= leavesOut(differenceOf(metric, bets), 0);
        }
      },
    });
  });
  const largest = Math.max(...results.map((result) => result.largest));
  // The evidence does not depend on α, so what never passed 1/α need not be run again to know that nobody was told.
  const told = ALPHAS.map((alpha) => largest >= 1 / alpha && candidates.some((candidate) => rollout(calls, { alpha, candidate, stake }).told !== null));
  return { largest, told, missesDifference, missesQuantile };
}

function leavesOut(interval: { readonly low: number | null; readonly high: number | null } | null, truth: number): boolean {
  return interval !== null && ((interval.low !== null && interval.low > truth) || (interval.high !== null && interval.high < truth));
}

const row = (...cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);

const isWithin = (found: number, runs: number, chance: number): boolean => runs === 0 || found < tooMany(runs, chance);

console.log(`Harmless rollouts, ${ROLLOUTS} of each shape, looked at after every stratum: how many were ever past 1/α, and how many were ever told.\n`);
row('shape', 'seeds', ...ALPHAS.flatMap((alpha) => [`past 1/α, α = ${alpha}`, 'told']));
row('---', '---', ...ALPHAS.flatMap(() => ['---', '---']));
const everything: Judged[] = [];
const counted = (judged: readonly Judged[]): number[] => ALPHAS.flatMap((alpha, at) => [judged.filter(({ largest }) => largest >= 1 / alpha).length, judged.filter(({ told }) => told[at] === true).length]);
for (const [index, [name, candidates, traffic]] of shapes.entries()) {
  const first = 100_000 * (index + 1);
  const judged = Array.from({ length: ROLLOUTS }, (_, run) => harmless(first + run, candidates, traffic));
  everything.push(...judged);
  row(name, `${first}–${first + ROLLOUTS - 1}`, ...counted(judged));
}
const all = everything.length;
row(`**all ${all}**`, '', ...counted(everything).map((count) => `**${count}**`));
console.log(`\nWithin chance (1 in 1,000) are fewer than ${ALPHAS.map((alpha) => `${tooMany(all, alpha)} at α = ${alpha}`).join(', ')}. In the same rollouts an interval left out "no change" in some look: ${everything.filter((each) => each.missesDifference).length} of ${all} for the difference of errors or of scores, ${everything.filter((each) => each.missesQuantile).length} for the ratio of the latency's p95 (looked at 1, 1.5, 1.5², … strata).\n`);
let isKept = ALPHAS.every((alpha) => isWithin(everything.filter(({ largest }) => largest >= 1 / alpha).length, all, alpha));

console.log(`Intervals at 95 %, ${RUNS} runs of 200 strata of 60 units, looked at after every stratum: how many ever left the truth out. Fewer than ${tooMany(RUNS, INTERVAL_ERROR)} are within chance.\n`);
row('interval', 'truth', 'share', 'ever missed', '');
row('---', '---', '---', '---', '---');
for (const [index, one] of COVERAGE.entries()) {
  const first = 10_000_000 + 10_000 * index;
  let missed = 0;
  for (let run = 0; run < RUNS; run += 1) missed += Number(everMissed(one, first + run));
  const holds = isWithin(missed, RUNS, INTERVAL_ERROR);
  isKept &&= holds;
  row(one.interval, one.truth, one.share, `${missed} (${((100 * missed) / RUNS).toFixed(1)} %)`, holds ? '' : '**more than chance**');
}
console.log('\nSeeds of intervals: 10,000,000 + 10,000 for each row, then one for each run.');
if (!isKept) process.exitCode = 1;
