import { hash } from 'node:crypto';
import type { Attributes, AttributeValue, OtlpLogRecord, OtlpSpan } from '../schemas/otlp.ts';
import type { Score } from '../schemas/score.ts';
import { amount, firstText, text } from './dialects/values.ts';

/**
 * `gen_ai.evaluation.result`: a judgement of a call, as a log record or as an event on a span. It may arrive before the span
 * that it judges, so nothing here looks for that span: it only says how the wire names it.
 */
const EVENT = 'gen_ai.evaluation.result';

type Context = { readonly project: string; readonly received_ms: number };
type Target = Pick<Score, 'trace_id' | 'span_id' | 'response_id'>;
export type ScoreReading = { readonly kind: 'score'; readonly score: Score } | { readonly kind: 'ignored'; readonly reason: string };

const MAX_EXPLANATION_CHARACTERS = 4096;
/** The conventions have no key for the judge (November 2026); these are in use or proposed (semantic-conventions-genai #359). */
const EVALUATOR = ['gen_ai.evaluation.evaluator.name', 'gen_ai.evaluation.evaluator.id', 'gen_ai.evaluator.name', 'gen_ai.evaluator.id'];

/** The record's own span (or only its trace), and the response id where it has one: both are kept, either finds the call. */
export function scoreOfRecord(context: Context, record: OtlpLogRecord): ScoreReading {
  if (record.event_name !== EVENT) return { kind: 'ignored', reason: record.event_name.startsWith('gen_ai.') ? 'gen_ai_event' : 'not_a_score' };
  const attributes = record.body instanceof Map ? new Map([...record.body, ...record.attributes]) : record.attributes;
  const response_id = text(attributes.get('gen_ai.response.id'), new Set());
  // A span id means nothing outside its trace.
  const target = { trace_id: record.trace_id, span_id: record.trace_id === null ? null : record.span_id, response_id };
  return readScore(context, attributes, target, record.time_ns > 0n ? record.time_ns : record.observed_time_ns);
}

/**
 * Events on a span judge what their response id names; without one, the span that they stand on. On the judge's own span
 * (`judge`) that would be the judge, so there it is the single span it links to, else its parent.
 */
export function scoresOfSpan(context: Context, span: OtlpSpan, role: 'judge' | 'judged'): { scores: Score[]; ignored_scores: string[] } {
  const scores: Score[] = [];
  const ignored_scores: string[] = [];
  for (const event of span.events) {
    if (event.name !== EVENT) continue;
    const response_id = text(event.attributes.get('gen_ai.response.id'), new Set());
    const enclosing = role === 'judge' ? judgedBy(span) : span;
    const target =
      response_id !== null
        ? { trace_id: null, span_id: null, response_id }
        : { trace_id: enclosing?.trace_id ?? null, span_id: enclosing?.span_id ?? null, response_id: null };
    const reading = readScore(context, event.attributes, target, event.time_ns);
    if (reading.kind === 'score') scores.push(reading.score);
    else ignored_scores.push(reading.reason);
  }
  return { scores, ignored_scores };
}

function judgedBy(span: OtlpSpan): { trace_id: string; span_id: string } | null {
  const [link] = span.links;
  if (link !== undefined && span.links.length === 1) return link;
  return span.parent_span_id === null ? null : { trace_id: span.trace_id, span_id: span.parent_span_id };
}

function readScore(context: Context, attributes: Attributes, target: Target, time_ns: bigint): ScoreReading {
  const flags = new Set<string>();
  const name = text(attributes.get('gen_ai.evaluation.name'), flags);
  if (name === null) return { kind: 'ignored', reason: 'score_without_name' };
  if (target.trace_id === null && target.response_id === null) return { kind: 'ignored', reason: 'score_without_target' };
  const label = text(attributes.get('gen_ai.evaluation.score.label'), flags);
  const wire = attributes.get('gen_ai.evaluation.score.value');
  const judgement = judge(wire, label);
  const error = text(attributes.get('error.type'), flags);
  if (judgement === null && error === null) return { kind: 'ignored', reason: wire === undefined || wire === null ? 'score_without_value' : 'score_value_unusable' };
  const evaluator = firstText(attributes, EVALUATOR, flags);
  return {
    kind: 'score',
    score: {
      project: context.project,
      score_id: scoreId(context.project, target, name, evaluator),
      name,
      value: judgement?.value ?? null,
      label,
      data_type: judgement?.data_type ?? 'numeric',
      explanation: text(attributes.get('gen_ai.evaluation.explanation'), flags, MAX_EXPLANATION_CHARACTERS),
      evaluator,
      // An `error.type` beside a judgement is not the judge's: it has judged.
      error_type: judgement === null ? error : null,
      ...target,
      observed_time_ns: String(time_ns > 0n ? time_ns : BigInt(Math.trunc(context.received_ms)) * 1_000_000n),
      received_time_ms: context.received_ms,
    },
  };
}

const GOOD: ReadonlySet<string> = new Set(['pass', 'passed', 'true', 'good', '👍']);
const BAD: ReadonlySet<string> = new Set(['fail', 'failed', 'false', 'bad', '👎']);

/** A value, else what the label says of it. Null: neither. */
function judge(value: AttributeValue | undefined, label: string | null): Pick<Score, 'value' | 'data_type'> | null {
  if (typeof value === 'boolean') return { value: value ? 1 : 0, data_type: 'boolean' };
  const number = amount(value);
  if (number !== null) return { value: number, data_type: 'numeric' };
  const word = (label ?? (typeof value === 'string' ? text(value, new Set(), 16) : null))?.toLowerCase() ?? null;
  if (word !== null && GOOD.has(word)) return { value: 1, data_type: 'boolean' };
  if (word !== null && BAD.has(word)) return { value: 0, data_type: 'boolean' };
  return label === null ? null : { value: null, data_type: 'categorical' };
}

/**
 * The same judgement has the same id, however often and in whichever form it is delivered (some libraries send one as event
 * and as log record): so a target is its response id where the wire names one, else its span.
 */
function scoreId(project: string, target: Target, name: string, evaluator: string | null): string {
  const subject = target.response_id === null ? ['span', target.trace_id, target.span_id] : ['response', target.response_id];
  return hash('sha256', JSON.stringify([project, subject, name, evaluator]), 'hex').slice(0, 32);
}
