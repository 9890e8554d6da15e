import { alertIn, NEWEST_READABLE, transitionRow, type Alert, type NewestReadable } from '../../schemas/alert.ts';
import { ComparisonSettings, type Evidence, type Stratum } from '../../schemas/evidence.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import type { ComparisonIdentity, SlotOutcome } from './comparison.ts';
import type { DetectorSnapshot } from './drift/detector.ts';
import type { FactorName } from './factors.ts';
import type { PromptKey } from './observations.ts';
import { inCurrentForm, type ComparisonSnapshot } from './snapshot.ts';
import { slotStartMs } from '../slots.ts';

/** What the look loop keeps of itself in the store, written and read back. One function, one question. */

export type LookRows = {
  strata(comparison_id: string, slot: number, outcome: SlotOutcome): void;
  comparison(file: ComparisonFile, state: 'open' | 'closed', reason: string): void;
  /** Closes a comparison that cannot be read, as it was kept. */
  giveUp(filed: FiledComparison, slot: number, reason: string): void;
  /** Returns the transition's id. `event`: told as that and not as its state. */
  transition(comparison_id: string, sequence: number, alert: Alert, what: { readonly atMs: number; readonly reason: string; readonly event?: 'updated' }): string;
  /**
   * Writes what was gathered: evidence, what is concluded from it, and only then the comparison as it is after both. So a process that dies
   * in between is taken up from the comparison's older state, finds its strata and transitions, and comes to the same.
   * Where it throws, what was gathered is gone, and the look has to be taken up from the store.
   */
  flush(): Promise<void>;
};

/** A comparison as it is kept; one that watches a model over all prompts has no prompt name. */
export type ComparisonFile = { readonly identity: ComparisonIdentity; readonly settings: ComparisonSettings; readonly snapshot: ComparisonSnapshot | DetectorSnapshot | PromptAlarm };

/** A prompt that got worse by itself, as its alarm is kept. */
export type PromptAlarm = { readonly slot: number; readonly reference_slot: number };

export function createLookRows(store: Store): LookRows {
  let strata: object[] = [];
  let looks: object[] = [];
  let transitions: object[] = [];
  let comparisons: object[] = [];
  return {
    strata(comparison_id, slot, outcome) {
      const seconds = slotStartMs(slot + 1) / 1000;
      for (const stratum of outcome.strata) strata.push({ comparison_id, ...stratum, closed_at: seconds });
      looks.push({ comparison_id, slot, at: seconds, e_value: outcome.e_value, metrics: outcome.metrics });
    },
    comparison({ identity, settings, snapshot }, state, reason) {
      comparisons.push({
        ...identity, opened_ms: settings.opened_ms, state, reason, slot: snapshot.slot, settings: JSON.stringify(settings), snapshot: JSON.stringify(snapshot),
      });
    },
    giveUp: (filed, slot, reason) => void comparisons.push({ ...filed, state: 'closed', reason, slot: Math.max(filed.slot, slot) }),
    transition(comparison_id, sequence, alert, { atMs, reason, event = alert.state }) {
      const row = transitionRow(alert, { comparison_id, sequence, at_ms: atMs, reason, event });
      transitions.push(row);
      return row.transition_id;
    },
    async flush() {
      const rows = { strata, looks, transitions, comparisons };
      [strata, looks, transitions, comparisons] = [[], [], [], []];
      await Promise.all([store.insert('strata', rows.strata), store.insert('looks', rows.looks)]);
      await store.insert('alert_transitions', rows.transitions);
      await store.insert('comparisons', rows.comparisons);
    },
  };
}


export async function loadProgress(store: Store, owner: string): Promise<number | null> {
  const [row] = await store.select<{ reached: number }>('SELECT max(look_progress.slot) AS reached FROM look_progress WHERE owner = {owner:String}', { owner });
  return row === undefined || row.reached === 0 ? null : row.reached;
}

export const ALERT_RESOLVED = 'its alert was resolved';

/** For each value of a factor that was ever compared on a prompt: when last, and since when it counts as new because its alert was resolved (0: never). */
export async function loadHistory(store: Store): Promise<(PromptKey & { factor: FactorName; group: string; value: string; opened_slot: number; forgotten_slot: number })[]> {
  return store.select(
    `SELECT project, environment, prompt_name, factor, JSONExtractString(settings, 'group') AS \`group\`, candidate AS value,
            max(JSONExtractInt(settings, 'opened_slot')) AS opened_slot, maxIf(slot, state = 'closed' AND reason = {resolved:String}) AS forgotten_slot
     FROM comparisons WHERE prompt_name != '' AND factor != 'unknown' GROUP BY project, environment, prompt_name, factor, \`group\`, candidate`,
    { resolved: ALERT_RESOLVED },
  );
}

/** How often a pair of values has been compared before. */
export async function countComparisons(store: Store, prompt: PromptKey, pair: { readonly factor: string; readonly baseline: string; readonly candidate: string }): Promise<number> {
  const [row] = await store.select<{ earlier: number }>(
    `SELECT uniqExact(comparison_id) AS earlier FROM comparisons WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String}
       AND factor = {factor:String} AND baseline = {baseline:String} AND candidate = {candidate:String}`,
    { ...prompt, ...pair },
  );
  return row?.earlier ?? 0;
}

