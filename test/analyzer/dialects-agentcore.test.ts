import { expect, it } from 'vitest';
import { standardEvaluation } from '../../analyzer/dialects/agentcore.ts';
import { createNormaliser } from '../../analyzer/normalise.ts';
import { context, record, scope } from './spans.ts';

/** No capture of AgentCore was at hand: the records are built after samples of its evaluation results in public repositories. */
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const wire = (level: string) => ({
  'gen_ai.evaluation.name': 'Builtin.Helpfulness',
  'gen_ai.evaluation.score.value': 0.83,
  'gen_ai.evaluation.score.label': 'Very Helpful',
  'gen_ai.evaluation.explanation': 'It answers.',
  'gen_ai.response.id': TRACE,
  'session.id': 'sess-1',
  'aws.bedrock_agentcore.evaluation_level': level,
  'aws.bedrock_agentcore.evaluator.arn': 'arn:aws:bedrock-agentcore:::evaluator/Builtin.Helpfulness',
});
const normaliser = createNormaliser({ stratumAttributes: [] });

it('judges the trace whose id stands where a response has its own', () => {
  for (const trace_id of [TRACE, null]) {
    const read = normaliser.record(context, new Map(), scope, record(wire('Trace'), { trace_id, span_id: null }));
    expect(read).toMatchObject({ kind: 'score', score: { name: 'Builtin.Helpfulness', value: 0.83, trace_id: TRACE, span_id: null, response_id: null, evaluator: 'arn:aws:bedrock-agentcore:::evaluator/Builtin.Helpfulness' } });
  }
});

it('judges the session, not the trace in which it was found', () => {
  const standard = standardEvaluation(record(wire('Session'), { trace_id: TRACE }));
  expect(standard).toMatchObject({ trace_id: null, span_id: null });
  expect(standard.attributes.has('gen_ai.response.id')).toBe(false);
  expect(standard.attributes.get('session.id')).toBe('sess-1');
});

it('says that an evaluation failed', () => {
  const { 'gen_ai.evaluation.score.value': _value, 'gen_ai.evaluation.score.label': _label, ...failed } = wire('Trace');
  expect(normaliser.record(context, new Map(), scope, record({ ...failed, 'gen_ai.evaluation.error': 'ThrottlingException' }))).toMatchObject({ kind: 'score', score: { value: null, error_type: 'ThrottlingException' } });
});

it('leaves records of others as they are', () => {
  const other = record({ 'gen_ai.evaluation.name': 'tone', 'gen_ai.response.id': TRACE });
  expect(standardEvaluation(other)).toBe(other);
});
