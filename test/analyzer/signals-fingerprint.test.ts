import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../analyzer/signals/fingerprint.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { readSpans } from '../golden/captures.ts';
import { callOf, normalise } from './spans.ts';

const LIMIT = 256 * 1024;
const of = (system: AttributeValue | undefined, template?: AttributeValue) => fingerprintOf({ template, system }, LIMIT, new Set());
const sha = (messages: unknown) => createHash('sha256').update(JSON.stringify(messages)).digest('hex').slice(0, 16);
const TERSE = `s:${sha([{ role: 'system', content: 'You are terse.' }])}`;
const json = JSON.stringify;

describe('a system prompt', () => {
  it.each<[string, AttributeValue]>([
    ['text', 'You are terse.'],
    ['parts as JSON', json([{ type: 'text', content: 'You are terse.' }])],
    ['structured parts', [new Map([['type', 'text'], ['content', 'You are terse.']])]],
    ['messages of 1.37', json([{ role: 'system', parts: [{ type: 'text', content: 'You are terse.' }] }, { role: 'user', parts: [] }])],
    ['messages of the chat API', json([{ role: 'developer', content: 'You are terse.' }, { role: 'user', content: 'Hi "}{\\"' }])],
    ['messages with parts of the chat API', json([{ role: 'System', content: [{ type: 'text', text: 'You are terse.' }] }])],
    ['a system message that is not the first', json([{ role: 'user', content: 'Hi' }, { role: 'system', content: 'You are terse.' }, { role: 'system', content: 'Or not.' }])],
    ['JSON text of JSON text', json(json([{ role: 'system', content: 'You are terse.' }]))],
    ['a request', json({ model: 'x', messages: [{ role: 'system', content: 'You are terse.' }] })],
    ['a request with a system field', json({ system: 'You are terse.', messages: [{ role: 'user', content: 'Hi' }] })],
    ['other line ends and blanks', '\r\n\n  \nYou are terse.  \t\r\n \n'],
  ])('has one fingerprint, as %s', (_shape, value) => {
    expect(of(value)).toBe(TERSE);
  });

  it('is another when a word, a line or the inner blanks change', () => {
    const all = ['You are terse.', 'You are terse!', ' You are terse.', 'You are  terse.', 'You are\nterse.', 'You are\n\nterse.', 'You are terse. {{date}}'].map((text) => of(text));
    expect(new Set(all).size).toBe(all.length);
    expect(of('caf\u00e9')).toBe(of('cafe\u0301'));
  });

  it.each<[string, AttributeValue | undefined]>([
    ['nothing', undefined],
    ['null', null],
    ['blanks', ' \n '],
    ['a number', 7],
    ['bytes', new Uint8Array([1])],
    ['an empty list', '[]'],
    ['a conversation without one', json([{ role: 'user', content: 'How do I run a "system" check?' }])],
    ['a message whose content was not captured', json([{ role: 'system' }])],
    ['an image', json([{ role: 'system', parts: [{ type: 'blob', content: 'x' }] }])],
    ["a user's text where messages belong", new Map([['messages', 'How do I get a refund?']])],
    ["a user's JSON where messages belong", new Map([['messages', '{"question":"How?"}']])],
  ])('has none where there is %s', (_case, value) => {
    expect(of(value)).toBeNull();
  });

  it('that is JSON of another kind is a text', () => {
    expect(of('{"answer": "always in JSON"}')).toBe(`s:${sha([{ role: 'system', content: '{"answer": "always in JSON"}' }])}`);
    expect(of('[not JSON')).toBe(`s:${sha([{ role: 'system', content: '[not JSON' }])}`);
  });
});

describe('a template', () => {
  it('keeps its placeholders, and wins over the system prompt that it became', () => {
    expect(of('You are terse. It is Monday.', 'You are terse. It is {{day}}.')).toBe(`t:${sha([{ role: '', content: 'You are terse. It is {{day}}.' }])}`);
    const chat = [{ role: 'system', content: 'You are terse.' }, { role: 'user', content: '{{question}}' }];
    expect(of(undefined, json(chat))).toBe(`t:${sha(chat)}`);
    expect(of('You are terse.', '')).toBe(TERSE);
  });
});

describe('limits', () => {
  it('has none for a text past the limit, and says so', () => {
    const flags = new Set<string>();
    expect(fingerprintOf({ template: undefined, system: 'x'.repeat(65) }, 64, flags)).toBeNull();
    expect([...flags]).toEqual(['content_over_limit']);
  });

  it('reads the system message of a conversation that is past the limit', () => {
    const long = json([{ role: 'system', content: 'You are terse.' }, { role: 'user', content: 'x'.repeat(2_000_000) }]);
    expect(of(long)).toBe(TERSE);
  });

  it.each([
    ['blanks inside a line', `a${' '.repeat(5_000_000)}b`],
    ['quotes', `[{"role":"${'\\"'.repeat(2_000_000)}`],
    ['backslashes', `[{"role":"${'\\'.repeat(5_000_000)}"}]`],
    ['brackets', '['.repeat(5_000_000)],
    ['braces', `[${'{'.repeat(5_000_000)}`],
    ['lines', '\n'.repeat(250_000)],
  ])('is done at once with millions of %s', (_case, text) => {
    const begun = process.cpuUsage();
    fingerprintOf({ template: text, system: text }, 8_000_000, new Set());
    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1e6).toBeLessThan(4);
  });
});

describe('on the wire of the OpenTelemetry dialects', () => {
  const base = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
  it.each<[string, Record<string, AttributeValue>]>([
    ['1.37, system instructions', { 'gen_ai.system_instructions': json([{ type: 'text', content: 'You are terse.' }]), 'gen_ai.input.messages': json([{ role: 'user', parts: [{ type: 'text', content: 'Hi' }] }]) }],
    ['1.37, input messages', { 'gen_ai.input.messages': json([{ role: 'system', parts: [{ type: 'text', content: 'You are terse.' }] }]) }],
    ['flattened', { 'gen_ai.prompt.0.role': 'system', 'gen_ai.prompt.0.content': 'You are terse.', 'gen_ai.prompt.1.role': 'user', 'gen_ai.prompt.1.content': 'Hi' }],
    ['1.27', { 'gen_ai.prompt': json([{ role: 'system', content: 'You are terse.' }]) }],
  ])('%s', (_generation, attributes) => {
    expect(callOf({ ...base, ...attributes, 'gen_ai.prompt.name': 'a', 'gen_ai.prompt.version': '1' })).toMatchObject({ prompt_version: '1', prompt_fingerprint: TERSE });
  });

  it('takes no question of a user for one', () => {
    expect(callOf({ ...base, 'gen_ai.prompt': 'How do I get a refund?' }).prompt_fingerprint).toBeNull();
    expect(callOf({ ...base, 'gen_ai.prompt.0.role': 'user', 'gen_ai.prompt.0.content': 'How?' }).prompt_fingerprint).toBeNull();
  });

  it('is that of the text which the clients of a capture sent', () => {
    const found = readSpans('otel-genai-openai', '003-traces.bin').flatMap(({ span }) => {
      const read = normalise(span);
      const carries = JSON.stringify([...span.attributes]).includes('You are a support agent for a small online shop.');
      return read.kind === 'call' ? [{ carries, fingerprint: read.call.prompt_fingerprint }] : [];
    });
    const expected = `s:${sha([{ role: 'system', content: 'You are a support agent for a small online shop.' }])}`;
    expect(found.filter(({ carries }) => carries).length).toBeGreaterThan(5);
    for (const { carries, fingerprint } of found) expect(fingerprint).toBe(carries ? expected : null);
  });
});
