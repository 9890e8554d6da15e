import type { Score } from '../../schemas/score.ts';
import { isSameScore, mergeScores } from './corrections.ts';
import type { FiledScore, StoredScore } from './draft.ts';
import { scoreKey } from './identity.ts';
import { isLeftWaiting, type Found } from './known.ts';
import type { Tally } from './ledger.ts';
import type { BatchReading, Placed } from './reading.ts';

/** A score that a batch brings or changes, merged with what came before. `stored`: what it changes; undefined where it is new. */
export type ArrivingScore = { readonly score: Score; readonly stampMs: number; readonly stored: FiledScore | undefined };

/** Rows of one score that are written, at most: its revision is a small number. */
const MAX_REVISION = 60_000;

/**
 * New, changed, or sent again? What is remembered of a score decides most; those that are really changed are read whole from the
 * store (`load`), so that the merge sees what the memory does not keep. A batch may hold several of one score.
 */
export async function arrivingScores(
  { scores, records }: BatchReading,
  known: ReadonlyMap<string, Found<StoredScore>>,
  deps: { readonly load: (scores: readonly Score[]) => Promise<ReadonlyMap<string, FiledScore>>; readonly admit: (score: Score) => Score; readonly tally: Tally },
): Promise<Map<string, ArrivingScore>> {
  const { load, admit, tally } = deps;
  const changed = scores.flatMap(({ item }) => {
    const stored = known.get(scoreKey(item));
    return stored !== undefined && (mayChange(item, stored) || isLeftWaiting(stored)) ? [item] : [];
  });
  const whole: ReadonlyMap<string, FiledScore> = changed.length === 0 ? new Map() : await load(changed);

  const arrivals = new Map<string, ArrivingScore>();
  for (const { item, stampMs } of scores) {
    const key = scoreKey(item);
    const before = arrivals.get(key)?.score ?? whole.get(key)?.score;
    const stored = known.get(key);
    const outcome = ((): 'new' | 'sent_again' | 'deleted' | 'corrected' | 'corrected_too_often' => {
      if (before === undefined) return stored === undefined ? 'new' : 'sent_again';
      const merged = admit(mergeScores(before, item));
      if (isSameScore(before, merged)) {
        if (stored !== undefined && isLeftWaiting(stored) && !arrivals.has(key)) arrivals.set(key, { score: before, stampMs, stored: whole.get(key) });
        return 'sent_again';
      }
      if (stored !== undefined && stored.revision > MAX_REVISION) return 'corrected_too_often';
      arrivals.set(key, { score: merged, stampMs: arrivals.get(key)?.stampMs ?? stampMs, stored: whole.get(key) });
      return merged.is_deleted ? 'deleted' : 'corrected';
    })();
    if (outcome === 'new') arrivals.set(key, { score: admit(item), stampMs, stored: undefined });
    count(tally, { item, stampMs }, { outcome, isRecord: records.has(item), score: arrivals.get(key)?.score ?? item });
  }
  return arrivals;
}

/** Whether it could be something else than what is stored, sent again: then the merge decides. */
function mayChange(score: Score, stored: StoredScore): boolean {
  if (score.change !== 'judgement' || stored.change !== 'judgement') return true;
  return (score.value !== stored.value || score.label !== stored.label) && BigInt(score.observed_time_ns) >= BigInt(stored.observed_ns);
}

/** The first of a score is stored, whatever it is: a deletion that comes before its score too. A score on a span event is its span's. */
function count(tally: Tally, { item, stampMs }: Placed<Score>, what: { readonly outcome: string; readonly isRecord: boolean; readonly score: Score }): void {
  if (!what.isRecord) return;
  const entry = { project: item.project, receivedMs: stampMs, signal: 'logs' as const };
  if (what.outcome !== 'new') tally.count({ ...entry, outcome: 'duplicate', reason: what.outcome });
  else tally.count({ ...entry, outcome: 'stored', reason: what.score.flags[0] ?? (item.change === 'judgement' ? 'score' : item.change) });
}
