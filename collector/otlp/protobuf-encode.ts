import type { Attributes, AttributeValue, Decoded, OtlpLogRecord, OtlpScope, OtlpSpan } from '../../schemas/otlp.ts';
import { FIXED64, LENGTH, VARINT } from './wire.ts';

/**
 * A decoded request as protobuf: what was sent as JSON goes into the log in the one form that every reader of the log knows.
 *
 * Written from its end to its beginning, so that the length of a nested message is known when it is to be written; nothing is measured
 * twice. Fields that schemas/otlp.ts does not have (trace state, dropped counts, schema URLs, severity text) are not written.
 */
export function encodeRequest(decoded: Decoded): Uint8Array {
  const writer = createBackwardWriter();
  switch (decoded.signal) {
    case 'traces':
      for (const { resource, scope, spans } of decoded.groups.toReversed()) writeGroup(writer, resource, scope, () => eachFromEnd(spans, (span) => writer.message(2, () => writeSpan(writer, span))));
      break;
    case 'logs':
      for (const { resource, scope, records } of decoded.groups.toReversed()) writeGroup(writer, resource, scope, () => eachFromEnd(records, (record) => writer.message(2, () => writeLogRecord(writer, record))));
      break;
  }
  return writer.finish();
}

type BackwardWriter = ReturnType<typeof createBackwardWriter>;

function createBackwardWriter() {
  let bytes = Buffer.allocUnsafe(64 * 1024);
  /** What is written lies from here to the end. */
  let start = bytes.byteLength;
  const room = (needed: number): void => {
    if (start >= needed) return;
    const written = bytes.byteLength - start;
    const larger = Buffer.allocUnsafe(Math.max(bytes.byteLength * 2, written + needed));
    bytes.copy(larger, larger.byteLength - written, start);
    start = larger.byteLength - written;
    bytes = larger;
  };
  const varint = (value: number): void => {
    let length = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
    room(length);
    start -= length;
    let rest = value;
    let position = start;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes[position++] = (rest % 128) | 0x80;
    bytes[position] = rest;
  };
  const tag = (field: number, wireType: number): void => varint(field * 8 + wireType);
  const fixed = (field: number, put: (at: number) => void): void => {
    room(8);
    start -= 8;
    put(start);
    tag(field, FIXED64);
  };
  return {
    varint(field: number, value: number) {
      varint(value);
      tag(field, VARINT);
    },
    int64(field: number, value: bigint) {
      let rest = BigInt.asUintN(64, value);
      const encoded: number[] = [];
      for (; rest >= 0x80n; rest >>= 7n) encoded.push(Number(rest & 0x7fn) | 0x80);
      encoded.push(Number(rest));
      room(encoded.length);
      start -= encoded.length;
      bytes.set(encoded, start);
      tag(field, VARINT);
    },
    fixed64: (field: number, value: bigint) => fixed(field, (at) => bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at)),
    double: (field: number, value: number) => fixed(field, (at) => bytes.writeDoubleLE(value, at)),
    text(field: number, value: string) {
      const length = Buffer.byteLength(value);
      room(length);
      start -= length;
      bytes.write(value, start, length);
      varint(length);
      tag(field, LENGTH);
    },
    hex(field: number, value: string) {
      this.bytes(field, Buffer.from(value, 'hex'));
    },
    bytes(field: number, value: Uint8Array) {
      room(value.byteLength);
      start -= value.byteLength;
      bytes.set(value, start);
      varint(value.byteLength);
      tag(field, LENGTH);
    },
    message(field: number, write: () => void) {
      const before = bytes.byteLength - start;
      write();
      varint(bytes.byteLength - start - before);
      tag(field, LENGTH);
    },
    finish: () => bytes.subarray(start),
  };
}

function eachFromEnd<Item>(items: readonly Item[], write: (item: Item) => void): void {
  for (let index = items.length - 1; index >= 0; index -= 1) {
    const item = items[index];
    if (item !== undefined) write(item);
  }
}

