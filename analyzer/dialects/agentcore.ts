import type { AttributeValue, OtlpLogRecord } from '../../schemas/otlp.ts';
import { text } from './values.ts';

/**
 * Evaluations of Amazon Bedrock AgentCore are log records of the conventions, with two liberties: `gen_ai.response.id` holds a trace id,
 * and `aws.bedrock_agentcore.evaluation_level` says what is judged (Session, Trace, ToolCall). Read from public samples of its result
 * streams; a record in the words of the conventions comes out as it went in.
 */
export function standardEvaluation(record: OtlpLogRecord): OtlpLogRecord {
  if (!record.attributes.has(LEVEL) && !record.attributes.has(EVALUATOR)) return record;
  const attributes = new Map<string, AttributeValue>(record.attributes);
  const response_id = text(attributes.get('gen_ai.response.id'), new Set());
  const isTraceId = response_id !== null && (response_id === record.trace_id || /^[0-9a-f]{32}$/.test(response_id));
  if (isTraceId) attributes.delete('gen_ai.response.id');
  const judge = attributes.get(EVALUATOR);
  if (judge !== undefined && !attributes.has(JUDGE)) attributes.set(JUDGE, judge);
  const error = attributes.get('gen_ai.evaluation.error');
  if (error !== undefined && !attributes.has('error.type')) attributes.set('error.type', error);
  // A session's score names the session by `session.id`; its trace id is only where it was found.
  const isOfSession = text(attributes.get(LEVEL), new Set())?.toLowerCase() === 'session' && attributes.has('session.id');
  const trace_id = isOfSession ? null : (record.trace_id ?? (isTraceId ? response_id : null));
  return { ...record, trace_id, span_id: trace_id === null ? null : record.span_id, attributes };
}

const LEVEL = 'aws.bedrock_agentcore.evaluation_level';
const EVALUATOR = 'aws.bedrock_agentcore.evaluator.arn';
const JUDGE = 'gen_ai.evaluation.evaluator.id';
