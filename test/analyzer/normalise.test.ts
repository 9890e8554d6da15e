import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { AttributeValue, OtlpEvent, OtlpLogRecord, OtlpSpan } from '../../schemas/otlp.ts';
import { callOf, context, normalise, record, relativeOf, scope, span, STARTED_MS } from './spans.ts';

const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
const named = (version: AttributeValue) => callOf({ ...chat, 'gen_ai.prompt.name': 'checkout', 'gen_ai.prompt.version': version });

describe('names and versions', () => {
  it.each<[AttributeValue, string | null]>([
    [' v2 ', 'v2'],
    [3, '3'],
    [3n, '3'],
    [3.5, '3.5'],
    [-0, '0'],
    ['', null],
    ['  ', null],
    ['null', null],
    ['undefined', null],
    ['None', null],
    ['-', null],
    [true, null],
    [false, null],
    [null, null],
    [Number.NaN, null],
    [['v1'], null],
    [new Map([['v', 1]]), null],
    [new Uint8Array([1]), null],
    ['a\ud800b', 'a\ufffdb'],
  ])('%o becomes %o', (wire, version) => {
    expect(named(wire)).toMatchObject({ prompt_name: 'checkout', prompt_version: version, prompt_version_source: version === null ? 'none' : 'explicit' });
  });

  it('are cut at 256 characters, never inside one, and say so', () => {
    expect(named('v'.repeat(256))).toMatchObject({ prompt_version: 'v'.repeat(256), flags: [] });
    expect(named('v'.repeat(300))).toMatchObject({ prompt_version: 'v'.repeat(256), flags: ['attribute_truncated'] });
    expect(named(' '.repeat(600) + 'v'.repeat(255) + '👍'.repeat(9)).prompt_version).toBe('v'.repeat(255));
  });

  it('attribute nothing where the span has none', () => {
    expect(callOf(chat)).toMatchObject({ prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_attribution: 'none' });
  });
});

describe('who and where', () => {
  it('hashes the user, so that the id itself is stored nowhere', () => {
    const call = callOf({ ...chat, 'enduser.id': 'jane@example.org' });
    expect(call.user_id).toMatch(/^[0-9a-f]{16}$/);
    expect(JSON.stringify(call)).not.toContain('jane');
    expect(relativeOf({ 'user.id': 'jane@example.org' }).relative.user_id).toBe(call.user_id);
  });

  it('takes the environment from the span, then its resource, then calls it "default"', () => {
    const environment = (attributes: Record<string, string>, resource: Record<string, string>) => {
      const result = normalise(span({ ...chat, ...attributes }), {}, resource);
      return result.kind === 'call' ? result.call.environment : null;
    };
    expect(environment({ 'deployment.environment': 'canary' }, { 'deployment.environment.name': 'production' })).toBe('canary');
    expect(environment({ 'gen_ai.environment': 'x' }, { 'deployment.environment': 'production' })).toBe('production');
    expect(environment({ 'gen_ai.environment': 'x' }, {})).toBe('x');
    expect(environment({}, {})).toBe('default');
  });

  it('keeps the configured stratum attributes that are there', () => {
    const result = normalise(span({ ...chat, 'app.route': '/refund' }), { stratumAttributes: ['app.route', 'http.route', 'region'] }, { region: 'eu', 'service.name': 'bot', 'service.version': '7' });
    expect(result).toMatchObject({ call: { stratum_attributes: { 'app.route': '/refund', region: 'eu' }, service_name: 'bot', service_version: '7', scope_name: 'a-library' } });
  });

  it.each([
    ['Azure_OpenAI', null, 'azure.ai.openai'],
    ['openai.chat', null, 'openai'],
    ['google.generative-ai', null, 'gcp.gemini'],
    ['xai', null, 'x_ai'],
    ['In-House', null, 'in-house'],
    ['langchain', 'claude-sonnet-4', 'anthropic'],
    ['langchain', 'our-model', 'unknown'],
    [null, 'gpt-4o', 'openai'],
  ])('provider %s with model %s is %s', (provider, model, expected) => {
    const attributes = { 'gen_ai.operation.name': 'chat', ...(provider && { 'gen_ai.system': provider }), ...(model && { 'gen_ai.request.model': model }) };
    expect(callOf(attributes).provider).toBe(expected);
  });
});

