import { SLOT_MS, slotStartMs } from '../slots.ts';

/**
 * The windows of time in which calls *started*, that strata are kept apart by. Ten minutes each; a new one also begins
 * with the candidate's first call, and when its share of new units moves by more than half: after a rollback only its
 * slow calls are still to come, and beside fresh calls of the baseline they would look bad.
 */
export type StartWindows = {
  /** The beginning, ms, of the window that a call started in. */
  windowOf(startMs: number): number;
  /** New units of a slot. May begin a new window, at the beginning of that slot. */
  observe(slot: number, counts: { readonly a: number; readonly b: number }): void;
  snapshot(): StartWindowState;
};

export type StartWindowState = { readonly boundaries: readonly number[]; readonly a: number; readonly b: number };

const TEN_MINUTES_MS = 600_000;
const SHARE_RATIO = 1.5;
/** 0.1 % of a χ² with one degree of freedom: a share that has not moved begins a needless window once in a thousand slots. */
const SURPRISE = 10.83;
const MAX_BOUNDARIES = 64;

export function createStartWindows(openedMs: number, state: StartWindowState = { boundaries: [openedMs], a: 0, b: 0 }): StartWindows {
  const boundaries = [...state.boundaries];
  let a = state.a;
  let b = state.b;
  return {
    windowOf(startMs) {
      const grid = Math.floor(startMs / TEN_MINUTES_MS) * TEN_MINUTES_MS;
      return boundaries.reduce((latest, boundary) => (boundary <= startMs && boundary > latest ? boundary : latest), grid);
    },
    observe(slot, counts) {
      if (hasMoved({ a, b }, counts)) {
        boundaries.push(slotStartMs(slot));
        if (boundaries.length > MAX_BOUNDARIES) boundaries.shift();
        ({ a, b } = counts);
      } else {
        a += counts.a;
        b += counts.b;
        // Forget slowly, so that a ramp of small steps is seen as well: an hour's worth of slots at most.
        const decay = 1 - SLOT_MS / 3_600_000;
        a *= decay;
        b *= decay;
      }
    },
    snapshot: () => ({ boundaries: [...boundaries], a, b }),
  };
}

/** Whether the share of b in `now` differs from that in `before` by more than half, beyond chance (likelihood ratio of two binomials). */
function hasMoved(before: { readonly a: number; readonly b: number }, now: { readonly a: number; readonly b: number }): boolean {
  const nBefore = before.a + before.b;
  const nNow = now.a + now.b;
  if (nBefore < 1 || nNow < 1) return false;
  const shareBefore = (before.b + 0.5) / (nBefore + 1);
  const shareNow = (now.b + 0.5) / (nNow + 1);
  const ratio = shareNow / shareBefore;
  if (ratio < SHARE_RATIO && ratio > 1 / SHARE_RATIO) return false;
  const pooled = (before.b + now.b) / (nBefore + nNow);
  const fit = (hits: number, total: number, share: number): number =>
    (hits === 0 ? 0 : hits * Math.log(hits / total / share)) + (total === hits ? 0 : (total - hits) * Math.log((total - hits) / total / (1 - share)));
  return 2 * (fit(before.b, nBefore, pooled) + fit(now.b, nNow, pooled)) > SURPRISE;
}
