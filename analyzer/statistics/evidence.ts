/**
 * The e-process of one comparison: the wealth of bets against "the candidate is harmless", folded over closed strata.
 *
 * Promise: for a harmless candidate E[e_value] = stake at every stopping time, so P(e_value ≥ 1/α ever) ≤ stake·α (Ville 1939;
 * Ramdas, Grünwald, Vovk, Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference"). Assumptions: those of
 * `curve.ts` for each stratum; references, models, weights and from_slot fixed before the strata that they are used on; a unit is
 * in one stratum of a metric only. Metrics of the same units may depend on each other: their e-values are averaged, not multiplied.
 *
 * What is averaged, all by fixed weights:
 *   metrics             their weights; the reserve and everything not yet bet is cash that counts as itself
 *   models              all together ½, each alone ½/m, where more than one was known at the opening
 *   badness functions   by their shares (`badness.ts`)
 *   λ                   evenly
 *   starts              π = ¾ at the opening and ¼/(k(k+1)) at the k-th half hour after it: M ← (M + π)·exp(curve), so that a fault
 *                       that begins late has not paid for the healthy hours (measured: 45 → 30 min for one after 3.5 hours)
 * A start is only booked when its next stratum comes: until then it is cash either way. So time that passes costs no work.
 *
 * Where the baseline takes no more traffic, later units are compared with earlier ones (`difference.ts`). No unit is in both kinds of
 * strata, so a metric's two e-values are multiplied: a ramp that ends at 100 % undecided goes on with what it has, and one α.
 */
import { badnessFunctions, badnessGrids, type Badness } from './badness.ts';
import { curve } from './curve.ts';
import { addPair, controlEvidence, differenceEvidence, hasControl, uncontrolledEvidence, type DifferenceState } from './difference.ts';
import type { MetricBet, Settings, Stratum } from './types.ts';
import { groupBy } from './group-by.ts';

/**
 * Log wealth of one metric, as one row of numbers. For each part of its bet (all models together, then each of `settings.models` where there are several): the share of
 * the part's stake that has been bet, 0 before its first stratum (the rest is cash), and log M by badness function and λ.
 */
export type Wealth = readonly number[];

/** Plain JSON; some 5 KB in memory and 9 KB in text for eleven metrics with two models. */
export type EvidenceState = {
  /** Of the last stratum that was bet on. */
  readonly slot: number | null;
  readonly metrics: Readonly<Record<string, Wealth>>;
  /** Of strata that compare times, by metric. */
  readonly pairs: Readonly<Record<string, DifferenceState>>;
};

const OPENING_SHARE = 0.75;
const RESTART_SECONDS = 1_800;
/** JSON has no infinity, and nobody needs more. */
const LARGEST_LOG = 690;

export const createEvidence = (): EvidenceState => ({ slot: null, metrics: {}, pairs: {} });

/**
 * Folds all strata that one slot closed. Strata with use 'reference', of an unknown metric, of a metric still without reference, or
 * closed before the metric's from_slot are passed over. `state` is not changed.
 * @throws RangeError where a stratum belongs to another slot, or the slot is not after the last one: a stratum is bet on once.
 */
export const advance = (state: EvidenceState, settings: Settings, slot: number, strata: readonly Stratum[]): EvidenceState => {
  if (state.slot !== null && slot <= state.slot) throw new RangeError(`slot ${slot} is not after ${state.slot}`);
  const changed = new Map<string, Wealth>();
  for (const [name, ofMetric] of byMetric(strata)) {
    const metric = metricOf(settings, name);
    const badness = metric === null ? [] : badnessFunctions(metric);
    if (metric === null || badness.length === 0) continue;
    for (const stratum of ofMetric) {
      if (stratum.slot !== slot) throw new RangeError(`a stratum of slot ${stratum.slot} in slot ${slot}`);
      if (stratum.use === 'bet' && isBet(stratum, metric)) changed.set(name, bet(changed.get(name) ?? wealthOf(state, name), settings, metric, badness, stratum));
    }
  }
  const pairs = pairsAfter(state.pairs, settings, strata);
  if (changed.size === 0 && pairs === state.pairs) return state;
  // fromEntries, because a score may be called "__proto__".
  return { slot, metrics: Object.fromEntries([...Object.entries(state.metrics), ...changed]), pairs };
};

