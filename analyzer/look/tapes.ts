import { asError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import { inPieces } from './busy.ts';
import { selectBothBySlot } from './call-rows.ts';
import type { PromptKey } from './observations.ts';
import type { RangeRows } from './range-rows.ts';
import { createTape, type Tape } from './tape.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';

/** The tapes that comparisons of times read from. Read from the store when one is needed, then recorded slot by slot, and dropped when none needs them. */
export type Tapes = {
  /** The tape of a prompt, with all that it needs up to `upTo`, inclusive, where it is made now. */
  open(prompt: PromptKey, need: TapeNeed & { readonly upTo: number }): Promise<Tape>;
  /** Records a slot on every tape. Returns those that could not be, and why. */
  record(slot: number, rows: RangeRows): Promise<ReadonlyMap<Tape, Error>>;
  /** Whether no further prompt can have one: each holds hours of readings. */
  isFull(): boolean;
  /** Drops all but these. */
  keep(used: ReadonlySet<Tape>): void;
};

/** Arrival slots: earlier ones from `since` to `until`, later ones from `resume` on. What lies between, days of a ramp perhaps, is left out. */
export type TapeNeed = { readonly since: number; readonly until: number; readonly resume: number };

/** About 2 MB each, of a prompt with 60 calls a minute. */
const MOST_TAPES = 140;

const hourOf = (slot: number): number => Math.floor(slot / SLOTS_PER_HOUR) * SLOTS_PER_HOUR;

export function createTapes(store: Store): Tapes {
  const tapes = new Map<string, { readonly prompt: PromptKey; readonly tape: Tape; recorded: number }>();
  return {
    async open(prompt, { since, until, resume, upTo }) {
      // From the beginning of an hour, because a unit counts once in each.
      const from = Math.max(SLOTS_PER_HOUR, hourOf(since));
      const gap = hourOf(resume) > until + 1 ? { from: until + 1, to: hourOf(resume) } : { from, to: from };
      const key = JSON.stringify([prompt.project, prompt.environment, prompt.prompt_name, from, gap]);
      const known = tapes.get(key);
      if (known !== undefined) return known.tape;
      const { project, environment, prompt_name } = prompt;
      const tape = createTape(from);
      const parts = [{ from, to: Math.min(gap.from, upTo + 1) }, { from: gap.to, to: upTo + 1 }].filter((part) => part.from < part.to);
      for (const range of (await Promise.all(parts.map((part) => inPieces(store, prompt, part)))).flat()) {
        const [calls, scores] = await selectBothBySlot(store, prompt, range);
        for (let slot = range.from; slot < range.to; slot += 1) tape.record(slot, calls.get(slot) ?? [], scores.get(slot) ?? []);
      }
      tapes.set(key, { prompt: { project, environment, prompt_name }, tape, recorded: upTo });
      return tape;
    },
    async record(slot, rows) {
      const failed = new Map<Tape, Error>();
      for (const held of tapes.values()) {
        if (held.recorded >= slot) continue;
        try {
          held.tape.record(slot, ...(await rows.both(held.prompt, slot)));
          held.recorded = slot;
        } catch (error) {
          failed.set(held.tape, asError(error));
        }
      }
      return failed;
    },
    isFull: () => tapes.size >= MOST_TAPES,
    keep(used) {
      for (const [key, { tape }] of tapes) if (!used.has(tape)) tapes.delete(key);
    },
  };
}
