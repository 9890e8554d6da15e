import { describe, expect, it } from 'vitest';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, relativeIn, STARTED_MS } from './spans.ts';

describe.each(['langfuse-python-v3', 'langfuse-python-v5'])('the capture %s', (client) => {
  describeCapture({ client, dialect: 'langfuse' });

  it('knows which answers were empty, and counts a tool call as an answer', () => {
    const calls = normalisedCapture(client).flatMap((result) => (result.kind === 'call' ? [result.call] : []));
    expect(calls.filter((call) => call.operation === 'chat' && !call.is_error).map((call) => call.is_empty)).not.toContain(null);
    expect(calls.some((call) => call.is_empty === true)).toBe(false);
  });

  it('takes the reported cost', () => {
    const costs = normalisedCapture(client).flatMap((result) => (result.kind === 'call' && result.call.cost_source === 'reported' ? [result.call.cost_usd] : []));
    expect(costs).toContain(0.00063);
  });
});

const scope = 'langfuse-sdk';
const generation = { 'langfuse.observation.type': 'generation', 'langfuse.observation.model.name': 'gpt-4o-2024-08-06' };
const usage = (details: object) => callIn(scope, { ...generation, 'langfuse.observation.usage_details': JSON.stringify(details) });

describe('usage details', () => {
  it('are summed where they are buckets (golden case 8)', () => {
    expect(usage({ input: 10, input_cached_tokens: 90, output: 5, output_reasoning_tokens: 15, total: 120 })).toMatchObject({
      input_tokens: 100,
      output_tokens: 20,
      cache_read_tokens: 90,
      reasoning_tokens: 15,
    });
  });

  it('are inclusive where they are OpenAI\'s own (golden case 8b)', () => {
    const openai = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, prompt_tokens_details: { cached_tokens: 90 } };
    expect(usage(openai)).toMatchObject({ input_tokens: 100, output_tokens: 20, cache_read_tokens: 90, flags: [] });
    expect(usage({ input_tokens: 100, output_tokens: 20, input_tokens_details: { cached_tokens: 90 } })).toMatchObject({ input_tokens: 100, cache_read_tokens: 90 });
  });

  it('as the JS wrapper of OpenAI flattens them', () => {
    const js = { input: 39, output: 33, total: 111, input_cached_tokens: 39, input_audio_tokens: 0, output_reasoning_tokens: 0, output_audio_tokens: 0 };
    expect(usage(js)).toMatchObject({ input_tokens: 78, output_tokens: 33, cache_read_tokens: 39, flags: [] });
  });

  it('do not count overlapping buckets twice, nor cache writes', () => {
    expect(usage({ input: 10, input_cache_creation_5m: 5, input_cache_creation_1h: 7, input_modality_text: 10, output: 2 })).toMatchObject({ input_tokens: 22, cache_write_tokens: 12 });
  });

  it('that are none are flagged, and nothing else is lost', () => {
    expect(callIn(scope, { ...generation, 'langfuse.observation.usage_details': 'many' })).toMatchObject({ input_tokens: null, request_model: 'gpt-4o-2024-08-06', flags: ['attribute_unreadable'] });
  });

  it('that were cut have what was whole in them', () => {
    expect(callIn(scope, { ...generation, 'langfuse.observation.usage_details': '{"input": 12, "output": 3' })).toMatchObject({ input_tokens: 12, output_tokens: null });
  });
});

