import { Alert } from '../schemas/alert.ts';
import { ComparisonSettings, type Evidence, type Stratum } from '../schemas/evidence.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { Store } from '../schemas/store.ts';
import type { ComparisonIdentity, ComparisonSnapshot } from './comparison.ts';
import type { PromptKey } from './observations.ts';

/** What the look loop keeps of itself in the store, read back. One function, one question. */

export async function loadProgress(store: Store, owner: string): Promise<number | null> {
  const [row] = await store.select<{ reached: number }>('SELECT max(look_progress.slot) AS reached FROM look_progress WHERE owner = {owner:String}', { owner });
  return row === undefined || row.reached === 0 ? null : row.reached;
}

export async function loadVersions(store: Store): Promise<(PromptKey & { value: string; first_seen_ms: number; last_seen_ms: number })[]> {
  return store.select(
    `SELECT project, environment, prompt_name, value, min(versions.first_seen_ms) AS first_seen_ms, max(versions.last_seen_ms) AS last_seen_ms
     FROM versions WHERE factor = 'prompt_version' GROUP BY project, environment, prompt_name, value`,
  );
}

export type StoredComparison = { readonly identity: ComparisonIdentity; readonly settings: ComparisonSettings; readonly snapshot: ComparisonSnapshot };

/** Those that are open. */
export async function loadComparisons(store: Store): Promise<StoredComparison[]> {
  const rows = await store.select<ComparisonIdentity & { settings: string; snapshot: string }>(
    `SELECT comparison_id, project, environment, prompt_name, factor, baseline, candidate, epoch, settings, snapshot
     FROM (SELECT * FROM comparisons ORDER BY slot DESC, state ASC LIMIT 1 BY comparison_id) WHERE state = 'open' ORDER BY comparison_id`,
  );
  return rows.map(({ settings, snapshot, ...identity }) => ({
    identity,
    settings: ComparisonSettings.parse(JSON.parse(settings)),
    // Written by this program in the same form; a change of form is a migration.
    snapshot: JSON.parse(snapshot) as ComparisonSnapshot,
  }));
}

/** The strata of a comparison that slots (after, upTo] closed, in the order of the bets. */
export async function loadStrata(store: Store, comparison_id: string, range: { readonly after: number; readonly upTo: number }): Promise<Stratum[]> {
  return store.select<Stratum>(
    `SELECT metric, slot, begin_slot, start_window_ms, model, operation, route, use, bins, a, b FROM strata FINAL
     WHERE comparison_id = {comparison_id:String} AND toInt64(slot) > {after:Int64} AND slot <= {upTo:UInt32}
     ORDER BY slot, metric, begin_slot, start_window_ms, model, operation, route`,
    { comparison_id, ...range },
  );
}

/** The newest transition of each comparison's alert. */
export async function loadAlertStates(store: Store, comparison_ids: readonly string[]): Promise<Map<string, { alert: Alert; sequence: number }>> {
  const rows = await store.select<{ comparison_id: string; sequence: number; body: string }>(
    `SELECT comparison_id, sequence, body FROM alert_transitions WHERE comparison_id IN {comparison_ids:Array(String)}
     ORDER BY sequence DESC LIMIT 1 BY comparison_id`,
    { comparison_ids },
  );
  return new Map(rows.map((row) => [row.comparison_id, { alert: Alert.parse(JSON.parse(row.body)), sequence: row.sequence }]));
}

/** A comparison's evidence as it was after a slot, with all that is needed to recompute it. */
export async function loadEvidence(store: Store, comparison_id: string, upToSlot: number): Promise<Evidence> {
  const [comparison] = await store.select<Omit<Evidence['comparison'], 'id' | 'prompt'> & { prompt_name: string; settings: string }>(
    `SELECT project, environment, prompt_name, factor, baseline, candidate, epoch, settings FROM comparisons
     WHERE comparison_id = {comparison_id:String} ORDER BY slot DESC LIMIT 1`,
    { comparison_id },
  );
  const [look] = await store.select<{ slot: number; e_value: number; metrics: Record<string, number> }>(
    'SELECT slot, e_value, metrics FROM looks FINAL WHERE comparison_id = {comparison_id:String} AND slot <= {upToSlot:UInt32} ORDER BY slot DESC LIMIT 1',
    { comparison_id, upToSlot },
  );
  if (comparison === undefined || look === undefined) throw new PermanentError(`comparison ${comparison_id} has no evidence up to slot ${upToSlot}`);
  const { prompt_name, settings, ...identity } = comparison;
  return {
    schema: 'culprit.evidence/1',
    comparison: { id: comparison_id, prompt: prompt_name, ...identity },
    settings: ComparisonSettings.parse(JSON.parse(settings)),
    ...look,
    strata: await loadStrata(store, comparison_id, { after: -1, upTo: look.slot }),
  };
}
