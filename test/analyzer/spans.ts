import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createNormaliser, type NormalisedSpan, type NormaliserSettings } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { AttributeValue, OtlpEvent, OtlpLogRecord, OtlpSpan } from '../../schemas/otlp.ts';

/** Spans and records to change one thing of: what a test does not name is an unremarkable call of one second. */
export const STARTED_MS = Date.UTC(2026, 5, 1, 8, 30);
const STARTED_NS = BigInt(STARTED_MS) * 1_000_000n;
export const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

type Wire = Readonly<Record<string, AttributeValue>>;

export function span(attributes: Wire, changed: Partial<OtlpSpan> = {}): OtlpSpan {
  return {
    trace_id: TRACE_ID,
    span_id: SPAN_ID,
    parent_span_id: null,
    name: '',
    kind: 3,
    start_ns: STARTED_NS,
    end_ns: STARTED_NS + 1_000_000_000n,
    attributes: new Map(Object.entries(attributes)),
    events: [],
    links: [],
    status_code: 0,
    status_message: '',
    ...changed,
  };
}

export function record(attributes: Wire, changed: Partial<OtlpLogRecord> = {}): OtlpLogRecord {
  return {
    time_ns: STARTED_NS,
    observed_time_ns: STARTED_NS,
    event_name: 'gen_ai.evaluation.result',
    trace_id: TRACE_ID,
    span_id: SPAN_ID,
    severity_number: 0,
    body: null,
    attributes: new Map(Object.entries(attributes)),
    ...changed,
  };
}

export const context = { project: 'p', received_ms: STARTED_MS + 2000 };
export const scope = { name: 'a-library', version: '1', attributes: new Map() };

export function normalise(input: OtlpSpan, settings: Partial<NormaliserSettings> = {}, resource: Wire = {}, scopeName = scope.name): NormalisedSpan {
  return createNormaliser({ stratumAttributes: [], ...settings }).span(context, new Map(Object.entries(resource)), { ...scope, name: scopeName }, input);
}

/** What is made of spans of one library, told by its scope. */
export function readerOf(scopeName: string) {
  const read = (attributes: Wire, changed: Partial<OtlpSpan>): NormalisedSpan => normalise(span(attributes, changed), {}, {}, scopeName);
  return {
    call(attributes: Wire, changed: Partial<OtlpSpan> = {}): LlmCall {
      const result = read(attributes, changed);
      return result.kind === 'call' ? result.call : expect.fail(`no call: ${result.reason}`);
    },
    relative(attributes: Wire, changed: Partial<OtlpSpan> = {}): Extract<NormalisedSpan, { kind: 'relative' }> {
      const result = read(attributes, changed);
      return result.kind === 'relative' ? result : expect.fail('a call, and none was expected');
    },
  };
}

/** The fingerprint of a system prompt: `signals/fingerprint.ts` says over what. */
export function systemFingerprint(content: string): string {
  return `s:${createHash('sha256').update(JSON.stringify([{ role: 'system', content }])).digest('hex').slice(0, 16)}`;
}

export function event(name: string, attributes: Wire): OtlpEvent {
  return { name, time_ns: STARTED_NS, attributes: new Map(Object.entries(attributes)) };
}

/** The call in a span, given whole or by its attributes. */
export function callOf(input: Wire | OtlpSpan, changed: Partial<OtlpSpan> = {}): LlmCall {
  const result = normalise(isSpan(input) ? input : span(input, changed));
  if (result.kind !== 'call') return expect.fail(`no call: ${result.reason}`);
  return result.call;
}

export function relativeOf(input: Wire | OtlpSpan, changed: Partial<OtlpSpan> = {}): Extract<NormalisedSpan, { kind: 'relative' }> {
  const result = normalise(isSpan(input) ? input : span(input, changed));
  if (result.kind !== 'relative') return expect.fail('a call, and none was expected');
  return result;
}

function isSpan(input: Wire | OtlpSpan): input is OtlpSpan {
  return 'start_ns' in input;
}

/** The same in a scope of its own, which tells many dialects apart. */
export function normaliseIn(scopeName: string, attributes: Wire, changed: Partial<OtlpSpan> = {}): NormalisedSpan {
  return createNormaliser({ stratumAttributes: [] }).span(context, new Map(), { ...scope, name: scopeName }, span(attributes, changed));
}

export function callIn(scopeName: string, attributes: Wire, changed: Partial<OtlpSpan> = {}): LlmCall {
  const result = normaliseIn(scopeName, attributes, changed);
  return result.kind === 'call' ? result.call : expect.fail(`no call: ${result.reason}`);
}

export function relativeIn(scopeName: string, attributes: Wire, changed: Partial<OtlpSpan> = {}): Extract<NormalisedSpan, { kind: 'relative' }> {
  const result = normaliseIn(scopeName, attributes, changed);
  return result.kind === 'relative' ? result : expect.fail('a call, and none was expected');
}

/** Anything that OTLP can carry, among it what SDKs really write: JSON, JSON of JSON, Python literals, cut text. */
const anyValue: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string(),
  fc.json(),
  fc.json().map((json) => JSON.stringify(json)),
  fc.json().map((json) => json.replaceAll('"', "'").replaceAll('null', 'None').replaceAll('true', 'True')),
  fc.tuple(fc.json(), fc.nat(20)).map(([json, cut]) => json.slice(0, cut)),
  fc.constantFrom('generation', 'llm', 'chain', 'tool', 'chat', 'invoke_agent', 'ERROR', 'ai.generateText.doGenerate', "{'prompt_name': 'p'", '[{"role":"assistant"}]', '{"choices":[{}]}', '{"name":null}'),
  fc.double(),
  fc.integer(),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 8 }),
  fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.double(), fc.constant(null))).map((members) => new Map(Object.entries(members))),
);

/**
 * Reads random spans of a dialect's keys: none makes it throw, and a version is on the call only if one of `versions` (keys
 * whose value is one, or JSON or a Python literal that holds one) is on the wire.
 */
export function anySpanOf(scopeName: string, { keys, versions }: { keys: readonly string[]; versions: readonly string[] }): void {
  const bag = (names: readonly string[]) => fc.dictionary(fc.constantFrom(...names), anyValue, { maxKeys: 8 });
  const name = fc.constantFrom('', 'chat gpt-4o', 'litellm_request', 'raw_gen_ai_request', 'ai.generateText.doGenerate');

  it('reads any span of its keys, and makes up no version', () => {
    fc.assert(
      fc.property(bag(keys), bag(versions), name, (attributes, versioned, spanName) => {
        const plain = normaliseIn(scopeName, attributes, { name: spanName });
        expect((plain.kind === 'call' ? plain.call : plain.relative).prompt_version).toBeNull();
        const result = normaliseIn(scopeName, { ...attributes, ...versioned }, { name: spanName });
        const { prompt_version, prompt_version_source } = result.kind === 'call' ? result.call : result.relative;
        const wire = inspect(versioned).toLowerCase();
        if (prompt_version === null) return;
        expect(wire).toContain(prompt_version.replace(/^label:/, '').slice(0, 1).toLowerCase());
        expect(prompt_version_source).not.toBe('none');
      }),
      { numRuns: 400 },
    );
  });
}
