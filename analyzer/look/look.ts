import type { MixSettings } from '../../schemas/mix-settings.ts';
import type { Store } from '../../schemas/store.ts';
import { createAside, PromptsFailed, tellingWrites } from './aside.ts';
import { createLookRows, loadAlertStates, loadComparisons, loadHistory, loadProgress, type AlertState, type LookRows } from './look-store.ts';
import { createDriftWatch, type DriftEvent, type DriftWatch } from './drift/watch.ts';
import { factorsWith } from './factors.ts';
import { bySlot, promptId, selectActivity, selectSeenValues, type Activity, type PromptKey } from './observations.ts';
import { createPromptDrift, type PromptDrift } from './drift/prompt.ts';
import { createPromptWatch, type PromptEvent, type PromptWatch } from './prompt-watch.ts';
import { selectPulse } from './drift/pulse.ts';
import { createRangeRows } from './range-rows.ts';
import type { MetricPolicy } from './references.ts';
import { slotOf, SLOTS_PER_DAY } from '../slots.ts';
import { createTapes, type Tapes } from './tapes.ts';
import { groupBy } from '../statistics/group-by.ts';

/**
 * The look loop: closes slots of the arrival clock and lets the watch of each prompt look at them. It reads closed slots from
 * the store only, so a restart goes on where the last durable look ended, and comes to the same.
 */
export type Look = {
  /** Takes up the comparisons that an earlier process left open. */
  start(): Promise<void>;
  /**
   * The whole log has passed `watermarkMs`: every slot that ended before is looked at, in order. Where it throws nothing is lost: the
   * next call takes up what is durable, as a new process would. A prompt that alone makes it throw again and again is set aside (aside.ts).
   */
  advance(watermarkMs: number): Promise<readonly LookEvent[]>;
};

export type LookEvent = PromptEvent | DriftEvent;

export type LookSettings = {
  /** Who looks; progress is kept by owner. */
  readonly owner: string;
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly publicUrl: string;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  readonly promptPolicy: (prompt: string) => { readonly baseline?: string; readonly owner?: string; readonly split?: Readonly<Record<string, number>>; readonly rollback?: { readonly mode: 'notify' | 'propose' | 'act' } };
  /** What describes the traffic. */
  readonly mix: MixSettings;
  /** Attributes whose values are compared. */
  readonly factorAttributes: readonly string[];
  /** Slots that are read from the store in one go. */
  readonly slotsPerRead: number;
};

