/** Recomputes recorded evidence from its strata with the code that bet on them. */
import { addRatio, advanceDrift, driftEvidence, driftHeadline, driftMetricOf, driftRatio, leftOutWith, noDrift } from './drift.ts';
import { advance, compareStrata, createEvidence, evidenceOf } from './evidence.ts';
import type { Settings, Stratum } from './types.ts';
import { groupBy } from './group-by.ts';

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

/** Evidence that a model moved: R over all slots from its beginning, from what each prompt did in them. */
const ofDrift = ({ settings, strata, slot }: RecordedEvidence, { since_slot, is_grouped, leaves_out }: NonNullable<Settings['drift']>): Pick<Verification, 'e_value' | 'metrics'> => {
  const found = [...new Set(strata.map(({ metric }) => metric))].map((metric) => {
    const { kind, direction } = settings.metrics[metric] ?? { kind: 'rate', direction: 'up' };
    let state = { prompts: noDrift, models: noDrift };
    for (let now = since_slot; now <= slot; now++) {
      const [prompts, models] = [new Map<string, number[]>(), new Map<string, number[]>()];
      for (const { control, model, bins, a, b } of strata.filter((stratum) => stratum.metric === metric && stratum.begin_slot === now).toSorted(compareStrata)) {
        const ratio = driftRatio(driftMetricOf({ kind, direction }), { bins, counts: a })({ bins, counts: b });
        addRatio(prompts, leftOutWith(control, is_grouped), ratio);
        addRatio(models, model, ratio);
      }
      state = { prompts: advanceDrift(state.prompts, prompts), models: advanceDrift(state.models, models) };
    }
    return { metric, e_value: driftEvidence(state, leaves_out) };
  });
  return { e_value: driftHeadline(found)?.e_value ?? 0, metrics: Object.fromEntries(found.map(({ metric, e_value }) => [metric, e_value])) };
};

/** Strata may stand in any order. @throws RangeError where counts are no counts. */
export const verify = (evidence: RecordedEvidence): Verification => {
  const { drift } = evidence.settings;
  const { e_value, metrics } = drift === null ? ofBets(evidence) : ofDrift(evidence, drift);
  const recorded = new Map(Object.entries(evidence.metrics));
  const recomputed = new Map(Object.entries(metrics));
  let difference = distance(evidence.e_value, e_value);
  for (const name of new Set([...recorded.keys(), ...recomputed.keys()])) {
    // A metric that was never bet on has e-value 1 and need not be listed.
    difference = Math.max(difference, distance(recorded.get(name) ?? 1, recomputed.get(name) ?? 1));
  }
  return { agrees: difference <= TOLERANCE, e_value, metrics, difference };
};

const ofBets = (evidence: RecordedEvidence): Pick<Verification, 'e_value' | 'metrics'> => {
  const bySlot = groupBy(evidence.strata.filter(({ slot }) => slot <= evidence.slot), ({ slot }) => slot);
  let state = createEvidence();
  for (const [slot, strata] of [...bySlot].sort(([left], [right]) => left - right)) {
    state = advance(state, evidence.settings, slot, strata);
  }
  return evidenceOf(state, evidence.settings);
};

const distance = (recorded: number, recomputed: number): number => {
  const ratio = Math.abs(Math.log(recorded / recomputed));
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
};
