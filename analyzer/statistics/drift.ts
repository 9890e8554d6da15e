/**
 * Whether a model moved on several prompts at once though nothing changed: an outage, or an alias that quietly became another model.
 *
 * Shiryaev–Roberts with one prompt left out (Shin, Ramdas, Rinaldo 2024, "E-detectors"): with x_p(λ) the log likelihood ratio of prompt p's
 * units in one slot, "worse by λ beyond what is tolerated" against "worse by what is tolerated",
 *
 *     R_j(λ) ← (1 + R_j(λ)) · exp Σ_{p ≠ j} x_p(λ)          alarm when  min_j mean_λ R_j(λ) ≥ A
 *
 * While no prompt is worse than tolerated E exp x_p ≤ 1, so R_j less the number of slots is a supermartingale for each j, and the mean time to a
 * false alarm is at least A slots. The least over j, because a single broken prompt must never become "the model": at least two have to
 * have moved. A month of slots for every metric and model watched makes it one false page a month for the fleet at most.
 *
 *   rate     x = λ·k − n·log(1 + p₁(e^λ − 1)), p₁ the tolerated share: twice the odds of the reference, and .01 more at least
 *   ranked   g = mid-rank in the reference, x = λ·Σg − n·(K(b + λ) − K(b)), K the reference's log moment generating function, b a tilt of
 *            .35 (latency) or .25 (scores) of its standard deviations
 *
 * A provider is watched in the same way over all its models, with one prompt left out and, besides, one model: the smaller R counts, so at least two
 * models have to have moved. A prompt by itself is watched with nothing left out, and its alarm says nothing of its model: who else runs on it does.
 *
 * The promise is for a true reference. It is learnt from an hour, and the tolerance has to cover what that is wrong by.
 */
import { midRank, deviation } from './reference.ts';
import type { Direction, LeavesOut, MetricKind, Reference } from './types.ts';

export type DriftMetric =
  | { readonly kind: 'rate'; readonly direction: Direction }
  /** Bins ascend with badness. The tolerance is in standard deviations of the ranks. */
  | { readonly kind: 'ranked'; readonly tolerance: number };

/** How a metric is watched; what is tolerated of distributions and scores, in standard deviations of their ranks. */
export const driftMetricOf = ({ kind, direction }: { readonly kind: MetricKind; readonly direction: Direction }): DriftMetric =>
  kind === 'rate' ? { kind, direction } : { kind: 'ranked', tolerance: kind === 'distribution' ? 0.35 : 0.25 };

/** What an alarm of several metrics is headed by: that calls fail comes first, since that they are slow as well is part of it. */
export const driftHeadline = <Crossed extends { readonly metric: string; readonly e_value: number }>(crossed: readonly Crossed[]): Crossed | undefined =>
  crossed.toSorted((left, right) => Number(right.metric === 'error_rate') - Number(left.metric === 'error_rate') || right.e_value - left.e_value || (left.metric < right.metric ? -1 : 1))[0];

/** log R(λ) with nothing left out, and with each prompt that had traffic left out. Plain JSON: −∞ is null. */
export type DriftState = { readonly all: LogR; readonly without: Readonly<Record<string, LogR>> };
type LogR = readonly (number | null)[];

export const noDrift: DriftState = { all: [null, null, null, null], without: {} };

const LOG_ODDS = [2, 4, 8, 20].map((ratio) => Math.log(ratio));
/** In standard deviations. */
const SHIFTS = [0.3, 0.6, 1.2, 2.4];
const TOLERATED_ODDS = 2;
const TOLERATED_INCREASE = 0.01;
const LARGEST_LOG = 690;

/** Counts by bin; of a rate, 0 and any other. */
export type Counts = { readonly bins: readonly number[]; readonly counts: readonly number[] };

/**
 * x(λ) of the units of one slot, for one prompt and route.
 * @param isTolerant false: against the reference itself, which dates a change that has been found.
 */
export const driftRatio = (metric: DriftMetric, reference: Reference, isTolerant = true): ((slot: Counts) => number[]) =>
  metric.kind === 'rate' ? ofRate(metric, reference, isTolerant) : ofRanks(metric, reference, isTolerant);

const ofRate = (metric: DriftMetric & { readonly kind: 'rate' }, reference: Reference, isTolerant: boolean): ((slot: Counts) => number[]) => {
  const bad = (of: Counts): number => of.bins.reduce((sum, bin, cell) => sum + ((bin === 0) === (metric.direction === 'down') ? (of.counts[cell] ?? 0) : 0), 0);
  const share = (bad(reference) + 1) / (total(reference) + 2);
  const odds = (TOLERATED_ODDS * share) / (1 - share);
  const tolerated = isTolerant ? Math.min(0.99, Math.max(odds / (1 + odds), share + TOLERATED_INCREASE)) : share;
  return (slot) => LOG_ODDS.map((lambda) => lambda * bad(slot) - total(slot) * Math.log1p(tolerated * Math.expm1(lambda)));
};

