import type { Store } from '../../../schemas/store.ts';
import { selectBoth } from '../call-rows.ts';
import { ATTRIBUTED, type CallObservation, type PromptKey, type ScoreObservation } from '../observations.ts';

/** What an audit relabels: the newest of a prompt's history that is not too much. */
export type AuditHistory = { readonly key: PromptKey; readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] };

/** Calls in an audit: a run over so many takes a second or so. */
const MAX_CALLS = 20_000;

/** @param wanted its environment, or prompt and environment, are those with most calls where they are not named. Null: no call of it. */
export async function selectHistory(store: Store, wanted: { readonly project: string; readonly prompt: string | null; readonly environment: string | null }): Promise<AuditHistory | null> {
  const ofWanted = `project = {project:String} AND slot > 0 AND calls.prompt_name IS NOT NULL AND ${ATTRIBUTED}
    AND ({prompt:String} = '' OR assumeNotNull(calls.prompt_name) = {prompt:String}) AND ({environment:String} = '' OR environment = {environment:String})`;
  const [busiest] = await store.select<Pick<PromptKey, 'environment' | 'prompt_name'>>(
    `SELECT environment, assumeNotNull(calls.prompt_name) AS prompt_name FROM calls WHERE ${ofWanted} GROUP BY environment, prompt_name ORDER BY count() DESC, environment, prompt_name LIMIT 1`,
    { project: wanted.project, prompt: wanted.prompt ?? '', environment: wanted.environment ?? '' },
  );
  if (busiest === undefined) return null;
  const key: PromptKey = { project: wanted.project, ...busiest };
  const [range] = await store.select<{ first: number; last: number }>(
    `SELECT min(slot) AS first, max(slot) AS last FROM (SELECT slot FROM calls WHERE ${ofWanted} ORDER BY slot DESC LIMIT {limit:UInt32})`,
    { project: key.project, prompt: key.prompt_name, environment: key.environment, limit: MAX_CALLS },
  );
  if (range === undefined) return null;
  const slots = { from: range.first, to: range.last + 1 };
  const [calls, scores] = await selectBoth(store, key, slots);
  return { key, calls, scores };
}
