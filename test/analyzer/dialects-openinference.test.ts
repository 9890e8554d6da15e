import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openInference, openInferencePrompt } from '../../analyzer/dialects/openinference.ts';
import { readSpans } from '../golden/captures.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { callOf, normalise, relativeOf, span } from './spans.ts';

const captures = [
  { client: 'openinference-openai-python', files: ['001-traces.bin', '002-traces.bin'] },
  { client: 'openinference-openai-python-genai', files: ['001-traces.bin'] },
  { client: 'openinference-anthropic-python', files: ['001-traces.bin'] },
];

describe.each(captures)('the capture $client', ({ client, files }) => {
  const capture = normaliseCapture(client, files);

  it('has exactly the calls that were made', () => {
    expectTheCallsThatWereMade(capture);
    const dialects = new Set([...capture.calls.values()].map(({ dialect }) => dialect));
    expect(dialects).toEqual(new Set(client.includes('anthropic') ? ['openinference', 'anthropic_sdk'] : ['openinference']));
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    expectWhatIsOnTheWire(capture.calls.get(wire.span_id), wire);
  });

  it('sees that every answer was there', () => {
    const answered = [...capture.calls.values()].filter(({ dialect, operation, is_error, response_id }) => dialect === 'openinference' && operation === 'chat' && !is_error && response_id !== null);
    expect(answered.length).toBeGreaterThan(4);
    expect(answered.map(({ is_empty }) => is_empty)).toEqual(answered.map(() => false));
  });
});

describe('prompts', () => {
  it('have a version, and an id where the application says one', () => {
    const spans = captures.slice(0, 1).flatMap(({ client, files }) => files.flatMap((file) => readSpans(client, file)));
    const read = (name: string) => openInferencePrompt(spans.find(({ span }) => span.name === name)?.span.attributes ?? new Map(), new Set());
    expect(read('my-llm')).toMatchObject({ prompt_name: 'support-answer', prompt_version: 'v2', prompt_version_source: 'explicit', prompt_attribution: 'direct' });
    expect(read('Response')).toMatchObject({ prompt_name: null, prompt_version: 'v2' });
    expect(read('handle_ticket')).toBeNull();
  });

  it('are not what LangChain calls "unknown", nor an id that other software writes', () => {
    expect(openInferencePrompt(new Map([['llm.prompt_template.version', 'unknown'], ['llm.prompt_template.template', 'Hi {name}']]), new Set())).toBeNull();
    expect(openInferencePrompt(new Map([['prompt.id', '7f1e4206']]), new Set())).toBeNull();
  });

  it('give their text to the fingerprint', () => {
    const source = (file: string) => readSpans('openinference-openai-python', file).find(({ span }) => span.attributes.has('llm.prompt_template.template'));
    const first = source('001-traces.bin');
    const reading = first === undefined ? null : openInference.read({ ...first, flags: new Set() });
    expect(reading).toMatchObject({
      inference: { prompt_text: { template: 'You are a support agent. Answer: {question}', system: 'You are a support agent for a small online shop.' } },
    });
  });
});

