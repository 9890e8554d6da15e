import type { Store } from '../../schemas/store.ts';
import { selectCalls, selectShares, type PromptKey } from './observations.ts';
import { slotStartMs, SLOTS_PER_DAY } from '../slots.ts';

/**
 * The versions of one prompt: which are new, and whom they are to be compared with (DESIGN section 10).
 *
 * A version is new when it had no call for a day, or none since its alert was resolved. Its baseline is the one that the
 * configuration names; else what served most of the prompt's calls in the day before; at first sight of several at once, the one
 * with most calls in the first ten minutes. What is decided here reads slots that are closed, so a restart decides the same.
 */
export type Newcomers = {
  /** The versions that were active in a slot, in order of slots. `firstStartMs`: the start of a version's first call in it. */
  greet(slot: number, active: readonly string[], firstStartMs: (version: string) => number): void;
  /** New versions that can be compared now, all against one baseline; they are new no more. Null: none, or not yet. */
  welcome(slot: number): Promise<Welcome | null>;
  /** The last slot in which a version was active before the one that is looked at; 0: never. */
  lastSlot(version: string): number;
  /** From this slot on a version counts as new when it comes back. */
  forget(version: string, slot: number): void;
  /** Whether anything can come of these versions; with only one ever seen nothing can. */
  isWorthWatching(active: readonly string[]): boolean;
  /** Takes up where an earlier process left, from what is known of the slots before `next`. */
  restore(seen: readonly SeenVersion[], next: number): Promise<void>;
  /** A comparison of an earlier process. */
  recallOpening(slot: number): void;
};

export type Welcome = { readonly baseline: string; readonly candidates: readonly { readonly version: string; readonly start_ms: number }[] };

export type SeenVersion = { readonly version: string; readonly before_slot: number; readonly first_slot: number; readonly last_slot: number };

/** A day before: fewer calls than this, all of them within ten minutes, do not make a baseline. */
const BASELINE_CALLS = 20;
const TEN_MINUTES = 20;
/** A new version waits ten minutes at most for others and ten for its baseline; what is older is not waiting any more. */
export const WAITING_SLOTS = 3 * TEN_MINUTES;

export function createNewcomers(deps: { readonly store: Store; readonly configured: string | undefined; readonly isCompared: (version: string) => boolean }, prompt: PromptKey): Newcomers {
  const { store, configured, isCompared } = deps;
  const versions = new Map<string, { first: number; last: number }>();
  const forgotten = new Map<string, number>();
  const waiting = new Map<string, number>();
  /** When comparisons were opened last: those within ten minutes share one α. */
  let openedSlot = Number.NEGATIVE_INFINITY;

  const isForgotten = (version: string, last: number, slot: number): boolean => {
    const since = forgotten.get(version);
    return since !== undefined && last < since && since <= slot;
  };

  const candidatesFor = async (slot: number): Promise<Welcome | null> => {
    const newcomers = [...waiting].map(([version, start_ms]) => ({ version, start_ms })).sort((left, right) => left.start_ms - right.start_ms || (left.version < right.version ? -1 : 1));
    // Seen against the one that began last, so that history and rollout may arrive in the same slot.
    const latest = newcomers.at(-1);
    if (latest === undefined) return null;
    const day = { from: Math.max(1, slot - SLOTS_PER_DAY), to: slot + 1 };
    const [earlier] = (await selectShares(store, prompt, { ...day, before_ms: latest.start_ms })).filter(({ version }) => version !== latest.version);
    const isEstablished = earlier !== undefined && (earlier.calls >= BASELINE_CALLS || earlier.first_ms <= latest.start_ms - slotStartMs(TEN_MINUTES));
    const established = configured !== undefined && versions.has(configured) ? configured : isEstablished ? earlier.version : null;
    if (established !== null) return { baseline: established, candidates: newcomers.filter(({ version }) => version !== established) };

    // First sight of several at once: who has most calls in the first ten minutes is the baseline.
    const firstSlot = Math.min(...[...versions.values()].filter(({ last }) => slot - last <= SLOTS_PER_DAY).map(({ first }) => first));
    if (slot < firstSlot + TEN_MINUTES) return null;
    const [baseline, ...others] = await selectShares(store, prompt, { ...day, before_ms: slotStartMs(slot + 1) });
    if (baseline === undefined) return null;
    const candidates = others.filter(({ version }) => !isCompared(version)).map(({ version }) => ({ version, start_ms: slotStartMs(slot + 1) }));
    return { baseline: baseline.version, candidates };
  };

  return {
    greet(slot, active, firstStartMs) {
      for (const version of active) {
        const known = versions.get(version);
        const isNew = known === undefined || slot - known.last > SLOTS_PER_DAY || isForgotten(version, known.last, slot);
        if (isNew && !isCompared(version)) {
          const isOnly = active.length === 1 && [...versions].every(([other, { last }]) => other === version || slot - last > SLOTS_PER_DAY);
          if (!isOnly) waiting.set(version, firstStartMs(version));
        }
        versions.set(version, { first: isNew ? slot : known.first, last: slot });
      }
    },
    async welcome(slot) {
      if (waiting.size === 0 || slot - openedSlot < TEN_MINUTES) return null;
      const welcome = await candidatesFor(slot);
      if (welcome === null) return null;
      waiting.clear();
      if (welcome.candidates.length === 0) return null;
      openedSlot = slot;
      return welcome;
    },
    lastSlot: (version) => versions.get(version)?.last ?? 0,
    forget: (version, slot) => void forgotten.set(version, slot),
    isWorthWatching: (active) => waiting.size > 0 || new Set([...versions.keys(), ...active]).size > 1,
    async restore(seen, next) {
      const since = next - WAITING_SLOTS;
      for (const { version, before_slot, first_slot, last_slot } of seen) {
        const isNew = first_slot >= since && (before_slot === 0 || first_slot - before_slot > SLOTS_PER_DAY || isForgotten(version, before_slot, first_slot));
        versions.set(version, { first: isNew || before_slot === 0 ? first_slot : before_slot, last: last_slot });
        const hadCompany = seen.some((other) => other.version !== version && ((other.before_slot > 0 && first_slot - other.before_slot <= SLOTS_PER_DAY) || (other.first_slot > 0 && other.first_slot <= first_slot)));
        if (!isNew || !hadCompany || isCompared(version) || first_slot <= openedSlot) continue;
        const calls = await selectCalls(store, prompt, { from: first_slot, to: first_slot + 1 });
        waiting.set(version, firstStartMs(calls, version, first_slot));
      }
    },
    recallOpening: (slot) => void (openedSlot = Math.max(openedSlot, slot)),
  };
}

/** When a version's first call among those of a slot started; at the latest at the end of the slot. */
export function firstStartMs(calls: readonly { readonly version: string; readonly start_ms: number }[], version: string, slot: number): number {
  return calls.reduce((earliest, call) => (call.version === version ? Math.min(earliest, call.start_ms) : earliest), slotStartMs(slot + 1));
}
