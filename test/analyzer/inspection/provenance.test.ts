import { describe, expect, it } from 'vitest';
import { sourcesOf, type Facts, type Probe } from '../../../analyzer/inspection/provenance.ts';
import { probesOfSpan, type SpanSubject } from '../../../analyzer/inspection/probes.ts';
import { createInspection, type Finding } from '../../../analyzer/inspection/inspection.ts';
import { createNormaliser } from '../../../analyzer/normalise.ts';
import type { AttributeValue, OtlpSpan } from '../../../schemas/otlp.ts';
import { readAgent } from '../../golden/agents.ts';
import { readCapture, readSpans } from '../../golden/captures.ts';
import { record, scope, span } from '../spans.ts';

type Fields = Readonly<Record<string, AttributeValue>>;

/** A reader of attributes that a test writes: its own little dialect. */
function trace(attributes: Fields, facts: (wire: ReadonlyMap<string, AttributeValue>) => Record<string, string | number | boolean | null>, identity: readonly string[] = []): Record<string, readonly string[]> {
  const subject: SpanSubject = { resource: new Map(), scope, span: span(attributes) };
  const factsOf = (read: SpanSubject): Facts => new Map(Object.entries(facts(read.span.attributes)).flatMap(([field, value]) => (value === null ? [] : [[field, value] as const])));
  return Object.fromEntries(sourcesOf(subject, { facts: factsOf, identity }, probesOfSpan(subject) ?? []));
}

const text = (value: AttributeValue | undefined): string | null => (typeof value === 'string' ? value : null);

describe('the source of a field', () => {
  it('is the key that is read, also where another key holds the same value', () => {
    const read = trace({ new: 'v1', old: 'v1' }, (wire) => ({ version: text(wire.get('new')) ?? text(wire.get('old')) }));
    expect(read).toEqual({ version: ['new'] });
  });

  it('is found where only the presence of a key counts', () => {
    expect(trace({ output: 'words', other: 'x' }, (wire) => ({ is_empty: wire.has('output') ? false : null }))).toEqual({ is_empty: ['output'] });
  });

  it('names the leaf inside JSON text, and inside JSON text that JSON text holds', () => {
    const member = (wire: ReadonlyMap<string, AttributeValue>, key: string): unknown => JSON.parse(text(wire.get(key)) ?? '');
    const read = trace(
      { metadata: JSON.stringify({ user: 'u', prompt: { name: 'refund' } }), linked: JSON.stringify(JSON.stringify([{ name: 'a', version: '3' }])) },
      (wire) => ({
        name: (member(wire, 'metadata') as { prompt: { name: string } }).prompt.name,
        version: (JSON.parse(member(wire, 'linked') as string) as [{ version: string }])[0].version,
      }),
    );
    expect(read).toEqual({ name: ['metadata → prompt.name'], version: ['linked → [0].version'] });
  });

  it('names the member of a dict that Python printed, also where another key holds the same', () => {
    const nameIn = (dict: string | null): string | null => /'prompt_name': '([^']*)'/.exec(dict ?? '')?.[1] ?? null;
    const dict = "{'user': 'u', 'prompt_name': 'refund', 'n': 3, 'more': None}";
    expect(trace({ first: dict, second: dict }, (wire) => ({ name: nameIn(text(wire.get('first'))) ?? nameIn(text(wire.get('second'))) }))).toEqual({ name: ['first → prompt_name'] });
  });

  it('is every key that goes into a sum', () => {
    expect(trace({ input: 3, cached: 4n, note: 'x' }, (wire) => ({ tokens: Number(wire.get('input')) + Number(wire.get('cached')) }))).toEqual({ tokens: ['input', 'cached'] });
  });

  it('credits a key that makes something else of the span with just that', () => {
    const read = trace({ kind: 'llm', model: 'm' }, (wire) => (wire.get('kind') === 'llm' ? { what: 'call', model: text(wire.get('model')) } : { what: 'tool' }), ['what']);
    expect(read).toEqual({ what: ['kind'], model: ['model'] });
  });

  it.each<[string, AttributeValue]>([
    ['a number as text', '12'], ['a fraction', 0.12], ['zero', 0], ['infinity', -Infinity], ['a large integer', 2n ** 60n], ['true', true], ['bytes', Uint8Array.of(1)],
    ['an array', ['stop', 'stop']], ['a kvlist', new Map([['a', 'b']])], ['long text', 'x'.repeat(300_000)],
  ])('is found for %s', (_, value) => {
    const shown = (wire: ReadonlyMap<string, AttributeValue>): string | null => {
      const found = wire.get('key');
      return found === undefined ? null : found instanceof Map ? JSON.stringify([...found]) : found instanceof Uint8Array ? found.join() : typeof found === 'string' ? found.slice(0, 256) : typeof found === 'bigint' ? found.toString() : JSON.stringify(found);
    };
    expect(Object.keys(trace({ key: value, other: 'x' }, (wire) => ({ field: shown(wire) })))).toEqual(['field']);
    expect(trace({ key: value }, (wire) => ({ field: shown(wire) }))['field']?.[0]).toMatch(/^key/);
  });
});

