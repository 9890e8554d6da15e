import { describe, expect, it } from 'vitest';
import type { LlmCall } from '../../schemas/call.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { callOf, normalise, span } from './spans.ts';

const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
const said = (content: unknown) => JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content }], finish_reason: 'stop' }]);
const answered = (output: AttributeValue, more: Record<string, AttributeValue> = {}) => callOf({ ...chat, 'gen_ai.output.messages': output, ...more });

describe('is_empty', () => {
  it.each<[string, AttributeValue, boolean | null]>([
    ['text', said('Hello'), false],
    ['blank text', said(' \n'), true],
    ['no text', said(''), true],
    ['text that is null', said(null), true],
    ['no messages', '[]', true],
    ['a message without parts', JSON.stringify([{ role: 'assistant', parts: [] }]), true],
    ['a tool call', JSON.stringify([{ role: 'assistant', parts: [{ type: 'tool_call', name: 'weather', arguments: {} }] }]), false],
    ['an image', JSON.stringify([{ role: 'assistant', parts: [{ type: 'blob', mime_type: 'image/png' }] }]), false],
    ['text that was not captured', JSON.stringify([{ role: 'assistant', parts: [{ type: 'text' }] }]), null],
    ['a message that was not captured', JSON.stringify([{ role: 'assistant', finish_reason: 'stop' }]), null],
    ['chat completions form', JSON.stringify([{ role: 'assistant', content: 'Hello' }]), false],
    ['chat completions form, empty', JSON.stringify([{ role: 'assistant', content: null }]), true],
    ['chat completions form with a tool call', JSON.stringify([{ role: 'assistant', content: null, tool_calls: [{ id: 'c' }] }]), false],
    ['one message', JSON.stringify({ role: 'assistant', parts: [{ type: 'text', content: 'Hello' }] }), false],
    ['JSON in JSON', JSON.stringify(said('')), true],
    ['text that is no JSON', 'Hello', false],
    ['a structured message', [new Map<string, AttributeValue>([['parts', [new Map([['type', 'text'], ['content', '']])]]])], true],
    ['a number', 7, null],
    ['bytes', new Uint8Array([1]), null],
  ])('%s', (_what, output, expected) => {
    expect(answered(output).is_empty).toBe(expected);
  });

  it('is not asked of embeddings, of failures, or without output', () => {
    expect(callOf(chat).is_empty).toBeNull();
    expect(answered('[]', { 'gen_ai.operation.name': 'embeddings' }).is_empty).toBeNull();
    expect(answered('[]', { 'error.type': 'timeout' })).toMatchObject({ is_empty: null, is_error: true });
  });

  it('reads the answer of older generations', () => {
    const event = { name: 'gen_ai.content.completion', time_ns: 0n, attributes: new Map([['gen_ai.completion', '[{"role":"assistant","content":""}]']]) };
    expect(callOf(chat, { events: [event] }).is_empty).toBe(true);
    expect(callOf({ ...chat, 'gen_ai.completion': '[{"role":"assistant","content":"Hi"}]' }).is_empty).toBe(false);
  });
});

describe('is_format_valid', () => {
  const json = { 'gen_ai.output.type': 'json' };

  it.each<[string, AttributeValue, boolean | null]>([
    ['an object', said('{"a": 1}'), true],
    ['an object among blanks', said('\n{"a": 1}\n'), true],
    ['an object in a fence', said('```json\n{"a": 1}\n```'), false],
    ['an object after a word', said('Sure: {"a": 1}'), false],
    ['an object that is cut off', said('{"a": '), false],
    ['nothing', said(''), false],
    ['a tool call', JSON.stringify([{ parts: [{ type: 'tool_call' }] }]), null],
    ['two choices, one bad', JSON.stringify([{ parts: [{ type: 'text', content: '{}' }] }, { parts: [{ type: 'text', content: '{' }] }]), false],
    ['text in two parts', JSON.stringify([{ parts: [{ type: 'text', content: '{"a":' }, { type: 'text', content: '1}' }] }]), true],
    ['text that was not captured', JSON.stringify([{ parts: [{ type: 'text' }] }]), null],
  ])('%s', (_what, output, expected) => {
    expect(answered(output, json).is_format_valid).toBe(expected);
    expect(answered(output).is_format_valid).toBeNull();
  });

  it.each<[string, AttributeValue, boolean | null]>([
    ['openai.request.response_format', 'json_schema', false],
    ['openai.request.response_format', 'json_object', false],
    ['gen_ai.openai.request.response_format', 'json_object', false],
    ['openai.request.response_format', 'text', null],
    ['gen_ai.output.type', 'text', null],
  ])('%s = %s asks for JSON or does not', (key, value, expected) => {
    expect(answered(said('no JSON'), { [key]: value }).is_format_valid).toBe(expected);
  });
});

describe('content', () => {
  it('is not in the record', () => {
    const call = answered(said('the launch code is 0000'), { 'gen_ai.input.messages': said('what is the launch code?') });
    expect(JSON.stringify(call)).not.toContain('launch');
  });

  it('beyond the limit is not read, and flagged', () => {
    const limited = (output: AttributeValue): LlmCall | null => {
      const result = normalise(span({ ...chat, 'gen_ai.output.messages': output }), { maxTextBytes: 200 });
      return result.kind === 'call' ? result.call : null;
    };
    expect(limited(said('x'.repeat(100)))).toMatchObject({ is_empty: false, flags: [] });
    expect(limited(said('x'.repeat(300)))).toMatchObject({ is_empty: null, flags: ['content_over_limit'] });
    expect(limited(said('é'.repeat(100)))).toMatchObject({ is_empty: null, flags: ['content_over_limit'] });
    expect(limited([new Map([['content', 'x'.repeat(300)]])])).toMatchObject({ is_empty: null, flags: ['content_over_limit'] });
    expect(answered('['.repeat(200_000)).is_empty).toBe(false);
  });

  it('gives the finish reason where the span has none', () => {
    expect(answered(said('Hello')).finish_reason).toBe('stop');
    expect(answered(said('Hello'), { 'gen_ai.response.finish_reasons': ['length'] }).finish_reason).toBe('length');
  });
});
