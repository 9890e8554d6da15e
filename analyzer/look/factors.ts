import type { CallObservation, ScoreObservation } from './observations.ts';
import type { Family } from './windows.ts';

/**
 * What can change on a prompt and be blamed for it. One factor, one entry: where its values are read, within what they are told apart
 * (`group`: a response model within its request model), and what strata hold fixed beside it.
 */
export type Factor = {
  readonly name: FactorName;
  /** The same as `groupOf` and `valueOf`, in SQL over calls; rows whose value is NULL say nothing of the factor. */
  readonly sql: { readonly group: string; readonly value: string };
  readonly groupOf: (seen: Seen) => string;
  readonly valueOf: (seen: Seen) => string;
  /** What a unit is compared within, by what is measured: `errors`, `successes` or `score:` and a name. */
  readonly familyOf: (seen: Seen, measured: string) => Family;
  /** The same for times that are compared, where another factor may have moved along. */
  readonly familyOverTime: (seen: Seen, measured: string) => Family;
  /** Whether several values that are all new at once are a rollout, or only how a prompt is served. */
  readonly opensAtFirstSight: boolean;
};

export type FactorName = 'prompt_version' | 'model';
export type Seen = Pick<CallObservation | ScoreObservation, 'version' | 'request_model' | 'response_model' | 'operation' | 'route'>;

/** Failed calls often name no response model: they are kept apart by the one that was asked for. */
const byModel = ({ request_model, response_model, operation, route }: Seen, measured: string): Family => ({
  group: measured,
  model: measured === 'errors' ? request_model : response_model,
  operation,
  route,
});
const byRequestModel = ({ request_model, operation, route }: Seen, measured: string): Family => ({ group: measured, model: request_model, operation, route });

const promptVersion: Factor = {
  name: 'prompt_version',
  sql: { group: `''`, value: 'prompt_version' },
  groupOf: () => '',
  valueOf: ({ version }) => version,
  familyOf: byModel,
  familyOverTime: byModel,
  opensAtFirstSight: true,
};

/** The response model that moved under an unchanged request model: an alias that points elsewhere. */
const model: Factor = {
  name: 'model',
  sql: { group: `coalesce(request_model, '')`, value: 'response_model' },
  groupOf: ({ request_model }) => request_model,
  valueOf: ({ response_model }) => response_model,
  familyOf: (seen, measured) => ({ ...byRequestModel(seen, measured), route: `${seen.route} gen_ai.prompt.version=${seen.version}`.trimStart() }),
  familyOverTime: byRequestModel,
  opensAtFirstSight: false,
};

export const FACTORS: readonly Factor[] = [promptVersion, model];

export function factorNamed(name: FactorName): Factor {
  return name === 'model' ? model : promptVersion;
}

/** The arm of an observation in a comparison of two values of a factor; null: of neither. */
export function armOf(factor: Factor, arms: { readonly group: string; readonly baseline: string; readonly candidate: string }, seen: Seen): 'a' | 'b' | null {
  if (factor.groupOf(seen) !== arms.group) return null;
  const value = factor.valueOf(seen);
  return value === arms.candidate ? 'b' : value === arms.baseline ? 'a' : null;
}
