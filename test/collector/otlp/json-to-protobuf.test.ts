import fc from 'fast-check';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { jsonToProtobuf } from '../../../collector/otlp/json-to-protobuf.ts';
import { skim } from '../../../collector/otlp/skim.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import type { Decoded } from '../../../schemas/otlp.ts';
import { logs, traces } from './arbitraries.ts';
import { plain } from './captures.ts';

/** fast-check prints the seed and the path of a failure. */
const SEED = 20_261_126;

type Signal = 'traces' | 'logs';

/** Null where it cannot be read. */
function decoded(signal: Signal, encoding: 'json' | 'protobuf', body: Uint8Array): Decoded | null {
  try {
    return decode({ signal, encoding, body });
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return null;
  }
}

/** What it makes of a body is what the decoder reads in that; what it makes nothing of is the decoder's. */
function expectTheSame(signal: Signal, json: string | Uint8Array): Uint8Array | null {
  const body = typeof json === 'string' ? Buffer.from(json) : json;
  const protobuf = jsonToProtobuf({ signal, body });
  if (protobuf !== null) expect(decoded(signal, 'protobuf', protobuf)).toEqual(decoded(signal, 'json', body));
  return protobuf;
}

/** Ids in hex, as OTLP has them; proto3 JSON has them in base64. */
function withHexIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withHexIds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]: [string, unknown]) => [key, typeof inner === 'string' && /^(trace|span|parentSpan)Id$/.test(key) ? Buffer.from(inner, 'base64').toString('hex') : withHexIds(inner)]));
}

const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const request = (span: string): string => `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`;
const spanWith = (members: string): string => request(`{"traceId":"${SPAN.traceId}","spanId":"${SPAN.spanId}",${members}}`);
const attribute = (value: string): string => spanWith(`"attributes":[{"key":"k","value":${value}}]`);

const captures = readdirSync(new URL('../captures/', import.meta.url))
  .filter((name) => /\.(traces|logs)\./.test(name))
  .map((name) => [name, name.includes('.logs.') ? 'logs' : 'traces', plain(name)] as const)
  .filter(([, , bytes]) => bytes[0] === 0x7b);

