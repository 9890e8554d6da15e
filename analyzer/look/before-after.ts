import type { BeforeAfter, ComparisonSettings, MetricSettings, Stratum } from '../../schemas/evidence.ts';
import { armOf, saysNothing, type Factor } from './factors.ts';
import { isSignalMetric, SIGNAL_METRICS } from '../metrics/index.ts';
import type { Seen } from './observations.ts';
import { slotStartMs } from '../slots.ts';
import { binOf } from '../statistics/badness.ts';
import type { Tape } from './tape.ts';
import type { Family } from './windows.ts';

/**
 * Times compared with times: each window after the change is paired with earlier ones, latest first, each used once; the same windows
 * for the prompts that did not change. How many earlier windows one pair takes depends on how many are left, never on what is in them.
 */
export type Arms = { readonly factor: Factor; readonly group: string; readonly baseline: string; readonly candidate: string };

/** An earlier window for each later one at least, and at most: three hours of history last about an hour of after, dense at first. */
const MOST_EARLIER = 8;
const SPREAD = 40;

type Window = { readonly from: number; readonly to: number };
export type Pair = { readonly after: Window; readonly before: readonly Window[] };

/** All pairs there will ever be, in order. */
export function pairsOf(plan: Pick<BeforeAfter, 'from_slot' | 'until_slot' | 'history_slot' | 'window_slots'>): Pair[] {
  const length = plan.window_slots;
  let left = Math.floor((plan.until_slot - plan.history_slot) / length);
  let end = plan.until_slot;
  const pairs: Pair[] = [];
  for (let from = plan.from_slot; left > 0; from += length) {
    const take = Math.min(MOST_EARLIER, Math.max(1, Math.ceil(left / SPREAD)));
    const before: Window[] = [];
    for (let taken = 0; taken < Math.min(take, left); taken += 1) {
      before.push({ from: end - length, to: end });
      end -= length;
    }
    left -= before.length;
    pairs.push({ after: { from, to: from + length }, before });
  }
  return pairs;
}

/** The slot in which a window is complete: what started in it has arrived, or counts no more. */
const completeAt = (window: Window, wait: number): number => window.to - 1 + wait;

/**
 * The strata of the pairs that an arrival slot completes; at the opening, of all that are complete by then.
 * @param tapes of the prompt itself (empty name) and of its controls
 */
export function strataOver(slot: number, arms: Arms, settings: ComparisonSettings, tapes: ReadonlyMap<string, Tape>): Stratum[] {
  const plan = settings.before_after;
  if (plan === null || (plan.ended_slot !== null && slot >= plan.ended_slot)) return [];
  const pairs = pairsOf(plan);
  const since = slot === plan.opened_slot ? Number.NEGATIVE_INFINITY : slot - 1;
  const sides: readonly Side[] = [
    { name: '', use: 'pair', call_slots: plan.call_slots, score_slots: plan.score_slots, armOf: ownArm(arms) },
    ...plan.controls.map(({ prompt, version, call_slots, score_slots }): Side => ({ name: prompt, use: 'control', call_slots, score_slots, armOf: controlArm(arms, { version, request_models: plan.request_models }) })),
  ];
  const strata: Stratum[] = [];
  for (const side of sides) {
    const tape = tapes.get(side.name);
    if (tape === undefined) continue;
    for (const [name, metric] of Object.entries(settings.metrics)) {
      const wait = isSignalMetric(name) ? side.call_slots : side.score_slots;
      for (const pair of pairs) {
        const closed = completeAt(pair.after, wait);
        if (closed > slot) break;
        if (closed > since) strata.push(...strataOfPair(slot, { name, metric, pair, wait, side, tape, familyOf: arms.factor.familyOverTime }));
      }
    }
  }
  return strata;
}

/** The last slot that can still bring a stratum. */
export function lastSlotOf(plan: BeforeAfter): number {
  const last = pairsOf(plan).at(-1);
  const longest = Math.max(plan.call_slots, plan.score_slots, ...plan.controls.flatMap(({ call_slots, score_slots }) => [call_slots, score_slots]));
  return last === undefined ? plan.opened_slot : completeAt(last.after, longest);
}

type Side = {
  readonly name: string;
  readonly use: 'pair' | 'control';
  readonly call_slots: number;
  readonly score_slots: number;
  readonly armOf: (seen: Seen, time: 'before' | 'after') => boolean;
};

/** Of the prompt itself: the baseline before, the candidate after. A failed call that names neither is judged by its time. */
export const ownArm =
  (arms: Arms): Side['armOf'] =>
  (seen, time) => {
    const arm = armOf(arms.factor, arms, seen);
    if (arm !== null) return (arm === 'a') === (time === 'before');
    return saysNothing(arms.factor, arms.group, seen);
  };

/** Of a control: its version, and where models are compared the calls that stayed on the baseline, or failed without naming one. */
export const controlArm =
  (arms: Arms, control: { readonly version: string; readonly request_models: readonly string[] }): ((seen: Seen) => boolean) =>
  (seen) =>
    seen.version === control.version &&
    control.request_models.includes(seen.request_model) &&
    (arms.factor.name !== 'model' || seen.response_model === arms.baseline || seen.response_model === seen.request_model);

function strataOfPair(
  slot: number,
  { name, metric, pair, wait, side, tape, familyOf }: {
    readonly name: string;
    readonly metric: MetricSettings;
    readonly pair: Pair;
    readonly wait: number;
    readonly side: Side;
    readonly tape: Tape;
    readonly familyOf: Factor['familyOverTime'];
  },
): Stratum[] {
  const among = SIGNAL_METRICS.find((each) => each.name === name)?.among ?? `score:${name}`;
  const families = new Map<string, { readonly family: Family; readonly cells: Map<number, { a: number; b: number }> }>();
  const count = (window: Window, time: 'before' | 'after'): void => {
    for (const { seen, value } of tape.read(name, { ...window, arrivedBy: completeAt(window, wait) })) {
      if (!side.armOf(seen, time)) continue;
      const family = familyOf(seen, among);
      const key = `${family.model}\0${family.operation}\0${family.route}`;
      let found = families.get(key);
      if (found === undefined) families.set(key, (found = { family, cells: new Map() }));
      const bin = binOf(metric, value);
      let cell = found.cells.get(bin);
      if (cell === undefined) found.cells.set(bin, (cell = { a: 0, b: 0 }));
      cell[time === 'before' ? 'a' : 'b'] += 1;
    }
  };
  for (const window of pair.before) count(window, 'before');
  count(pair.after, 'after');
  const start_window_ms = slotStartMs(pair.before.at(-1)?.from ?? 0);
  return [...families.values()].flatMap(({ family: { model, operation, route }, cells }) => {
    const sorted = [...cells].sort(([left], [right]) => left - right);
    const a = sorted.map(([, cell]) => cell.a);
    const b = sorted.map(([, cell]) => cell.b);
    if (!a.some((units) => units > 0) || !b.some((units) => units > 0)) return [];
    return [{ metric: name, slot, begin_slot: pair.after.from, start_window_ms, model, operation, route, use: side.use, control: side.name, bins: sorted.map(([bin]) => bin), a, b }];
  });
}
