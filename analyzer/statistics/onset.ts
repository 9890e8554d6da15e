/**
 * When a change began, as opposed to when it was proved: among stretches that end now, the start j, badness function, part and λ with
 * the largest log prior(j) + ℓ_now(λ) − ℓ_{j−1}(λ). Half of the prior is on the opening, since most faults come with the rollout,
 * the rest is even. The maximum is over start and λ together: the best λ first and then its minimum put late faults 45 minutes early.
 */
import { badnessFunctions } from './badness.ts';
import { curve } from './curve.ts';
import type { Metric, Stratum } from './types.ts';

export type Onset = {
  /** First slot of the stretch, on the arrival clock. */
  readonly slot: number;
  /** Log likelihood ratio of the stretch against "no change", in nats, at its best λ. */
  readonly log_ratio: number;
};

/**
 * @param strata those of the headline metric that were bet on. Null without strata, or without a reference.
 * @param models that have a part of the bet of their own; a fault on one model is dated by that model.
 */
export const onsetOf = (metric: Metric, strata: readonly Stratum[], models: readonly string[]): Onset | null => {
  const badness = badnessFunctions(metric);
  if (badness.length === 0 || strata.length === 0) return null;
  const slots = [...new Set(strata.map(({ begin_slot }) => begin_slot))].sort((left, right) => left - right);
  const position = new Map(slots.map((slot, index) => [slot, index]));
  const logPrior = (start: number): number =>
    Math.log((start === 0 ? 0.5 : 0) + 0.5 / slots.length);

  let best: Onset | null = null;
  for (const { g, lambdas } of badness) {
    const parts = new Map<string | null, Float64Array[]>();
    const addTo = (part: string | null, at: number, increments: readonly number[]): void => {
      let sums = parts.get(part);
      if (sums === undefined) parts.set(part, (sums = lambdas.map(() => new Float64Array(slots.length))));
      increments.forEach((increment, l) => {
        const bySlot = sums[l];
        if (bySlot !== undefined) bySlot[at] = (bySlot[at] ?? 0) + increment;
      });
    };
    for (const stratum of strata) {
      const increments = curve({ g: stratum.bins.map(g), a: stratum.a, b: stratum.b }, lambdas);
      const at = position.get(stratum.begin_slot) ?? 0;
      addTo(null, at, increments);
      if (models.length > 1 && models.includes(stratum.model)) addTo(stratum.model, at, increments);
    }
    for (const increments of [...parts.values()].flat()) {
      let stretch = 0;
      for (let start = slots.length - 1; start >= 0; start--) {
        stretch += increments[start] ?? 0;
        const score = stretch + logPrior(start);
        if (best === null || score > best.log_ratio + logPrior(position.get(best.slot) ?? 0)) {
          best = { slot: slots[start] ?? 0, log_ratio: stretch };
        }
      }
    }
  }
  return best;
};