/**
 * Folds the strata that compare times. They are durable before anything is concluded from them, so a state that was kept may leave `pairs`
 * out and have them made again from the strata, slot by slot.
 */
export const pairsAfter = (pairs: EvidenceState['pairs'], settings: Settings, strata: readonly Stratum[]): EvidenceState['pairs'] => {
  const bet = settings.before_after;
  const compared = bet === null ? [] : strata.filter(({ use }) => use === 'pair' || use === 'control');
  if (bet === null || compared.length === 0) return pairs;
  const states = new Map(Object.entries(pairs));
  for (const stratum of compared.toSorted(compareStrata)) {
    const metric = metricOf(settings, stratum.metric);
    const state = metric === null ? null : addPair(states.get(stratum.metric) ?? null, metric, bet, stratum);
    if (state !== null) states.set(stratum.metric, state);
  }
  return Object.fromEntries(states);
};

/**
 * `e_value` is stake · (Σ weight·E + reserve), to be held against 1/α; `metrics` has each metric's own E, 1 before its first bet.
 * Both are clipped at e^690.
 */
export const evidenceOf = (state: EvidenceState, settings: Settings): { e_value: number; metrics: Record<string, number> } => {
  let sum = settings.reserve;
  const metrics: [string, number][] = [];
  for (const [name, metric] of Object.entries(settings.metrics)) {
    const e = Math.min(metricEvidence(wealthOf(state, name), metric, settings) * pairEvidence(state, settings, name), Math.exp(LARGEST_LOG));
    sum += metric.weight * e;
    metrics.push([name, e]);
  }
  return { e_value: settings.stake * sum, metrics: Object.fromEntries(metrics) };
};

/** E-value from which on controls count as having moved: an outage is never common to all on the scale of odds. */
export const CONTROLS_MOVED = 20;

/** Of metrics whose times are compared: whether a control has it, and the e-value for "the controls got worse as well". Null: arms run together. */
export const controlsOf = (state: EvidenceState, settings: Settings): ReadonlyMap<string, { readonly isControlled: boolean; readonly moved: number }> | null => {
  const { before_after, metrics } = settings;
  if (before_after === null) return null;
  return new Map(
    Object.entries(metrics).map(([name, metric]) => {
      const pairs = Object.hasOwn(state.pairs, name) ? (state.pairs[name] ?? null) : null;
      return [name, { isControlled: hasControl(metric, name, before_after), moved: controlEvidence(pairs) }];
    }),
  );
};

/** What comparing times adds to a metric's evidence. */
const pairEvidence = (state: EvidenceState, { before_after, metrics }: Settings, name: string): number => {
  const metric = metrics[name];
  if (before_after === null || metric === undefined) return 1;
  const pairs = Object.hasOwn(state.pairs, name) ? (state.pairs[name] ?? null) : null;
  return hasControl(metric, name, before_after) ? differenceEvidence(pairs) : uncontrolledEvidence(pairs);
};

/** Strata of the prompt itself that are bet on; the same rule wherever evidence is read from strata. */
export const isBet = (stratum: Stratum, metric: Pick<MetricBet, 'from_slot'>): boolean =>
  stratum.use === 'pair' || (stratum.use === 'bet' && stratum.slot >= metric.from_slot);

/** The order of bets. Strata commute but for rounding; replays must give the same bytes. */
export const compareStrata = (left: Stratum, right: Stratum): number =>
  left.slot - right.slot ||
  compareText(left.metric, right.metric) ||
  left.begin_slot - right.begin_slot ||
  left.start_window_ms - right.start_window_ms ||
  compareText(left.model, right.model) ||
  compareText(left.operation, right.operation) ||
  compareText(left.route, right.route) ||
  compareText(left.control, right.control);

