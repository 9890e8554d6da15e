import type { Evidence, Stratum } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import type { Found } from './comparisons.ts';
import { ProblemError } from './problem.ts';

/** A comparison lives at most 14 days; this bounds an answer all the same. */
const maxStrata = 300_000;

/** What a comparison came to: strata in the order in which they were bet on, and the highest e-value that each metric ever had. */
export type Material = { readonly strata: readonly Stratum[]; readonly peaks: ReadonlyMap<string, number> };
export async function readMaterial(deps: ApiDeps, comparisonId: string): Promise<Material> {
  const [material] = await readMaterials(deps, [comparisonId]);
  if (material === undefined) throw new Error(`nothing was read of the comparison ${comparisonId}`);
  return material;
}

/** In the order of the ids; all of them with two questions. */
export async function readMaterials(deps: ApiDeps, comparisonIds: readonly string[]): Promise<Material[]> {
  const [strata, peaks] = await Promise.all([
    readStrata(deps, comparisonIds),
    deps.store.select<{ comparison_id: string; name: string; peak: number }>(
      `SELECT comparison_id, name, max(value) AS peak FROM (SELECT comparison_id, arrayJoin(mapKeys(metrics)) AS name, metrics[name] AS value FROM looks FINAL WHERE comparison_id IN {ids:Array(String)}) GROUP BY comparison_id, name`,
      { ids: comparisonIds },
    ),
  ]);
  return comparisonIds.map((id) => ({ strata: strata.get(id) ?? [], peaks: new Map(peaks.filter(({ comparison_id }) => comparison_id === id).map(({ name, peak }) => [name, peak])) }));
}

/** In the order in which they were bet on. */
async function readStrata({ store }: ApiDeps, comparisonIds: readonly string[]): Promise<ReadonlyMap<string, readonly Stratum[]>> {
  const rows = await store.select<Stratum & { comparison_id: string }>(
    `SELECT comparison_id, metric, slot, begin_slot, start_window_ms, model, operation, route, use, control, bins, a, b FROM strata FINAL
     WHERE comparison_id IN {ids:Array(String)} ORDER BY slot, begin_slot, start_window_ms, metric, model, operation, route, control LIMIT ${maxStrata + 1} BY comparison_id`,
    { ids: comparisonIds },
  );
  const strata = new Map<string, Stratum[]>();
  for (const { comparison_id, ...stratum } of rows) {
    const known = strata.get(comparison_id);
    if (known === undefined) strata.set(comparison_id, [stratum]);
    else known.push(stratum);
  }
  for (const [id, { length }] of strata) if (length > maxStrata) throw new ProblemError(413, `The comparison ${id} has more than ${maxStrata} strata; read them from the table \`strata\`.`);
  return strata;
}

export async function readEvidence(deps: ApiDeps, { comparison, settings }: Found): Promise<Evidence> {
  const [last] = await deps.store.select<{ slot: number; e_value: number; metrics: Record<string, number> }>(
    'SELECT slot, e_value, metrics FROM looks FINAL WHERE comparison_id = {id:String} ORDER BY slot DESC LIMIT 1',
    { id: comparison.id },
  );
  const strata = last === undefined ? [] : ((await readStrata(deps, [comparison.id])).get(comparison.id) ?? []).filter((stratum) => stratum.slot <= last.slot);
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