describe('times', () => {
  const start_ns = BigInt(STARTED_MS) * 1_000_000n;

  it('keeps nanoseconds and a duration with its fraction', () => {
    expect(callOf(chat, { start_ns: start_ns + 1n, end_ns: start_ns + 1_500_001n })).toMatchObject({ start_time_ns: `${start_ns + 1n}`, duration_ms: 1.5, flags: [] });
  });

  it('has no duration without an end, or with one before the start', () => {
    expect(callOf(chat, { end_ns: 0n })).toMatchObject({ duration_ms: null, flags: [] });
    expect(callOf(chat, { end_ns: start_ns - 1n })).toMatchObject({ duration_ms: null, flags: ['clock_skew'] });
  });

  it.each([
    [9 * 60_000, []],
    [11 * 60_000, ['clock_far_off']],
    [-6.9 * 86_400_000, []],
    [-7.1 * 86_400_000, ['clock_far_off']],
  ])('flags a clock that is %d ms off: %j', (offset_ms, flags) => {
    const at = BigInt(context.received_ms + offset_ms) * 1_000_000n;
    expect(callOf(chat, { start_ns: at, end_ns: at + 1n }).flags).toEqual(flags);
  });

  it.each([
    ['gen_ai.response.time_to_first_chunk', 0.42, 420, []],
    ['gen_ai.client.operation.time_to_first_chunk', '0.42', 420, []],
    ['gen_ai.server.time_to_first_token', 0.85, 850, []],
    ['gen_ai.server.time_to_first_token', 850, 850, ['unit_corrected']],
    ['gen_ai.server.time_to_first_token', 1.05, 1050, []],
    ['gen_ai.server.time_to_first_token', 5000, null, []],
    ['gen_ai.server.time_to_first_token', 0, null, []],
    ['gen_ai.server.time_to_first_token', -1, null, []],
    ['gen_ai.server.time_to_first_token', Number.NaN, null, []],
  ])('%s = %s in a call of one second is %s ms', (key, value, ttft_ms, flags) => {
    expect(callOf({ ...chat, [key]: value })).toMatchObject({ ttft_ms, flags });
  });
});

describe('tokens', () => {
  const usage = (counts: Record<string, AttributeValue>) => callOf({ ...chat, ...Object.fromEntries(Object.entries(counts).map(([key, value]) => [`gen_ai.usage.${key}`, value])) });

  it('takes less input than cache as exclusive', () => {
    expect(usage({ input_tokens: 10, output_tokens: 5, 'cache_read.input_tokens': 900 })).toMatchObject({ input_tokens: 910, cache_read_tokens: 900, flags: ['tokens_adjusted'] });
  });

  it('takes a total that only adds up with the cache as exclusive', () => {
    expect(usage({ input_tokens: 100, output_tokens: 5, 'cache_read.input_tokens': 90, total_tokens: 195 })).toMatchObject({ input_tokens: 190, flags: ['tokens_adjusted'] });
    expect(usage({ input_tokens: 100, output_tokens: 5, 'cache_read.input_tokens': 90, total_tokens: 105 })).toMatchObject({ input_tokens: 100, flags: [] });
    // One cached token is within the slack of the sum: both readings add up, and the convention decides.
    expect(usage({ input_tokens: 100, output_tokens: 5, 'cache_read.input_tokens': 1, total_tokens: 105 })).toMatchObject({ input_tokens: 100, flags: [] });
  });

  it('never has more reasoning than output', () => {
    expect(usage({ output_tokens: 5, 'reasoning.output_tokens': 15 })).toMatchObject({ output_tokens: 20, reasoning_tokens: 15, flags: ['tokens_adjusted'] });
  });

  it.each<[AttributeValue, number | null]>([
    ['12', 12],
    [12n, 12],
    [12.0, 12],
    [0, 0],
    [12.5, null],
    [-1, null],
    [2 ** 31, 2 ** 31],
    [2 ** 31 + 1, null],
    [2n ** 63n, null],
    ['0x10', null],
    ['', null],
    [true, null],
    [Number.POSITIVE_INFINITY, null],
  ])('%o is %s', (wire, tokens) => {
    expect(usage({ input_tokens: wire }).input_tokens).toBe(tokens);
  });
});

