import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logfirePrompt, pydanticAi } from '../../analyzer/dialects/pydantic-ai.ts';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { callOf, context, span } from './spans.ts';

const scope = (name: string) => ({ name, version: '2', attributes: new Map() });
const read = (attributes: Record<string, AttributeValue>, changed = {}) => pydanticAi.read({ resource: new Map(), scope: scope('pydantic-ai'), span: span(attributes, changed), flags: new Set() });

describe('the capture pydantic-ai-logfire', () => {
  const capture = normaliseCapture('pydantic-ai-logfire', ['001-traces.bin', '002-traces.bin']);

  it('has exactly the calls that were made: no run of an agent, no tool', () => {
    expectTheCallsThatWereMade(capture);
    expect(new Set([...capture.calls.values()].map(({ dialect }) => dialect))).toEqual(new Set(['pydantic_ai', 'anthropic_sdk']));
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    const call = capture.calls.get(wire.span_id);
    expectWhatIsOnTheWire(call, wire);
    expect(call?.prompt_name).toBe(wire.prompt_name);
    if (call?.dialect === 'pydantic_ai' && !wire.is_error) expect(call.is_empty).toBe(false);
  });

  it('lets a run stand for its calls, with the sum of their tokens', () => {
    const runs = capture.relatives.filter(({ candidate }) => candidate !== null);
    expect(runs).toHaveLength(9);
    expect(new Set(runs.map(({ candidate }) => candidate?.operation))).toEqual(new Set(['invoke_agent']));
    const sum = (side: 'input_tokens' | 'output_tokens') => runs.reduce((total, { candidate }) => total + (candidate?.[side] ?? 0), 0);
    const ofCalls = (side: 'input_tokens' | 'output_tokens') => [...capture.calls.values()].reduce((total, call) => total + (call.dialect === 'pydantic_ai' ? (call[side] ?? 0) : 0), 0);
    expect([sum('input_tokens'), sum('output_tokens')]).toEqual([ofCalls('input_tokens'), ofCalls('output_tokens')]);
    expect(runs.every(({ candidate }) => candidate?.request_model !== null)).toBe(true);
  });
});

