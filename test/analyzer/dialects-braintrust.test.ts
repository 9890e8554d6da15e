import { describe, expect, it } from 'vitest';
import { braintrust } from '../../analyzer/dialects/braintrust.ts';
import { callOf, relativeOf, scope, span, systemFingerprint } from './spans.ts';

/** No capture of Braintrust was at hand: the spans are built as the tracers of braintrustdata/braintrust-sdk-go and -java write them, and as its documentation flattens them. */
const json = JSON.stringify;
const llm = {
  'braintrust.span_attributes': json({ type: 'llm' }),
  'braintrust.metadata': json({ provider: 'openai', model: 'gpt-4o', temperature: 0.2, prompt: { id: 'support', version: '1000195' } }),
  'braintrust.metrics': json({ prompt_tokens: 55, completion_tokens: 33, tokens: 88, prompt_cached_tokens: 20, completion_reasoning_tokens: 4, time_to_first_token: 0.25 }),
  'braintrust.input_json': json([{ role: 'system', content: 'You are terse.' }, { role: 'user', content: 'Where is it?' }]),
  'braintrust.output_json': json([{ index: 0, message: { role: 'assistant', content: 'It left.' }, finish_reason: 'stop' }]),
  'braintrust.parent': 'project_name:shop',
};

describe('a call', () => {
  it('as JSON', () => {
    expect(callOf(llm, { name: 'Chat Completion' })).toMatchObject({
      dialect: 'braintrust', operation: 'chat', provider: 'openai', request_model: 'gpt-4o', input_tokens: 55, output_tokens: 33, cache_read_tokens: 20, reasoning_tokens: 4, ttft_ms: 250, finish_reason: 'stop',
      is_empty: false, is_experiment: false, prompt_name: 'support', prompt_version: '1000195', prompt_fingerprint: systemFingerprint('You are terse.'), flags: [],
    });
  });

  it('flattened', () => {
    const flat = { 'braintrust.span_attributes.type': 'llm', 'braintrust.metadata.model': 'gpt-4o', 'braintrust.metrics.prompt_tokens': 100, 'braintrust.metrics.completion_tokens': 50, 'braintrust.metrics.cost': 0.0123, 'braintrust.metadata.prompt_name': 'support' };
    expect(callOf(flat)).toMatchObject({ request_model: 'gpt-4o', provider: 'openai', input_tokens: 100, cost_usd: 0.0123, cost_source: 'reported', prompt_name: 'support' });
  });

  it('of a tracer that says no type; of embeddings; of an experiment', () => {
    const { 'braintrust.span_attributes': _, ...untyped } = llm;
    expect(callOf(untyped)).toMatchObject({ request_model: 'gpt-4o', input_tokens: 55 });
    expect(callOf(llm, { name: 'Embeddings' })).toMatchObject({ operation: 'embeddings' });
    expect(callOf({ ...llm, 'braintrust.parent': 'experiment_id:7' })).toMatchObject({ is_experiment: true });
  });

  it('of the conventions, on its way to Braintrust', () => {
    const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
    expect(callOf({ ...chat, 'braintrust.parent': 'project_name:shop' })).toMatchObject({ dialect: 'otel_1_37', is_experiment: false });
    expect(callOf({ ...chat, 'braintrust.parent': 'experiment_id:7' })).toMatchObject({ dialect: 'braintrust', is_experiment: true });
  });
});

describe('what is no call', () => {
  it.each([
    [{ type: 'task' }, 'wrapper'],
    [{ type: 'tool' }, 'tool'],
    [{ type: 'score' }, 'evaluator'],
    [{ type: 'llm', purpose: 'scorer' }, 'evaluator'],
  ])('%j', (kind, reason) => {
    expect(relativeOf({ ...llm, 'braintrust.span_attributes': json(kind) })).toMatchObject({ reason });
  });

  it('a task that repeats what the calls below it used can stand for them', () => {
    expect(relativeOf({ ...llm, 'braintrust.span_attributes': json({ type: 'task' }) }).candidate).toMatchObject({ input_tokens: 55 });
    expect(relativeOf({ 'braintrust.span_attributes': json({ type: 'task' }) }).candidate).toBeNull();
  });
});

it('has scores, but for those that the scorer left open', () => {
  const source = { resource: new Map(), scope, span: span({ 'braintrust.scores': json({ factuality: 0.6, tone: null, passed: true }) }), flags: new Set<string>() };
  expect(braintrust.scores?.(source)).toMatchObject([{ name: 'factuality', value: 0.6, target: 'span' }, { name: 'passed', value: true }]);
  expect(braintrust.scores?.({ ...source, span: span({ 'braintrust.scores': 'broken' }) })).toEqual([]);
});
