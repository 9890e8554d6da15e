import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { skim } from '../../../collector/otlp/skim.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import { logs, traces } from './arbitraries.ts';
import { plain } from './captures.ts';
import { encode } from './oracle.ts';

/** fast-check prints the seed and the path of a failure. */
const SEED = 20_260_621;

type Signal = 'traces' | 'logs';
type Seen = { readonly received: number; readonly rejected: Record<string, number> } | string;

/** What is answered, whoever looks: counts, or why the body cannot be read. */
function seen(look: typeof skim, signal: Signal, body: Uint8Array): Seen {
  try {
    const { received, rejected } = look({ signal, encoding: 'protobuf', body });
    return { received, rejected: Object.fromEntries(rejected) };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return error.message;
  }
}

function expectTheSame(signal: Signal, body: Uint8Array): void {
  expect(seen(skim, signal, body)).toEqual(seen(decode, signal, body));
}

const captures = new URL('../captures/', import.meta.url);
const bodies = readdirSync(captures)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => ({ name, bytes: readFileSync(new URL(name, captures)) }))
  .map(({ name, bytes }) => [name, name.includes('logs') ? 'logs' : 'traces', bytes[0] === 0x1f ? gunzipSync(bytes) : bytes] as const)
  .filter(([, , bytes]) => bytes[0] !== 0x7b);

describe('a request that is skimmed', () => {
  it.each(bodies)('is counted as if it were decoded, without being decoded: %s', (_, signal, body) => {
    expectTheSame(signal, body);
    expect(skim({ signal, encoding: 'protobuf', body })).not.toHaveProperty('groups');
  });

  it.each(bodies)('is refused in the same words where it is cut: %s', (_, signal, body) => {
    for (let length = 0; length < body.length; length += Math.ceil(body.length / 500)) expectTheSame(signal, body.subarray(0, length));
  });

  it.each([
    ['traces', 'ExportTraceServiceRequest', traces],
    ['logs', 'ExportLogsServiceRequest', logs],
  ] as const)('is counted as if it were decoded: random %s', (signal, message, requests) => {
    fc.assert(fc.property(requests, (json) => expectTheSame(signal, encode(message, json))), { seed: SEED, numRuns: 500 });
  });

  it.each(bodies)('is judged like the decoder does, whatever bytes of it are changed: %s', (_, signal, body) => {
    const edits = fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), insert: fc.uint8Array({ maxLength: 3 }), remove: fc.nat(3) }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(edits, (changes) => {
        let changed: Uint8Array = body;
        for (const { at, insert, remove } of changes) {
          const index = Math.floor(at * changed.length);
          changed = Buffer.concat([changed.subarray(0, index), insert, changed.subarray(index + remove)]);
        }
        expectTheSame(signal, changed);
        // The other signal's shape fits far into the body, where other fields are.
        expectTheSame(signal === 'traces' ? 'logs' : 'traces', changed);
      }),
      { seed: SEED, numRuns: 400 },
    );
  });

  it('may be any bytes', () => {
    // Bytes of the fields that there are, so that random ones come further than to the first tag.
    const byte = fc.oneof(fc.constantFrom(0x0a, 0x12, 0x1a, 0x22, 0x2a, 0x32, 0x39, 0x41, 0x4a, 0x5a, 0x6a, 0x7a, 0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x80), fc.nat(255));
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 80 }), (bytes) => {
        expectTheSame('traces', Uint8Array.from(bytes));
        expectTheSame('logs', Uint8Array.from(bytes));
      }),
      { seed: SEED, numRuns: 20_000 },
    );
  });

  const field = (number: number, content: ArrayLike<number>): number[] => [number * 8 + 2, ...(content.length < 0x80 ? [content.length] : [(content.length & 0x7f) | 0x80, content.length >> 7]), ...Array.from(content)];
  const request = (...spans: number[][]): Uint8Array => Uint8Array.from(field(1, field(2, spans.flatMap((span) => field(2, span)))));
  const ids = [...field(1, Array.from({ length: 16 }, () => 7)), ...field(2, Array.from({ length: 8 }, () => 7))];

  it('names what it refuses: every fault of an id, alone and beside good spans', () => {
    const faults = [field(1, Array.from({ length: 16 }, () => 0)), field(1, [1, 2, 3]), field(2, Array.from({ length: 8 }, () => 0)), field(2, [1]), field(1, []), field(2, [])].map((fault) => [...ids, ...fault]);
    for (const fault of faults) expectTheSame('traces', request(fault));
    const body = request(ids, ...faults);
    expectTheSame('traces', body);
    expect(seen(skim, 'traces', body)).toEqual({ received: 7, rejected: { zero_trace_id: 1, bad_trace_id: 2, zero_span_id: 1, bad_span_id: 2 } });
    expectTheSame('traces', request([], []));
  });

  it('has the edges of the wire format where the decoder has them', () => {
    const varint = (...bytes: number[]): number[] => [6 * 8, ...bytes];
    const long = (count: number, last: number): number[] => [...Array.from({ length: count - 1 }, () => 0xff), last];
    const extras = [varint(...long(10, 1)), varint(...long(10, 2)), varint(...long(11, 1)), [0x85, 0x01, 1, 2, 3, 4], [0x85, 0x01, 1, 2, 3], [0x81, 0x00, 1], [0x8a, 0x00, 0], [0xfa, 0xff, 0x01, 0], [0x0b, 0x0c], [0x13, 0x14], [0x9b, 0x06, 0x9c, 0x06], [0x4a, 0x80, 0x00], [0x39, 1, 2, 3, 4, 5, 6, 7]];
    for (const extra of extras) expectTheSame('traces', request([...ids, ...extra]));
  });

  it.each([63, 64, 65, 66, 200])('has the decoder\'s limit for values in values: %i', (depth) => {
    let value = field(1, [0x61]);
    for (let level = 0; level < depth && value.length < 16_000; level += 1) value = field(5, field(1, value));
    expectTheSame('traces', request([...ids, ...field(9, field(2, value))]));
  });

  it('becomes protobuf where it is plain JSON, and is decoded where it is not, and handed on so', () => {
    const body = (kind: unknown) => Buffer.from(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: '07'.repeat(16), spanId: '07'.repeat(8), kind }] }] }] }));
    const skimmed = skim({ signal: 'traces', encoding: 'json', body: body(3) });
    expect(skimmed).toEqual({ signal: 'traces', received: 1, rejected: new Map(), protobuf: expect.any(Buffer) });
    expect(skim({ signal: 'traces', encoding: 'json', body: body('SPAN_KIND_CLIENT') })).toMatchObject({ received: 1, groups: [{ spans: [{ span_id: '07'.repeat(8) }] }] });
  });

  it('is explained where it is of the other signal', () => {
    expect(() => skim({ signal: 'traces', encoding: 'protobuf', body: plain('otel-openai-v2.logs.bin') })).toThrow('it reads as logs; were they posted to /v1/traces?');
  });
});
