import type { Store } from '../../schemas/store.ts';
import type { Factor } from './factors.ts';
import { selectCalls } from './call-rows.ts';
import { selectShares, type PromptKey, type Seen } from './observations.ts';
import { slotOf, slotStartMs, SLOTS_PER_DAY } from '../slots.ts';

/**
 * The values of one factor on one prompt (its versions; the models that answer for one request model): which are new, and whom they are to
 * be compared with (DESIGN section 10).
 *
 * A value is new when it had no call for a day, or none since its alert was resolved. Its baseline is the one that the
 * configuration names, as a version or as a label; of versions the one that was called production; else, of those that served within the hour before (if any did), what served most of the prompt's calls in the day before; at first sight of several versions at once, the one
 * with most calls in the first ten minutes. What is decided here reads slots that are closed, so a restart decides the same.
 */
export type Newcomers = {
  readonly factor: Factor;
  readonly group: string;
  /** The values that were active in a slot, in order of slots. `firstStartMs`: the start of a value's first call in it. */
  greet(slot: number, active: readonly string[], firstStartMs: (value: string) => number): void;
  /** New values that can be compared now, all against one baseline; they are new no more. Null: none, or not yet. */
  welcome(slot: number): Promise<Welcome | null>;
  /** New values that still wait to be compared, and when their first call started. */
  waiting(): Iterable<readonly [value: string, start_ms: number]>;
  /** The last slot in which a value was active before the one that is looked at; 0: never. */
  lastSlot(value: string): number;
  /** From this slot on a value counts as new when it comes back. */
  forget(value: string, slot: number): void;
  /** Whether anything can come of these values: one is new, beside another, or was and still waits. */
  isWorthWatching(slot: number, active: readonly string[]): boolean;
  /** Takes up where an earlier process left. `since`: from which slot on what began may still wait. `openedSlot`: when comparisons of the prompt were opened last. */
  restore(seen: readonly SeenValue[], since: number, openedSlot: number): Promise<void>;
};

export type Welcome = { readonly baseline: string; readonly candidates: readonly { readonly value: string; readonly start_ms: number }[] };

export type SeenValue = { readonly value: string; readonly before_slot: number; readonly first_slot: number; readonly last_slot: number };

/** A day before: fewer calls than this, all of them within ten minutes, do not make a baseline. */
const BASELINE_CALLS = 20;
export const TEN_MINUTES = 20;
/** A new value waits ten minutes at most for others and ten for its baseline; what is older is not waiting any more. */
export const WAITING_SLOTS = 3 * TEN_MINUTES;

/** The label that says which version serves people, where nothing else is configured. */
const PRODUCTION = 'production';
/** Values within a day: with more, what they come from is no deployment but something of the call, and nothing is compared. Versions have a limit of their own. */
const MOST_VALUES = 50;
const MOST_REMEMBERED = 2_000;

