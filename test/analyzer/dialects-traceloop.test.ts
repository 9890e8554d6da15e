import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { traceloop, traceloopPrompt } from '../../analyzer/dialects/traceloop.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { readSpans } from '../golden/captures.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { callOf, relativeOf, span, STARTED_MS } from './spans.ts';

describe('the capture traceloop-python', () => {
  const capture = normaliseCapture('traceloop-python', ['006-traces.bin']);

  it('has exactly the calls that were made: no workflow, no task, no request of the SDK itself', () => {
    expectTheCallsThatWereMade(capture);
    expect(new Set([...capture.calls.values()].map(({ dialect }) => dialect))).toEqual(new Set(['traceloop', 'anthropic_sdk']));
    expect(new Set(capture.relatives.map(({ reason }) => reason))).toEqual(new Set(['wrapper', 'not_an_llm_call']));
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    const call = capture.calls.get(wire.span_id);
    expectWhatIsOnTheWire(call, wire);
    if (call?.dialect === 'traceloop' && !call.is_error) expect(call.is_empty).toBe(false);
  });

  it('names registered prompts, with the label that pointed at them; an external one has a version only', () => {
    const named = [...capture.calls.values()].filter(({ prompt_version }) => prompt_version === '1' || prompt_version === '2');
    expect(new Set(named.map(({ prompt_name, prompt_version, prompt_label }) => `${prompt_name}@${prompt_version} ${prompt_label}`))).toEqual(new Set(['support-answer@1 release-1', 'support-answer@2 release-2']));
    const external = readSpans('traceloop-python', '006-traces.bin').filter(({ span }) => span.attributes.get('traceloop.prompt.managed') === 'False');
    expect(external).toHaveLength(2);
    for (const { span, ...where } of external) {
      expect(traceloopPrompt(span.attributes, new Set())).toMatchObject({ prompt_name: null, prompt_version_source: 'explicit', prompt_label: null });
      expect(traceloop.read({ ...where, span, flags: new Set() })).toMatchObject({ inference: { prompt_text: { template: span.attributes.get('traceloop.prompt.template') } } });
    }
  });
});

describe('prompts', () => {
  const read = (attributes: Record<string, AttributeValue>) => traceloopPrompt(new Map(Object.entries(attributes)), new Set());

  it('lose the key that the SDK left behind (golden case 8c)', () => {
    const stale = { 'traceloop.prompt.key': 'A', 'traceloop.prompt.version_name': 'prod', 'traceloop.prompt.version_hash': 'abc' };
    expect(read({ ...stale, 'traceloop.prompt.version': '9', 'traceloop.prompt.managed': 'False' })).toMatchObject({ prompt_name: null, prompt_version: '9', prompt_label: null });
    expect(read({ ...stale, 'traceloop.prompt.managed': false })).toBeNull();
    expect(read({ ...stale, 'traceloop.prompt.version': 9, 'traceloop.prompt.managed': true })).toMatchObject({ prompt_name: 'A', prompt_version: '9', prompt_version_source: 'explicit' });
  });

  it('have a hash where they have no version', () => {
    expect(read({ 'traceloop.prompt.key': 'A', 'traceloop.prompt.version_hash': '5bb3f938' })).toMatchObject({ prompt_name: 'A', prompt_version: '5bb3f938', prompt_version_source: 'hash' });
  });

  it('are not the messages of old spans', () => {
    expect(read({ 'gen_ai.prompt.0.content': 'v7', 'gen_ai.prompt.0.role': 'user' })).toBeNull();
  });
});

