import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { createNormaliser, type NormalisedSpan, type NormaliserSettings } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { AttributeValue, OtlpEvent, OtlpLogRecord, OtlpSpan } from '../../schemas/otlp.ts';

/** Spans and records to change one thing of: what a test does not name is an unremarkable call of one second. */
export const STARTED_MS = Date.UTC(2026, 5, 1, 8, 30);
const STARTED_NS = BigInt(STARTED_MS) * 1_000_000n;
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
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