describe('older versions', () => {
  it('wrote the sum of a run under the keys of a call, and named its span "agent run"', () => {
    expect(read({ model_name: 'gpt-4o', agent_name: 'a', 'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 5 }, { name: 'agent run' })).toMatchObject({
      reason: 'agent',
      aggregate: { request_model: 'gpt-4o', usage: { input: 100, output: 5 } },
    });
    expect(read({ 'gen_ai.tool.name': 'f' }, { name: 'running tool' })).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  });

  it('kept reasoning tokens and messages elsewhere', () => {
    const events = JSON.stringify([{ 'event.name': 'gen_ai.system.message', content: 'Be terse.' }, { 'event.name': 'gen_ai.choice', index: 0, message: { role: 'assistant' } }]);
    expect(read({ 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 5, 'gen_ai.usage.details.reasoning_tokens': 1, events })).toMatchObject({
      inference: { usage: { reasoning: 1 }, prompt_text: { system: 'Be terse.' } },
    });
  });

  it('log an error without a status', () => {
    const failed = { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' };
    expect(read({ ...failed, 'logfire.level_num': 17 })).toMatchObject({ inference: { error: { type: null } } });
    expect(read({ ...failed, 'logfire.level_num': 13 })).toMatchObject({ inference: { error: null } });
  });
});

it('reads what Logfire writes of a provider, once for each stream', () => {
  const openai = (attributes: Record<string, AttributeValue>) => createNormaliser({ stratumAttributes: [] }).span(context, new Map(), scope('logfire.openai'), span(attributes, { name: "Chat Completion with 'gpt-4o'" }));
  const request = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', request_data: '{"model": "gpt-4o", "stream": true}', 'logfire.span_type': 'span' };
  const data = JSON.stringify({ message: { role: 'assistant', content: '' }, usage: { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } } });
  expect(openai({ ...request, response_data: data })).toMatchObject({ kind: 'call', call: { dialect: 'pydantic_ai', operation: 'chat', is_stream: true, input_tokens: 10, output_tokens: 2, cache_read_tokens: 4, is_empty: true } });
  expect(openai({ ...request, response_data: data, 'logfire.span_type': 'log' })).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  // A stream's span ends with the head of the response; what came is told by a log at its end, with the time that it took.
  expect(openai(request)).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  const end = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', request_data: '{"model": "gpt-4o"}', 'logfire.span_type': 'log', duration: 0.25, 'gen_ai.response.id': 'chatcmpl-1', 'gen_ai.usage.output_tokens': 7 };
  expect(openai(end)).toMatchObject({ kind: 'call', call: { is_stream: true, duration_ms: 250, response_id: 'chatcmpl-1', output_tokens: 7 } });
  // Until it has answered, nothing says that it is a call but what was asked.
  const { 'gen_ai.system': _, ...failed } = request;
  const error = { status_code: 2, status_message: 'RateLimitError: 429' };
  expect(createNormaliser({ stratumAttributes: [] }).span(context, new Map(), scope('logfire.openai'), span(failed, { name: 'Chat Completion with {request_data[model]!r}', ...error }))).toMatchObject({
    kind: 'call',
    call: { is_error: true, provider: 'openai', request_model: 'gpt-4o', operation: 'chat' },
  });
  const events = JSON.stringify([{ 'event.name': 'gen_ai.user.message', content: 'Hi' }, { 'event.name': 'gen_ai.choice', index: 0, message: { role: 'assistant', content: 'Hello' } }]);
  expect(openai({ ...request, events })).toMatchObject({ call: { is_empty: false } });
});

describe('managed prompts', () => {
  const prompt = (attributes: Record<string, AttributeValue>) => logfirePrompt(new Map(Object.entries(attributes)), new Set());

  it('have a label, and a version where a stored one answered', () => {
    expect(prompt({ 'logfire.variables.prompt__greet': 'production', 'logfire.variables.prompt__greet.version': '3' })).toMatchObject({
      prompt_name: 'greet',
      prompt_version: '3',
      prompt_version_source: 'explicit',
      prompt_label: 'production',
      prompt_attribution: 'direct',
    });
  });

  it('may have a label only (golden case 12)', () => {
    expect(prompt({ 'logfire.variables.prompt__greet': '<code_default>' })).toMatchObject({ prompt_name: 'greet', prompt_version: null, prompt_version_source: 'none', prompt_label: '<code_default>' });
  });

  it('are ambiguous where several are open, and no other variable counts', () => {
    expect(prompt({ 'logfire.variables.prompt__a': 'x', 'logfire.variables.prompt__b': 'y' })).toMatchObject({ prompt_attribution: 'ambiguous' });
    expect(prompt({ 'logfire.variables.prompt__a': 'x', 'logfire.variables.model': 'y' })).toMatchObject({ prompt_name: 'a', prompt_attribution: 'direct' });
    expect(prompt({ 'logfire.variables.model': 'y', 'logfire.variables.prompt__a.version': '1' })).toBeNull();
  });
});

it('takes no scrubbed session for a session, which all calls would share', () => {
  const call = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' };
  expect(callOf({ ...call, 'session.id': "[Scrubbed due to 'session']", 'prompt.name': '__REDACTED__' })).toMatchObject({ session_id: null, prompt_name: null });
});

it('takes feedback for a judgement of the span above it', () => {
  const feedback = span({ 'logfire.feedback.name': 'helpful', helpful: false, 'logfire.feedback.comment': 'wrong order' }, { parent_span_id: 'c'.repeat(16) });
  const result = createNormaliser({ stratumAttributes: [] }).span(context, new Map(), scope('logfire.feedback'), feedback);
  expect(result).toMatchObject({ kind: 'relative', reason: 'evaluator' });
  expect(result.scores).toMatchObject([{ name: 'helpful', value: 0, data_type: 'boolean', explanation: 'wrong order', span_id: 'c'.repeat(16) }]);
});

it('reads hostile spans without a throw, and makes nothing up', () => {
  const keys = ['logfire.variables.prompt__a', 'logfire.variables.prompt__a.version', 'logfire.variables.prompt__b', 'prompt.name', 'prompt.version', 'gen_ai.request.model', 'gen_ai.system', 'operation.cost', 'logfire.level_num', 'gen_ai.output.messages', 'response_data', 'request_data', 'events', 'logfire.span_type'];
  fc.assert(
    fc.property(attributeBag(keys), (bag) => {
      expectNothingMadeUp({ 'gen_ai.operation.name': 'chat', ...bag });
      expect(read(bag)).toHaveProperty('kind');
      expect(pydanticAi.scores?.({ resource: new Map(), scope: scope('logfire.feedback'), span: span({ 'logfire.feedback.name': 'prompt.name', ...bag }), flags: new Set() })).toHaveLength(1);
    }),
  );
});