describe('OTLP/JSON to protobuf', () => {
  it.each(captures)('says the same: %s', (_, signal, body) => {
    expectTheSame(signal, body);
  });

  it('takes what an SDK sends, without decoding it', () => {
    const body = plain('vercel-ai-json.traces.bin');
    expect(jsonToProtobuf({ signal: 'traces', body })).not.toBeNull();
    expect(skim({ signal: 'traces', encoding: 'json', body })).toMatchObject({ received: 36 });
    expect(skim({ signal: 'traces', encoding: 'json', body })).not.toHaveProperty('groups');
  });

  it.each([
    ['traces', traces],
    ['logs', logs],
  ] as const)('says the same of random %s, however they are spaced', (signal, requests) => {
    let taken = 0;
    fc.assert(
      fc.property(requests, fc.constantFrom(undefined, 1, '\t\r\n'), (value, space) => {
        if (expectTheSame(signal, JSON.stringify(withHexIds(value), null, space)) !== null) taken += 1;
      }),
      { seed: SEED, numRuns: 500 },
    );
    // Not where a number below zero stands for an enum, nor where there is no item at all.
    expect(taken).toBeGreaterThan(100);
  });

  it.each(captures)('says the same or nothing, whatever bytes of it are changed: %s', (_, signal, whole) => {
    const body = whole.subarray(0, 6_000);
    const piece = fc.oneof(fc.constantFrom('"', '\\', '\\u00e9', '\\ud83d\\ude00', '\\ud83d', '{', '}', '[', ']', ',', ':', '-', '0', '1e3', '.5', 'null', 'true', '"a":1,', ' ', '\u0001', 'é'), fc.string({ maxLength: 3 })).map((text) => Buffer.from(text));
    const edits = fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), insert: fc.oneof(piece, fc.uint8Array({ maxLength: 2 })), remove: fc.nat(3) }), { minLength: 1, maxLength: 2 });
    fc.assert(
      fc.property(edits, fc.boolean(), (changes, isCut) => {
        let changed: Uint8Array = isCut ? body : whole.byteLength > 60_000 ? body : whole;
        for (const { at, insert, remove } of changes) {
          const index = Math.floor(at * changed.length);
          changed = Buffer.concat([changed.subarray(0, index), insert, changed.subarray(index + remove)]);
        }
        expectTheSame(signal, changed);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it('says the same of attributes that begin as others did before, whatever comes behind', () => {
    // Few keys in whatever order, so that most lists go on as one before, or nearly.
    const value = fc.oneof(
      fc.constantFrom('{"stringValue":"openai"}', '{"stringValue":""}', '{"stringValue":"a\\"b"}', '{"stringValue":null}', '{"stringValue":"a","intValue":1}', '{"stringValue":"a","new":1}', '{ "stringValue":"a"}', '{}', 'null'),
      fc.constantFrom('{"intValue":7}', '{"intValue":"-7"}', '{"doubleValue":0.5}', '{"doubleValue":"NaN"}', '{"boolValue":true}', '{"bytesValue":"AP8="}', '{"intValue":1.5}', '{"stringValue":"a"'),
      fc.constantFrom('{"arrayValue":{"values":[{"stringValue":"stop"}]}}', '{"arrayValue":{"values":[]},"new":1}', '{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"b"}},{"key":"b"}]}}', '{"arrayValue":null}'),
      fc.string({ maxLength: 200 }).map((text) => JSON.stringify({ stringValue: text })),
    );
    const member = fc.tuple(fc.constantFrom('a', 'gen_ai.request.model', 'gen_ai.response.model', 'größe', 'k'.repeat(101), ''), value, fc.constantFrom('', '', '', ' ', ',"new":1', ',"key":"b"'));
    const list = fc.array(member, { maxLength: 6 }).map((members) => members.map(([key, of, end]) => `{"key":"${key}","value":${of}${end}}`).join());
    let taken = 0;
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 4 }), (lists) => {
        const spans = lists.map((attributes) => `{"traceId":"${SPAN.traceId}","spanId":"${SPAN.spanId}","attributes":[${attributes}],"events":[{"attributes":[${attributes}]}]}`);
        if (expectTheSame('traces', request(spans.join())) !== null) taken += 1;
      }),
      { seed: SEED, numRuns: 3_000 },
    );
    expect(taken).toBeGreaterThan(300);
  });

  it('reads spans of more attributes than are remembered', () => {
    const names = Array.from({ length: 400 }, (_, index) => `key.${index}`);
    const wide = (keys: readonly string[]): string => spanWith(`"attributes":[${keys.map((key) => `{"key":"${key}","value":{"stringValue":"of ${key}"}}`).join()}]`);
    for (const keys of [names, names.toReversed(), names.slice(100), names.filter((_, index) => index % 7 === 0), names]) expect(expectTheSame('traces', wide(keys))).not.toBeNull();
  });

  it('leaves what nests and is odd to the decoder, also where it begins as what was plain', () => {
    const nested = (end: string): string => attribute(`${'{"kvlistValue":{"values":[{"key":"k","value":'.repeat(20)}{"stringValue":"a"}${end.repeat(20)}`);
    for (let time = 0; time < 3; time += 1) {
      expect(expectTheSame('traces', nested('}]}}'))).not.toBeNull();
      expect(expectTheSame('traces', nested(',"new":{}}]}}'))).toBeNull();
    }
  });

  it.each([
    ['text with every escape', attribute(String.raw`{"stringValue":"a\"b\\c\/d\b\f\n\r\té\u0007€😀ünï"}`)],
    ['text of every length of its length', spanWith(`"attributes":[${[0, 1, 32, 33, 127, 128, 129, 16_383, 16_384, 40_000].map((length) => `{"key":"${'k'.repeat(length)}","value":{"stringValue":"\\n${'x'.repeat(length)}"}}`).join()}]`)],
    ['whole numbers, in quotes or not', spanWith(`"attributes":[${['0', '-1', '"12"', '"-12"', '999999999999999', '9999999999999999', '"9223372036854775807"', '-9223372036854775808', '"007"'].map((number, index) => `{"key":"${index}","value":{"intValue":${number}}}`).join()}]`)],
    ['numbers', spanWith(`"attributes":[${['0', '-0.5', '1e3', '2.5E-7', '1', '"NaN"', '"Infinity"', '"-Infinity"'].map((number, index) => `{"key":"${index}","value":{"doubleValue":${number}}}`).join()}]`)],
    ['times, to the nanosecond', spanWith('"startTimeUnixNano":1795424795041553993,"endTimeUnixNano":"9999999999999999999","events":[{"timeUnixNano":0},{"timeUnixNano":18446744073709551615},{"timeUnixNano":"999999999"},{"timeUnixNano":1000000000},{"timeUnixNano":"4294967296000000001"}]')],
    ['bytes', attribute('{"arrayValue":{"values":[{"bytesValue":"AP8="},{"bytesValue":""},{"bytesValue":"-_8"}]}}')],
    ['true and false', spanWith('"attributes":[{"key":"t","value":{"boolValue":true}},{"key":"f","value":{"boolValue":false}}]')],
    ['nothing where something could be', spanWith('"parentSpanId":"","name":null,"kind":null,"attributes":null,"events":[],"status":{},"links":[]')],
    ['fields that nobody reads', spanWith('"traceState":"a=\\"b\\"","flags":257,"droppedAttributesCount":0,"somethingNew":null,"isNew":true')],
    ['values in values', attribute('{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{}}}]}},{},{"stringValue":""}]}}')],
    ['zero ids', request('{"traceId":"00000000000000000000000000000000","spanId":"B7AD6B7169203331"}')],
  ])('has %s', (_name, json) => {
    expect(expectTheSame('traces', json)).not.toBeNull();
  });

  it.each([
    ['a number with a leading zero', attribute('{"intValue":012}')],
    ['a fraction where a whole number belongs', attribute('{"intValue":1.0}')],
    ['more than 64 bits', attribute('{"intValue":"9223372036854775808"}')],
    ['a time of more than 64 bits', spanWith('"startTimeUnixNano":"18446744073709551616"')],
    ['a time below zero', spanWith('"startTimeUnixNano":"-1"')],
    ['a number in quotes', attribute('{"doubleValue":"1.5"}')],
    ['a value of two types', attribute('{"stringValue":"a","intValue":1}')],
    ['a field twice', spanWith('"attributes":[{"key":"a"}],"attributes":[{"key":"b"}]')],
    ['half a character', attribute(String.raw`{"stringValue":"\ud83d"}`)],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"'), Buffer.from([0xff]), Buffer.from('"}]}]}]}')])],
    ['a byte order mark', `\ufeff${spanWith('"kind":3')}`],
    ['the name of an enum', spanWith('"kind":"SPAN_KIND_CLIENT"')],
    ['an id in base64', request('{"traceId":"CvdlGRbNQ92ESOshHIAxnA==","spanId":"t61rcWkgMzE="}')],
    ['an unknown object', spanWith('"somethingNew":{"a":[1]}')],
    ['something behind the end', `${spanWith('"kind":3')}x`],
    ['a comma too many', spanWith('"kind":3,')],
    ['a line break in a text', attribute('{"stringValue":"a\nb"}')],
    ['no spans', '{"resourceSpans":[]}'],
    ['another signal', '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}'],
    ['values nested too deeply', attribute(`${'{"arrayValue":{"values":['.repeat(70)}${']}}'.repeat(70)}`)],
  ])('leaves %s to the decoder', (_name, json) => {
    const body = Buffer.from(json);
    expect(jsonToProtobuf({ signal: 'traces', body })).toBeNull();
    // Counted by the decoder, or refused in its words.
    let said: unknown;
    try {
      said = skim({ signal: 'traces', encoding: 'json', body });
    } catch (error) {
      expect(error).toBeInstanceOf(PermanentError);
      expect(decoded('traces', 'json', body)).toBeNull();
      return;
    }
    expect(said).toEqual(decode({ signal: 'traces', encoding: 'json', body }));
  });
});
