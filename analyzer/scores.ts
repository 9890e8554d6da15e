import type { Attributes, AttributeValue, OtlpLogRecord, OtlpSpan } from '../schemas/otlp.ts';
import { SCORE_EVENT, SCORE_KEYS } from '../schemas/score-event.ts';
import { derivedScoreId, evaluatorText, MAX_SCORE_ID_CHARACTERS, NO_TARGET, targetKind, type Evaluator, type EvaluatorKind, type Score, type ScoreDataType, type ScoreTarget } from '../schemas/score.ts';
import type { WireScore } from './dialects/index.ts';
import { firstText, text } from './dialects/values.ts';
import { providersResponseId } from './response-ids.ts';
import { judge, type LabelRules } from './score-values.ts';

/**
 * `gen_ai.evaluation.result`: a judgement, as a log record or as an event on a span; and judgements in the attributes of spans,
 * where a dialect finds some. It may arrive before what it judges, so nothing here looks for that: it only says how the wire names it.
 */
export type ScoreContext = { readonly project: string; readonly received_ms: number; /** What labels mean, by score name. */ readonly labels?: LabelRules };
export type ScoreReading = { readonly kind: 'score'; readonly score: Score } | { readonly kind: 'ignored'; readonly reason: string };

const MAX_EXPLANATION_CHARACTERS = 4096;
/** In use beside the proposed keys (schemas/score-event.ts). */
const EVALUATOR_NAMES = [SCORE_KEYS.evaluatorName, 'gen_ai.evaluation.evaluator.id', 'gen_ai.evaluator.name', 'gen_ai.evaluator.id'];
/** OpenLIT's is in both of the forms in which it sends a score. */
const IDENTIFIERS = [SCORE_KEYS.identifier, 'openlit.score.idempotency_key'];
const SESSIONS = [SCORE_KEYS.sessionId, 'gen_ai.conversation.id'];

/** The record's own span (or only its trace), and the response id where it has one: each finds the call. A session only where it names nothing else. */
export function scoreOfRecord(context: ScoreContext, record: OtlpLogRecord): ScoreReading {
  if (record.event_name !== SCORE_EVENT) return { kind: 'ignored', reason: record.event_name.startsWith('gen_ai.') ? 'gen_ai_event' : 'not_a_score' };
  const attributes = record.body instanceof Map ? new Map([...record.body, ...record.attributes]) : record.attributes;
  const response_id = providersResponseId(text(attributes.get(SCORE_KEYS.responseId), new Set()));
  const isNamed = record.trace_id !== null || record.span_id !== null || response_id !== null;
  const target_session_id = isNamed ? null : firstText(attributes, SESSIONS, new Set());
  const target = { trace_id: record.trace_id, span_id: record.span_id, response_id, target_session_id, run_id: text(attributes.get(SCORE_KEYS.runId), new Set()) };
  return readScore(context, attributes, target, record.time_ns > 0n ? record.time_ns : record.observed_time_ns);
}

/** What a span says of judgements: in its events, and in its attributes as its dialect reads them. */
export type JudgingSpan = {
  readonly span: OtlpSpan;
  /** `judge`: the span is the judging itself. */
  readonly role: 'judge' | 'judged';
  readonly session_id: string | null;
  readonly inAttributes: readonly WireScore[];
};

/**
 * Events on a span judge what their response id names; without one, the span that they stand on. On the judge's own span
 * that would be the judge, so there it is the single span it links to, else its parent.
 */
export function scoresOfSpan(context: ScoreContext, { span, role, session_id, inAttributes }: JudgingSpan): { scores: Score[]; ignored_scores: string[] } {
  const scores: Score[] = [];
  const ignored_scores: string[] = [];
  const take = (reading: ScoreReading): void => {
    if (reading.kind === 'score') scores.push(reading.score);
    else ignored_scores.push(reading.reason);
  };
  const enclosing = role === 'judge' ? judgedBy(span) : span;
  const ofSpan: ScoreTarget = { ...NO_TARGET, trace_id: enclosing?.trace_id ?? null, span_id: enclosing?.span_id ?? null };
  for (const event of span.events) {
    if (event.name !== SCORE_EVENT) continue;
    const response_id = providersResponseId(text(event.attributes.get(SCORE_KEYS.responseId), new Set()));
    take(readScore(context, event.attributes, response_id === null ? ofSpan : { ...NO_TARGET, response_id }, event.time_ns));
  }
  for (const wire of inAttributes) {
    // A judge's carrier without a target names the session that it judges (OpenInference, spec/annotations.md).
    const session: ScoreTarget = { ...NO_TARGET, target_session_id: session_id };
    const target = wire.target === 'session' || (enclosing === null && wire.target === 'span') ? session : wire.target === 'trace' ? { ...NO_TARGET, trace_id: enclosing?.trace_id ?? span.trace_id } : ofSpan;
    take(readScore(context, attributesOf(wire), target, span.end_ns));
  }
  return { scores, ignored_scores };
}

