/**
 * How long until a change would be found: rollouts are simulated, and bet on by the code that bets on real ones (`evidence.ts`), in strata
 * as long as real ones would be (`window-length.ts`), looked at after each. Deterministic by seed.
 *
 * Assumptions: units are independent and like the baseline's; the fault is there from the candidate's first unit; the share does not change; one
 * stratum a window (several models and routes make smaller ones: a little slower). Not in it: the half minute or so in which slots
 * close, judges answer and sessions end. Very long waits are simulated in coarser strata, so that a run has some 1,500 of them:
 * they find a little sooner than real ones (measured, up to 10 % where a stratum had 20 units).
 */
import { worseningOf } from './effect.ts';
import { advance, createEvidence, evidenceOf } from './evidence.ts';
import { changed, forecast, type Budget, type Change } from './forecast.ts';
import { poisson, seeded } from './random.ts';
import { referenceUnits } from './reference.ts';
import type { Metric, Reference, Settings } from './types.ts';
import { windowLength } from './window-length.ts';

export type PlanRequest = {
  readonly metric: Metric;
  /** The smallest worsening that is told of (`worseningOf`). */
  readonly tolerance: number;
  /** What it looks like today, by bin. */
  readonly baseline: Reference;
  readonly change: Change;
  /** In both arms, by hour of the day (24 of them), or one for all. Only units that have the metric: of judged ones, those that are judged. */
  readonly units_per_hour: readonly number[];
  readonly share: number;
  readonly budget: Budget;
  /** Hour of the day at which it begins, with the daily rhythm. */
  readonly start_hour: number;
  readonly seed: number;
  readonly runs: number;
};

/** Hours are null where they are past `horizon_hours`; `expected_hours` where any run was. */
export type Plan = {
  readonly share: number;
  readonly expected_hours: number | null;
  readonly half_hours: number | null;
  readonly ninety_hours: number | null;
  /** Of all runs, found before the horizon. */
  readonly found_share: number;
  /** Of the candidate, until half of them are found. */
  readonly candidate_units: number | null;
  /** By the growth rate of the evidence, without chance (`forecast.ts`). */
  readonly forecast_hours: number | null;
  /** At the start. */
  readonly stratum_seconds: number;
  /** False: within the tolerance, so that nobody would be told, however sure it is. */
  readonly is_told: boolean;
  readonly runs: number;
  readonly seed: number;
  readonly horizon_hours: number;
};

/** An undecided comparison closes after fourteen days. */
export const HORIZON_HOURS = 336;
const SLOT_SECONDS = 30;
const SLOTS_PER_HOUR = 120;
const EXPECTED_STRATA = 1_500;
const LARGE = 1e6;

