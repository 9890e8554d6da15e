import { SLOT_MS, slotStartMs } from '../slots.ts';

export type StartWindowState = { readonly boundaries: readonly number[]; readonly a: number; readonly b: number };

const TEN_MINUTES_MS = 600_000;
const SHARE_RATIO = 1.5;
/** 0.1 % of a χ² with one degree of freedom: a share that has not moved begins a needless window once in a thousand slots. */
const SURPRISE = 10.83;
const MAX_BOUNDARIES = 64;

/**
 * The windows of time in which calls *started*, that strata are kept apart by. Ten minutes each; a new one also begins
 * with the candidate's first call, and when its share of new units moves by more than half: after a rollback only its
 * slow calls are still to come, and beside fresh calls of the baseline they would look bad.
 */
export class StartWindows {
  #boundaries: readonly number[];
  #a: number;
  #b: number;

  constructor(openedMs: number, { boundaries, a, b }: StartWindowState = { boundaries: [openedMs], a: 0, b: 0 }) {
    this.#boundaries = [...boundaries];
    this.#a = a;
    this.#b = b;
  }

  /** The beginning, ms, of the window that a call started in. */
  windowOf(startMs: number): number {
    const grid = Math.floor(startMs / TEN_MINUTES_MS) * TEN_MINUTES_MS;
    return this.#boundaries.reduce((latest, boundary) => (boundary <= startMs && boundary > latest ? boundary : latest), grid);
  }

  /** New units of a slot. May begin a new window, at the beginning of that slot. */
  observe(slot: number, counts: { readonly a: number; readonly b: number }): void {
    if (hasMoved({ a: this.#a, b: this.#b }, counts)) {
      this.#boundaries = [...this.#boundaries, slotStartMs(slot)].slice(-MAX_BOUNDARIES);
      this.#a = counts.a;
      this.#b = counts.b;
      return;
    }
    // Forget slowly, so that a ramp of small steps is seen as well: an hour's worth of slots at most.
    const decay = 1 - SLOT_MS / 3_600_000;
    this.#a = (this.#a + counts.a) * decay;
    this.#b = (this.#b + counts.b) * decay;
  }

  snapshot(): StartWindowState {
    return { boundaries: [...this.#boundaries], a: this.#a, b: this.#b };
  }
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
