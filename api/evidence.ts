import type { Evidence, Stratum } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import type { Found } from './comparisons.ts';
import { ProblemError } from './problem.ts';

/** A comparison lives at most 14 days; this bounds an answer all the same. */
const maxStrata = 300_000;

/** Strata in the order in which they were bet on. */
export async function readStrata({ store }: ApiDeps, comparisonId: string): Promise<Stratum[]> {
  const strata = await store.select<Stratum>(
    `SELECT metric, slot, begin_slot, start_window_ms, model, operation, route, use, control, bins, a, b FROM strata FINAL
     WHERE comparison_id = {id:String} ORDER BY slot, begin_slot, start_window_ms, metric, model, operation, route, control LIMIT ${maxStrata + 1}`,
    { id: comparisonId },
  );
  if (strata.length > maxStrata) throw new ProblemError(413, `The comparison has more than ${maxStrata} strata; read them from the table \`strata\`.`);
  return strata;
}

export async function readEvidence(deps: ApiDeps, { comparison, settings }: Found): Promise<Evidence> {
  const [last] = await deps.store.select<{ slot: number; e_value: number; metrics: Record<string, number> }>(
    'SELECT slot, e_value, metrics FROM looks FINAL WHERE comparison_id = {id:String} ORDER BY slot DESC LIMIT 1',
    { id: comparison.id },
  );
  const strata = last === undefined ? [] : (await readStrata(deps, comparison.id)).filter((stratum) => stratum.slot <= last.slot);
  const { id, project, environment, prompt, factor, baseline, candidate, epoch } = comparison;
  return {
    schema: 'culprit.evidence/1',
    comparison: { id, project, environment, prompt, factor, baseline, candidate, epoch },
    settings,
    slot: last?.slot ?? settings.opened_slot,
    // Before the first look nothing is bet, and the whole stake is still cash.
    e_value: last?.e_value ?? settings.stake,
    metrics: last?.metrics ?? {},
    strata,
  };
}
