/**
 * Slots of the arrival clock. Every record enters the slot in which it became complete; a slot closes when the whole log
 * has passed its end, so nothing is ever late for a bet.
 */
export const SLOT_MS = 30_000;
export const SLOTS_PER_HOUR = 120;
export const SLOTS_PER_DAY = 24 * SLOTS_PER_HOUR;

/** The slot that a moment (ms since the epoch) lies in. Slot 0 is 1970 and means "not complete yet" in rows. */
export function slotOf(ms: number): number {
  return Math.floor(ms / SLOT_MS);
}

/** The moment, ms, at which a slot begins; it ends where the next one begins. */
export function slotStartMs(slot: number): number {
  return slot * SLOT_MS;
}
