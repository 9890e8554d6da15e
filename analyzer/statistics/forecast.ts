/**
 * How long until a given change would be found, at today's traffic.
 *
 * Evidence grows by the same number of nats a unit as the curve of one very large stratum with the expected counts in its cells, at the
 * best λ of the grid: that is computed, not approximated. What is needed is log 1/α plus the price of everything that was averaged
 * over. Left out: what small strata lose, and luck; half of all faults take longer. Measured against the median of 41 simulated
 * rollouts with strata of 60 units, 12 of them the candidate's: .15 h for .15, .12 for .13, .23 for .20.
 */
import { badnessFunctions, binOf } from './badness.ts';
import { curve } from './curve.ts';
import { proofCurve, wealthOf } from './not-worse.ts';
import { referenceUnits } from './reference.ts';
import type { Metric, Reference } from './types.ts';

/** A change for the worse: odds times `size`, quantiles times `size` (divided, where less is worse), or a score worse by `size`. */
export type Change = { readonly kind: 'odds_ratio' | 'ratio' | 'shift'; readonly size: number };

export type Traffic = {
  /** Units an hour in both arms. */
  readonly units_per_hour: number;
  /** The candidate's share of them, in (0, 1). */
  readonly candidate_share: number;
};

export type Budget = { readonly alpha: number; readonly stake: number; readonly weight: number; readonly models: number };

export type Forecast = {
  /** Median time, about. Null where the change would not be found: nothing on the grid gains from it. */
  readonly hours: number | null;
  readonly candidate_units: number | null;
  readonly nats_needed: number;
  readonly nats_per_unit: number;
};

const LARGE = 1e7;
/** Nats, about, by which an even mixture over the grid trails its best λ: less than log 7, because its neighbours gain too. */
const GRID_PRICE = 1.2;
/** Share staked at the opening. */
const OPENING_PRICE = Math.log(1 / 0.75);

/**
 * @param baseline what the metric looks like today, by bin; for a rate {0, 50}.
 * @throws RangeError where the change does not fit the metric, or the baseline is empty.
 */
export const forecast = (metric: Metric, baseline: Reference, change: Change, traffic: Traffic, budget: Budget): Forecast => {
  const units = referenceUnits(baseline);
  if (units === 0) throw new RangeError('baseline: no units');
  const badness = badnessFunctions({ ...metric, reference: metric.reference ?? baseline });
  const before = new Map(baseline.bins.map((bin, index) => [bin, (baseline.counts[index] ?? 0) / units]));
  const after = changed(metric, before, change);
  const bins = [...new Set([...before.keys(), ...after.keys()])].sort((left, right) => left - right);
  const expected = (shares: ReadonlyMap<number, number>, arm: number): number[] =>
    bins.map((bin) => Math.round(LARGE * arm * (shares.get(bin) ?? 0)));
  const a = expected(before, 1 - traffic.candidate_share);
  const b = expected(after, traffic.candidate_share);
  const stake = (budget.alpha * budget.stake * budget.weight) / (budget.models > 1 ? 2 : 1);
  const byFunction = badness.map(({ g, lambdas, share }) => ({
    nats_needed: Math.log(1 / (share * stake)) + GRID_PRICE + OPENING_PRICE,
    nats_per_unit: Math.max(...curve({ g: bins.map(g), a, b }, lambdas)) / LARGE,
  }));
  const [soonest] = byFunction.sort((left, right) => right.nats_per_unit / right.nats_needed - left.nats_per_unit / left.nats_needed);
  if (soonest === undefined) throw new RangeError('baseline: no badness function');
  const { nats_needed, nats_per_unit } = soonest;
  if (nats_per_unit <= 0) return { hours: null, candidate_units: null, nats_needed, nats_per_unit: 0 };
  const needed = nats_needed / nats_per_unit;
  return {
    hours: needed / traffic.units_per_hour,
    candidate_units: Math.ceil(needed * traffic.candidate_share),
    nats_needed,
    nats_per_unit,
  };
};

