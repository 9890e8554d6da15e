import type { SeenInference } from './nesting.ts';

/** Whether two spans could be of one inference, by what both say. */

export function agree<Value>(one: Value | null, other: Value | null): boolean {
  return one === null || other === null || one === other;
}

/** @param isOne whether two names may be of one model. One that says no model contradicts nobody. */
export function haveOneModel(one: SeenInference, other: SeenInference, isOne: (model: string, otherModel: string) => boolean): boolean {
  const [models, others] = [modelsOf(one), modelsOf(other)];
  return models.length === 0 || others.length === 0 || models.some((model) => others.some((otherModel) => isOne(model, otherModel)));
}

function modelsOf({ request_model, response_model }: SeenInference): string[] {
  return [request_model, response_model].filter((model) => model !== null);
}
