import type { Score } from '../../schemas/score.ts';

/**
 * What is known of a score and what has come of it now, as one. It does not matter in which order they came: the later
 * judgement by the judge's own clock stands, a correction by id goes over the judgement that it corrects, and a deletion is
 * final, so that nothing which was sent before it and arrives after it brings the score back.
 */
export function mergeScores(known: Score, arrived: Score): Score {
  const merged = standing(known, arrived);
  return { ...merged, is_deleted: known.is_deleted || arrived.is_deleted };
}

function standing(known: Score, arrived: Score): Score {
  if (arrived.change === 'deletion') return known;
  if (arrived.change === 'update') return known.change === 'deletion' ? { ...arrived, received_time_ms: known.received_time_ms } : corrected(known, arrived);
  if (known.change === 'deletion') return arrived;
  if (known.change === 'update') return corrected(arrived, known);
  return BigInt(arrived.observed_time_ns) >= BigInt(known.observed_time_ns) ? arrived : known;
}

/** What the correction says; of what it does not, the score's own. */
function corrected(score: Score, correction: Score): Score {
  const isJudged = correction.value !== null || correction.label !== null;
  return {
    ...score,
    ...(isJudged ? { value: correction.value, label: correction.label, data_type: correction.data_type, error_type: null } : {}),
    explanation: correction.explanation ?? score.explanation,
    observed_time_ns: later(score.observed_time_ns, correction.observed_time_ns),
  };
}

function later(one: string, other: string): string {
  return BigInt(one) >= BigInt(other) ? one : other;
}

/** Whether somebody would see the difference. */
export function isSameScore(one: Score, other: Score): boolean {
  return one.value === other.value && one.label === other.label && one.explanation === other.explanation && one.change === other.change && one.is_deleted === other.is_deleted;
}
