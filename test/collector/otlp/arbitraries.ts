import fc from 'fast-check';

/** Random OTLP requests as proto3 JSON, the form that the oracle reads. Absent fields stand for the default. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const base64 = (length: { minLength: number; maxLength: number }) => fc.uint8Array(length).map((bytes) => Buffer.from(bytes).toString('base64'));
const double = fc.double().map((value) => (Number.isFinite(value) ? value : String(value)));

const { anyValue, keyValues } = fc.letrec<{ anyValue: object; keyValues: object[] }>((tie) => ({
  anyValue: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text.map((stringValue) => ({ stringValue })),
    fc.boolean().map((boolValue) => ({ boolValue })),
    int64.map((intValue) => ({ intValue })),
    double.map((doubleValue) => ({ doubleValue })),
    base64({ minLength: 0, maxLength: 20 }).map((bytesValue) => ({ bytesValue })),
    fc.constant({}),
    fc.array(tie('anyValue'), { maxLength: 3 }).map((values) => ({ arrayValue: { values } })),
    tie('keyValues').map((values) => ({ kvlistValue: { values } })),
  ),
  // Names from the longest a one-byte length can tell to none, and often the same: the table of keys must not mix them up.
  keyValues: fc.array(fc.record({ key: fc.oneof(fc.constantFrom('gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'a', ''), fc.string({ maxLength: 130 })), value: tie('anyValue') }, { requiredKeys: ['key'] }), { maxLength: 4 }),
}));

const event = fc.record({ timeUnixNano: uint64, name: text, attributes: keyValues }, { requiredKeys: [] });
const link = fc.record({ traceId: base64({ minLength: 16, maxLength: 16 }), spanId: base64({ minLength: 8, maxLength: 8 }), traceState: text, attributes: keyValues });
const span = fc.record(
  {
    traceId: base64({ minLength: 16, maxLength: 16 }),
    spanId: base64({ minLength: 8, maxLength: 8 }),
    parentSpanId: base64({ minLength: 8, maxLength: 8 }),
    traceState: text,
    name: text,
    kind: fc.integer({ min: -1, max: 7 }),
    startTimeUnixNano: uint64,
    endTimeUnixNano: uint64,
    attributes: keyValues,
    droppedAttributesCount: fc.nat(),
    events: fc.array(event, { maxLength: 2 }),
    links: fc.array(link, { maxLength: 2 }),
    status: fc.record({ message: text, code: fc.integer({ min: 0, max: 2 }) }),
    flags: fc.nat(),
  },
  { requiredKeys: ['traceId', 'spanId'] },
);
const logRecord = fc.record(
  {
    timeUnixNano: uint64,
    observedTimeUnixNano: uint64,
    severityNumber: fc.integer({ min: 0, max: 24 }),
    severityText: text,
    body: anyValue,
    attributes: keyValues,
    traceId: base64({ minLength: 16, maxLength: 16 }),
    spanId: base64({ minLength: 8, maxLength: 8 }),
    eventName: text,
    flags: fc.nat(),
  },
  { requiredKeys: [] },
);
const resource = fc.record({ attributes: keyValues, droppedAttributesCount: fc.nat() });
const scope = fc.record({ name: text, version: text, attributes: keyValues }, { requiredKeys: [] });

export const traces = fc.record({
  resourceSpans: fc.array(fc.record({ resource, scopeSpans: fc.array(fc.record({ scope, spans: fc.array(span, { maxLength: 3 }), schemaUrl: text }, { requiredKeys: ['spans'] }), { maxLength: 2 }) }, { requiredKeys: ['scopeSpans'] }), { maxLength: 2 }),
});
export const logs = fc.record({
  resourceLogs: fc.array(fc.record({ resource, scopeLogs: fc.array(fc.record({ scope, logRecords: fc.array(logRecord, { maxLength: 3 }), schemaUrl: text }, { requiredKeys: ['logRecords'] }), { maxLength: 2 }) }, { requiredKeys: ['scopeLogs'] }), { maxLength: 2 }),
});
