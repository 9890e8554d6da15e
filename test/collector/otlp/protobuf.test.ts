import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { MAX_DEPTH, MAX_ELEMENTS } from '../../../collector/otlp/wire.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import { logs, traces } from './arbitraries.ts';
import { plain } from './captures.ts';
import { encode, explain } from './oracle.ts';

/** fast-check prints the seed and the path of a failure. */
const SEED = 20_260_601;

const fromProtobuf = (signal: 'traces' | 'logs', body: Uint8Array) => decode({ signal, encoding: 'protobuf', body });
const fromJson = (signal: 'traces' | 'logs', json: unknown) => decode({ signal, encoding: 'json', body: Buffer.from(JSON.stringify(json)) });

describe('protobuf, against an independent decoder', () => {
  it.each([
    ['otel-openai-v2.traces', 'traces'],
    ['otel-openai-node.traces', 'traces'],
    ['otel-openai-v2.logs', 'logs'],
    ['otel-openai-node.logs', 'logs'],
  ] as const)('reads %s as its decoded copy says', (name, signal) => {
    const decoded = fromProtobuf(signal, plain(`${name}.bin`));
    expect(decoded.received).toBeGreaterThan(5);
    expect(decoded.rejected.size).toBe(0);
    const copy: unknown = JSON.parse(plain(`${name}.json`).toString());
    expect(decoded).toEqual(fromJson(signal, copy));
  });

  it.each(['otel-openai-v2.traces.bin', 'otel-openai-node.traces.bin'])('reads %s as the oracle does', (name) => {
    const body = plain(name);
    expect(fromProtobuf('traces', body)).toEqual(fromJson('traces', explain('ExportTraceServiceRequest', body)));
  });

  it('reads random traces as JSON and as protobuf to the same', () => {
    fc.assert(
      fc.property(traces, (json) => {
        expect(fromProtobuf('traces', encode('ExportTraceServiceRequest', json))).toEqual(fromJson('traces', json));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('reads random logs as JSON and as protobuf to the same', () => {
    fc.assert(
      fc.property(logs, (json) => {
        expect(fromProtobuf('logs', encode('ExportLogsServiceRequest', json))).toEqual(fromJson('logs', json));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe('protobuf, values', () => {
  const traceId = 'AAECAwQFBgcICQoLDA0ODw==';
  const spanId = 'AAECAwQFBgc=';
  const attributesOf = (attributes: object[]) => {
    const body = encode('ExportTraceServiceRequest', { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId, spanId, attributes }] }] }] });
    const decoded = fromProtobuf('traces', body);
    return decoded.signal === 'traces' ? decoded.groups[0]?.spans[0]?.attributes : undefined;
  };

  it('keeps 64-bit integers exact', () => {
    const values = ['9007199254740991', '9007199254740993', '-1', '-9223372036854775808', '9223372036854775807'];
    const attributes = attributesOf(values.map((intValue) => ({ key: intValue, value: { intValue } })));
    expect([...(attributes?.values() ?? [])]).toEqual([9007199254740991, 9007199254740993n, -1, -9223372036854775808n, 9223372036854775807n]);
  });

  it('lets the last of two equal keys win', () => {
    const attributes = attributesOf([1, 2].map((intValue) => ({ key: 'k', value: { intValue } })));
    expect(attributes).toEqual(new Map([['k', 2]]));
  });

  it('replaces invalid UTF-8, in keys as in values', () => {
    // Span { trace_id, span_id, attributes { key "k\xff", value "\xed\xa0\x80" (a surrogate) } }
    const keyValue = [0x0a, 2, 0x6b, 0xff, 0x12, 5, 0x0a, 3, 0xed, 0xa0, 0x80];
    const span = [0x0a, 16, ...Array<number>(16).fill(1), 0x12, 8, ...Array<number>(8).fill(2), 0x4a, keyValue.length, ...keyValue];
    const decoded = fromProtobuf('traces', request(span));
    const [[key, value] = []] = decoded.signal === 'traces' ? [...(decoded.groups[0]?.spans[0]?.attributes ?? [])] : [];
    expect(key).toBe('k\ufffd');
    expect(value).toMatch(/^\ufffd+$/);
  });

  it('reads a resource that comes after its spans', () => {
    const span = encode('Span', { traceId, spanId });
    const resource = encode('Resource', { attributes: [{ key: 'service.name', value: { stringValue: 'late' } }] });
    const resourceSpans = [...field(2, field(2, span)), ...field(1, resource)];
    const decoded = fromProtobuf('traces', Uint8Array.from(field(1, resourceSpans)));
    expect(decoded.groups[0]?.resource).toEqual(new Map([['service.name', 'late']]));
  });

  it('skips fields it does not know, groups among them', () => {
    const unknown = [...field(100, [1, 2, 3]), (101 << 3) & 0x7f | 0x80, (101 << 3) >> 7, 5, 0xa3, 0x06, 0x08, 1, 0xa4, 0x06];
    const decoded = fromProtobuf('traces', Uint8Array.from([...unknown, ...field(1, field(2, field(2, encode('Span', { traceId, spanId }))))]));
    expect(decoded.received).toBe(1);
  });
});

describe('protobuf, malformed', () => {
  const message = (body: Uint8Array | number[]) => {
    try {
      fromProtobuf('traces', Uint8Array.from(body));
    } catch (error) {
      if (error instanceof PermanentError) return error.message;
      throw error;
    }
    return 'read';
  };

  it.each([
    ['a known field of another wire type', field(1, field(2, field(2, [0x30 | 1, 0, 0, 0, 0, 0, 0, 0, 0]))), 'Span.kind at byte 7: wire type 1'],
    ['a length past the end', [0x0a, 5, 0], 'ExportTraceServiceRequest.resource_spans at byte 1: a length of 5 bytes where 1 are left'],
    ['a length past the end of the outer message', [...field(1, [0x12, 3]), 0, 0, 0], 'ResourceSpans.scope_spans at byte 3'],
    ['a varint that never ends', [0x0a, ...Array<number>(20).fill(0x80)], 'a varint of more than 10 bytes'],
    ['a varint of more than 64 bits', field(1, field(2, field(2, [0x30, ...Array<number>(9).fill(0xff), 0x02]))), 'Span.kind at byte 7: a varint of more than 64 bits'],
    ['a varint cut off', field(1, field(2, field(2, [0x30, 0xff]))), 'Span.kind at byte 7: the message ends inside a varint'],
    ['a time cut off', field(1, field(2, field(2, [0x39, 1, 2, 3]))), 'Span.start_time_unix_nano at byte 7: 8 bytes wanted where 3 are left'],
    ['field number 0', [0x02, 0], 'field number 0 does not exist'],
    ['wire type 7', [0x7f, 0], 'wire type 7 does not exist here'],
    ['the end of a group that did not begin', [0x7c], 'wire type 4 does not exist here'],
    ['a group that does not end', [0x7b, 0x08, 1], 'the message ends inside a group'],
  ])('names field and offset of %s', (_, body, expected) => {
    expect(message(body)).toContain(expected);
  });

  it('refuses values nested too deep, instead of overflowing the stack', () => {
    const nest = (depth: number) => {
      let value = field(1, [0x61]);
      for (let level = 0; level < depth; level++) value = field(5, field(1, value));
      return field(1, field(2, field(2, field(9, [...field(1, [0x6b]), ...field(2, value)]))));
    };
    expect(message(nest(MAX_DEPTH))).toContain('none of the 1 spans');
    expect(message(nest(MAX_DEPTH + 1))).toContain(`deeper than ${MAX_DEPTH}`);
    // A short body can nest a thousand deep: 4 bytes a level, then lengths of two and three bytes.
    expect(message(nest(1000))).toContain(`deeper than ${MAX_DEPTH}`);
    expect(message(Array<number>(100_000).fill(0x7b))).toContain('groups nested deeper');
  });

  it('refuses two bytes that would each become an object', () => {
    const events = Buffer.alloc(2 * (MAX_ELEMENTS + 1));
    for (let index = 0; index < events.length; index += 2) events[index] = 0x5a;
    expect(message(request(events))).toContain(`more than ${MAX_ELEMENTS}`);
  });

  it('never throws anything but PermanentError, whatever is changed in a valid body', () => {
    const bodies = [plain('otel-openai-v2.traces.bin'), plain('otel-openai-node.logs.bin')];
    const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), remove: fc.integer({ min: 0, max: 4 }), insert: fc.uint8Array({ maxLength: 4 }) });
    fc.assert(
      fc.property(fc.constantFrom(...bodies), fc.array(change, { minLength: 1, maxLength: 6 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom('traces' as const, 'logs' as const), (body, changes, kept, signal) => {
        let changed = body;
        for (const { at, remove, insert } of changes) {
          const index = Math.floor(at * changed.length);
          changed = Buffer.concat([changed.subarray(0, index), insert, changed.subarray(index + remove)]);
        }
        if (kept > 0.5) changed = changed.subarray(0, Math.floor(kept * changed.length));
        expectReadOrPermanentError(() => fromProtobuf(signal, changed));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('never throws anything but PermanentError on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (body) => {
        expectReadOrPermanentError(() => fromProtobuf('traces', body));
        expectReadOrPermanentError(() => fromProtobuf('logs', body));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('stops at every cut of a real body', () => {
    const body = plain('otel-openai-v2.traces.bin');
    const whole = fromProtobuf('traces', body).received;
    for (let length = 0; length < body.length; length += 3) {
      let received = 0;
      expectReadOrPermanentError(() => {
        received = fromProtobuf('traces', body.subarray(0, length)).received;
      });
      expect(received).toBeLessThanOrEqual(whole);
    }
  });
});

function expectReadOrPermanentError(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    expect(error.message.length).toBeLessThan(400);
  }
}

/** A length-delimited field. */
function field(number: number, content: ArrayLike<number>): number[] {
  return [...varint(number * 8 + 2), ...varint(content.length), ...Array.from(content)];
}

/** A request of one span with this content, without spreading a large one. */
function request(span: number[] | Buffer): Uint8Array {
  let body = Buffer.from(span);
  for (const number of [2, 2, 1]) body = Buffer.concat([Buffer.from([number * 8 + 2, ...varint(body.length)]), body]);
  return body;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