describe('probes', () => {
  it('are not made of a span that would take a thousand readings', () => {
    const wide = Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`key.${index}`, index]));
    expect(probesOfSpan({ resource: new Map(), scope, span: span(wide) })).toBeNull();
  });

  it('survive every value that the wire can hold, and change nothing of the subject', () => {
    const attributes: Fields = { a: null, b: [], c: new Map(), d: '{"a":', e: '[[[[1]]]]', f: '"', g: new Uint8Array(), h: ['x', null, [1n, new Map([['k', true]])]], i: '', j: Number.NaN, k: '{"__proto__":{"a":1}}' };
    const subject: SpanSubject = { resource: new Map(Object.entries(attributes)), scope, span: span(attributes, { events: [{ name: 'exception', time_ns: 1n, attributes: new Map(Object.entries(attributes)) }], links: [{ trace_id: 'a', span_id: 'b', attributes: new Map() }] }) };
    const before = structuredClone(subject);
    const run = (probe: Probe<SpanSubject>): void => {
      probe.changed();
      probe.removed();
      for (const inner of probe.inner()) run(inner);
    };
    for (const probe of probesOfSpan(subject) ?? []) run(probe);
    expect(subject).toEqual(before);
  });
});

/** What the wire has, by hand: see the README of the captures. */
const KEYS: Readonly<Record<string, string>> = {
  prompt_name: 'gen_ai.prompt.name',
  prompt_version: 'gen_ai.prompt.version',
  request_model: 'gen_ai.request.model',
  response_model: 'gen_ai.response.model',
  response_id: 'gen_ai.response.id',
  operation: 'gen_ai.operation.name',
  input_tokens: 'gen_ai.usage.input_tokens',
  output_tokens: 'gen_ai.usage.output_tokens',
  cache_read_tokens: 'gen_ai.usage.cache_read.input_tokens',
  finish_reason: 'gen_ai.response.finish_reasons',
  is_stream: 'gen_ai.request.stream',
  ttft_ms: 'gen_ai.response.time_to_first_chunk',
  error_type: 'error.type',
  session_id: 'session.id',
  user_id: 'user.id',
  environment: 'resource deployment.environment.name',
  service_name: 'resource service.name',
};

