import type { BeforeAfter, ComparisonSettings, Control } from '../../schemas/evidence.ts';
import { controlArm, ownArm, type Arms } from './before-after.ts';
import { slotOf, SLOTS_PER_HOUR } from '../slots.ts';
import { binOf } from '../statistics/badness.ts';
import { referenceOf } from '../statistics/reference.ts';
import { LONGEST_WAIT, type Tape } from './tape.ts';
import type { TapeNeed } from './tapes.ts';

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

/** What the baseline did before the change. */
export type History = { readonly from_slot: number; readonly until_slot: number; readonly history_slot: number; readonly perSlot: number; readonly request_models: readonly string[] };

/** `slot`: the arrival slot that is looked at. `since`: the candidate has had all calls from there on; before any stratum had both arms, it has from the change itself. */
export type Takeover = { readonly slot: number; readonly since: number; readonly hasRunTogether: boolean };

/** The slots that a takeover divides: history ends before the change, later windows begin after it. The slot of the change is in neither. */
export function slotsOf(settings: ComparisonSettings, takeover: Takeover): { readonly from_slot: number; readonly until_slot: number } {
  const until_slot = slotOf(settings.opened_ms);
  return { until_slot, from_slot: takeover.hasRunTogether ? takeover.since : until_slot + 1 };
}

/** Null where nothing is known of before. */
export function historyOf(own: Tape, arms: Arms, settings: ComparisonSettings, takeover: Takeover): History | null {
  const slots = slotsOf(settings, takeover);
  const isBefore = ownArm(arms);
  const counted: number[] = [];
  const request_models = new Set<string>();
  for (let slot = Math.max(own.from, slots.until_slot - HISTORY_SLOTS); slot < slots.until_slot; slot += 1) {
    for (const { seen } of own.read('error_rate', { from: slot, to: slot + 1, arrivedBy: takeover.slot })) {
      if (!isBefore(seen, 'before')) continue;
      counted.push(slot);
      request_models.add(seen.request_model);
    }
  }
  const [history_slot] = counted;
  return history_slot === undefined ? null : { ...slots, history_slot, perSlot: counted.length / (slots.until_slot - history_slot), request_models: [...request_models].sort() };
}

/** Prompts on the same request models are asked for in the hour before the change, busiest first, at most `MOST_CONTROLS`. */
export const neighboursOf = ({ until_slot, request_models }: History) => ({ from: Math.max(1, until_slot - SLOTS_PER_HOUR), to: until_slot, request_models, limit: MOST_CONTROLS });

export function planBeforeAfter(
  arms: Arms,
  settings: ComparisonSettings,
  takeover: Takeover,
  { own, history, neighbours }: { readonly own: Tape; readonly history: History; readonly neighbours: readonly { readonly prompt: string; readonly version: string; readonly tape: Tape }[] },
): BeforeAfter {
  const { from_slot, until_slot, history_slot, perSlot } = history;
  const request_models = [...history.request_models];
  const hour = { from: until_slot - SLOTS_PER_HOUR, to: until_slot };
  const controls = neighbours.flatMap(({ prompt, version, tape }): Control[] => {
    const isControl = controlArm(arms, { version, request_models });
    const readingsOf = (metric: string, range: { readonly from: number; readonly to: number }): number[] =>
      [...tape.read(metric, { ...range, arrivedBy: takeover.slot })].filter(({ seen }) => isControl(seen)).map(({ value }) => value);
    // One that changed in the same minutes is none.
    const isUnchanged = readingsOf('latency', { from: from_slot, to: takeover.slot + 1 }).length > 0;
    if (readingsOf('error_rate', hour).length < CONTROL_UNITS || !isUnchanged) return [];
    const references = Object.entries(settings.metrics).map(([name, metric]): [string, Control['references'][string]] => {
      const bins = metric.kind === 'rate' ? [] : readingsOf(name, hour).map((value) => binOf(metric, value));
      if (bins.length < REFERENCE_UNITS) return [name, null];
      const learnt = referenceOf(bins);
      return [name, { bins: [...learnt.bins], counts: [...learnt.counts] }];
    });
    return [{ prompt, version, ...waitsOf(tape), references: Object.fromEntries(references) }];
  });
  return {
    opened_slot: takeover.slot,
    from_slot,
    until_slot,
    history_slot,
    window_slots: WINDOW_LENGTHS.find((length) => length * perSlot >= WINDOW_UNITS) ?? LONGEST_WINDOW,
    ...waitsOf(own),
    request_models,
    controls,
    ended_slot: null,
  };
}

/** Nearly all calls, so that slow ones count; most scores, as a judge's tail is long. */
function waitsOf(tape: Tape): { call_slots: number; score_slots: number } {
  return { call_slots: tape.waitOf('calls', 0.99), score_slots: tape.waitOf('scores', 0.95) };
}