/** Σ π of the starts up to `slot`. */
const injectedBy = (slot: number, metric: Pick<MetricBet, 'from_slot'>, slotSeconds: number): number => {
  const halfHours = Math.max(0, Math.floor(((slot - metric.from_slot) * slotSeconds) / RESTART_SECONDS));
  return OPENING_SHARE + (1 - OPENING_SHARE) * (1 - 1 / (halfHours + 1));
};

/** The parts of every metric's bet, by the model that they are of; null: all together. */
const partsOf = ({ models }: Settings): readonly (string | null)[] => (models.length > 1 ? [null, ...models] : [null]);

const bet = (before: Wealth | null, settings: Settings, metric: MetricBet, badness: readonly Badness[], stratum: Stratum): Wealth => {
  const curves = badness.flatMap(({ g, lambdas }) => curve({ g: stratum.bins.map(g), a: stratum.a, b: stratum.b }, lambdas));
  const injected = injectedBy(stratum.slot, metric, settings.slot_seconds);
  const parts = partsOf(settings);
  const wealth = before?.slice() ?? Array<number>(parts.length * (1 + curves.length)).fill(0);
  for (const [part, model] of parts.entries()) {
    if (model === null || model === stratum.model) multiply(wealth, part * (1 + curves.length), injected, curves);
  }
  return wealth;
};

/** @param at where the part begins in `wealth`, which is changed. */
const multiply = (wealth: number[], at: number, injected: number, curves: readonly number[]): void => {
  const before = wealth[at] ?? 0;
  const logFresh = Math.log(injected - before);
  wealth[at] = injected;
  for (const [l, increment] of curves.entries()) wealth[at + 1 + l] = logAdd(before === 0 ? Number.NEGATIVE_INFINITY : (wealth[at + 1 + l] ?? 0), logFresh) + increment;
};

const metricEvidence = (wealth: Wealth | null, metric: MetricBet, settings: Settings): number => {
  if (wealth === null) return 1;
  const models = partsOf(settings).length - 1;
  const size = wealth.length / (1 + models);
  const grids = badnessGrids(metric);
  const pooled = partEvidence(wealth, 0, grids);
  if (models === 0) return pooled;
  let alone = 0;
  for (let part = 1; part <= models; part++) alone += partEvidence(wealth, part * size, grids);
  return 0.5 * pooled + 0.5 * (alone / models);
};

/** @param from where the part begins. */
const partEvidence = (wealth: Wealth, from: number, grids: ReturnType<typeof badnessGrids>): number => {
  const injected = wealth[from] ?? 0;
  if (injected === 0) return 1;
  let sum = 1 - injected;
  let at = from + 1;
  for (const { share, points } of grids) {
    let mean = 0;
    for (const end = at + points; at < end; at++) mean += Math.exp(Math.min(wealth[at] ?? 0, LARGEST_LOG)) / points;
    sum += share * mean;
  }
  return sum;
};

/** log(e^left + e^right). */
const logAdd = (left: number, right: number): number => {
  const largest = Math.max(left, right);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  return largest + Math.log1p(Math.exp(Math.min(left, right) - largest));
};

const byMetric = (strata: readonly Stratum[]): ReadonlyMap<string, readonly Stratum[]> => groupBy(strata.toSorted(compareStrata), ({ metric }) => metric);

const metricOf = (settings: Settings, name: string): MetricBet | null =>
  Object.hasOwn(settings.metrics, name) ? (settings.metrics[name] ?? null) : null;

const wealthOf = (state: EvidenceState, name: string): Wealth | null =>
  Object.hasOwn(state.metrics, name) ? (state.metrics[name] ?? null) : null;

export const compareText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
