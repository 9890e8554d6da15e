import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalText, createContentKeeper, type CallContent } from '../../analyzer/signals/content.ts';
import { createRedaction, patternFault } from '../../schemas/redaction.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { createNormaliser } from '../../analyzer/normalise.ts';
import { readCapture, readSpans } from '../golden/captures.ts';
import { normalise, span } from './spans.ts';

const unchanged = (text: string): string => text;
const stored = (redact = unchanged, maxTextBytes = 1_000) => createContentKeeper({ mode: 'stored', redact, maxTextBytes });
const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.provider.name': 'openai' };
const contentOf = (attributes: Record<string, AttributeValue>, keepContent = stored()): CallContent | null => normalise(span({ ...chat, ...attributes }), { keepContent }).content;

describe('content', () => {
  it('is read from nothing unless somebody keeps it', () => {
    expect(normalise(span({ ...chat, 'gen_ai.input.messages': 'hello' })).content).toBeNull();
  });

  it('is null where there are no messages', () => {
    expect(contentOf({})).toBeNull();
  });

  it.each<[string, Record<string, AttributeValue>, string | null, string | null]>([
    ['conventions', { 'gen_ai.input.messages': '[{"role":"user"}]', 'gen_ai.output.messages': '[]' }, '[{"role":"user"}]', '[]'],
    ['conventions with a system prompt', { 'gen_ai.input.messages': '["u"]', 'gen_ai.system_instructions': '["s"]' }, '{"gen_ai.input.messages":"[\\"u\\"]","gen_ai.system_instructions":"[\\"s\\"]"}', null],
    ['up to 1.36', { 'gen_ai.prompt': 'ask', 'gen_ai.completion': 'answer' }, 'ask', 'answer'],
    ['one key a field', { 'gen_ai.prompt.name': 'refund', 'gen_ai.prompt.0.content': 'ask', 'gen_ai.prompt.0.role': 'user', 'gen_ai.completion.0.content': 'answer' }, '{"gen_ai.prompt.0.content":"ask","gen_ai.prompt.0.role":"user"}', '{"gen_ai.completion.0.content":"answer"}'],
    ['OpenInference', { 'input.value': 'ask', 'output.value': 'answer', 'llm.input_messages.0.message.content': 'ask' }, 'ask', 'answer'],
    ['Langfuse', { 'langfuse.observation.input': '{"b":1,"a":2}', 'langfuse.observation.output': '"answer"' }, '{"a":2,"b":1}', 'answer'],
    ['the AI SDK', { 'ai.prompt.messages': '[]', 'ai.response.text': 'answer', 'ai.response.toolCalls': '[]' }, '[]', '{"ai.response.text":"answer","ai.response.toolCalls":"[]"}'],
    ['MLflow', { 'mlflow.spanInputs': '{}', 'mlflow.spanOutputs': '{}' }, '{}', '{}'],
    ['Promptfoo', { 'promptfoo.request.body': 'ask', 'promptfoo.response.body': 'answer' }, 'ask', 'answer'],
  ])('is found where %s puts it', (_, attributes, input, output) => {
    expect(contentOf(attributes)).toEqual({ mode: 'stored', input, output, over_limit: [] });
  });

  it('is found in the events of the first generation', () => {
    const event = (name: string, key: string, value: string) => ({ name, time_ns: 1n, attributes: new Map([[key, value]]) });
    const events = [event('gen_ai.content.prompt', 'gen_ai.prompt', 'ask'), event('gen_ai.content.completion', 'gen_ai.completion', 'answer')];
    expect(normalise(span(chat, { events }), { keepContent: stored() }).content).toMatchObject({ input: 'ask', output: 'answer' });
  });

  it('is there for every answered call of a capture with content', () => {
    const normaliser = createNormaliser({ stratumAttributes: [], keepContent: stored(unchanged, 256 * 1024) });
    const found = readSpans('otel-genai-openai', '003-traces.bin').flatMap(({ resource, scope, span: captured }) => {
      const read = normaliser.span({ project: 'p', received_ms: 0 }, resource, scope, captured);
      return read.kind === 'call' && !read.call.is_error && read.call.operation !== 'embeddings' ? [read.content] : [];
    });
    expect(found.length).toBe(readCapture('otel-genai-openai').calls.filter((call) => !call.is_error && call.operation !== 'embeddings').length);
    for (const content of found) expect([content?.input, content?.output].map((text) => typeof text)).toEqual(['string', 'string']);
  });

  it('is not kept where it is longer than the limit: a cut secret is no longer recognised', () => {
    expect(contentOf({ 'input.value': 'x'.repeat(1_001), 'output.value': 'é'.repeat(501) })).toEqual({ mode: 'stored', input: null, output: null, over_limit: ['input', 'output'] });
  });

  it('is only a hash where hashes are wanted, the same for the same messages however they are written', () => {
    const keep = createContentKeeper({ mode: 'hashed', redact: unchanged, maxTextBytes: 1_000 });
    const structured: AttributeValue = [new Map<string, AttributeValue>([['role', 'user'], ['content', 'hi']])];
    const text = '[ {"content": "hi", "role":"user"} ]';
    const inputs = [structured, text, JSON.stringify(text)].map((value) => contentOf({ 'gen_ai.input.messages': value }, keep)?.input);
    expect(new Set(inputs)).toEqual(new Set([createHash('sha256').update('[{"content":"hi","role":"user"}]').digest('hex')]));
  });
});