describe('cost', () => {
  const usage = { 'gen_ai.usage.input_tokens': 1000, 'gen_ai.usage.output_tokens': 100 };

  it('is the reported one where there is one, else computed from the model that answered', () => {
    expect(callOf({ ...chat, ...usage, 'gen_ai.usage.cost': 0.5 })).toMatchObject({ cost_usd: 0.5, cost_source: 'reported' });
    expect(callOf({ ...chat, ...usage, 'gen_ai.usage.cost': -1 })).toMatchObject({ cost_source: 'computed' });
    const mini = callOf({ ...chat, ...usage, 'gen_ai.response.model': 'gpt-4o-mini' }).cost_usd ?? Number.NaN;
    expect(mini).toBeLessThan(callOf({ ...chat, ...usage }).cost_usd ?? Number.NaN);
    expect(callOf({ ...chat, ...usage, 'gen_ai.response.model': 'a-name-of-the-gateway' }).cost_usd).toBe(callOf({ ...chat, ...usage }).cost_usd);
  });

  it('does not believe 0 for tokens that have a price', () => {
    expect(callOf({ ...chat, ...usage, 'gen_ai.usage.cost': 0 })).toMatchObject({ cost_source: 'computed' });
    expect(callOf({ ...chat, ...usage, 'gen_ai.request.model': 'our-own', 'gen_ai.usage.cost': 0 })).toMatchObject({ cost_usd: 0, cost_source: 'reported' });
  });

  it('is unknown without usage', () => {
    expect(callOf(chat)).toMatchObject({ cost_usd: null, cost_source: null });
  });
});

describe('finish reasons', () => {
  it.each<[AttributeValue, string | null]>([
    [['stop'], 'stop'],
    [['', 'tool_calls'], 'tool_call'],
    ['["length"]', 'length'],
    ["('end_turn',)", 'stop'],
    ['stop, length', 'stop'],
    ['content-filter', 'content_filter'],
    ['MAX_TOKENS', 'length'],
    ['FinishReason.TOOL_CALLS', 'tool_call'],
    [['something_new'], 'other'],
    [['unknown'], 'unknown'],
    [[], null],
    [[null], null],
    [7, 'other'],
  ])('%o is %s', (wire, finish_reason) => {
    expect(callOf({ ...chat, 'gen_ai.response.finish_reasons': wire }).finish_reason).toBe(finish_reason);
  });
});

