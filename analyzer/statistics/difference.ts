/**
 * Before and after, with controls: the e-process of a change that left nothing to run beside it.
 *
 * Strata pair the time after a change with earlier time (a before, b after), for the changed prompt (target) and, of the same times, for
 * prompts that did not change (controls). Whatever moved everybody is the drift λ*: on the scale of `curve.ts`, if the target did not get
 * worse beyond it, then for λ > λ* and for λ < λ* respectively
 *
 *     exp(ℓ_target(λ) − ℓ_target(λ*))    and    exp(ℓ_controls(λ) − ℓ_controls(λ*))
 *
 * are supermartingales (log Z is convex, Ville 1939), of disjoint units, so their product, averaged over λ on each side, is an e-process. λ*
 * is not known, so the least product over a grid of λ₀ counts: it is below the one at λ*.
 *
 *     E = min over λ₀ of  ( ⅛ + ⅞ mean over five λ above λ₀⁺ of exp(ℓ_t(λ) − ℓ_t(λ₀⁺)) )  ·  ( ½ + ½ mean over five λ below λ₀ of exp(ℓ_c(λ) − ℓ_c(λ₀)) )
 *
 * Each factor keeps some cash, so that a λ₀ that the controls rule out by themselves is ruled out: without, a target that knows more than its
 * controls (4 % of errors that become 21 %, beside controls with 1 %) lost all it had won to drifts that nobody saw.
 *
 * λ₀⁺ is the next point of the grid above λ₀: a margin (OR 1.22, .05 standard deviations) for what a prompt drifts by itself. The
 * first factor is 1 at the top of the grid, the second at its bottom; so without controls E ≤ 1. Assumption: the drift is common to
 * target and controls on the scale of odds, or of exponential tilts in standard deviations. Measured (STATISTICS of the design): without the
 * controls an outage in the minute of a deploy blames the version in 24 of 24 runs, with them, and the gate of `controlEvidence`, in none of 36.
 */
import { badnessFunctions, type Badness } from './badness.ts';
import { curve } from './curve.ts';
import type { BeforeAfterBet, Metric, Reference, Stratum } from './types.ts';

/** ℓ(λ) by badness function and point of the grid. */
type Curves = readonly (readonly number[])[];

export type DifferenceState = {
  readonly target: Curves;
  readonly controls: Readonly<Record<string, Curves>>;
};

const LOG_ODDS = mirrored([0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2, 2.3, 2.7, 3.2, 3.7]);
/** In standard deviations. Fine near zero, because one step is the margin. */
const SHIFTS = mirrored([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.2, 1.6]);
const POINTS = 5;
/** Share of the bet on the target that is kept. */
const CASH = 1 / 8;
/** JSON has no infinity, and nobody needs more. */
const LARGEST_LOG = 690;

function mirrored(positive: readonly number[]): number[] {
  return [...positive.map((value) => -value).reverse(), 0, ...positive];
}

const gridOf = (badness: Badness): number[] => (badness.name === 'outcome' ? LOG_ODDS : SHIFTS).map((point) => point * badness.unit);

/**
 * Adds one stratum with use 'pair' or 'control' to the state of its metric (null: the first). A control that has no reference for the
 * metric is passed over, as is everything while the metric itself has none.
 */
export const addPair = (state: DifferenceState | null, metric: Metric, bet: BeforeAfterBet, stratum: Stratum): DifferenceState | null => {
  const read = stratum.use === 'pair' ? metric : ofControl(metric, bet, stratum);
  // Not of tails: that a drift is common to prompts was measured of ranks and squares only.
  const badness = read === null ? [] : badnessFunctions(read).filter(({ name }) => name !== 'tail');
  if (badness.length === 0) return state;
  const increments = badness.map((each) => curve({ g: stratum.bins.map(each.g), a: stratum.a, b: stratum.b }, gridOf(each)));
  const { target, controls } = state ?? { target: [], controls: {} };
  if (stratum.use === 'pair') return { target: added(target, increments), controls };
  const before = Object.hasOwn(controls, stratum.control) ? (controls[stratum.control] ?? []) : [];
  // fromEntries, because a prompt may be called "__proto__".
  return { target, controls: Object.fromEntries([...Object.entries(controls), [stratum.control, added(before, increments)]]) };
};

/** Whether a metric has a control at all; fixed with the settings, before the first bet. */
export const hasControl = (metric: Metric, name: string, bet: BeforeAfterBet): boolean =>
  bet.controls.some(({ references }) => metric.kind === 'rate' || referenceIn(references, name) !== null);

/** E-value of a metric with controls; 1 before its first stratum. */
export const differenceEvidence = (state: DifferenceState | null): number =>
  evidenceBy(state, (target, controls) => {
    const last = target.length - 1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at <= last; at++) {
      const product = (CASH + (1 - CASH) * gain(target, Math.min(at + 1, last), 1)) * (0.5 + 0.5 * gain(controls, at, -1));
      least = Math.min(least, product);
    }
    return least;
  });

/** E-value of a metric that no other prompt has: against earlier times as they were. It takes any drift for a change. */
export const uncontrolledEvidence = (state: DifferenceState | null): number =>
  evidenceBy(state, (target) => gain(target, (target.length - 1) / 2 + 1, 1));

/** The largest e-value for "moved for the worse as well", over the controls and all of them together: what the gate asks. 1 without any. */
export const controlEvidence = (state: DifferenceState | null): number => {
  const controls = Object.values(state?.controls ?? {});
  const moved = (curves: Curves): number => mean(curves.map((sums) => mean(sums.slice((sums.length + 1) / 2).map((value) => Math.exp(Math.min(value, LARGEST_LOG))))));
  return controls.length === 0 ? 1 : Math.max(moved(controls.reduce(added, [])), ...controls.map(moved));
};

/** Averaged over the badness functions. */
const evidenceBy = (state: DifferenceState | null, of: (target: readonly number[], controls: readonly number[]) => number): number => {
  if (state === null || state.target.length === 0) return 1;
  const pooled = Object.values(state.controls).reduce(added, []);
  return mean(state.target.map((sums, f) => of(sums, pooled[f] ?? sums.map(() => 0))));
};

/** Mean of exp(ℓ(λ) − ℓ(λ₀)) over the points beyond λ₀ in one direction; 1 at the end of the grid. */
const gain = (sums: readonly number[], at: number, direction: 1 | -1): number => {
  const gains: number[] = [];
  for (let step = 1; step <= POINTS; step++) {
    const value = sums[at + direction * step];
    if (value !== undefined) gains.push(Math.exp(Math.min(value - (sums[at] ?? 0), LARGEST_LOG)));
  }
  return gains.length === 0 ? 1 : mean(gains);
};

/** The metric as it is read on a control: with the control's own ranks, median and deviation. Null: not a control of this metric. */
const ofControl = (metric: Metric, bet: BeforeAfterBet, { control: prompt, metric: name }: Stratum): Metric | null => {
  const control = bet.controls.find((each) => each.prompt === prompt);
  if (control === undefined) return null;
  if (metric.kind === 'rate') return metric;
  const reference = referenceIn(control.references, name);
  return reference === null ? null : { ...metric, reference };
};

const referenceIn = (references: Readonly<Record<string, Reference | null>>, name: string): Reference | null =>
  Object.hasOwn(references, name) ? (references[name] ?? null) : null;

const added = (sums: Curves, increments: Curves): Curves =>
  increments.map((row, f) => row.map((increment, l) => (sums[f]?.[l] ?? 0) + increment));

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);