describe.each([
  { client: 'otel-openai-v2', provider: ['gen_ai.system'] },
  { client: 'otel-openai-v2-latest', provider: ['gen_ai.provider.name'] },
  { client: 'otel-genai-openai', provider: ['gen_ai.provider.name'] },
  { client: 'otel-openai-node', provider: ['gen_ai.system', 'gen_ai.provider.name'] },
])('inspection of the capture $client', ({ client, provider }) => {
  const { calls: expected } = readCapture(client);
  const inspection = createInspection(createNormaliser({ stratumAttributes: [] }), { project: 'p' });
  for (const { resource, scope: library, span: captured } of readSpans(client, '003-traces.bin')) {
    inspection.add('file', { signal: 'traces', groups: [{ resource, scope: library, spans: [captured] }], received: 1, rejected: new Map() });
  }
  const calls = new Map([...inspection.findings()].flatMap((finding) => (finding.kind === 'call' ? [[finding.call.span_id, finding] as const] : [])));

  it.each(expected)('finds the keys that $span_name $span_id was written with', ({ span_id, session_id_on, prompt_name }) => {
    const finding = calls.get(span_id);
    if (finding === undefined) return expect.fail('no call');
    const sources = finding.sources();
    const present = Object.entries(KEYS).filter(([field]) => Reflect.get(finding.call, field) !== null);
    const found = Object.fromEntries(present.map(([field]) => [field, sources.get(field)]));
    // Streams of openai-v2 have their finish reason only inside the message.
    if (client === 'otel-openai-v2-latest' && found['finish_reason']?.[0] === 'gen_ai.output.messages → [0].finish_reason') found['finish_reason'] = ['gen_ai.response.finish_reasons'];
    expect(found).toEqual(Object.fromEntries(present.map(([field, key]) => [field, [key]])));
    expect(provider).toContain(sources.get('provider')?.[0]);
    expect(finding.inherited.has('session_id')).toBe(session_id_on === 'ancestor');
    expect(present.some(([field]) => field === 'prompt_name')).toBe(prompt_name !== null);
    expect(sources.has('recognised_as') || sources.has('operation')).toBe(true);
  });
});