describe('redaction', () => {
  const redact = createRedaction(['[\\w.+-]+@[\\w-]+\\.[\\w.]+', '\\b(?:\\d[ -]?){13,16}\\b', '(?i)secret\\s+\\w+']);

  it('takes out what matches, in texts, in names of fields and in numbers, and leaves JSON that is JSON', () => {
    const messages = { 'to bob@example.com': [{ text: 'Card 4111 1111 1111 1111, SECRET "sauce"\nsecret\tword', card: 4111111111111111, tokens: 12 }] };
    const text = canonicalText(JSON.stringify(messages), redact) ?? '';
    expect(JSON.parse(text)).toEqual({ 'to [redacted]': [{ text: 'Card [redacted], SECRET "sauce"\n[redacted]', card: '[redacted]', tokens: 12 }] });
  });

  it('puts in the same words whatever they mean to a regular expression', () => {
    expect(createRedaction(['(a)(b)'])('xaby $1')).toBe('x[redacted]y $1');
  });

  it('goes before the hash', () => {
    const keep = createContentKeeper({ mode: 'hashed', redact, maxTextBytes: 1_000 });
    expect(contentOf({ 'input.value': 'mail bob@example.com' }, keep)).toEqual(contentOf({ 'input.value': 'mail eve@example.org' }, keep));
  });

  it.each(['(a+)+$', '(x+x+)+y', '([a-zA-Z]+)*!', '(.*a){12}'])('takes time in proportion to the text for %s, which makes a backtracking engine run for ever', (pattern) => {
    expect(patternFault(pattern)).toBeNull();
    const began = performance.now();
    createRedaction([pattern])(`${'a'.repeat(100_000)}\n!`);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it.each(['a(', '(?<=x)y', '(a)\\1', 'a*', '\\b', '^', '(a{1000}){1000}', ''])('refuses %j', (pattern) => {
    expect(patternFault(pattern)).toMatch(/; /);
  });
});

describe('canonical text', () => {
  it('survives every value, and is the same when made again', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withMap: true, withTypedArray: true }), (value) => {
        const text = canonicalText(value as AttributeValue, unchanged);
        if (typeof value === 'string' || text === null || text === undefined) return;
        expect(typeof text).toBe('string');
      }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = canonicalText(JSON.stringify(value), unchanged) ?? '';
        expect(canonicalText(text, unchanged)).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('is none of what is nested beyond reason', () => {
    expect(canonicalText('['.repeat(100_000) + ']'.repeat(100_000), unchanged)).toBeNull();
  });
});
