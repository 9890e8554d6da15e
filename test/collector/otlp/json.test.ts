import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import { plain } from './captures.ts';

const SEED = 20_260_602;
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

function read(body: string | object, signal: 'traces' | 'logs' = 'traces') {
  return decode({ signal, encoding: 'json', body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) });
}

function readSpan(span: object) {
  const decoded = read({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: TRACE_ID, spanId: SPAN_ID, ...span }] }] }] });
  return decoded.signal === 'traces' ? decoded.groups[0]?.spans[0] : undefined;
}

const readValue = (value: unknown) => readSpan({ attributes: [{ key: 'k', value }] })?.attributes.get('k');

describe('OTLP/JSON', () => {
  it('takes upper-case ids, integers as string and as number, unknown fields and enums as integers (golden case 20)', () => {
    const span = readSpan({
      traceId: TRACE_ID.toUpperCase(),
      spanId: SPAN_ID.toUpperCase(),
      parentSpanId: '',
      kind: 3,
      startTimeUnixNano: '1795424795041553993',
      endTimeUnixNano: 1795424795041554000,
      status: { code: 2, somethingNew: {} },
      somethingNew: [1, 2],
      attributes: [{ key: 'text', value: { intValue: '12' } }, { key: 'number', value: { intValue: 12 } }],
    });
    expect(span).toMatchObject({ trace_id: TRACE_ID, span_id: SPAN_ID, parent_span_id: null, kind: 3, status_code: 2, start_ns: 1795424795041553993n });
    expect(span?.attributes).toEqual(new Map([['text', 12], ['number', 12]]));
  });

  it('keeps the nanoseconds of times written as numbers, which JSON.parse would round', () => {
    const body = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"${TRACE_ID}","spanId":"${SPAN_ID}","startTimeUnixNano":1795424795041553993, "endTimeUnixNano" : 1795424795041553995}]}]}]}`;
    const decoded = read(body);
    expect(decoded.groups[0]).toMatchObject({ spans: [{ start_ns: 1795424795041553993n, end_ns: 1795424795041553995n }] });
  });

  it('leaves text alone that looks like such a number', () => {
    const text = '{"startTimeUnixNano": 1795424795041553993}';
    expect(readValue({ stringValue: text })).toBe(text);
  });

  it('reads what Humanloop sends: base64 ids and names of enums', () => {
    const decoded = decode({ signal: 'traces', encoding: 'json', body: plain('humanloop.traces.bin') });
    expect(decoded.rejected.size).toBe(0);
    expect(decoded.groups[0]).toMatchObject({ spans: [{ trace_id: '7f1e42067da472f6242d13f9c93f7f0e', span_id: '1163b8cb3cffb4ba', kind: 3 }] });
    const copy = decode({ signal: 'traces', encoding: 'json', body: plain('humanloop.traces.json') });
    expect(decoded).toEqual(copy);
  });

  it('reads what the Vercel AI SDK sends', () => {
    const decoded = decode({ signal: 'traces', encoding: 'json', body: plain('vercel-ai-json.traces.bin') });
    expect(decoded.received).toBe(36);
    expect(decoded.rejected.size).toBe(0);
  });

  it.each([
    [{ stringValue: 'x' }, 'x'],
    [{ stringValue: '' }, ''],
    [{ boolValue: false }, false],
    [{ intValue: '9007199254740993' }, 9007199254740993n],
    [{ intValue: -5 }, -5],
    [{ doubleValue: 0.5 }, 0.5],
    [{ doubleValue: 'NaN' }, Number.NaN],
    [{ doubleValue: '-Infinity' }, Number.NEGATIVE_INFINITY],
    [{ doubleValue: '1e3' }, 1000],
    [{ bytesValue: 'AQI=' }, Uint8Array.of(1, 2)],
    [{ arrayValue: { values: [{ stringValue: 'a' }, {}] } }, ['a', null]],
    [{ arrayValue: {} }, []],
    [{ kvlistValue: { values: [{ key: 'a', value: { intValue: 1 } }] } }, new Map([['a', 1]])],
    [{}, null],
    [null, null],
    [{ stringValue: null }, null],
  ])('reads the value %j', (value, expected) => {
    expect(readValue(value)).toEqual(expected);
  });

  it('replaces unpaired surrogates', () => {
    expect(readValue({ stringValue: 'a\ud800b' })).toBe('a\ufffdb');
    expect(readSpan({ name: '\udfff' })?.name).toBe('\ufffd');
    expect(readSpan({ attributes: [{ key: '\ud800', value: {} }] })?.attributes.has('\ufffd')).toBe(true);
  });

  it('reads an empty request, empty text and a byte order mark', () => {
    expect(read('{}').received).toBe(0);
    expect(read('').received).toBe(0);
    expect(read('\ufeff{"resourceSpans":[]}').received).toBe(0);
    expect(read({ resourceSpans: null }).received).toBe(0);
  });

  it('reads the event name of a log from its field, else from the attribute', () => {
    const record = (more: object) => ({ body: { stringValue: 'x' }, severityNumber: 'SEVERITY_NUMBER_WARN2', attributes: [{ key: 'event.name', value: { stringValue: 'from.attribute' } }], ...more });
    const decoded = read({ resourceLogs: [{ scopeLogs: [{ logRecords: [record({}), record({ eventName: 'from.field', traceId: TRACE_ID, spanId: '00' })] }] }] }, 'logs');
    expect(decoded.groups[0]).toMatchObject({
      records: [
        { event_name: 'from.attribute', severity_number: 14, trace_id: null },
        { event_name: 'from.field', trace_id: TRACE_ID, span_id: null },
      ],
    });
  });
});

describe('OTLP/JSON, malformed', () => {
  it.each([
    [{ resourceSpans: {} }, 'resourceSpans: not an array'],
    [{ resourceSpans: [1] }, 'resourceSpans[0]: not an object'],
    [{ resourceSpans: [{ resource: [] }] }, 'resourceSpans[0].resource: not an object'],
    [{ resourceSpans: [{ resource: { attributes: [{ key: 1 }] } }] }, 'resourceSpans[0].resource.attributes[0].key: not a string'],
    [[], 'the body is not an object'],
    ['{"resourceSpans":[', 'malformed JSON'],
  ])('names the place in %j', (body, expected) => {
    expect(() => read(body)).toThrow(PermanentError);
    expect(() => read(body)).toThrow(expected);
  });

  const at = 'resourceSpans[0].scopeSpans[0].spans[0]';
  it.each([
    [{ traceId: 5 }, `${at}.traceId: not a string`],
    [{ name: 5 }, `${at}.name: not a string`],
    [{ kind: 'CLIENT' }, `${at}.kind: not a value of its enum`],
    [{ startTimeUnixNano: 'yesterday' }, `${at}.startTimeUnixNano: not an integer`],
    [{ startTimeUnixNano: -1 }, `${at}.startTimeUnixNano: not nanoseconds`],
    [{ startTimeUnixNano: 1.5 }, `${at}.startTimeUnixNano: not an integer`],
    [{ status: { code: {} } }, `${at}.status.code: not a value of its enum`],
    [{ events: [{}, { name: [] }] }, `${at}.events[1].name: not a string`],
    [{ attributes: [{ key: 'k', value: 'text' }] }, `${at}.attributes[0].value: not an object`],
    [{ attributes: [{ key: 'k', value: { intValue: '9223372036854775808' } }] }, `${at}.attributes[0].value.intValue: not a 64-bit integer`],
    [{ attributes: [{ key: 'k', value: { boolValue: 'true' } }] }, `${at}.attributes[0].value.boolValue: not a boolean`],
    [{ attributes: [{ key: 'k', value: { arrayValue: { values: [{ doubleValue: 'x' }] } } }] }, `${at}.attributes[0].value.arrayValue.values[0].doubleValue: not a number`],
  ])('names the place in a span with %j', (span, expected) => {
    expect(() => readSpan(span)).toThrow(PermanentError);
    expect(() => readSpan(span)).toThrow(expected);
  });

  it('refuses values nested too deep, even a hundred thousand times', () => {
    const nest = (depth: number) => `${'{"arrayValue":{"values":['.repeat(depth)}{}${']}}'.repeat(depth)}`;
    const body = (depth: number) => `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"${TRACE_ID}","spanId":"${SPAN_ID}","attributes":[{"key":"k","value":${nest(depth)}}]}]}]}]}`;
    expect(read(body(64)).received).toBe(1);
    expect(() => read(body(65))).toThrow('deeper than 64');
    expect(() => read(body(100_000))).toThrow(PermanentError);
  });

  it('refuses millions of tiny values before it makes objects of them', () => {
    const body = Buffer.from(`{"resourceSpans":[${'{},'.repeat(4_100_000)}{}]}`);
    expect(() => decode({ signal: 'traces', encoding: 'json', body })).toThrow('more than');
  });

  it('counts no commas inside text', () => {
    const text = `"\\",[{`.repeat(2_500_000);
    expect(readValue({ stringValue: text })).toBe(text);
  });

  it('says so when the body belongs to another path', () => {
    expect(() => read({ resourceLogs: [] })).toThrow('it should go to /v1/logs');
    expect(() => read({ resourceMetrics: [] })).toThrow('it should go to /v1/metrics');
    expect(() => read({ resourceSpans: [] }, 'logs')).toThrow('it should go to /v1/traces');
  });

  it('never throws anything but PermanentError, whatever stands in the place of a value', () => {
    const body: unknown = JSON.parse(plain('humanloop.traces.bin').toString());
    const paths = pathsOf(body);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, replacement) => {
        try {
          read(JSON.stringify(replaced(body, path, replacement)));
        } catch (error) {
          if (!(error instanceof PermanentError)) throw error;
        }
      }),
      { seed: SEED, numRuns: 1500 },
    );
  });

  it('never throws anything but PermanentError on changed text', () => {
    const text = plain('humanloop.traces.bin').toString();
    fc.assert(
      fc.property(fc.nat({ max: text.length }), fc.nat({ max: 5 }), fc.string({ unit: 'binary', maxLength: 5 }), (index, remove, insert) => {
        try {
          read(text.slice(0, index) + insert + text.slice(index + remove));
        } catch (error) {
          if (!(error instanceof PermanentError)) throw error;
        }
      }),
      { seed: SEED, numRuns: 1500 },
    );
  });
});

type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...at, Array.isArray(value) ? Number(key) : key]))];
}

function replaced(value: unknown, path: Path, replacement: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return replacement;
  if (Array.isArray(value)) return value.map((inner: unknown, index) => (index === key ? replaced(inner, rest, replacement) : inner));
  return Object.fromEntries(Object.entries(value as object).map(([name, inner]) => [name, name === key ? replaced(inner, rest, replacement) : inner]));
}