export function createLook(deps: { readonly store: Store }, settings: LookSettings): Look {
  const store = tellingWrites(deps.store);
  const aside = createAside(deps.store);
  const factors = factorsWith(settings.factorAttributes);
  const prompts = new Map<string, PromptWatch>();
  /** In one order, whatever order they were met in. */
  let ordered: PromptWatch[] = [];
  let rows: LookRows = createLookRows(store);
  let tapes: Tapes = createTapes(store);
  let next: number | null = null;
  let isUsable = true;
  /** Of ranges that are done with; a call that throws later must not lose them. */
  const outbox: LookEvent[] = [];

  const watchDrift = (): DriftWatch =>
    createDriftWatch({ store, rows }, { publicUrl: settings.publicUrl, metricPolicy: settings.metricPolicy, isAside: (prompt, slot) => aside.reasonOf(prompt, slot) !== null, giveUp: (unreadable) => aside.giveUp(rows, unreadable, next), changedOn: (prompt, slot) => prompts.get(promptId(prompt))?.changesBefore(slot, 'own') ?? [], sharedOn: (prompt, slot) => prompts.get(promptId(prompt))?.changesBefore(slot, 'shared') ?? [] });

  let drift = watchDrift();
  const watchPrompts = (): PromptDrift =>
    createPromptDrift(
      { store, rows },
      {
        publicUrl: settings.publicUrl,
        metricPolicy: settings.metricPolicy,
        about: aside.about,
        isSettled: (prompt, reference_slot, slot) => aside.reasonOf(prompt, slot) === null && (prompts.get(promptId(prompt))?.isSettled(reference_slot, slot) ?? true),
        changesOn: (prompt, since) => prompts.get(promptId(prompt))?.changesSince(since) ?? [],
        mix: settings.mix,
        pageOver: (place, slot) => drift.pageOver(place, slot),
        hourBefore: (slot) => drift.hourBefore(slot),
      },
    );
  let promptDrift = watchPrompts();

  const watchOf = ({ project, environment, prompt_name }: PromptKey): PromptWatch => {
    const id = promptId({ project, environment, prompt_name });
    let watch = prompts.get(id);
    if (watch === undefined) {
      const key = { project, environment, prompt_name };
      const { baseline, owner = null, split = null, rollback } = settings.promptPolicy(prompt_name);
      const { alpha, sessionWindowS, publicUrl, mix } = settings;
      const pageOver = (request_models: readonly string[], slot: number) => drift.pageOver({ project, environment, request_models }, slot);
      watch = createPromptWatch({ store, rows, tapes }, key, { alpha, sessionWindowS, publicUrl, mix, metricPolicy: settings.metricPolicy(prompt_name), baseline, owner, split, canRollBack: rollback !== undefined && rollback.mode !== 'notify', pageOver, factors });
      prompts.set(id, watch);
    }
    return watch;
  };

  const readRange = async (range: { readonly from: number; readonly to: number }): Promise<LookEvent[]> => {
    const events: LookEvent[] = [];
    // 1. What people decided, and who was active. A prompt is made known by its first call.
    const alerted = [...[...prompts.values()].flatMap((watch) => watch.alerted()), ...drift.alerted(), ...promptDrift.alerted()];
    const decisions = alerted.length === 0 ? new Map<string, AlertState>() : await loadAlertStates(store, alerted);
    const [all, pulse] = await Promise.all([selectActivity(store, range), selectPulse(store, range)]);
    const active = all.filter((row) => aside.reasonOf(row, row.slot) === null);
    const activity = bySlot(active);
    const pulses = bySlot(pulse);
    for (const watch of prompts.values()) watch.adopt(decisions);
    drift.adopt(decisions);
    promptDrift.adopt(decisions);
    const callsOf = groupBy(active, promptId);
    const comparing = [...prompts].filter(([, watch]) => watch.isComparing()).map(([id, { key }]) => ({ prompt: key, calls: callsOf.get(id)?.reduce((sum, { calls }) => sum + calls, 0) ?? 0 }));
    const rangeRows = createRangeRows(store, range, comparing);
    for (let slot = range.from; slot < range.to; slot += 1) {
      // 2. Slot by slot, first all that is seen, then what is concluded from it: who did it is told by comparing prompts.
      const seen = groupBy(activity.get(slot) ?? [], watchOf);
      const activeOn = (watch: PromptWatch): readonly Activity[] => seen.get(watch) ?? [];
      const busy: PromptWatch[] = [];
      if (ordered.length !== prompts.size) ordered = [...prompts].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, watch]) => watch);
      for (const watch of ordered) {
        if (watch.isBusy(slot, activeOn(watch))) busy.push(watch);
        else watch.greet(slot, activeOn(watch));
      }
      const untaped = await tapes.record(slot, rangeRows);
      for (const { key, tapes: held } of untaped.size === 0 ? [] : ordered) {
        const error = [...held()].map((tape) => untaped.get(tape)).find((each) => each !== undefined);
        if (error !== undefined) aside.failed(key, error);
      }
      for (const watch of busy) await aside.about(watch.key, () => watch.feed(slot, activeOn(watch), rangeRows));
      // All are asked, so that it is seen whose failure it is; nothing is concluded without one of them.
      aside.settle();
      drift.feed(slot, pulses.get(slot) ?? []);
      promptDrift.feed(slot, pulses.get(slot) ?? []);
      events.push(...(await drift.conclude(slot)));
      events.push(...(await promptDrift.conclude(slot)));
      aside.settle();
      for (const watch of busy) {
        events.push(...((await aside.about(watch.key, () => watch.conclude(slot, activeOn(watch), rangeRows))) ?? []));
        aside.settle();
      }
    }
    for (const watch of prompts.values()) watch.keep();
    drift.keep();
    tapes.keep(new Set([...prompts.values()].flatMap((watch) => [...watch.tapes()])));
    // 3. The rest of the rows. If it fails here, the range is looked at again: the same strata, the same transitions.
    await rows.flush();
    // 4. Progress, last: what is before it is never looked at again.
    await store.insert('look_progress', [{ owner: settings.owner, slot: range.to }]);
    aside.passed();
    return events;
  };

  const takeUp = async (): Promise<void> => {
    prompts.clear();
    ordered = [];
    rows = createLookRows(store);
    tapes = createTapes(store);
    next = await loadProgress(store, settings.owner);
    await aside.load(next);
    drift = watchDrift();
    promptDrift = watchPrompts();
    const whyAside = (prompt: PromptKey): string | null => (next === null ? null : aside.reasonOf(prompt, next));
    const { open, unreadable } = await loadComparisons(store);
    await aside.giveUp(rows, unreadable, next);
    for (const [watch, left] of groupBy(open.filter(({ identity }) => whyAside(identity) === null), ({ identity }) => watchOf(identity))) await aside.about(watch.key, () => watch.restore(left, next));
    aside.settle();
    for (const each of open) {
      const why = whyAside(each.identity);
      if (why !== null && why !== each.reason) rows.comparison(each, 'open', why);
    }
    const history = (await loadHistory(store)).filter((each) => whyAside(each) === null);
    for (const { factor, group, value, opened_slot, forgotten_slot, ...key } of history) {
      const watch = watchOf(key);
      watch.recallOpening(opened_slot);
      if (forgotten_slot > 0) watch.newcomersOf(factor, group).forget(value, forgotten_slot);
    }
    await drift.restore(next);
    if (next === null) return;
    const at = next;
    for (const factor of factors) {
      const openedOf = groupBy(history.filter((each) => each.factor === factor.name), (each) => watchOf(each).newcomersOf(factor.name, each.group));
      for (const since of aside.lookBacks(at)) {
        const seen = (await selectSeenValues(store, factor, { from: Math.max(1, since - SLOTS_PER_DAY), since, to: at })).filter((each) => whyAside(each) === null && aside.waitingSince(each, at) === since);
        for (const [watch, ofPrompt] of groupBy(seen, watchOf)) {
          await aside.about(watch.key, async () => {
            for (const [newcomers, values] of groupBy(ofPrompt, (each) => watch.newcomersOf(factor.name, each.group))) {
              const opened = Math.max(...(openedOf.get(newcomers) ?? []).map(({ opened_slot }) => opened_slot), Number.NEGATIVE_INFINITY);
              await newcomers.restore(values, since, opened);
            }
          });
        }
      }
    }
    aside.settle();
    // Last, because what changed on a prompt says from when on it is heard.
    await promptDrift.restore(next);
  };

  const goOn = async (watermarkMs: number): Promise<void> => {
    if (!isUsable) await takeUp();
    isUsable = false;
    const closed = slotOf(watermarkMs);
    if (next === null) {
      const [first] = await store.select<{ earliest: number }>('SELECT min(slot) AS earliest FROM calls WHERE slot > 0');
      next = first === undefined || first.earliest === 0 ? null : first.earliest;
    }
    while (next !== null && next < closed) {
      const end = aside.nextEnd(next);
      const to = Math.min(closed, next + settings.slotsPerRead, end);
      outbox.push(...(await readRange({ from: next, to })));
      next = to;
      // Who was left out until here comes back as after a restart, which changes nothing for the others.
      if (to === end) await takeUp();
    }
    isUsable = true;
  };

  return {
    async start() {
      try {
        await takeUp();
      } catch (error) {
        // Of a prompt: the next advance meets it again, and says what becomes of it. A process can begin.
        if (!(error instanceof PromptsFailed)) throw error;
        isUsable = false;
      }
    },
    async advance(watermarkMs) {
      try {
        await goOn(watermarkMs);
      } catch (error) {
        throw await aside.judge(error, { next, watermarkMs });
      }
      return outbox.splice(0);
    },
  };
}