function judgedBy(span: OtlpSpan): { trace_id: string; span_id: string } | null {
  const [link] = span.links;
  if (link !== undefined && span.links.length === 1) return link;
  return span.parent_span_id === null ? null : { trace_id: span.trace_id, span_id: span.parent_span_id };
}

/** In the words of the event, so that there is one reader. A judge that is only a kind is told by `evaluatorOf`. */
function attributesOf({ name, value, label, explanation, evaluator, identifier }: WireScore): Attributes {
  const said: readonly (readonly [string, AttributeValue | undefined])[] = [[SCORE_KEYS.name, name], [SCORE_KEYS.value, value], [SCORE_KEYS.label, label], [SCORE_KEYS.explanation, explanation], [SCORE_KEYS.evaluatorName, evaluator], [SCORE_KEYS.identifier, identifier]];
  return new Map(said.flatMap(([key, attribute]) => (attribute === undefined || attribute === null ? [] : [[key, attribute] as const])));
}

function readScore(context: ScoreContext, attributes: Attributes, target: ScoreTarget, time_ns: bigint): ScoreReading {
  const flags = new Set<string>();
  const id = text(attributes.get(SCORE_KEYS.id), flags, MAX_SCORE_ID_CHARACTERS);
  const change = changeOf(attributes.get(SCORE_KEYS.change));
  const name = change === 'judgement' ? text(attributes.get(SCORE_KEYS.name), flags) : '';
  if (name === null) return { kind: 'ignored', reason: 'score_without_name' };
  if (change !== 'judgement' && id === null) return { kind: 'ignored', reason: 'score_without_id' };
  if (change === 'judgement' && targetKind(target) === 'none') return { kind: 'ignored', reason: 'score_without_target' };
  const label = text(attributes.get(SCORE_KEYS.label), flags);
  const wire = attributes.get(SCORE_KEYS.value);
  const judgement = judge({ value: wire, label, declared: dataTypeOf(attributes.get(SCORE_KEYS.dataType)), rule: context.labels?.(name) ?? null });
  const error = text(attributes.get(SCORE_KEYS.errorType), flags);
  if (change === 'judgement' && judgement === null && error === null) return { kind: 'ignored', reason: wire === undefined || wire === null ? 'score_without_value' : 'score_value_unusable' };
  const evaluator = evaluatorOf(attributes, flags);
  return {
    kind: 'score',
    score: {
      project: context.project,
      score_id: id ?? derivedScoreId({ project: context.project, target, name, evaluator, identifier: firstText(attributes, IDENTIFIERS, flags) }),
      name,
      value: judgement?.value ?? null,
      label,
      data_type: judgement?.data_type ?? 'numeric',
      explanation: text(attributes.get(SCORE_KEYS.explanation), flags, MAX_EXPLANATION_CHARACTERS),
      evaluator: evaluatorText(evaluator),
      evaluator_kind: evaluator.kind,
      // An `error.type` beside a judgement is not the judge's: it has judged.
      error_type: judgement === null ? error : null,
      ...target,
      observed_time_ns: String(time_ns > 0n ? time_ns : BigInt(Math.trunc(context.received_ms)) * 1_000_000n),
      received_time_ms: context.received_ms,
      change,
      is_deleted: change === 'deletion',
      flags: [],
    },
  };
}

const KINDS: ReadonlyMap<string, EvaluatorKind> = new Map([['human', 'human'], ['llm', 'llm'], ['code', 'code'], ['api', 'api']]);

/** A judge whose name is only a kind ("LLM", "HUMAN") has no name. */
function evaluatorOf(attributes: Attributes, flags: Set<string>): Evaluator {
  const name = firstText(attributes, EVALUATOR_NAMES, flags);
  const kind = KINDS.get(text(attributes.get(SCORE_KEYS.evaluatorKind), flags)?.toLowerCase() ?? '') ?? null;
  const named = KINDS.get(name?.toLowerCase() ?? '') ?? null;
  return { name: named === null ? name : null, kind: kind ?? named, version: text(attributes.get(SCORE_KEYS.evaluatorVersion), flags) };
}

function changeOf(value: AttributeValue | undefined): Score['change'] {
  return value === 'update' || value === 'deletion' ? value : 'judgement';
}

function dataTypeOf(value: AttributeValue | undefined): ScoreDataType | null {
  return value === 'numeric' || value === 'boolean' || value === 'categorical' ? value : null;
}
