import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { encodeRequest } from '../../../collector/otlp/protobuf-encode.ts';
import { splitRequest, type Signal } from '../../../collector/otlp/split.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import { logs, traces } from './arbitraries.ts';
import { plain } from './captures.ts';
import { encode } from './oracle.ts';

const SEED = 20_260_611;
const MESSAGE: Readonly<Record<Signal, string>> = { traces: 'ExportTraceServiceRequest', logs: 'ExportLogsServiceRequest' };
const read = (signal: Signal, body: Uint8Array) => decode({ signal, encoding: 'protobuf', body });
/** Where a trace belongs: its first hex digit, of `places`. */
const placeOf = (places: number) => (traceId: string | null): number => (traceId === null ? 0 : Number.parseInt(traceId.slice(0, 1), 16) % places);

/** Every item with what stands around it, one text each, in any order. */
function itemsOf(signal: Signal, body: Uint8Array): string[] {
  const decoded = read(signal, body);
  const text = (value: unknown): string => JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner instanceof Map ? [...inner] : inner));
  const items = decoded.signal === 'traces' ? decoded.groups.flatMap(({ resource, scope, spans }) => spans.map((span) => text([resource, scope, span]))) : decoded.groups.flatMap(({ resource, scope, records }) => records.map((record) => text([resource, scope, record])));
  return items.sort();
}

describe('a request, cut at the borders of its spans', () => {
  it.each([
    ['traces', traces],
    ['logs', logs],
  ] as const)('has every one of the %s in one piece, with its resource and scope, in the place of its trace, and no piece is too large', (signal, requests) => {
    fc.assert(
      fc.property(requests, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 150, max: 3_000 }), (json, places, maxBytes) => {
        const body = encode(MESSAGE[signal], json);
        const { pieces, oversized } = splitRequest({ signal, body }, placeOf(places), maxBytes);
        const whole = itemsOf(signal, body);
        const cut = pieces.flatMap((piece) => itemsOf(signal, piece.body));
        expect(cut.length + oversized).toBe(whole.length);
        if (oversized === 0) expect(cut.sort()).toEqual(whole);
        for (const piece of pieces) {
          expect(piece.body.byteLength).toBeLessThanOrEqual(maxBytes);
          const decoded = read(signal, piece.body);
          const ids = decoded.signal === 'traces' ? decoded.groups.flatMap(({ spans }) => spans.map(({ trace_id }) => trace_id)) : decoded.groups.flatMap(({ records }) => records.map(({ trace_id }) => trace_id));
          // The decoder has no word for an id of zeros; it belongs where its first digit says.
          for (const id of ids) if (id !== null) expect(placeOf(places)(id)).toBe(piece.place);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('does not copy what needs no cutting', () => {
    const body = plain('otel-openai-v2.traces.bin');
    const { pieces } = splitRequest({ signal: 'traces', body }, () => 0, body.byteLength);
    expect(pieces).toEqual([{ place: 0, body }]);
    expect(pieces[0]?.body).toBe(body);
  });

  it('counts a span that is larger than a piece may be, and sends the others', () => {
    const span = (spanId: string, name: string) => ({ traceId: 'AAECAwQFBgcICQoLDA0ODw==', spanId, name });
    const body = encode(MESSAGE.traces, { resourceSpans: [{ scopeSpans: [{ spans: [span('AAECAwQFBgc=', 'small'), span('AAECAwQFBgg=', 'x'.repeat(5_000))] }] }] });
    const { pieces, oversized } = splitRequest({ signal: 'traces', body }, () => 0, 1_000);
    expect(oversized).toBe(1);
    expect(pieces.length).toBe(1);
  });

  it('answers any bytes with pieces or a PermanentError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        try {
          splitRequest({ signal: 'traces', body }, () => 0, 100);
        } catch (error) {
          expect(error).toBeInstanceOf(PermanentError);
        }
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });
});

describe('a decoded request, written as protobuf', () => {
  it.each([
    ['traces', traces],
    ['logs', logs],
  ] as const)('is read back as it was: random %s', (signal, requests) => {
    fc.assert(
      fc.property(requests, (json) => {
        const decoded = decode({ signal, encoding: 'json', body: Buffer.from(JSON.stringify(json)) });
        expect(read(signal, encodeRequest(decoded))).toEqual({ ...decoded, received: decoded.groups.reduce((sum, group) => sum + ('spans' in group ? group.spans : group.records).length, 0), rejected: new Map() });
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it.each(['otel-openai-v2.traces.bin', 'otel-openai-node.traces.bin'])('is read back as it was: %s', (name) => {
    const decoded = read('traces', plain(name));
    expect(read('traces', encodeRequest(decoded))).toEqual(decoded);
  });
});
