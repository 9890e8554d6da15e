import { SLOTS_PER_HOUR } from '../slots.ts';

/** Where times are compared a unit is the first call of its session, or of its trace where there is none, in an hour of the clock. */
export const HOUR = `intDiv(slot, ${SLOTS_PER_HOUR})`;
/** @param trace the column that has it. */
export const UNIT = (trace: string): string => `if(session_id IS NULL, ${trace}, concat('s:', assumeNotNull(session_id)))`;
