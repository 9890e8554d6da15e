import { hash } from 'node:crypto';

/** One quality judgement. It may arrive before what it judges, with it, or long after. */
export type Score = ScoreTarget & {
  project: string;
  /** Within its project: the sender's own id, else derived from target, name and judge, so that a second delivery is the same score. */
  score_id: string;
  /** Empty while only a change of the score (a correction by id, a deletion) has come, and not yet the score itself. */
  name: string;
  /** Finite, or null where the judgement is only a label or failed. */
  value: number | null;
  label: string | null;
  data_type: ScoreDataType;
  explanation: string | null;
  /** Who judged: `name@version`, `name`, or where the judge has no name its kind. Null: the wire does not say. People are not named. */
  evaluator: string | null;
  evaluator_kind: EvaluatorKind | null;
  /** Set where the evaluation itself failed: then there is no value, and nothing is tested. */
  error_type: string | null;
  observed_time_ns: string;
  received_time_ms: number;
  /** `judgement`: whole. `update`: a correction by id, that says nothing of name and target. `deletion`: hides the score, for good. */
  change: 'judgement' | 'update' | 'deletion';
  is_deleted: boolean;
  /** Why it is shown and not compared: `type_conflict`, `name_over_limit`. */
  flags: readonly string[];
};

export type ScoreDataType = 'numeric' | 'boolean' | 'categorical';
export type EvaluatorKind = 'human' | 'llm' | 'code' | 'api';

/**
 * What is judged, as the wire names it; null: not named. A span id may stand without its trace. `session_id` where a whole
 * session is judged. `run_id`: an id of the vendor's own that no span is known to carry, such as a request number.
 */
export type ScoreTarget = {
  trace_id: string | null;
  span_id: string | null;
  response_id: string | null;
  target_session_id: string | null;
  run_id: string | null;
};

export const NO_TARGET: ScoreTarget = { trace_id: null, span_id: null, response_id: null, target_session_id: null, run_id: null };

/** What the target is, the most exact first. */
export function targetKind(target: ScoreTarget): 'span' | 'response' | 'trace' | 'session' | 'run' | 'none' {
  if (target.span_id !== null) return 'span';
  if (target.response_id !== null) return 'response';
  if (target.trace_id !== null) return 'trace';
  if (target.target_session_id !== null) return 'session';
  return target.run_id === null ? 'none' : 'run';
}

export type Evaluator = { readonly name: string | null; readonly kind: EvaluatorKind | null; readonly version: string | null };

export const MAX_SCORE_ID_CHARACTERS = 128;

/**
 * 32 hex digits. The same judgement has the same id, however often and in whichever form it is delivered (some libraries send one
 * as event and as log record): so a target is its response id where the wire names one, else the most exact of the others.
 */
export function derivedScoreId(score: { readonly project: string; readonly target: ScoreTarget; readonly name: string; readonly evaluator: Evaluator; /** What its sender tells two of them apart by. */ readonly identifier?: string | null }): string {
  const { project, target, name, evaluator, identifier = null } = score;
  const judge = [evaluator.name, evaluator.kind, evaluator.version].filter((part) => part !== null);
  return hash('sha256', JSON.stringify([project, subjectOf(target), name, judge, ...(identifier === null ? [] : [identifier])]), 'hex').slice(0, 32);
}

function subjectOf(target: ScoreTarget): (string | null)[] {
  if (target.response_id !== null) return ['response', target.response_id];
  const kind = targetKind(target);
  switch (kind) {
    case 'span':
    case 'trace':
      return ['span', target.trace_id, target.span_id];
    case 'session':
      return ['session', target.target_session_id];
    case 'response':
    case 'run':
    case 'none':
      return ['run', target.run_id];
  }
}

/** As it is shown and compared. A person is not named: who it was only keeps their scores apart (`derivedScoreId`). */
export function evaluatorText({ name, kind, version }: Evaluator): string | null {
  if (name === null || kind === 'human') return kind;
  return version === null ? name : `${name}@${version}`;
}
