/** From a question in people's words ("worse by .03") to plans for several shares: the same for the command and the API. */
import { binOf, valueOf } from './badness.ts';
import type { Change } from './forecast.ts';
import { planned, type Plan, type PlanRequest } from './plan.ts';
import { quantileBin, referenceUnits } from './reference.ts';
import type { Metric, Reference, Scale } from './types.ts';

/** `worse`: by so much in the metric's own unit (of distributions by that share of it). `times`: times as much; of what is worse when less, divided. */
export type Worse = { readonly by: 'worse' | 'times'; readonly size: number };

export const USUAL_SHARES = [0.01, 0.05, 0.1, 0.25, 0.5] as const;

/** Mean of rates and scores, median of distributions. @throws RangeError where the baseline is empty. */
export const typicalOf = (metric: Metric, baseline: Reference): number => {
  if (metric.kind === 'distribution') return valueOf(metric, quantileBin(baseline, 0.5));
  const units = referenceUnits(baseline);
  if (units === 0) throw new RangeError('baseline: no units');
  return baseline.bins.reduce((sum, bin, index) => sum + (valueOf(metric, bin) * (baseline.counts[index] ?? 0)) / units, 0);
};

/** @throws RangeError where nothing would get worse, or more than there is. */
export const changeOf = (metric: Metric, typical: number, { by, size }: Worse): { readonly change: Change; readonly changed: number } => {
  if (!(size > 0)) throw new RangeError(`${by}: ${size} is not above 0`);
  const sign = metric.direction === 'up' ? 1 : -1;
  if (metric.kind === 'distribution') {
    const ratio = by === 'times' ? size : 1 + size;
    if (!(ratio > 1)) throw new RangeError(`times: ${size} makes nothing worse; give more than 1`);
    return { change: { kind: 'ratio', size: ratio }, changed: typical * ratio ** sign };
  }
  const changed = by === 'worse' ? typical + sign * size : typical * size ** sign;
  if ((changed - typical) * sign <= 0) throw new RangeError(`${by}: ${size} makes nothing worse`);
  if (metric.kind === 'score') {
    const [minimum, maximum] = [metric.minimum ?? 0, metric.maximum ?? 1];
    if (changed < minimum || changed > maximum) throw new RangeError(`${by}: ${size} leads to ${changed}, which is not between ${minimum} and ${maximum}`);
    return { change: { kind: 'shift', size: Math.abs(changed - typical) }, changed };
  }
  const [from, to] = [typical, changed].map((rate) => (metric.direction === 'up' ? rate : 1 - rate));
  if (from === undefined || to === undefined || !(from > 0 && from < 1)) throw new RangeError(`baseline: a rate of ${typical} never changes its odds; give one between 0 and 1`);
  if (!(to > 0 && to < 1)) throw new RangeError(`${by}: ${size} leads to a rate of ${changed}, which is not between 0 and 1`);
  return { change: { kind: 'odds_ratio', size: (to / (1 - to)) * ((1 - from) / from) }, changed };
};

/** The plan for the share that was asked for, with `runs` simulated rollouts, and for the usual ones with a fourth of them. */
export const plansOver = async (request: PlanRequest, pause: () => Promise<void>): Promise<{ readonly plan: Plan; readonly by_share: readonly Plan[] }> => {
  const plan = await planned(request, pause);
  const by_share: Plan[] = [];
  for (const share of USUAL_SHARES) by_share.push(await planned({ ...request, share, runs: Math.max(20, Math.ceil(request.runs / 4)) }, pause));
  return { plan, by_share };
};

/** What nothing but a mean and a spread is known of: outcomes; a score's normal, cut off at its ends; a log-normal, whose median is given. */
export const baselineLike = (scale: Scale, typical: number, deviation: number): Reference => {
  if (scale.kind === 'rate') return { bins: [0, binOf(scale, 1)], counts: [Math.round(1e6 * (1 - typical)), Math.round(1e6 * typical)] };
  if (scale.kind === 'distribution') return bellShaped(scale, Math.log(typical), deviation);
  // Cut off at its ends, the mean moves inwards: so the middle is moved out until the mean is what was said.
  let center = typical;
  for (let round = 0; round < 30; round++) center += typical - typicalOf({ ...scale, reference: null }, bellShaped(scale, center, deviation));
  return bellShaped(scale, center, deviation);
};

const bellShaped = (scale: Scale, center: number, deviation: number): Reference => {
  const counts = new Map<number, number>();
  for (let step = -400; step <= 400; step++) {
    const z = step / 100;
    const value = center + deviation * z;
    const bin = binOf(scale, scale.kind === 'score' ? value : Math.exp(value));
    counts.set(bin, (counts.get(bin) ?? 0) + Math.round(1e4 * Math.exp(-(z * z) / 2)));
  }
  const sorted = [...counts].filter(([, count]) => count > 0).sort(([left], [right]) => left - right);
  return { bins: sorted.map(([bin]) => bin), counts: sorted.map(([, count]) => count) };
};
