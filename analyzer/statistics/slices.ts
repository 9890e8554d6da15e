/**
 * Where a candidate is worse: on which model, operation, route, or whatever else strata are kept apart by.
 *
 * A slice is all strata with one value of one dimension. Which slice a stratum is in is known before its labels are, so the product over the
 * strata of a slice is an e-process of its own against "harmless in all of this slice" (`evidence.ts`, by the very same code). Slices of
 * different dimensions share strata, so their e-values depend on each other; the e-BH procedure (Wang, Ramdas 2022, "False discovery rate
 * control with e-values", Theorem 2) needs no independence. Slices appear one by one, so each has a weight that is fixed when it
 * appears: the k-th 1/(k·H), H = 1 + 1/2 + … + 1/32. Named are the R slices with the largest weight·E, for the largest R with
 *
 *     weight·E ≥ 1/(q·R)  for each of the R
 *
 * Promise: at any stopping time, such as that of a page, the expected share of harmless slices among those that are named is at most
 * Σ weight·q·E[e] ≤ q. Assumptions: those of the evidence itself; where times are compared, that drift is common to the prompt and its controls.
 * Without controls, or where a control got worse too, no slice is named. The intervals are each for itself.
 */
import { betStrata, worseningOf } from './effect.ts';
import { advance, CONTROLS_MOVED, controlsOf, createEvidence, evidenceOf } from './evidence.ts';
import { effectOf, type Measured } from './shown-effects.ts';
import type { MetricBet, Settings, Stratum } from './types.ts';
import { groupBy } from './group-by.ts';

type Slice = Measured & {
  /** model, operation, or the name of an attribute. */
  readonly dimension: string;
  readonly value: string;
  readonly e_value: number;
  /** Among those that are named. */
  readonly is_worse: boolean;
};

/** False discovery rate of the slices of one metric. */
const SLICES_Q = 0.05;
/** The first that appear; later ones are not looked at. */
const MOST_SLICES = 32;
const HARMONIC = Array.from({ length: MOST_SLICES }, (_, index) => 1 / (index + 1)).reduce((sum, term) => sum + term, 0);
/** Of each arm, for a slice to be shown. */
const FEWEST_UNITS = 20;

/**
 * All slices of the dimensions that have two values or more, worst first.
 * @param strata of the comparison, any metric and use
 */
export const slicesOf = (strata: readonly Stratum[], { name, metric, settings }: { readonly name: string; readonly metric: MetricBet; readonly settings: Settings }): Slice[] => {
  const bets = betStrata(strata, name, metric);
  const members = membersOf(bets);
  const values = new Map<string, number>();
  for (const { dimension } of members) values.set(dimension, (values.get(dimension) ?? 0) + 1);
  if (![...values.values()].some((count) => count > 1)) return [];

  const own: Settings = { ...settings, stake: 1, models: [], reserve: 0, metrics: { [name]: { ...metric, weight: 1 } } };
  const controls = settings.before_after === null ? [] : strata.filter((stratum) => stratum.use === 'control' && stratum.metric === name);
  const tested = members.map((slice, index) => ({ ...slice, weight: 1 / ((index + 1) * HARMONIC), ...evidenceFor(name, own, [...slice.strata, ...controls]) }));
  const named = namedAmong(tested.map(({ weight, e_value, isControlled }) => (isControlled ? weight * e_value : 0)));
  return tested
    .flatMap(({ dimension, value, strata: ofSlice, e_value }, index): Slice[] => {
      const measured = (values.get(dimension) ?? 0) < 2 ? null : effectOf(metric, ofSlice);
      const isSmall = measured === null || measured.baseline.units < FEWEST_UNITS || measured.candidate.units < FEWEST_UNITS;
      return isSmall ? [] : [{ dimension, value, baseline: measured.baseline, candidate: measured.candidate, effect: measured.effect, e_value, is_worse: named.has(index) && (worseningOf(metric, ofSlice) ?? 0) > 0 }];
    })
    .sort((left, right) => right.e_value - left.e_value || (`${left.dimension}=${left.value}` < `${right.dimension}=${right.value}` ? -1 : 1));
};

/** e-BH: positions of the largest set of R with each at least 1/(q·R). */
const namedAmong = (weighted: readonly number[]): ReadonlySet<number> => {
  const order = weighted.map((value, index) => ({ value, index })).sort((left, right) => right.value - left.value);
  let size = 0;
  order.forEach(({ value }, rank) => {
    if (value * SLICES_Q * (rank + 1) >= 1) size = rank + 1;
  });
  return new Set(order.slice(0, size).map(({ index }) => index));
};

type Members = { readonly dimension: string; readonly value: string; readonly strata: readonly Stratum[] };

/** In the order in which they appear, among bets in their order. */
const membersOf = (bets: readonly Stratum[]): Members[] => {
  const slices = new Map<string, { readonly dimension: string; readonly value: string; readonly strata: Stratum[] }>();
  for (const stratum of bets) {
    for (const [dimension, value] of placesOf(stratum)) {
      const key = `${dimension}\0${value}`;
      const slice = slices.get(key);
      if (slice !== undefined) slice.strata.push(stratum);
      else if (slices.size < MOST_SLICES) slices.set(key, { dimension, value, strata: [stratum] });
    }
  }
  return [...slices.values()];
};

/** The attributes of a route first, as there is nearly always one operation. */
const placesOf = ({ model, operation, route }: Stratum): (readonly [dimension: string, value: string])[] => {
  const attributes = route === '' ? [] : route.split(BETWEEN_ATTRIBUTES).map((attribute): readonly [string, string] => [attribute.slice(0, attribute.indexOf('=')), attribute.slice(attribute.indexOf('=') + 1)]);
  return [...attributes, ['model', model], ['operation', operation]];
};

/** A route is `name=value name=value`, and a value may have spaces. One with an equals sign besides would be cut: wrongly named, as good a slice. */
const BETWEEN_ATTRIBUTES = / (?=[^\s=]+=)/;

const evidenceFor = (name: string, settings: Settings, strata: readonly Stratum[]): { readonly e_value: number; readonly isControlled: boolean } => {
  let state = createEvidence();
  for (const [slot, ofSlot] of [...groupBy(strata, ({ slot }) => slot)].sort(([left], [right]) => left - right)) state = advance(state, settings, slot, ofSlot);
  const controls = controlsOf(state, settings)?.get(name);
  const isControlled = controls === undefined || (controls.isControlled && controls.moved < CONTROLS_MOVED);
  return { e_value: evidenceOf(state, settings).metrics[name] ?? 1, isControlled };
};