describe('a generation', () => {
  const startedISO = new Date(STARTED_MS + 420).toISOString();

  it.each([startedISO, `"${startedISO}"`, `"\\"${startedISO}\\""`, startedISO.replace('Z', '000+00:00'), startedISO.replace('Z', '')])('has its first token at %s', (time) => {
    expect(callIn(scope, { ...generation, 'langfuse.observation.completion_start_time': time })).toMatchObject({ ttft_ms: 420 });
  });

  it('of a JS client fails by its level alone', () => {
    const failed = callIn(scope, { ...generation, 'langfuse.observation.model.name': 'gpt-4o', 'langfuse.observation.level': 'ERROR', 'langfuse.observation.status_message': 'Error: 429' });
    expect(failed).toMatchObject({ is_error: true, status_message: 'Error: 429', request_model: 'gpt-4o', response_model: null });
    expect(callIn(scope, { ...generation, 'langfuse.observation.level': 'WARNING' })).toMatchObject({ is_error: false });
  });

  it('of a JS client that streams says so in its parameters', () => {
    expect(callIn(scope, { ...generation, 'langfuse.observation.model.parameters': '{"stream":true,"response_format":""}' })).toMatchObject({ is_stream: true });
  });

  it.each([
    ['{"role":"assistant","content":""}', { is_empty: true }],
    ['', { is_empty: true }],
    ['{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]}', { is_empty: false }],
    ['[{"type":"reasoning","summary":[]},{"type":"function_call","name":"f","arguments":"{}"}]', { is_empty: false }],
    ['[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hello"}]}]', { is_empty: false }],
    ['{"answer": 42}', { is_empty: false, is_format_valid: true }],
    ['the answer is 42', { is_empty: false, is_format_valid: false }],
  ])('that answered %s', (output, expected) => {
    const asked = { ...generation, 'langfuse.observation.output': output, 'langfuse.observation.metadata.response_format': '{"type":"json_object"}' };
    expect(callIn(scope, asked)).toMatchObject(expected);
  });

  it('of a JS client that is an embedding is one, and its answer not empty', () => {
    expect(callIn(scope, { ...generation, 'langfuse.observation.model.name': 'text-embedding-3-small', 'langfuse.observation.output': '' })).toMatchObject({ operation: 'embeddings', is_empty: null });
  });

  it('belongs to an experiment where the SDK ran one', () => {
    expect(callIn(scope, { ...generation, 'langfuse.experiment.id': 'e' })).toMatchObject({ is_experiment: true });
    expect(callIn(scope, { ...generation, 'langfuse.environment': 'sdk-experiment' })).toMatchObject({ is_experiment: true, environment: 'sdk-experiment' });
    expect(callIn(scope, generation)).toMatchObject({ is_experiment: false });
  });

  it('that somebody else wrote in Langfuse\'s words is one too, whatever it calls its operation', () => {
    expect(callIn('my-tracer', { ...generation, 'gen_ai.operation.name': 'invoke_agent' })).toMatchObject({ dialect: 'langfuse', operation: 'chat' });
  });
});

describe('what is no generation', () => {
  it.each([
    ['span', 'not_an_llm_call'],
    ['event', 'not_an_llm_call'],
    ['agent', 'agent'],
    ['chain', 'wrapper'],
    ['tool', 'tool'],
    ['retriever', 'retrieval'],
    ['evaluator', 'evaluator'],
  ])('%s', (type, reason) => {
    const prompt = { 'langfuse.observation.prompt.name': 'checkout', 'langfuse.observation.prompt.version': 3 };
    expect(relativeIn(scope, { 'langfuse.observation.type': type, ...prompt })).toMatchObject({ reason, candidate: null, relative: { prompt_name: 'checkout', prompt_version: '3' } });
  });

  it('may stand for its generations where it says what they used', () => {
    const agent = relativeIn(scope, { ...generation, 'langfuse.observation.type': 'agent', 'langfuse.observation.usage_details': '{"input":10,"output":2}' });
    expect(agent).toMatchObject({ reason: 'agent', candidate: { request_model: 'gpt-4o-2024-08-06', input_tokens: 10, output_tokens: 2 } });
  });
});

anySpanOf('langfuse-sdk', {
  keys: [
    'langfuse.observation.type', 'langfuse.observation.model.name', 'langfuse.observation.usage_details', 'langfuse.observation.cost_details', 'langfuse.observation.completion_start_time',
    'langfuse.observation.level', 'langfuse.observation.output', 'langfuse.observation.input', 'langfuse.observation.metadata', 'langfuse.observation.metadata.finish_reason',
    'langfuse.observation.metadata.response_format', 'langfuse.observation.model.parameters', 'langfuse.observation.prompt.name', 'langfuse.prompt.name',
  ],
  versions: ['langfuse.observation.prompt.version', 'langfuse.prompt.version', 'langfuse_prompt_version'],
});
