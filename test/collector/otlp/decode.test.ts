import { describe, expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { PermanentError } from '../../../schemas/errors.ts';
import { handOver } from '../../../schemas/log.ts';
import type { Decoded } from '../../../schemas/otlp.ts';
import { plain } from './captures.ts';
import { encode } from './oracle.ts';

const id = (length: number, fill: number) => Buffer.alloc(length, fill).toString('base64');
const request = (spans: object[]) => encode('ExportTraceServiceRequest', { resourceSpans: [{ scopeSpans: [{ spans }] }] });
const good = (fill: number) => ({ traceId: id(16, 7), spanId: id(8, fill) });

describe('decode', () => {
  it('hands on what is decoded already, once', () => {
    const decoded: Decoded = { signal: 'logs', groups: [], received: 0, rejected: new Map() };
    const message = { signal: 'logs', encoding: 'protobuf', body: new Uint8Array(), decoded: handOver(decoded) } as const;
    expect(decode(message)).toBe(decoded);
    expect(decode(message)).toEqual(decoded);
    expect(decode(message)).not.toBe(decoded);
  });

  it('rejects one span with an all-zero id among ten (golden case 21)', () => {
    const spans = [...Array.from({ length: 9 }, (_, index) => good(index + 1)), { traceId: id(16, 0), spanId: id(8, 9) }];
    const decoded = decode({ signal: 'traces', encoding: 'protobuf', body: request(spans) });
    expect(decoded).toMatchObject({ received: 10, rejected: new Map([['zero_trace_id', 1]]) });
    expect(decoded.groups).toHaveLength(1);
    expect(decoded.groups[0]).toHaveProperty('spans.length', 9);
  });

  it('counts every reason', () => {
    const spans = [
      good(1),
      { traceId: id(16, 0), spanId: id(8, 1) },
      { traceId: id(16, 7), spanId: id(8, 0) },
      { traceId: id(15, 7), spanId: id(8, 1) },
      { traceId: id(16, 7), spanId: id(9, 1) },
      { traceId: id(16, 7) },
      { traceId: id(40, 7), spanId: id(8, 1) },
    ];
    const decoded = decode({ signal: 'traces', encoding: 'protobuf', body: request(spans) });
    expect(decoded.rejected).toEqual(new Map([['zero_trace_id', 1], ['zero_span_id', 1], ['bad_trace_id', 2], ['bad_span_id', 2]]));
  });

  it('rejects JSON ids that are neither hex nor base64 of an id', () => {
    const spans = ['zz', '0af7651916cd43dd8448eb211c80319', '0af7651916cd43dd8448eb211c80319cff'].map((traceId) => ({ traceId, spanId: 'b7ad6b7169203331' }));
    const body = Buffer.from(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }));
    expect(decode({ signal: 'traces', encoding: 'json', body }).rejected).toEqual(new Map([['bad_trace_id', 3]]));
  });

  it('keeps a log record and drops its bad ids', () => {
    const records = [{ traceId: id(16, 0), spanId: id(7, 1) }, { traceId: id(16, 1), spanId: id(8, 1) }];
    const decoded = decode({ signal: 'logs', encoding: 'protobuf', body: encode('ExportLogsServiceRequest', { resourceLogs: [{ scopeLogs: [{ logRecords: records }] }] }) });
    expect(decoded.rejected.size).toBe(0);
    expect(decoded.groups[0]).toMatchObject({ records: [{ trace_id: null, span_id: null }, { trace_id: '01'.repeat(16), span_id: '01'.repeat(8) }] });
  });

  it('takes a parent of zeros, or of the wrong length, for none', () => {
    const decoded = decode({ signal: 'traces', encoding: 'protobuf', body: request([{ ...good(1), parentSpanId: id(8, 0) }, { ...good(2), parentSpanId: id(3, 1) }, { ...good(3), parentSpanId: id(8, 1) }]) });
    expect(decoded.groups[0]).toMatchObject({ spans: [{ parent_span_id: null }, { parent_span_id: null }, { parent_span_id: '01'.repeat(8) }] });
  });

  it('reads an empty body as an empty request', () => {
    expect(decode({ signal: 'traces', encoding: 'protobuf', body: new Uint8Array(0) })).toMatchObject({ received: 0, groups: [] });
  });

  it.each(['otel-openai-v2.logs.bin', 'otel-openai-node.logs.bin'])('says what is wrong when logs are posted to /v1/traces (%s)', (name) => {
    const post = () => decode({ signal: 'traces', encoding: 'protobuf', body: plain(name) });
    expect(post).toThrow(PermanentError);
    expect(post).toThrow('it reads as logs; were they posted to /v1/traces?');
  });

  it('says what is wrong when traces are posted to /v1/logs', () => {
    const post = () => decode({ signal: 'logs', encoding: 'protobuf', body: plain('otel-openai-v2.traces.bin') });
    expect(post).toThrow('it reads as traces; were they posted to /v1/logs?');
  });

  it('refuses the whole request when no span has any id', () => {
    const post = () => decode({ signal: 'traces', encoding: 'protobuf', body: request([{ name: 'a' }, { name: 'b' }]) });
    expect(post).toThrow(PermanentError);
    expect(post).toThrow('none of the 2 spans has a trace id or a span id; were logs or metrics posted to /v1/traces?');
  });
});