/** Where the test of "worse" (not-worse.ts) stands: log wealth of each alternative, empty before its first stratum; wealth that proves it lost; what is tolerated, if not the usual. */
export type Proof = { readonly log_wealth: readonly number[]; readonly threshold: number; readonly tolerated?: number | undefined };

/**
 * Hours from now until it is proved that the candidate is not worse, if both arms are alike: each alternative's log wealth goes on by what it
 * gains a unit, by the curve of one very large stratum as above. Null where none gains, or there is no reference yet.
 *
 * @throws RangeError where the baseline is empty.
 */
export const hoursToProof = (metric: Metric & { readonly tolerance: number }, baseline: Reference, traffic: Traffic, { log_wealth, threshold, tolerated }: Proof): number | null => {
  const units = referenceUnits(baseline);
  if (units === 0) throw new RangeError('baseline: no units');
  const expected = (arm: number): number[] => baseline.counts.map((count) => Math.round((LARGE * arm * count) / units));
  const stratum = { bins: baseline.bins, a: expected(1 - traffic.candidate_share), b: expected(traffic.candidate_share) };
  const gains = proofCurve({ ...metric, reference: metric.reference ?? baseline }, tolerated)(stratum).map((gain) => gain / LARGE);
  const gainers = gains.flatMap((gain, index) => (gain > 0 ? [{ gain, log: log_wealth[index] ?? 0 }] : []));
  if (gainers.length === 0) return null;
  const wealthAfter = (count: number): number => wealthOf(gains.map((gain, index) => (log_wealth[index] ?? 0) + gain * count));
  // By then one of them has it all by itself.
  let late = Math.min(...gainers.map(({ gain, log }) => Math.max(0, Math.log(threshold * gains.length) - log) / gain));
  let early = 0;
  for (let round = 0; round < 60; round += 1) {
    const middle = (early + late) / 2;
    if (wealthAfter(middle) < threshold) early = middle;
    else late = middle;
  }
  return late / traffic.units_per_hour;
};

/** Shares by bin after the change. @throws RangeError where the change does not fit the metric. */
export const changed = (metric: Metric, before: ReadonlyMap<number, number>, { kind, size }: Change): ReadonlyMap<number, number> => {
  if (metric.kind === 'rate' && kind === 'odds_ratio' && size > 0) return withOdds(metric, before, size);
  if (metric.kind === 'distribution' && kind === 'ratio' && size > 0) {
    return moved(before, (metric.direction === 'up' ? 8 : -8) * Math.log2(size), Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
  }
  if (metric.kind === 'score' && kind === 'shift') {
    const worst = binOf({ kind: 'score', direction: 'up' }, 1);
    return moved(before, (worst * size) / ((metric.maximum ?? 1) - (metric.minimum ?? 0)), 0, worst);
  }
  throw new RangeError(`a ${metric.kind} cannot change by ${kind} ${size}`);
};

/** Bins tilted by exp(λ · outcome): for single calls, exactly the odds times `ratio`. */
const withOdds = (metric: Metric, before: ReadonlyMap<number, number>, ratio: number): ReadonlyMap<number, number> => {
  const [outcome] = badnessFunctions(metric);
  const tilted = [...before].map(([bin, share]) => [bin, share * ratio ** (outcome?.g(bin) ?? 0)] as const);
  const total = tilted.reduce((sum, [, share]) => sum + share, 0);
  return new Map(tilted.map(([bin, share]) => [bin, share / total]));
};

/** Shifted by a fraction of a bin, shares split between the two neighbours. */
const moved = (before: ReadonlyMap<number, number>, by: number, low: number, high: number): ReadonlyMap<number, number> => {
  const after = new Map<number, number>();
  const add = (bin: number, share: number): void => {
    const clipped = Math.min(high, Math.max(low, bin));
    if (share > 0) after.set(clipped, (after.get(clipped) ?? 0) + share);
  };
  const whole = Math.floor(by);
  for (const [bin, share] of before) {
    add(bin + whole, share * (1 - (by - whole)));
    add(bin + whole + 1, share * (by - whole));
  }
  return after;
};