describe('hostile input', () => {
  const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.constantFrom('null', '[', '{"parts":', '"', '\ud800', '1e999', 'chat', 'x'.repeat(1000), '[{"role":"assistant","parts":[{"type":"text"}]}]'));
  const values: fc.Arbitrary<AttributeValue> = fc.letrec<{ value: AttributeValue }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      texts,
      fc.double(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 8 }),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(fc.oneof(texts, fc.constantFrom('parts', 'content', 'type', 'role', 'tool_calls', '__proto__')), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
    ),
  })).value;
  const keys = fc
    .constantFrom(
      'operation.name', 'provider.name', 'system', 'request.model', 'response.model', 'response.id', 'prompt.name', 'prompt.version',
      'conversation.id', 'output.messages', 'completion', 'output.type', 'usage.input_tokens', 'usage.output_tokens', 'usage.cache_read.input_tokens', 'usage.reasoning.output_tokens',
      'usage.total_tokens', 'usage.cost', 'response.finish_reasons', 'response.time_to_first_chunk', 'response.status', 'request.stream', 'evaluation.name', 'evaluation.score.value',
      'evaluation.score.label', 'evaluation.explanation',
    )
    .map((key) => `gen_ai.${key}`);
  const bag = fc
    .array(fc.tuple(fc.oneof({ weight: 6, arbitrary: keys }, { weight: 1, arbitrary: fc.constantFrom('mcp.method.name', 'user.id', 'error.type', 'deployment.environment', 'http.method', '__proto__') }), values), { maxLength: 30 })
    .map((entries) => new Map(entries));
  const times = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constant(BigInt(STARTED_MS) * 1_000_000n));
  const events: fc.Arbitrary<OtlpEvent[]> = fc.array(fc.record({ name: fc.constantFrom('exception', 'gen_ai.evaluation.result', 'gen_ai.content.completion', 'x'), time_ns: times, attributes: bag }), { maxLength: 3 });
  const spans: fc.Arbitrary<OtlpSpan> = fc.record({
    trace_id: fc.constant('0'.repeat(31) + '1'),
    span_id: fc.constant('0'.repeat(15) + '1'),
    parent_span_id: fc.constantFrom(null, '0'.repeat(15) + '2'),
    name: texts,
    kind: fc.nat(9),
    start_ns: times,
    end_ns: times,
    attributes: bag,
    events,
    links: fc.constant([]),
    status_code: fc.nat(5),
    status_message: texts,
  });
  const normaliser = createNormaliser({ stratumAttributes: ['gen_ai.request.model', '__proto__'], maxTextBytes: 64 });

  it('never throws on a span, and what comes out fits the tables', () => {
    let calls = 0;
    fc.assert(
      fc.property(spans, bag, texts, (input, resource, name) => {
        const result = normaliser.span(context, resource, { name, version: '', attributes: new Map() }, input);
        // Text that has no UTF-8 form would fail the insert of all the rows beside it.
        expect(JSON.stringify(result)).not.toMatch(/\\ud[89a-f]/);
        for (const score of result.scores) expect(score.value === null || Number.isFinite(score.value)).toBe(true);
        if (result.kind !== 'call') return;
        calls++;
        const { call } = result;
        for (const tokens of [call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cache_write_tokens, call.reasoning_tokens]) {
          expect(tokens === null || (Number.isInteger(tokens) && tokens >= 0 && tokens <= 2 ** 31)).toBe(true);
        }
        for (const amount of [call.cost_usd, call.ttft_ms, call.duration_ms]) expect(amount === null || (Number.isFinite(amount) && amount >= 0)).toBe(true);
        expect(call.duration_ms === null || call.ttft_ms === null || call.ttft_ms <= call.duration_ms * 1.05 + 5).toBe(true);
        expect(call.prompt_version === null || input.attributes.has('gen_ai.prompt.version')).toBe(true);
        for (const text of [call.prompt_name, call.prompt_version, call.request_model, call.session_id, call.error_type]) expect(text === null || (text.length > 0 && text.length <= 256)).toBe(true);
      }),
      { numRuns: 3000 },
    );
    // Otherwise the property would have looked at nothing.
    expect(calls).toBeGreaterThan(100);
  });

  it('never throws on a log record', () => {
    let scores = 0;
    fc.assert(
      fc.property(bag, values, values, fc.constantFrom('gen_ai.evaluation.result', 'gen_ai.choice', ''), times, (attributes, value, body, event_name, time_ns) => {
        const judged = new Map([['gen_ai.evaluation.name', 'tone'], ['gen_ai.evaluation.score.value', value], ...attributes]);
        const input: OtlpLogRecord = { ...record({}), attributes: judged, body, event_name, time_ns };
        const result = normaliser.record(context, new Map(), scope, input);
        expect(JSON.stringify(result)).not.toMatch(/\\ud[89a-f]/);
        if (result.kind !== 'score') return;
        scores++;
        expect(result.score.value === null || Number.isFinite(result.score.value)).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(scores).toBeGreaterThan(30);
  });
});