const ofRanks = (metric: DriftMetric & { readonly kind: 'ranked' }, reference: Reference, isTolerant: boolean): ((slot: Counts) => number[]) => {
  const g = midRank(reference);
  const spread = Math.max(deviation(reference, g), 0.05);
  const base = isTolerant ? metric.tolerance / spread : 0;
  const units = total(reference);
  const moments = (lambda: number): number => Math.log(reference.bins.reduce((sum, bin, cell) => sum + ((reference.counts[cell] ?? 0) / units) * Math.exp(lambda * g(bin)), 0));
  const grid = SHIFTS.map((shift) => ({ lambda: shift / spread, price: moments(base + shift / spread) - moments(base) }));
  return (slot) => {
    const sum = slot.bins.reduce((partial, bin, cell) => partial + (slot.counts[cell] ?? 0) * g(bin), 0);
    return grid.map(({ lambda, price }) => lambda * sum - total(slot) * price);
  };
};

const total = ({ counts }: Counts): number => counts.reduce((sum, count) => sum + count, 0);

/** Prompts are left out one by one up to this many; beyond it in so many groups, which asks for more, never for less. */
const MOST_LEFT_OUT = 64;

/** What is left out together with a prompt. */
export const leftOutWith = (prompt: string, isGrouped: boolean): string => {
  if (!isGrouped) return prompt;
  let hash = 0;
  for (let at = 0; at < prompt.length; at++) hash = (Math.imul(hash, 31) + prompt.charCodeAt(at)) >>> 0;
  return `#${hash % MOST_LEFT_OUT}`;
};

export const isGrouped = (prompts: number): boolean => prompts > MOST_LEFT_OUT;

/** Adds x(λ) to what is summed for a prompt, or whatever else is left out together. */
export const addRatio = (sums: Map<string, number[]>, name: string, ratio: readonly number[]): void => {
  const before = sums.get(name);
  sums.set(name, ratio.map((value, l) => value + (before?.[l] ?? 0)));
};

/** One slot: x(λ) of every prompt that had traffic in it. */
export const advanceDrift = (state: DriftState, ratios: ReadonlyMap<string, readonly number[]>): DriftState => {
  const sums = state.all.map((_, l) => [...ratios.values()].reduce((sum, ratio) => sum + (ratio[l] ?? 0), 0));
  const next = (log: LogR, leftOut: readonly number[] | undefined): LogR => log.map((value, l) => logOnePlus(value) + (sums[l] ?? 0) - (leftOut?.[l] ?? 0));
  const prompts = new Set([...Object.keys(state.without), ...ratios.keys()]);
  const before = (prompt: string): LogR => (Object.hasOwn(state.without, prompt) ? (state.without[prompt] ?? state.all) : state.all);
  return {
    all: next(state.all, undefined),
    without: Object.fromEntries([...prompts].sort().map((prompt) => [prompt, next(before(prompt), ratios.get(prompt))])),
  };
};

/** To be held against A: the mean R over λ, the least of those with something left out; 0 while fewer than two have had traffic. Clipped at e^690. */
export const driftEvidence = ({ prompts, models }: { readonly prompts: DriftState; readonly models: DriftState }, leavesOut: LeavesOut): number => {
  if (leavesOut === 'nothing') return meanOf(prompts.all);
  const least = ({ without }: DriftState): number => (Object.keys(without).length < 2 ? 0 : Math.min(...Object.values(without).map(meanOf)));
  return leavesOut === 'prompt' ? least(prompts) : Math.min(least(prompts), least(models));
};

const meanOf = (log: LogR): number => log.reduce((sum: number, value) => sum + Math.exp(Math.min(value ?? Number.NEGATIVE_INFINITY, LARGEST_LOG)) / log.length, 0);

/**
 * The slot that a change began in: the start with the largest Σ x over all slots from it on, and all prompts, at its best λ. `ratios`: by slot
 * in order, summed over prompts, against the reference itself.
 */
export const driftOnset = (ratios: readonly { readonly slot: number; readonly ratio: readonly number[] }[]): number | null => {
  let best: { readonly slot: number; readonly score: number } | null = null;
  for (let l = 0; l < LOG_ODDS.length; l++) {
    let score = 0;
    for (const { slot, ratio } of ratios.toReversed()) {
      score += ratio[l] ?? 0;
      if (best === null || score > best.score) best = { slot, score };
    }
  }
  return best?.slot ?? null;
};

/** log(1 + e^log); null stands for −∞. */
const logOnePlus = (log: number | null): number => (log === null ? 0 : Math.max(0, log) + Math.log1p(Math.exp(-Math.abs(log))));
