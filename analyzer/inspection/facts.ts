import type { LlmCall } from '../../schemas/call.ts';
import type { Score } from '../../schemas/score.ts';
import type { NormalisedRecord, NormalisedSpan, Relative } from '../normalise.ts';
import type { Facts } from './provenance.ts';

/** Records as flat facts, for provenance: what stands in them, and what of it says which kind of record this is. */

/** The fields of a call that come from the wire, in the order in which a person asks for them. */
export const CALL_FIELDS = [
  'prompt_name', 'prompt_version', 'prompt_label', 'prompt_fingerprint', 'session_id', 'user_id', 'environment', 'service_name', 'service_version',
  'operation', 'provider', 'request_model', 'response_model', 'response_id', 'finish_reason', 'is_error', 'error_type', 'status_message', 'is_stream', 'is_cache_hit',
  'is_experiment', 'ttft_ms', 'input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'reasoning_tokens', 'cost_usd', 'is_empty', 'is_format_valid',
] as const satisfies readonly (keyof LlmCall)[];

const RELATIVE_FIELDS = ['prompt_name', 'prompt_version', 'prompt_label', 'session_id', 'user_id'] as const satisfies readonly (keyof Relative)[];
const SCORE_FIELDS = ['name', 'value', 'label', 'explanation', 'evaluator', 'error_type', 'trace_id', 'span_id', 'response_id'] as const satisfies readonly (keyof Score)[];

/** Absent counts as nothing: false says only of these that a key is missing. */
const FALSE_IS_ABSENT: ReadonlySet<string> = new Set(['is_error', 'is_cache_hit', 'is_experiment']);

/** A change after which one of these differs turned the span into something else. */
export const SPAN_IDENTITY = ['recognised_as', 'dialect', 'reason', 'scores'] as const;

export function factsOfSpan(read: NormalisedSpan): Facts {
  const facts = new Map<string, string | number | boolean>();
  facts.set('recognised_as', read.kind);
  if (read.kind === 'relative') facts.set('reason', read.reason);
  const call = read.kind === 'call' ? read.call : read.candidate;
  if (call !== null) {
    facts.set('dialect', call.dialect);
    for (const field of CALL_FIELDS) put(facts, field, call[field]);
    for (const [key, value] of Object.entries(call.stratum_attributes)) facts.set(`stratum_attributes.${key}`, value);
  }
  for (const flag of flagsOf(read)) facts.set(`flags.${flag}`, true);
  if (read.kind === 'relative') for (const field of RELATIVE_FIELDS) put(facts, field, read.relative[field]);
  if (read.scores.length > 0) facts.set('scores', read.scores.length);
  read.scores.forEach((score, index) => putScore(facts, `scores.${index}.`, score));
  return facts;
}

export function flagsOf(read: NormalisedSpan): readonly string[] {
  return read.kind === 'call' ? read.call.flags : read.flags;
}

export const RECORD_IDENTITY = ['recognised_as'] as const;

export function factsOfRecord(read: NormalisedRecord): Facts {
  const facts = new Map<string, string | number | boolean>([['recognised_as', read.kind]]);
  if (read.kind === 'score') putScore(facts, '', read.score);
  if (read.kind === 'call') {
    facts.set('dialect', read.call.dialect);
    for (const field of CALL_FIELDS) put(facts, field, read.call[field]);
  }
  return facts;
}

function putScore(facts: Map<string, string | number | boolean>, prefix: string, score: Score): void {
  for (const field of SCORE_FIELDS) put(facts, prefix + field, score[field]);
}

function put(facts: Map<string, string | number | boolean>, field: string, value: string | number | boolean | null): void {
  if (value === null || value === '' || (value === false && FALSE_IS_ABSENT.has(field))) return;
  facts.set(field, value);
}