export function createNewcomers(
  deps: { readonly store: Store; readonly factor: Factor; readonly group: string; readonly configured: string | undefined; readonly isCompared: (value: string) => boolean },
  prompt: PromptKey,
): Newcomers {
  const { store, factor, group, configured, isCompared } = deps;
  const values = new Map<string, { first: number; last: number }>();
  const forgotten = new Map<string, number>();
  const waiting = new Map<string, number>();

  const isProliferating = (slot: number): boolean => factor.name !== 'prompt_version' && values.size > MOST_VALUES && [...values.values()].filter(({ last }) => slot - last <= SLOTS_PER_DAY).length > MOST_VALUES;

  /**
   * No other value was there ten minutes before the one that began last: what a prompt is served by at all shows in its first minutes, and a router's
   * second model comes after 20 calls of the first by chance.
   */
  const isFirstSight = (slot: number): boolean => {
    const latestMs = Math.max(...waiting.values());
    return ![...values].some(([value, { first, last }]) => waiting.get(value) !== latestMs && slot - last <= SLOTS_PER_DAY && first <= slotOf(latestMs) - TEN_MINUTES);
  };

  const isForgotten = (value: string, last: number, slot: number): boolean => {
    const since = forgotten.get(value);
    return since !== undefined && last < since && since <= slot;
  };

  const isNew = (value: string, slot: number): boolean => {
    const known = values.get(value);
    return known === undefined || slot - known.last > SLOTS_PER_DAY || isForgotten(value, known.last, slot);
  };

  /** A version, the label that is its version where nothing better is known, or the label that it carried. */
  const namedBaseline = async (latest: { readonly value: string; readonly start_ms: number }, day: { readonly group: string; readonly from: number; readonly to: number }): Promise<string | null> => {
    if (factor.name !== 'prompt_version') return null;
    const known = configured === undefined ? undefined : [configured, `label:${configured}`].find((value) => values.has(value));
    if (known !== undefined) return known;
    const labelled = await selectShares(store, prompt, factor, { ...day, before_ms: latest.start_ms, label: configured ?? PRODUCTION });
    return labelled.find(({ value }) => value !== latest.value)?.value ?? null;
  };

  const candidatesFor = async (slot: number): Promise<Welcome | null> => {
    const newcomers = [...waiting].map(([value, start_ms]) => ({ value, start_ms })).sort((left, right) => left.start_ms - right.start_ms || (left.value < right.value ? -1 : 1));
    // Seen against the one that began last, so that history and rollout may arrive in the same slot.
    const latest = newcomers.at(-1);
    if (latest === undefined) return null;
    const day = { group, from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 };
    const [earlier] = (await selectShares(store, prompt, factor, { ...day, before_ms: latest.start_ms })).filter(({ value }) => value !== latest.value);
    const isEstablished = earlier !== undefined && ((factor.opensAtFirstSight && earlier.calls >= BASELINE_CALLS) || earlier.first_ms <= latest.start_ms - slotStartMs(TEN_MINUTES));
    const established = (await namedBaseline(latest, day)) ?? (isEstablished ? earlier.value : null);
    if (established !== null) return { baseline: established, candidates: newcomers.filter(({ value }) => value !== established) };

    // First sight of several at once: who has most calls in the first ten minutes is the baseline.
    const firstSlot = Math.min(...[...values.values()].filter(({ last }) => slot - last <= SLOTS_PER_DAY).map(({ first }) => first));
    if (slot < firstSlot + TEN_MINUTES) return null;
    const [baseline, ...others] = await selectShares(store, prompt, factor, { ...day, before_ms: slotStartMs(slot + 1) });
    if (baseline === undefined) return null;
    const isRollout = factor.opensAtFirstSight;
    const candidates = others.filter(({ value }) => isRollout && !isCompared(value)).map(({ value }) => ({ value, start_ms: slotStartMs(slot + 1) }));
    return { baseline: baseline.value, candidates };
  };

  return {
    factor,
    group,
    greet(slot, active, firstStartMs) {
      for (const value of active) {
        const known = values.get(value);
        if (known === undefined && values.size >= MOST_REMEMBERED) values.delete(values.keys().next().value ?? '');
        const isKnown = known !== undefined && !isNew(value, slot);
        if (!isKnown && !isCompared(value)) {
          const isOnly = active.length === 1 && [...values].every(([other, { last }]) => other === value || slot - last > SLOTS_PER_DAY);
          if (!isOnly) waiting.set(value, firstStartMs(value));
        }
        values.set(value, { first: isKnown ? known.first : slot, last: slot });
      }
    },
    async welcome(slot) {
      if (waiting.size === 0) return null;
      if (isProliferating(slot) || (!factor.opensAtFirstSight && isFirstSight(slot))) waiting.clear();
      const welcome = await candidatesFor(slot);
      if (welcome === null) return null;
      waiting.clear();
      return welcome.candidates.length === 0 ? null : welcome;
    },
    waiting: () => waiting,
    lastSlot: (value) => values.get(value)?.last ?? 0,
    forget: (value, slot) => void forgotten.set(value, slot),
    isWorthWatching: (slot, active) => waiting.size > 0 || (active.some((value) => isNew(value, slot)) && new Set([...values.keys(), ...active]).size > 1),
    async restore(seen, since, openedSlot) {
      for (const { value, before_slot, first_slot, last_slot } of seen) {
        const isNew = first_slot >= since && (before_slot === 0 || first_slot - before_slot > SLOTS_PER_DAY || isForgotten(value, before_slot, first_slot));
        values.set(value, { first: isNew || before_slot === 0 ? first_slot : before_slot, last: last_slot });
        const hadCompany = seen.some((other) => other.value !== value && ((other.before_slot > 0 && first_slot - other.before_slot <= SLOTS_PER_DAY) || (other.first_slot > 0 && other.first_slot <= first_slot)));
        if (!isNew || !hadCompany || isCompared(value) || first_slot <= openedSlot) continue;
        const calls = await selectCalls(store, prompt, { from: first_slot, to: first_slot + 1 });
        waiting.set(value, firstStartMs(calls, { factor, group, value }, first_slot));
      }
    },
  };
}

/** When the first call with a value among those of a slot started; at the latest at the end of the slot. */
export function firstStartMs(calls: readonly { readonly seen: Seen; readonly start_ms: number }[], wanted: { readonly factor: Factor; readonly group: string; readonly value: string }, slot: number): number {
  const { factor, group, value } = wanted;
  const ofValue = calls.filter(({ seen }) => factor.groupOf(seen) === group && factor.valueOf(seen) === value);
  return ofValue.reduce((first, { start_ms }) => Math.min(first, start_ms), slotStartMs(slot + 1));
}
