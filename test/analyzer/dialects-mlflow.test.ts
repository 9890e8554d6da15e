import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mlflow, mlflowPrompt } from '../../analyzer/dialects/mlflow.ts';
import { readSpans } from '../golden/captures.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { callOf, relativeOf } from './spans.ts';

describe('the capture mlflow', () => {
  const capture = normaliseCapture('mlflow', ['001-traces.bin']);

  it('has exactly the calls that were made', () => {
    expectTheCallsThatWereMade(capture);
    expect(new Set([...capture.calls.values()].map(({ dialect }) => dialect))).toEqual(new Set(['mlflow']));
    expect(new Set(capture.relatives.map(({ reason }) => reason))).toEqual(new Set(['wrapper']));
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    const call = capture.calls.get(wire.span_id);
    expectWhatIsOnTheWire(call, wire);
    expect(call?.provider).toBe('openai');
    if (!wire.is_error) expect(call?.is_empty).toBe(false);
  });

  it('has the prompts on the functions around the calls; two on one function are ambiguous (golden case 13)', () => {
    for (const wire of capture.expected) {
      const around = capture.relatives.find(({ relative }) => relative.span_id === wire.parent_span_id)?.relative;
      if (wire.prompt_name !== null) expect(around).toMatchObject({ prompt_name: wire.prompt_name, prompt_version: wire.prompt_version, prompt_attribution: 'direct' });
      else expect(around?.prompt_attribution ?? 'none').not.toBe('direct');
    }
    expect(capture.relatives.filter(({ relative }) => relative.prompt_attribution === 'ambiguous')).toHaveLength(1);
  });

  it('gives the system prompt to the fingerprint', () => {
    const call = readSpans('mlflow', '001-traces.bin').find(({ span }) => span.name === 'Completions');
    expect(call === undefined ? null : mlflow.read({ ...call, flags: new Set() })).toMatchObject({ inference: { prompt_text: { system: 'You are a support agent for a small online shop.' } } });
  });
});

describe('linked prompts', () => {
  const linked = (value: string) => mlflowPrompt(new Map([['mlflow.linkedPrompts', value]]), new Set());

  it('are one however often it was loaded, and in one or two layers of JSON', () => {
    const twice = JSON.stringify([{ name: 'a', version: '1' }, { name: 'a', version: 1 }]);
    expect(linked(twice)).toMatchObject({ prompt_name: 'a', prompt_version: '1', prompt_attribution: 'direct' });
    expect(linked(JSON.stringify(twice))).toMatchObject({ prompt_name: 'a', prompt_version: '1', prompt_attribution: 'direct' });
    expect(linked('[]')).toBeNull();
    expect(linked('not JSON')).toBeNull();
  });
});

describe('values', () => {
  const chat = { 'mlflow.spanType': '"CHAT_MODEL"', 'mlflow.llm.model': '"claude-sonnet-4-5"' };

  it('costs what MLflow says', () => {
    expect(callOf({ ...chat, 'mlflow.llm.cost': '{"input_cost": 0.1, "output_cost": 0.15, "total_cost": 0.25}', 'mlflow.llm.provider': '"anthropic"' })).toMatchObject({ cost_usd: 0.25, cost_source: 'reported', provider: 'anthropic' });
  });

  it('counts from the response where an older version does not', () => {
    const outputs = { id: 'msg_1', model: 'claude-sonnet-4-5-20250929', content: [{ type: 'text', text: '{"a":1}' }], stop_reason: 'end_turn', usage: { input_tokens: 10, output_tokens: 3, cache_read_input_tokens: 90 } };
    expect(callOf({ 'mlflow.spanType': '"LLM"', 'mlflow.spanInputs': '{"model": "claude-sonnet-4-5", "system": "Be terse."}', 'mlflow.spanOutputs': JSON.stringify(outputs) })).toMatchObject({
      request_model: 'claude-sonnet-4-5',
      response_model: 'claude-sonnet-4-5-20250929',
      response_id: 'msg_1',
      finish_reason: 'stop',
      input_tokens: 100,
      cache_read_tokens: 90,
      is_empty: false,
    });
  });

  it('does not add the cached tokens that MLflow has added', () => {
    expect(callOf({ ...chat, 'mlflow.chat.tokenUsage': '{"input_tokens": 100, "output_tokens": 5, "total_tokens": 105, "cache_read_input_tokens": 90}' })).toMatchObject({ input_tokens: 100, flags: [] });
  });

  it('answers with text alone, which may be empty', () => {
    expect(callOf({ ...chat, 'mlflow.spanOutputs': '"{\\"id\\": 1}"', 'mlflow.spanInputs': '{"response_format": {"type": "json_object"}}' })).toMatchObject({ response_id: null, is_empty: false, is_format_valid: true });
    expect(callOf({ ...chat, 'mlflow.spanOutputs': '""' })).toMatchObject({ is_empty: true });
  });

  it.each([
    ['EMBEDDING', 'embeddings'],
    ['LLM', 'chat'],
  ])('%s is a call', (type, operation) => {
    expect(callOf({ 'mlflow.spanType': JSON.stringify(type) })).toMatchObject({ operation, response_model: null });
  });

  it.each([
    ['AGENT', 'agent'],
    ['my_own_type', 'wrapper'],
    ['TOOL', 'tool'],
    ['RERANKER', 'retrieval'],
    ['MEMORY', 'memory'],
    ['EVALUATOR', 'evaluator'],
    ['PARSER', 'not_an_llm_call'],
  ])('%s is none', (type, reason) => {
    expect(relativeOf({ 'mlflow.spanType': JSON.stringify(type), 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({ reason });
  });

  it('reads the span of another library that MLflow has marked', () => {
    expect(callOf({ 'mlflow.traceRequestId': '"tr-1"', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({ operation: 'chat', request_model: 'gpt-4o' });
  });
});

it('reads hostile spans without a throw, and makes nothing up', () => {
  const keys = ['mlflow.spanType', 'mlflow.linkedPrompts', 'mlflow.spanInputs', 'mlflow.spanOutputs', 'mlflow.chat.tokenUsage', 'mlflow.llm.model', 'mlflow.llm.cost', 'mlflow.llm.provider', 'model', 'stream', 'id'];
  fc.assert(fc.property(attributeBag(keys), fc.constantFrom('"LLM"', '"EMBEDDING"', '"CHAIN"', '"'), (bag, type) => expectNothingMadeUp({ 'mlflow.spanType': type, ...bag })));
});
