/**
 * The event that carries a score through the log, and its attributes. The names are those of the OpenTelemetry GenAI conventions
 * where they have one, so that the log stays plain OTLP; scores that came over REST, with ids and deletions, need a few more.
 */
export const SCORE_EVENT = 'gen_ai.evaluation.result';

export const SCORE_KEYS = {
  name: 'gen_ai.evaluation.name',
  value: 'gen_ai.evaluation.score.value',
  label: 'gen_ai.evaluation.score.label',
  explanation: 'gen_ai.evaluation.explanation',
  responseId: 'gen_ai.response.id',
  errorType: 'error.type',
  /** A whole session is judged, where the record names neither span, trace nor response. */
  sessionId: 'session.id',
  // The conventions have no key for the judge (November 2026); these follow their proposal (semantic-conventions-genai #359).
  evaluatorName: 'gen_ai.evaluation.evaluator.name',
  evaluatorKind: 'gen_ai.evaluation.evaluator.kind',
  evaluatorVersion: 'gen_ai.evaluation.evaluator.version',
  /** The sender's own id: with another value it is the same score, corrected. */
  id: 'culprit.score.id',
  /** Tells two judgements of one name, judge and target apart; the same one again corrects. */
  identifier: 'culprit.score.identifier',
  runId: 'culprit.score.run_id',
  /** numeric, boolean or categorical, where the sender declares it. */
  dataType: 'culprit.score.data_type',
  /** `update`: corrects the score of this id. `deletion`: hides it. Absent: a whole judgement. */
  change: 'culprit.score.change',
} as const;