export type StoredComparison = { readonly identity: ComparisonIdentity; readonly reason: string; readonly settings: ComparisonSettings; readonly snapshot: ComparisonSnapshot };

/** A row of `comparisons`, with settings and snapshot as text. */
export type FiledComparison = ComparisonIdentity & { readonly opened_ms: number; readonly slot: number; readonly reason: string; readonly settings: string; readonly snapshot: string };
/** One of which settings or snapshot make no sense, and why. */
export type UnreadableComparison = { readonly filed: FiledComparison; readonly error: string };
type Loaded<Kept> = { readonly open: readonly Kept[]; readonly unreadable: readonly UnreadableComparison[] };

/** Those that are open. */
export async function loadComparisons(store: Store): Promise<Loaded<StoredComparison>> {
  return read(await loadFiles(store, `prompt_name != ''`), ({ reason, settings, snapshot, opened_ms: _opened, slot: _slot, ...identity }) => ({
    identity,
    reason,
    settings: ComparisonSettings.parse(JSON.parse(settings)),
    // Written by this program, or an earlier one.
    snapshot: inCurrentForm(JSON.parse(snapshot) as Parameters<typeof inCurrentForm>[0]),
  }));
}

type StoredDetector = { readonly identity: ComparisonIdentity; readonly snapshot: DetectorSnapshot };

/** Watches over models that are open. */
export async function loadDetectors(store: Store): Promise<Loaded<StoredDetector>> {
  return read(await loadFiles(store, `prompt_name = ''`), ({ reason: _reason, settings: _settings, snapshot, opened_ms: _opened, slot: _slot, ...identity }) => ({
    identity,
    // Written by this program.
    snapshot: { model_states: {}, claim: null, ...JSON.parse(snapshot) } as DetectorSnapshot,
  }));
}

function read<Kept>(files: readonly FiledComparison[], keptIn: (filed: FiledComparison) => Kept): Loaded<Kept> {
  const open: Kept[] = [];
  const unreadable: UnreadableComparison[] = [];
  for (const filed of files) {
    try {
      open.push(keptIn(filed));
    } catch (error) {
      unreadable.push({ filed, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { open, unreadable };
}

/** The last alarm of each prompt since a slot. */
export async function loadPromptAlarms(store: Store, since: number): Promise<(PromptKey & PromptAlarm & { comparison_id: string })[]> {
  return store.select(
    `SELECT project, environment, prompt_name, comparison_id, slot, JSONExtractUInt(snapshot, 'reference_slot') AS reference_slot
     FROM comparisons WHERE factor = 'unknown' AND slot >= {since:UInt32} ORDER BY slot DESC LIMIT 1 BY project, environment, prompt_name`,
    { since },
  );
}

async function loadFiles(store: Store, which: string): Promise<FiledComparison[]> {
  return store.select<FiledComparison>(
    `SELECT comparison_id, project, environment, prompt_name, factor, baseline, candidate, epoch, opened_ms, slot, reason, settings, snapshot
     FROM (SELECT * FROM comparisons ORDER BY slot DESC, state ASC LIMIT 1 BY comparison_id) WHERE state = 'open' AND ${which} ORDER BY comparison_id`,
  );
}

/** The strata of a comparison that slots (after, upTo] closed, in the order of the bets; of all uses, unless some are asked for. */
export async function loadStrata(
  store: Store,
  comparison_id: string,
  { uses = [], ...range }: { readonly after: number; readonly upTo: number; readonly uses?: readonly Stratum['use'][] },
): Promise<Stratum[]> {
  return store.select<Stratum>(
    `SELECT metric, slot, begin_slot, start_window_ms, model, operation, route, use, control, bins, a, b FROM strata FINAL
     WHERE comparison_id = {comparison_id:String} AND toInt64(slot) > {after:Int64} AND slot <= {upTo:UInt32} AND (empty({uses:Array(String)}) OR use IN {uses:Array(String)})
     ORDER BY slot, metric, begin_slot, start_window_ms, model, operation, route, control`,
    { comparison_id, uses, ...range },
  );
}

export type AlertState = { readonly alert: Alert; readonly transition_id: string; readonly sequence: number; readonly at_ms: number };

/** The newest transition of each comparison's alert; without those of which no body can be read. */
export async function loadAlertStates(store: Store, comparison_ids: readonly string[]): Promise<Map<string, AlertState>> {
  const rows = await store.select<NewestReadable & { comparison_id: string }>(
    `SELECT comparison_id, ${NEWEST_READABLE} FROM alert_transitions WHERE comparison_id IN {comparison_ids:Array(String)} GROUP BY comparison_id`,
    { comparison_ids },
  );
  const states = new Map<string, AlertState>();
  for (const row of rows) {
    const alert = alertIn(row.last_body);
    if (alert !== null) states.set(row.comparison_id, { alert: { ...alert, state: row.last_state }, transition_id: row.last_transition_id, sequence: row.last_sequence, at_ms: row.last_at_ms });
  }
  return states;
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
