import type { Store } from '../../schemas/store.ts';
import { createLookRows, loadAlertStates, loadComparisons, loadHistory, loadProgress, type AlertState, type LookRows } from './look-store.ts';
import { WAITING_SLOTS, type SeenVersion } from './newcomers.ts';
import { bySlot, selectActivity, selectCalls, selectScores, selectSeenVersions, type Activity, type PromptKey } from './observations.ts';
import { createPromptWatch, type PromptEvent, type PromptWatch } from './prompt-watch.ts';
import type { MetricPolicy } from './references.ts';
import { slotOf, SLOTS_PER_DAY } from '../slots.ts';

/**
 * The look loop: closes slots of the arrival clock and lets the watch of each prompt look at them. It reads closed slots from
 * the store only, so a restart goes on where the last durable look ended, and comes to the same.
 */
export type Look = {
  /** Takes up the comparisons that an earlier process left open. */
  start(): Promise<void>;
  /**
   * The whole log has passed `watermarkMs`: every slot that ended before is looked at, in order. Where it throws nothing is lost: the
   * next call takes up what is durable, as a new process would.
   */
  advance(watermarkMs: number): Promise<readonly LookEvent[]>;
};

export type LookEvent = PromptEvent;

export type LookSettings = {
  /** Who looks; progress is kept by owner. */
  readonly owner: string;
  readonly alpha: number;
  readonly sessionWindowS: number;
  readonly publicUrl: string;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  readonly promptPolicy: (prompt: string) => { readonly baseline?: string; readonly owner?: string };
  /** Slots that are read from the store in one go. */
  readonly slotsPerRead: number;
};

export function createLook(deps: { readonly store: Store }, settings: LookSettings): Look {
  const { store } = deps;
  const prompts = new Map<string, PromptWatch>();
  let rows: LookRows = createLookRows(store);
  let next: number | null = null;
  let isUsable = true;
  /** Of ranges that are done with; a call that throws later must not lose them. */
  const outbox: LookEvent[] = [];

  const watchOf = ({ project, environment, prompt_name }: PromptKey): PromptWatch => {
    const id = `${project}\0${environment}\0${prompt_name}`;
    let watch = prompts.get(id);
    if (watch === undefined) {
      const key = { project, environment, prompt_name };
      const { baseline, owner = null } = settings.promptPolicy(prompt_name);
      const { alpha, sessionWindowS, publicUrl } = settings;
      watch = createPromptWatch({ store, rows }, key, { alpha, sessionWindowS, publicUrl, metricPolicy: settings.metricPolicy(prompt_name), baseline, owner });
      prompts.set(id, watch);
    }
    return watch;
  };

  const readRange = async (range: { readonly from: number; readonly to: number }): Promise<LookEvent[]> => {
    const events: LookEvent[] = [];
    // 1. What people decided, and who was active. A prompt is made known by its first call.
    const alerted = [...prompts.values()].flatMap((watch) => watch.alerted());
    const decisions = alerted.length === 0 ? new Map<string, AlertState>() : await loadAlertStates(store, alerted);
    const activity = groupBy(await selectActivity(store, range), watchOf);
    for (const [, watch] of [...prompts].sort(([left], [right]) => (left < right ? -1 : 1))) {
      watch.adopt(decisions);
      const active = activity.get(watch) ?? [];
      const activeIn = bySlot(active);
      const versionsIn = (slot: number): string[] => (activeIn.get(slot) ?? []).map((row) => row.version);
      if (!watch.isBusy() && !watch.newcomers.isWorthWatching(active.map((row) => row.version))) {
        for (const slot of activeIn.keys()) watch.newcomers.greet(slot, versionsIn(slot), () => 0);
        continue;
      }
      // 2. Slot by slot. Strata are durable before anything is concluded from them.
      const calls = bySlot(active.length === 0 ? [] : await selectCalls(store, watch.key, range));
      const scores = bySlot(await selectScores(store, watch.key, range));
      for (let slot = range.from; slot < range.to; slot += 1) {
        events.push(...(await watch.lookAt(slot, { active: versionsIn(slot), calls: calls.get(slot) ?? [], scores: scores.get(slot) ?? [] })));
      }
      watch.keep();
    }
    // 3. The rest of the rows. If it fails here, the range is looked at again: the same strata, the same transitions.
    await rows.flush();
    // 4. Progress, last: what is before it is never looked at again.
    await store.insert('look_progress', [{ owner: settings.owner, slot: range.to }]);
    return events.sort((left, right) => left.slot - right.slot);
  };

  const start = async (): Promise<void> => {
    prompts.clear();
    rows = createLookRows(store);
    next = await loadProgress(store, settings.owner);
    for (const stored of await loadComparisons(store)) await watchOf(stored.identity).restore(stored);
    for (const { version, opened_slot, forgotten_slot, ...key } of await loadHistory(store)) {
      const { newcomers } = watchOf(key);
      newcomers.recallOpening(opened_slot);
      if (forgotten_slot > 0) newcomers.forget(version, forgotten_slot);
    }
    if (next === null) return;
    const since = Math.max(1, next - WAITING_SLOTS);
    const seen = await selectSeenVersions(store, { from: Math.max(1, since - SLOTS_PER_DAY), since, to: next });
    for (const [watch, versions] of groupBy<SeenVersion & PromptKey>(seen, watchOf)) await watch.newcomers.restore(versions, next);
  };

  return {
    start,
    async advance(watermarkMs) {
      if (!isUsable) await start();
      isUsable = false;
      const closed = slotOf(watermarkMs);
      if (next === null) {
        const [first] = await store.select<{ earliest: number }>('SELECT min(slot) AS earliest FROM calls WHERE slot > 0');
        next = first === undefined || first.earliest === 0 ? null : first.earliest;
      }
      while (next !== null && next < closed) {
        const to = Math.min(closed, next + settings.slotsPerRead);
        outbox.push(...(await readRange({ from: next, to })));
        next = to;
      }
      isUsable = true;
      return outbox.splice(0);
    },
  };
}

function groupBy<Row extends PromptKey = Activity>(rows: readonly Row[], watchOf: (key: PromptKey) => PromptWatch): Map<PromptWatch, Row[]> {
  const groups = new Map<PromptWatch, Row[]>();
  for (const row of rows) {
    const watch = watchOf(row);
    const group = groups.get(watch);
    if (group === undefined) groups.set(watch, [row]);
    else group.push(row);
  }
  return groups;
}
