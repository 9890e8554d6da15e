import type { Store } from '../../schemas/store.ts';
import { factorNamed, type ArmNames, type Factor, type FactorName } from './factors.ts';
import { ATTRIBUTED, type PromptKey } from './observations.ts';

/** Something that changed on a prompt: a value of a factor, from its first call on. */
export type Change = { readonly factor: FactorName; readonly group: string; readonly value: string; readonly start_ms: number };

/** Changes beside the one that is accused: those that its arms cannot be told from, and those that both arms had alike. */
export type Coincidence = { readonly same: readonly Change[]; readonly apart: readonly Change[] };

/** So much of one arm, and at most the rest of the other, has a value: then it moved with the arms. */
const NEARLY_ALL = 0.9;

/**
 * Which of the changes of the same minutes moved with the arms of a comparison, by its calls in the given slots: since it opened where arms run
 * together, from the hour before where times are compared.
 * One that did neither wholly is in neither list.
 */
export async function coincidenceOf(
  store: Store,
  prompt: PromptKey,
  arms: ArmNames & { readonly factor: Factor },
  { changes, from, to }: { readonly changes: readonly Change[]; readonly from: number; readonly to: number },
): Promise<Coincidence> {
  const { factor, group, baseline, candidate } = arms;
  const found: { readonly same: Change[]; readonly apart: Change[] } = { same: [], apart: [] };
  for (const change of changes) {
    const other = factorNamed(change.factor).sql;
    const [row] = await store.select<{ a: number; a_with: number; b: number; b_with: number }>(
      `SELECT countIf(arm = {baseline:String}) AS a, countIf(arm = {baseline:String} AND beside) AS a_with, countIf(arm = {candidate:String}) AS b, countIf(arm = {candidate:String} AND beside) AS b_with
       FROM (SELECT assumeNotNull(${factor.sql.value}) AS arm, assumeNotNull(${other.value}) = {value:String} AND ${other.group} = {beside_group:String} AS beside
             FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String} AND ${ATTRIBUTED}
               AND ${factor.sql.value} IS NOT NULL AND ${factor.sql.group} = {group:String} AND ${other.value} IS NOT NULL)`,
      { ...prompt, group, baseline, candidate, value: change.value, beside_group: change.group, from, to },
    );
    if (row === undefined || row.a === 0 || row.b === 0) continue;
    const [inA, inB] = [row.a_with / row.a, row.b_with / row.b];
    if (inB >= NEARLY_ALL && inA <= 1 - NEARLY_ALL) found.same.push(change);
    else if (Math.abs(inB - inA) <= 1 - NEARLY_ALL) found.apart.push(change);
  }
  return found;
}