describe('generations', () => {
  const flattened = {
    'llm.request.type': 'chat',
    'gen_ai.system': 'OpenAI',
    'gen_ai.request.model': 'gpt-4o',
    'gen_ai.prompt.0.role': 'system',
    'gen_ai.prompt.0.content': 'You are terse.',
    'gen_ai.completion.0.content': 'Monday.',
    'gen_ai.completion.0.finish_reason': 'stop',
  };

  it('of JavaScript and of Python until 2025', () => {
    const call = callOf(
      {
        ...flattened,
        'gen_ai.response.model': 'gpt-4o-2024-08-06',
        'gen_ai.usage.prompt_tokens': '54',
        'gen_ai.usage.completion_tokens': 33,
        'llm.usage.total_tokens': 87,
        'llm.is_streaming': true,
        'traceloop.prompt.key': 'support-answer',
        'traceloop.prompt.version': 2,
        'traceloop.association.properties.session_id': 's-1',
        'gen_ai.usage.cache_read_input_tokens': 20,
      },
      { name: 'openai.chat' },
    );
    expect(call).toMatchObject({ dialect: 'traceloop', operation: 'chat', provider: 'openai', response_model: 'gpt-4o-2024-08-06', input_tokens: 54, output_tokens: 33, cache_read_tokens: 20, finish_reason: 'stop', is_stream: true, prompt_name: 'support-answer', prompt_version: '2', session_id: 's-1', is_empty: false });
    const source = { resource: new Map(), scope: { name: '', version: '', attributes: new Map() }, span: span(flattened), flags: new Set<string>() };
    expect(traceloop.read(source)).toMatchObject({ inference: { prompt_text: { system: 'You are terse.' } } });
  });

  it.each([
    [{ chat_id: 'chat-1', user_id: 'u' }, 'chat-1'],
    [{ chatId: 'chat-1' }, 'chat-1'],
    [{ thread_id: 't-1', chat_id: 'chat-1' }, 't-1'],
    [{ chat_id: 'chat-1', session_id: 's-1' }, 's-1'],
    [{ ticket_id: '7' }, null],
  ])('whose association properties are %o has the session %s', (properties, session_id) => {
    expect(callOf({ ...flattened, ...Object.fromEntries(Object.entries(properties).map(([key, value]) => [`traceloop.association.properties.${key}`, value])) })).toMatchObject({ session_id });
  });

  it('of 2023, before there were conventions', () => {
    const call = callOf(
      {
        'llm.vendor': 'Anthropic',
        'llm.request.type': 'completion',
        'llm.request.model': 'claude-2',
        'llm.response.model': 'claude-2',
        'llm.usage.prompt_tokens': 10,
        'llm.usage.completion_tokens': 5,
        'llm.completions.0.content': '',
        'llm.completions.0.finish_reason': 'stop_sequence',
      },
      { name: 'anthropic.completion' },
    );
    expect(call).toMatchObject({ operation: 'text_completion', provider: 'anthropic', request_model: 'claude-2', response_model: 'claude-2', input_tokens: 10, output_tokens: 5, finish_reason: 'stop', is_empty: true });
  });

  it('of Python leave an empty answer out, and keep its role', () => {
    const { 'gen_ai.completion.0.content': _, ...silent } = flattened;
    expect(callOf({ ...silent, 'gen_ai.completion.0.role': 'assistant' })).toMatchObject({ is_empty: true });
    expect(callOf(silent)).toMatchObject({ is_empty: null });
  });

  it('answer with a tool call and no text', () => {
    expect(callOf({ ...flattened, 'gen_ai.completion.0.content': '', 'gen_ai.completion.0.tool_calls.0.name': 'f' })).toMatchObject({ is_empty: false });
  });

  it('take LangChain for the framework that it is', () => {
    expect(callOf({ ...flattened, 'gen_ai.system': 'Langchain' })).toMatchObject({ provider: 'openai' });
  });
});

describe('kinds', () => {
  const said = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 10 };

  it.each([
    [{ 'traceloop.span.kind': 'workflow', 'gen_ai.operation.name': 'chat' }, 'wrapper', 10],
    [{ 'traceloop.span.kind': 'agent' }, 'agent', 10],
    [{ 'traceloop.span.kind': 'tool' }, 'tool', undefined],
    [{ 'llm.request.type': 'rerank' }, 'retrieval', undefined],
    [{ 'traceloop.workflow.name': 'w', 'gen_ai.operation.name': 'execute_task' }, 'wrapper', 10],
  ])('%o', (attributes, reason, input_tokens) => {
    const relative = relativeOf({ ...said, ...attributes });
    expect(relative.reason).toBe(reason);
    expect(relative.candidate?.input_tokens).toBe(input_tokens);
  });

  it('"unknown" says nothing', () => {
    expect(callOf({ ...said, 'traceloop.span.kind': 'unknown', 'llm.request.type': 'embedding' })).toMatchObject({ operation: 'embeddings' });
  });

  it('has its first token where the first chunk came', () => {
    const at = (ms: number) => ({ name: 'llm.content.completion.chunk', time_ns: BigInt(STARTED_MS + ms) * 1_000_000n, attributes: new Map() });
    expect(callOf({ ...said, 'llm.request.type': 'chat' }, { events: [at(200), at(150), at(300)] })).toMatchObject({ ttft_ms: 150, is_stream: true });
  });
});

describe('hostile spans', () => {
  const keys = ['traceloop.span.kind', 'llm.request.type', 'traceloop.prompt.key', 'traceloop.prompt.version', 'traceloop.prompt.version_hash', 'traceloop.prompt.version_name', 'traceloop.prompt.managed', 'gen_ai.request.model', 'gen_ai.system', 'gen_ai.usage.prompt_tokens', 'llm.usage.completion_tokens', 'gen_ai.completion.0.content', 'gen_ai.completion.0.tool_calls.0.name', 'llm.response.finish_reason', 'gen_ai.operation.name', 'gen_ai.output.messages'];

  it('are read without a throw, and nothing is made up', () => {
    fc.assert(fc.property(attributeBag(keys), fc.constantFrom('chat', 'completion', 'embedding', 'rerank', ''), (bag, type) => expectNothingMadeUp({ 'llm.request.type': type, ...bag })));
  });
});