/** @throws RangeError where the change does not fit the metric, the baseline is empty, or the share is not in (0, 1). */
export const createPlan = (request: PlanRequest): { readonly run: (index: number) => number | null; readonly summarise: (found: readonly (number | null)[]) => Plan } => {
  const { baseline, budget, change, share, units_per_hour } = request;
  if (!(share > 0 && share < 1)) throw new RangeError(`share: ${share} is not between 0 and 1`);
  const mean = units_per_hour.reduce((sum, rate) => sum + rate, 0) / units_per_hour.length;
  if (!(mean > 0)) throw new RangeError('no traffic');
  const metric: Metric = { ...request.metric, reference: request.metric.kind === 'rate' ? null : (request.metric.reference ?? baseline) };
  const rough = forecast(metric, baseline, change, { units_per_hour: mean, candidate_share: share }, budget);
  const units = referenceUnits(baseline);
  const before = new Map(baseline.bins.map((bin, index) => [bin, (baseline.counts[index] ?? 0) / units]));
  const after = changed(metric, before, change);
  const rateAt = (hour: number): number => units_per_hour[Math.floor(request.start_hour + hour) % units_per_hour.length] ?? 0;
  const slotsAt = (hour: number): number => windowLength({ both: rateAt(hour) / SLOTS_PER_HOUR, rarer: (rateAt(hour) * Math.min(share, 1 - share)) / SLOTS_PER_HOUR });
  const coarser = Math.max(1, Math.round((Math.min(rough.hours ?? HORIZON_HOURS, HORIZON_HOURS) * SLOTS_PER_HOUR) / slotsAt(0) / EXPECTED_STRATA));
  const draws = { a: drawing(before), b: drawing(after) };
  // Where there are several models half of the stake is on all of them together; the rest is cash that wins nothing.
  const weight = budget.weight * (budget.models > 1 ? 0.5 : 1);
  const settings: Settings = {
    stake: budget.stake, slot_seconds: SLOT_SECONDS, models: [], reserve: 1 - weight, before_after: null, drift: null,
    metrics: { metric: { ...metric, weight, from_slot: 0 } },
  };

  const run = (index: number): number | null => {
    const random = seeded(Math.imul(request.seed, 0x9e3779b1) + index);
    let state = createEvidence();
    for (let slot = 0; slot < HORIZON_HOURS * SLOTS_PER_HOUR; ) {
      const hour = slot / SLOTS_PER_HOUR;
      const slots = slotsAt(hour) * coarser;
      const expected = (rateAt(hour) * slots) / SLOTS_PER_HOUR;
      slot += slots;
      const [a, b] = [draws.a(random, poisson(random, expected * (1 - share))), draws.b(random, poisson(random, expected * share))];
      if (a.size === 0 || b.size === 0) continue;
      const bins = [...new Set([...a.keys(), ...b.keys()])].sort((left, right) => left - right);
      const counts = { bins, a: bins.map((bin) => a.get(bin) ?? 0), b: bins.map((bin) => b.get(bin) ?? 0) };
      state = advance(state, settings, slot, [{ metric: 'metric', slot, begin_slot: slot - slots, start_window_ms: 0, model: '', operation: '', route: '', use: 'bet', control: '', ...counts }]);
      if (evidenceOf(state, settings).e_value >= 1 / budget.alpha) return slot / SLOTS_PER_HOUR;
    }
    return null;
  };

  const summarise = (found: readonly (number | null)[]): Plan => {
    const sorted = found.map((hours) => hours ?? Number.POSITIVE_INFINITY).sort((left, right) => left - right);
    const quantile = (at: number): number | null => finite(sorted[Math.ceil(at * sorted.length) - 1] ?? Number.POSITIVE_INFINITY);
    const half_hours = quantile(0.5);
    return {
      share,
      expected_hours: finite(sorted.reduce((sum, hours) => sum + hours / sorted.length, 0)),
      half_hours,
      ninety_hours: quantile(0.9),
      found_share: sorted.filter(Number.isFinite).length / sorted.length,
      candidate_units: half_hours === null ? null : Math.round(unitsUntil(half_hours, rateAt) * share),
      forecast_hours: rough.hours,
      stratum_seconds: slotsAt(0) * SLOT_SECONDS,
      is_told: (worseningOf(metric, [expectedCells(before, after)]) ?? 0) >= request.tolerance,
      runs: found.length, seed: request.seed, horizon_hours: HORIZON_HOURS,
    };
  };
  return { run, summarise };
};

/** All runs, with a pause after each in which whoever waits can go on. */
export const planned = async (request: PlanRequest, pause: () => Promise<void>): Promise<Plan> => {
  const { run, summarise } = createPlan(request);
  const found: (number | null)[] = [];
  for (let index = 0; index < request.runs; index++) {
    found.push(run(index));
    await pause();
  }
  return summarise(found);
};

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** Counts by bin of so many units. */
const drawing = (shares: ReadonlyMap<number, number>): ((random: () => number, units: number) => Map<number, number>) => {
  const entries = [...shares].filter(([, share]) => share > 0).sort(([, left], [, right]) => right - left);
  return (random, units) => {
    const counts = new Map<number, number>();
    for (let unit = 0; unit < units; unit++) {
      let left = random();
      const bin = entries.find(([, share]) => (left -= share) < 0)?.[0] ?? entries[0]?.[0] ?? 0;
      counts.set(bin, (counts.get(bin) ?? 0) + 1);
    }
    return counts;
  };
};

const unitsUntil = (hours: number, rateAt: (hour: number) => number): number => {
  let units = 0;
  for (let hour = 0; hour < hours; hour++) units += rateAt(hour) * Math.min(1, hours - hour);
  return units;
};

/** One very large stratum, as expected. */
const expectedCells = (before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): { bins: number[]; a: number[]; b: number[] } => {
  const bins = [...new Set([...before.keys(), ...after.keys()])].sort((left, right) => left - right);
  const counts = (shares: ReadonlyMap<number, number>): number[] => bins.map((bin) => Math.round(LARGE * (shares.get(bin) ?? 0)));
  return { bins, a: counts(before), b: counts(after) };
};

