import { SCORE_EVENT, SCORE_KEYS } from '../../schemas/score-event.ts';
import { double, field, fixed64 } from '../otlp/protobuf-writer.ts';
import type { RestScore } from './route.ts';

/**
 * Scores as one protobuf ExportLogsServiceRequest: in the log they are what any SDK could have sent. Source: opentelemetry-proto
 * v1.9, logs.proto.
 */
const SCOPE = 'culprit.rest';

export function logsRequestOf(scores: readonly RestScore[]): Buffer {
  const scope = field(1, field(1, SCOPE));
  const scopeLogs = field(2, Buffer.concat([scope, ...scores.map((score) => field(2, recordOf(score)))]));
  return Buffer.from(field(1, scopeLogs));
}

function recordOf(score: RestScore): Uint8Array {
  const { target, evaluator } = score;
  const attributes: readonly (readonly [string, string | number | boolean | null])[] = [
    [SCORE_KEYS.id, score.id],
    [SCORE_KEYS.name, score.name],
    [SCORE_KEYS.value, score.value],
    [SCORE_KEYS.label, score.label],
    [SCORE_KEYS.explanation, score.explanation],
    [SCORE_KEYS.errorType, score.error_type],
    [SCORE_KEYS.dataType, score.data_type],
    [SCORE_KEYS.responseId, target.response_id],
    [SCORE_KEYS.sessionId, target.target_session_id],
    [SCORE_KEYS.runId, target.run_id],
    [SCORE_KEYS.evaluatorName, evaluator.name],
    [SCORE_KEYS.evaluatorKind, evaluator.kind],
    [SCORE_KEYS.evaluatorVersion, evaluator.version],
    [SCORE_KEYS.change, score.change === 'judgement' ? null : score.change],
  ];
  const parts: Uint8Array[] = [];
  if (score.time_ns !== null) parts.push(fixed64(1, score.time_ns));
  for (const [key, value] of attributes) if (value !== null) parts.push(field(6, Buffer.concat([field(1, key), field(2, anyValue(value))])));
  if (target.trace_id !== null) parts.push(field(9, Buffer.from(target.trace_id, 'hex')));
  if (target.span_id !== null) parts.push(field(10, Buffer.from(target.span_id, 'hex')));
  parts.push(field(12, SCORE_EVENT));
  return Buffer.concat(parts);
}

function anyValue(value: string | number | boolean): Uint8Array {
  if (typeof value === 'string') return field(1, value);
  if (typeof value === 'number') return double(4, value);
  return Uint8Array.from([2 << 3, value ? 1 : 0]);
}
