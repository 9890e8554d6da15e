import type { Store } from '../../schemas/store.ts';
import type { BeforeAfter, ComparisonSettings, Control } from '../../schemas/evidence.ts';
import { controlArm, ownArm, type Arms } from './before-after.ts';
import { selectNeighbours, type PromptKey } from './observations.ts';
import { slotOf, SLOTS_PER_HOUR } from '../slots.ts';
import { binOf } from '../statistics/badness.ts';
import { referenceOf } from '../statistics/reference.ts';
import { LONGEST_WAIT, type Tape } from './tape.ts';
import type { TapeNeed, Tapes } from './tapes.ts';

/**
 * When a candidate has taken over, and how times are compared from then on. All of it is fixed before the first bet, from labels
 * and counts; earlier values only set the scale on which badness is read.
 */

/** Calls of each arm by slot, newest last: as many as are needed to see a takeover. */
export type Traffic = readonly (readonly [slot: number, a: number, b: number])[];

const TAKEN_OVER = 0.97;
const GIVEN_BACK = 0.9;
const ENOUGH_SLOTS = 4;
const ENOUGH_CALLS = 20;
const KEPT_SLOTS = SLOTS_PER_HOUR;

/** Adds a slot, and forgets what no question below can reach. */
export function withSlot(traffic: Traffic, slot: number, counts: { readonly a: number; readonly b: number }): Traffic {
  const next = [...traffic.filter(([earlier]) => earlier > slot - KEPT_SLOTS), [slot, counts.a, counts.b] as const];
  const start = startOfEnough(next, slot);
  return start === null ? next : next.filter(([earlier]) => earlier >= start);
}

/** The slot from which on the candidate has had (nearly) all calls: two minutes and twenty calls at least. Null: it has not. */
export function takenOverSince(traffic: Traffic, slot: number): number | null {
  const start = startOfEnough(traffic, slot);
  return start !== null && shareOf(traffic, start) >= TAKEN_OVER ? start : null;
}

/** Whether the baseline is back. */
export function isGivenBack(traffic: Traffic, slot: number): boolean {
  const start = startOfEnough(traffic, slot);
  return start !== null && shareOf(traffic, start) < GIVEN_BACK;
}

function startOfEnough(traffic: Traffic, slot: number): number | null {
  let calls = 0;
  for (const [start, a, b] of traffic.toReversed()) {
    calls += a + b;
    if (slot - start + 1 >= ENOUGH_SLOTS && calls >= ENOUGH_CALLS) return start;
  }
  return null;
}

function shareOf(traffic: Traffic, since: number): number {
  const [a, b] = traffic.filter(([slot]) => slot >= since).reduce(([ofA, ofB], [, nextA, nextB]) => [ofA + nextA, ofB + nextB], [0, 0]);
  return a + b === 0 ? 0 : b / (a + b);
}

const HISTORY_SLOTS = 3 * SLOTS_PER_HOUR;
/** Units that a window is to have. */
const WINDOW_UNITS = 10;
const WINDOW_LENGTHS = [1, 2, 4, 8] as const;
const LONGEST_WINDOW = 16;
const MOST_CONTROLS = 6;
/** Of its last hour: a control with fewer says too little to exonerate or to accuse. */
const CONTROL_UNITS = 50;
const REFERENCE_UNITS = 50;

/** What is needed of the tapes: what started in the history before a change, and what starts in the windows after it. */
export const tapeNeedOf = ({ until_slot, from_slot }: Pick<BeforeAfter, 'until_slot' | 'from_slot'>): TapeNeed => ({
  since: until_slot - HISTORY_SLOTS,
  until: until_slot + LONGEST_WAIT,
  resume: from_slot,
});

/**
 * @param takeover `slot`: the arrival slot that is looked at. `since`: the candidate has had all calls from there on; a slot before any
 * stratum had both arms counts from the change itself.
 * @returns null where nothing is known of before.
 */
export async function planBeforeAfter(
  deps: { readonly store: Store; readonly tapes: Tapes },
  key: PromptKey,
  arms: Arms,
  settings: ComparisonSettings,
  takeover: { readonly slot: number; readonly since: number; readonly hasRunTogether: boolean },
): Promise<BeforeAfter | null> {
  const until_slot = slotOf(settings.opened_ms);
  const from_slot = takeover.hasRunTogether ? takeover.since : until_slot + 1;
  const taped = { ...tapeNeedOf({ until_slot, from_slot }), upTo: takeover.slot };
  const own = await deps.tapes.open(key, taped);
  const isBefore = ownArm(arms);
  const counted: number[] = [];
  const request_models = new Set<string>();
  for (let slot = Math.max(own.from, until_slot - HISTORY_SLOTS); slot < until_slot; slot += 1) {
    for (const { seen } of own.read('error_rate', { from: slot, to: slot + 1, arrivedBy: takeover.slot })) {
      if (!isBefore(seen, 'before')) continue;
      counted.push(slot);
      request_models.add(seen.request_model);
    }
  }
  const [history_slot] = counted;
  if (history_slot === undefined) return null;
  const perSlot = counted.length / (until_slot - history_slot);
  const models = [...request_models].sort();
  const plan = {
    opened_slot: takeover.slot,
    from_slot,
    until_slot,
    history_slot,
    window_slots: WINDOW_LENGTHS.find((length) => length * perSlot >= WINDOW_UNITS) ?? LONGEST_WINDOW,
    ...waitsOf(own),
    request_models: models,
    ended_slot: null,
  };
  const hour = { from: Math.max(1, until_slot - SLOTS_PER_HOUR), to: until_slot };
  const controls: Control[] = [];
  for (const { prompt_name, version } of await selectNeighbours(deps.store, key, { ...hour, request_models: models, limit: MOST_CONTROLS })) {
    const tape = await deps.tapes.open({ ...key, prompt_name }, taped);
    const isControl = controlArm(arms, { version, request_models: models });
    const readingsOf = (metric: string, range: { readonly from: number; readonly to: number } = hour): number[] =>
      [...tape.read(metric, { ...range, arrivedBy: takeover.slot })].filter(({ seen }) => isControl(seen)).map(({ value }) => value);
    // One that changed in the same minutes is none.
    const isUnchanged = readingsOf('latency', { from: from_slot, to: takeover.slot + 1 }).length > 0;
    if (readingsOf('error_rate').length < CONTROL_UNITS || !isUnchanged) continue;
    const references = Object.entries(settings.metrics).map(([name, metric]): [string, Control['references'][string]] => {
      const bins = metric.kind === 'rate' ? [] : readingsOf(name).map((value) => binOf(metric, value));
      if (bins.length < REFERENCE_UNITS) return [name, null];
      const learnt = referenceOf(bins);
      return [name, { bins: [...learnt.bins], counts: [...learnt.counts] }];
    });
    controls.push({ prompt: prompt_name, version, ...waitsOf(tape), references: Object.fromEntries(references) });
  }
  return { ...plan, controls };
}

/** Nearly all calls, so that slow ones count; most scores, as a judge's tail is long. */
function waitsOf(tape: Tape): { call_slots: number; score_slots: number } {
  return { call_slots: tape.waitOf('calls', 0.99), score_slots: tape.waitOf('scores', 0.95) };
}
