/** Recomputes recorded evidence from its strata with the code that bet on them. */
import { advance, createEvidence, evidenceOf } from './evidence.ts';
import type { Settings, Stratum } from './types.ts';

export type RecordedEvidence = {
  readonly settings: Settings;
  readonly slot: number;
  readonly e_value: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly strata: readonly Stratum[];
};

export type Verification = {
  readonly agrees: boolean;
  /** Recomputed. */
  readonly e_value: number;
  readonly metrics: Record<string, number>;
  /** Largest |log(recorded / recomputed)| over the e-value and those of the metrics; infinite where one is no number. */
  readonly difference: number;
};

/** Rounding of a few thousand strata; a changed count moves an e-value by far more. */
const TOLERANCE = 1e-9;

/** Strata may stand in any order. @throws RangeError where counts are no counts. */
export const verify = (evidence: RecordedEvidence): Verification => {
  const bySlot = new Map<number, Stratum[]>();
  for (const stratum of evidence.strata) {
    if (stratum.slot > evidence.slot) continue;
    const group = bySlot.get(stratum.slot);
    if (group === undefined) bySlot.set(stratum.slot, [stratum]);
    else group.push(stratum);
  }
  let state = createEvidence();
  for (const [slot, strata] of [...bySlot].sort(([left], [right]) => left - right)) {
    state = advance(state, evidence.settings, slot, strata);
  }
  const { e_value, metrics } = evidenceOf(state, evidence.settings);
  const recorded = new Map(Object.entries(evidence.metrics));
  const recomputed = new Map(Object.entries(metrics));
  let difference = distance(evidence.e_value, e_value);
  for (const name of new Set([...recorded.keys(), ...recomputed.keys()])) {
    // A metric that was never bet on has e-value 1 and need not be listed.
    difference = Math.max(difference, distance(recorded.get(name) ?? 1, recomputed.get(name) ?? 1));
  }
  return { agrees: difference <= TOLERANCE, e_value, metrics, difference };
};

const distance = (recorded: number, recomputed: number): number => {
  const ratio = Math.abs(Math.log(recorded / recomputed));
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
};