describe('kinds', () => {
  const said = { 'llm.model_name': 'gpt-4o', 'llm.token_count.prompt': 10, 'llm.token_count.completion': 2 };

  it('beat the operation that is stated', () => {
    expect(relativeOf({ ...said, 'openinference.span.kind': 'CHAIN', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({
      reason: 'wrapper',
      candidate: { dialect: 'openinference', response_model: 'gpt-4o', input_tokens: 10 },
    });
    expect(callOf({ ...said, 'openinference.span.kind': 'LLM', 'gen_ai.operation.name': 'invoke_agent' })).toMatchObject({ operation: 'chat', response_model: 'gpt-4o' });
  });

  it.each([
    ['TOOL', 'tool'],
    ['RETRIEVER', 'retrieval'],
    ['RERANKER', 'retrieval'],
    ['EVALUATOR', 'evaluator'],
    ['GUARDRAIL', 'not_an_llm_call'],
    ['PROMPT', 'not_an_llm_call'],
    ['DECISION', 'not_an_llm_call'],
    ['tool', 'tool'],
  ])('%s', (kind, reason) => {
    expect(relativeOf({ ...said, 'openinference.span.kind': kind })).toMatchObject({ reason, candidate: null });
  });

  it('of a wrapper that says nothing make it stand for nothing', () => {
    expect(relativeOf({ 'openinference.span.kind': 'AGENT', 'output.value': '{"id": "chatcmpl-1", "choices": [{}]}' })).toMatchObject({ reason: 'agent', candidate: null });
  });

  it('are seen where an older version states none', () => {
    const scope = { name: '@arizeai/openinference-instrumentation-openai', version: '1', attributes: new Map() };
    const kinds = (attributes: Record<string, string>) => openInference.read({ resource: new Map(), scope, span: span(attributes), flags: new Set() }).kind;
    expect(openInference.matches({ resource: new Map(), scope, span: span({}), flags: new Set() })).toBe(true);
    expect(kinds({ 'llm.model_name': 'gpt-4o' })).toBe('inference');
    expect(kinds({ 'embedding.model_name': 'text-embedding-3-small' })).toBe('inference');
    expect(kinds({})).toBe('relative');
  });
});

describe('JavaScript', () => {
  const stream = {
    'openinference.span.kind': 'LLM',
    'llm.provider': 'openai',
    'llm.model_name': 'gpt-4o',
    'llm.invocation_parameters': '{"model":"gpt-4o","stream":true,"response_format":{"type":"json_object"}}',
    'output.mime_type': 'text/plain',
    'output.value': '{"id": "order-17", "choices": ["a"]}',
  };

  it('has only the text of a stream, which may itself be JSON with an id', () => {
    expect(callOf(stream)).toMatchObject({ request_model: 'gpt-4o', response_model: 'gpt-4o', response_id: null, is_stream: true, is_empty: false, is_format_valid: true });
    expect(callOf({ ...stream, 'output.value': '```json\n{}\n```' })).toMatchObject({ is_format_valid: false });
    expect(callOf({ ...stream, 'output.value': '' })).toMatchObject({ is_empty: true });
    expect(callOf({ 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o', 'output.value': 'assistant: Hi' })).toMatchObject({ is_empty: false });
  });

  it('reads a response of Anthropic, Gemini, Bedrock, LangChain', () => {
    const of = (output: unknown) => callOf({ 'openinference.span.kind': 'LLM', 'output.mime_type': 'application/json', 'output.value': JSON.stringify(output) });
    expect(of({ id: 'msg_1', model: 'claude-sonnet-4-5', role: 'assistant', content: [{ type: 'text', text: 'Hi' }], stop_reason: 'max_tokens', usage: { input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 3 } })).toMatchObject({
      response_id: 'msg_1',
      response_model: 'claude-sonnet-4-5',
      finish_reason: 'length',
      input_tokens: 100,
      is_empty: false,
    });
    expect(of({ candidates: [{ content: { parts: [{ text: '' }] }, finishReason: 'SAFETY' }], responseId: 'g-1', modelVersion: 'gemini-2.5-pro', usageMetadata: { promptTokenCount: 8, candidatesTokenCount: 2, thoughtsTokenCount: 30 } })).toMatchObject({
      response_id: 'g-1',
      response_model: 'gemini-2.5-pro',
      finish_reason: 'content_filter',
      output_tokens: 32,
      reasoning_tokens: 30,
      is_empty: true,
    });
    expect(of({ output: { message: { role: 'assistant', content: [{ toolUse: { name: 'f' } }] } }, stopReason: 'tool_use', usage: { inputTokens: 5, outputTokens: 1, cacheReadInputTokens: 20 } })).toMatchObject({ finish_reason: 'tool_call', input_tokens: 25, is_empty: false });
    const generation = { text: 'Hi', message: { kwargs: { content: 'Hi', id: 'run-1', response_metadata: { model_name: 'gpt-4o-2024-08-06', id: 'chatcmpl-7', finish_reason: 'stop' } } } };
    const stream = { 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o', 'llm.invocation_parameters': '{"model": "gpt-4o"}', 'output.value': JSON.stringify({ generations: [[generation]] }) };
    expect(callOf(stream)).toMatchObject({ request_model: 'gpt-4o', response_model: 'gpt-4o-2024-08-06' });
    expect(of({ generations: [[generation]], llm_output: null })).toMatchObject({ response_id: 'chatcmpl-7', response_model: 'gpt-4o-2024-08-06', finish_reason: 'stop', is_empty: false });
    expect(of({ id: 'resp_1', object: 'response', status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [{ type: 'reasoning' }] })).toMatchObject({ response_id: 'resp_1', finish_reason: 'length', is_empty: false });
  });

  it('takes no id from an answer that only looks like one', () => {
    const answer = { 'openinference.span.kind': 'LLM', 'output.mime_type': 'application/json', 'output.value': '{"id": 7, "model": "bicycle"}', 'llm.model_name': 'gpt-4o' };
    expect(callOf(answer)).toMatchObject({ response_id: null, response_model: 'gpt-4o' });
  });
});

describe('values', () => {
  const llm = { 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o' };
  const exception = { name: 'exception', time_ns: 0n, attributes: new Map([['exception.type', 'TimeoutError']]) };

  it('costs, in one sum or two', () => {
    expect(callOf({ ...llm, 'llm.cost.total': 0.5 })).toMatchObject({ cost_usd: 0.5, cost_source: 'reported' });
    expect(callOf({ ...llm, 'llm.cost.prompt': 0.25, 'llm.cost.completion': '0.5' })).toMatchObject({ cost_usd: 0.75, cost_source: 'reported' });
  });

  it('fails by an exception alone, and not by one that was handled', () => {
    expect(callOf(llm, { status_code: 1, events: [exception] })).toMatchObject({ is_error: true, error_type: 'TimeoutError', request_model: 'gpt-4o', response_model: null });
    expect(callOf({ ...llm, 'llm.finish_reason': 'stop' }, { status_code: 1, events: [exception] })).toMatchObject({ is_error: false, response_model: 'gpt-4o' });
  });

  it('says nothing of content that was hidden', () => {
    expect(callOf({ ...llm, 'llm.output_messages.0.message.role': 'assistant', 'llm.output_messages.0.message.content': '__REDACTED__' })).toMatchObject({ is_empty: null });
    expect(callOf({ ...llm, 'output.mime_type': 'text/plain', 'output.value': '__REDACTED__' })).toMatchObject({ is_empty: null });
    expect(callOf({ ...llm, 'llm.output_messages.0.message.role': 'assistant', 'llm.output_messages.0.message.tool_calls.0.tool_call.function.name': 'f' })).toMatchObject({ is_empty: false });
    expect(callOf({ ...llm, 'llm.prompts.0.prompt.text': 'Once', 'llm.choices.0.completion.text': ' ' })).toMatchObject({ operation: 'text_completion', is_empty: true });
  });
});

describe('judgements', () => {
  it('stand on the span that they judge', () => {
    const { relatives } = normaliseCapture('openinference-openai-python', ['001-traces.bin']);
    const ticket = relatives.find(({ scores }) => scores.length > 0);
    expect(ticket?.scores).toMatchObject([
      { name: 'helpfulness', value: 0.87, label: 'helpful', explanation: 'answers the question', trace_id: ticket?.relative.trace_id, span_id: ticket?.relative.span_id },
      { name: 'thumbs', value: 1, label: 'up', span_id: ticket?.relative.span_id },
    ]);
  });

  it('of a carrier are of the span that it is linked to, whole traces of its trace', () => {
    const link = { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16), attributes: new Map() };
    const carrier = normalise(
      span(
        {
          'openinference.span.kind': 'EVALUATOR',
          'annotations.0.annotation.name': 'tone',
          'annotations.0.annotation.score': 0.5,
          'annotations.0.annotation.annotator_kind': 'HUMAN',
          'trace.evaluations.0.evaluation.name': 'solved',
          'trace.evaluations.0.evaluation.label': 'pass',
          'annotations.1.annotation.score': 1,
        },
        { links: [link] },
      ),
    );
    expect(carrier.kind).toBe('relative');
    expect(carrier.scores).toMatchObject([
      { name: 'tone', value: 0.5, trace_id: link.trace_id, span_id: link.span_id },
      { name: 'solved', value: 1, trace_id: link.trace_id, span_id: null },
    ]);
  });
});

describe('hostile spans', () => {
  const keys = ['openinference.span.kind', 'llm.model_name', 'llm.response.model_name', 'llm.invocation_parameters', 'output.value', 'output.mime_type', 'llm.token_count.prompt', 'llm.finish_reason', 'llm.output_messages.0.message.content', 'llm.output_messages.0.message.contents.0.message_content.text', 'llm.input_messages.0.message.role', 'llm.prompt_template.version', 'prompt.id', 'evaluations.0.evaluation.name', 'evaluations.0.evaluation.score', 'llm.cost.total', 'embedding.invocation_parameters'];
  const kinds = ['LLM', 'EMBEDDING', 'CHAIN', 'EVALUATOR', 'UNKNOWN', ''];

  it('are read without a throw, and nothing is made up', () => {
    fc.assert(fc.property(attributeBag(keys), fc.constantFrom(...kinds), (bag, kind) => expectNothingMadeUp({ 'openinference.span.kind': kind, ...bag })));
  });
});

describe('what LangChain made of the response, where the span has sums only (until 2025)', () => {
  const answered = (usage: string) => `{"generations": [[{"text": "Hi", "generation_info": {"finish_reason": "stop"}, "message": {"kwargs": {"content": "Hi", "usage_metadata": ${usage}}}}]]}`;
  const read = (attributes: Record<string, number | string>, usage: string) => callOf({ 'openinference.span.kind': 'LLM', 'llm.model_name': 'm', ...attributes, 'output.value': answered(usage) });

  it('tells the parts of them', () => {
    const usage = '{"input_tokens": 100, "output_tokens": 9, "input_token_details": {"cache_read": 40}, "output_token_details": {"reasoning": 4}}';
    expect(read({ 'llm.token_count.prompt': 100, 'llm.token_count.completion': 9 }, usage)).toMatchObject({ input_tokens: 100, cache_read_tokens: 40, output_tokens: 9, reasoning_tokens: 4, flags: [] });
  });

  it('shows that the sum is without the cached tokens', () => {
    const usage = '{"input_tokens": 100, "output_tokens": 9, "input_token_details": {"cache_read": 20, "cache_creation": 10}}';
    expect(read({ 'llm.token_count.prompt': 70, 'llm.token_count.completion': 9 }, usage)).toMatchObject({ input_tokens: 100, cache_read_tokens: 20, cache_write_tokens: 10, flags: ['tokens_adjusted'] });
  });
});