function writeGroup(writer: BackwardWriter, resource: Attributes, scope: OtlpScope, writeItems: () => void): void {
  writer.message(1, () => {
    writer.message(2, () => {
      writeItems();
      writer.message(1, () => {
        writeAttributes(writer, 3, scope.attributes);
        if (scope.version !== '') writer.text(2, scope.version);
        if (scope.name !== '') writer.text(1, scope.name);
      });
    });
    writer.message(1, () => writeAttributes(writer, 1, resource));
  });
}

function writeSpan(writer: BackwardWriter, span: OtlpSpan): void {
  if (span.status_code !== 0 || span.status_message !== '') {
    writer.message(15, () => {
      if (span.status_code !== 0) writer.int64(3, BigInt(span.status_code));
      if (span.status_message !== '') writer.text(2, span.status_message);
    });
  }
  eachFromEnd(span.links, (link) =>
    writer.message(13, () => {
      writeAttributes(writer, 4, link.attributes);
      writer.hex(2, link.span_id);
      writer.hex(1, link.trace_id);
    }),
  );
  eachFromEnd(span.events, (event) =>
    writer.message(11, () => {
      writeAttributes(writer, 3, event.attributes);
      if (event.name !== '') writer.text(2, event.name);
      writer.fixed64(1, event.time_ns);
    }),
  );
  writeAttributes(writer, 9, span.attributes);
  writer.fixed64(8, span.end_ns);
  writer.fixed64(7, span.start_ns);
  if (span.kind !== 0) writer.int64(6, BigInt(span.kind));
  if (span.name !== '') writer.text(5, span.name);
  if (span.parent_span_id !== null) writer.hex(4, span.parent_span_id);
  writer.hex(2, span.span_id);
  writer.hex(1, span.trace_id);
}

function writeLogRecord(writer: BackwardWriter, record: OtlpLogRecord): void {
  if (record.event_name !== '') writer.text(12, record.event_name);
  writer.fixed64(11, record.observed_time_ns);
  if (record.span_id !== null) writer.hex(10, record.span_id);
  if (record.trace_id !== null) writer.hex(9, record.trace_id);
  writeAttributes(writer, 6, record.attributes);
  if (record.body !== null) writer.message(5, () => writeValue(writer, record.body));
  if (record.severity_number !== 0) writer.int64(2, BigInt(record.severity_number));
  writer.fixed64(1, record.time_ns);
}

function writeAttributes(writer: BackwardWriter, field: number, attributes: Attributes): void {
  eachFromEnd([...attributes], ([key, value]) => writer.message(field, () => writeKeyValue(writer, key, value)));
}

function writeKeyValue(writer: BackwardWriter, key: string, value: AttributeValue): void {
  writer.message(2, () => writeValue(writer, value));
  writer.text(1, key);
}

/** An AnyValue; null is one that is not set. */
function writeValue(writer: BackwardWriter, value: AttributeValue): void {
  if (value === null) return;
  if (typeof value === 'string') writer.text(1, value);
  else if (typeof value === 'boolean') writer.varint(2, value ? 1 : 0);
  else if (typeof value === 'bigint') writer.int64(3, value);
  else if (typeof value === 'number') writeNumber(writer, value);
  else if (value instanceof Uint8Array) writer.bytes(7, value);
  else if (value instanceof Map) writer.message(6, () => writeAttributes(writer, 1, value));
  else if (Array.isArray(value)) writer.message(5, () => eachFromEnd(value, (element: AttributeValue) => writer.message(1, () => writeValue(writer, element))));
}

/** Whole numbers are written as integers: once decoded they are not told apart. */
function writeNumber(writer: BackwardWriter, value: number): void {
  if (!Number.isSafeInteger(value)) writer.double(4, value);
  else if (value < 0) writer.int64(3, BigInt(value));
  else writer.varint(3, Math.abs(value));
}
