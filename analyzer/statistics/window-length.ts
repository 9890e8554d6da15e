/**
 * How long the next stratum is, in slots: fixed before it begins, from what is expected, never by what arrives in it. The shortest power of
 * two that expects 20 units and 2 of the rarer arm, at most 16 slots (eight minutes): measured, windows of up to forty minutes find nothing sooner.
 */
const MIN_UNITS = 20;
const MIN_RARER = 2;
const LENGTHS = [1, 2, 4, 8, 16] as const;
export const LONGEST = 16;

/** @param expected units in a slot: of both arms, and of the rarer one. */
export const windowLength = ({ both, rarer }: { readonly both: number; readonly rarer: number }): number =>
  LENGTHS.find((length) => length * both >= MIN_UNITS && length * rarer >= MIN_RARER) ?? LONGEST;
