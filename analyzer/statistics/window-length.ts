/**
 * How long the next stratum is, in slots: fixed before it begins, from what is expected, never by what arrives in it. The shortest power of
 * two that expects 20 units and 2 of the rarer arm, at most 16 slots (eight minutes): measured, windows of up to forty minutes find nothing sooner.
 */
const MIN_UNITS = 20;
const MIN_RARER = 2;
const LENGTHS = [1, 2, 4, 8, 16] as const;
export const LONGEST = 16;

/** @param expected units of each arm in a slot. */
export const windowLength = ({ a, b }: { readonly a: number; readonly b: number }): number =>
  LENGTHS.find((length) => length * (a + b) >= MIN_UNITS && length * Math.min(a, b) >= MIN_RARER) ?? LONGEST;