describe('inspection', () => {
  const inspect = (...spans: readonly OtlpSpan[]): Finding[] => {
    const inspection = createInspection(createNormaliser({ stratumAttributes: [] }), { project: 'p' });
    inspection.add('file', { signal: 'traces', groups: [{ resource: new Map(), scope, spans }], received: spans.length, rejected: new Map() });
    return [...inspection.findings()];
  };
  const chat: Fields = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };

  it('inherits tags from spans that come later, and says from which', () => {
    const child = span(chat, { span_id: '1111111111111111', parent_span_id: '2222222222222222' });
    const parent = span({ 'gen_ai.prompt.name': 'refund', 'gen_ai.prompt.version': 'v2', 'session.id': 's' }, { span_id: '2222222222222222' });
    const [first] = inspect(child, parent);
    expect(first).toMatchObject({ kind: 'call', call: { prompt_name: 'refund', prompt_version: 'v2', prompt_attribution: 'inherited' }, misses_ancestor: false });
    expect(first?.kind === 'call' && Object.fromEntries(first.inherited)).toMatchObject({ prompt_version: '2222222222222222', session_id: '2222222222222222' });
    expect(first?.sources().get('prompt_version')).toEqual(['gen_ai.prompt.version']);
  });

  it('shows a call that an event tells of, from which key each field is, and what it adds to a span of the same call', () => {
    const inspectAgent = (with_spans: boolean): Finding[] => {
      const inspection = createInspection(createNormaliser({ stratumAttributes: [] }), { project: 'p' });
      const { spans, records } = readAgent('claude-code');
      if (with_spans) inspection.add('traces', { signal: 'traces', groups: spans, received: 0, rejected: new Map() });
      inspection.add('logs', { signal: 'logs', groups: records, received: 0, rejected: new Map() });
      return [...inspection.findings()];
    };
    const counted = readAgent('claude-code').calls.length;
    const alone = inspectAgent(false);
    expect(alone.map(({ kind }) => kind)).toEqual(Array.from({ length: counted }, () => 'call'));
    const [first] = alone;
    expect(first).toMatchObject({ span_name: 'api_request', sdk: { name: 'Claude Code' } });
    expect([first?.sources().get('prompt_version'), first?.sources().get('input_tokens'), first?.sources().get('cost_usd')]).toEqual([['gen_ai.prompt.version'], expect.arrayContaining(['input_tokens']), ['cost_usd']]);
    const both = inspectAgent(true);
    expect(both.filter(({ kind }) => kind === 'call')).toHaveLength(counted);
    expect(both.filter((finding) => finding.kind === 'ignored' && finding.reason === 'duplicate')).toHaveLength(counted);
    const span = both.find(({ kind }) => kind === 'call');
    expect(span).toMatchObject({ span_name: 'claude_code.llm_request', call: { cost_source: 'reported', response_model: 'claude-sonnet-4-5-20250929' } });
    expect(span?.sources().get('response_model')).toEqual(['model']);
  });

  it('says that an ancestor is not there', () => {
    expect(inspect(span(chat, { parent_span_id: '3333333333333333' }))).toMatchObject([{ kind: 'call', misses_ancestor: true }]);
  });

  it('shows a span that comes twice once', () => {
    expect(inspect(span(chat), span(chat)).map((finding) => (finding.kind === 'ignored' ? finding.reason : finding.kind))).toEqual(['call', 'same_span_again']);
  });

  it('counts an inference once, and says which other span completed it', () => {
    const answered: Fields = { ...chat, 'gen_ai.response.id': 'r1', 'gen_ai.usage.input_tokens': 3 };
    const client = span({ ...answered, 'gen_ai.prompt.name': 'refund', 'gen_ai.prompt.version': 'v2', 'gen_ai.usage.output_tokens': 5 }, { span_id: '1111111111111111' });
    const gateway = span(answered, { span_id: '2222222222222222', parent_span_id: '1111111111111111' });
    const findings = inspect(client, gateway);
    expect(findings.map((finding) => (finding.kind === 'ignored' ? finding.reason : finding.kind))).toEqual(['wrapper', 'call']);
    const call = findings.find((finding) => finding.kind === 'call');
    expect(call?.call).toMatchObject({ span_id: '2222222222222222', prompt_version: 'v2', output_tokens: 5 });
    expect(Object.fromEntries(call?.inherited ?? [])).toMatchObject({ prompt_version: '1111111111111111', output_tokens: '1111111111111111' });
    expect(call?.sources().get('output_tokens')).toEqual(['gen_ai.usage.output_tokens']);
  });

  it('survives a parent that is its own', () => {
    const { span_id } = span(chat);
    expect(inspect(span(chat, { parent_span_id: span_id }))).toMatchObject([{ kind: 'call' }]);
  });

  it('traces two spans of one shape alike, and one that differs anew', () => {
    const sources = inspect(
      span({ ...chat, 'gen_ai.usage.input_tokens': 3 }, { span_id: '1111111111111111' }),
      span({ ...chat, 'gen_ai.usage.input_tokens': 4 }, { span_id: '2222222222222222' }),
      span({ ...chat, 'gen_ai.usage.prompt_tokens': 5 }, { span_id: '3333333333333333' }),
    ).map((finding) => finding.sources().get('input_tokens'));
    expect(sources).toEqual([['gen_ai.usage.input_tokens'], ['gen_ai.usage.input_tokens'], ['gen_ai.usage.prompt_tokens']]);
  });

  it('says what a score judges, and where it was read', () => {
    const inspection = createInspection(createNormaliser({ stratumAttributes: [] }), { project: 'p' });
    const score = { 'gen_ai.evaluation.name': 'accuracy', 'gen_ai.evaluation.score.value': 0.5 };
    inspection.add('traces', { signal: 'traces', groups: [{ resource: new Map(), scope, spans: [span(chat)] }], received: 1, rejected: new Map() });
    inspection.add('logs', { signal: 'logs', groups: [{ resource: new Map(), scope, records: [record(score), record(score, { span_id: '9999999999999999' }), record({}, { event_name: 'other' })] }], received: 3, rejected: new Map() });
    const scores = [...inspection.findings()].filter((finding) => finding.kind === 'score');
    expect(scores.map(({ judges }) => judges)).toEqual(['call', 'not_here']);
    expect(scores[0]?.sources().get('value')).toEqual(['gen_ai.evaluation.score.value']);
    expect(Object.fromEntries(inspection.ignoredRecords())).toEqual({ not_a_score: 1 });
  });
});
