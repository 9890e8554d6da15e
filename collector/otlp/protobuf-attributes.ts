import type { Attributes, AttributeValue, OtlpScope } from '../../schemas/otlp.ts';
import { createTexts } from './texts.ts';
import { enter, FIXED64, leave, LENGTH, malformed, MAX_DEPTH, readBytes, readDouble, readInt64, readTag, readText, skip, spend, VARINT } from './wire.ts';
import type { Cursor } from './wire.ts';

/**
 * What traces and logs share, from protobuf: attributes and their values, resource, scope.
 * Source: opentelemetry-proto v1.9, common.proto and resource.proto. One `case` for each field, as (number << 3 | wire type).
 */
export const NO_ATTRIBUTES: Attributes = new Map();
export const NO_SCOPE: OtlpScope = { name: '', version: '', attributes: NO_ATTRIBUTES };

/** Names of the fields that are read, by number: for messages about one of another wire type. */
const RESOURCE = ['', 'attributes'];
const SCOPE = ['', 'name', 'version', 'attributes'];
const KEY_VALUE = ['', 'key', 'value'];
const ANY_VALUE = ['', 'string_value', 'bool_value', 'int_value', 'double_value', 'array_value', 'kvlist_value', 'bytes_value'];
const ARRAY_VALUE = ['', 'values'];

/** One table of each for the process: every sender writes the same few keys, and most of their values. */
const keys = createTexts();
const values = createTexts();

/** Adds to `resource`, since a message may come in parts. */
export function readResource(cursor: Cursor, resource: Map<string, AttributeValue>, field: string): void {
  const outer = enter(cursor, field);
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'Resource');
    if (tag === ((1 << 3) | LENGTH)) readKeyValue(cursor, resource, 'Resource.attributes', 0);
    else skip(cursor, tag, 'Resource', RESOURCE);
  }
  leave(cursor, outer);
}

/** Adds to what an earlier part of the same scope said. */
export function readScope(cursor: Cursor, before: OtlpScope, field: string): OtlpScope {
  let { name, version } = before;
  let attributes: Map<string, AttributeValue> | null = before.attributes.size > 0 ? new Map(before.attributes) : null;
  const outer = enter(cursor, field);
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'InstrumentationScope');
    switch (tag) {
      case (1 << 3) | LENGTH:
        name = readText(cursor, 'InstrumentationScope.name');
        break;
      case (2 << 3) | LENGTH:
        version = readText(cursor, 'InstrumentationScope.version');
        break;
      case (3 << 3) | LENGTH:
        readKeyValue(cursor, (attributes ??= new Map()), 'InstrumentationScope.attributes', 0);
        break;
      default:
        skip(cursor, tag, 'InstrumentationScope', SCOPE);
    }
  }
  leave(cursor, outer);
  return { name, version, attributes: attributes ?? NO_ATTRIBUTES };
}

export function readKeyValue(cursor: Cursor, into: Map<string, AttributeValue>, field: string, depth: number): void {
  spend(cursor, field);
  let key = '';
  let value: AttributeValue = null;
  const outer = enter(cursor, field);
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'KeyValue');
    switch (tag) {
      case (1 << 3) | LENGTH:
        key = keys.read(cursor, 'KeyValue.key');
        break;
      case (2 << 3) | LENGTH:
        value = readAnyValue(cursor, 'KeyValue.value', depth);
        break;
      default:
        skip(cursor, tag, 'KeyValue', KEY_VALUE);
    }
  }
  leave(cursor, outer);
  into.set(key, value);
}

export function readAnyValue(cursor: Cursor, field: string, depth: number): AttributeValue {
  if (depth > MAX_DEPTH) throw malformed(field, `values nested deeper than ${MAX_DEPTH}`, cursor.position);
  let value: AttributeValue = null;
  const outer = enter(cursor, field);
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'AnyValue');
    switch (tag) {
      case (1 << 3) | LENGTH:
        value = values.read(cursor, 'AnyValue.string_value');
        break;
      case (2 << 3) | VARINT:
        value = readInt64(cursor, 'AnyValue.bool_value') !== 0;
        break;
      case (3 << 3) | VARINT:
        value = readInt64(cursor, 'AnyValue.int_value');
        break;
      case (4 << 3) | FIXED64:
        value = readDouble(cursor, 'AnyValue.double_value');
        break;
      case (5 << 3) | LENGTH:
        value = readArrayValue(cursor, depth + 1);
        break;
      case (6 << 3) | LENGTH:
        value = readKeyValueList(cursor, depth + 1);
        break;
      case (7 << 3) | LENGTH:
        value = readBytes(cursor, 'AnyValue.bytes_value');
        break;
      default:
        skip(cursor, tag, 'AnyValue', ANY_VALUE);
    }
  }
  leave(cursor, outer);
  return value;
}

function readArrayValue(cursor: Cursor, depth: number): AttributeValue[] {
  const values: AttributeValue[] = [];
  const outer = enter(cursor, 'AnyValue.array_value');
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'ArrayValue');
    if (tag === ((1 << 3) | LENGTH)) {
      spend(cursor, 'ArrayValue.values');
      values.push(readAnyValue(cursor, 'ArrayValue.values', depth));
    } else {
      skip(cursor, tag, 'ArrayValue', ARRAY_VALUE);
    }
  }
  leave(cursor, outer);
  return values;
}

function readKeyValueList(cursor: Cursor, depth: number): Map<string, AttributeValue> {
  const values = new Map<string, AttributeValue>();
  const outer = enter(cursor, 'AnyValue.kvlist_value');
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'KeyValueList');
    if (tag === ((1 << 3) | LENGTH)) readKeyValue(cursor, values, 'KeyValueList.values', depth);
    else skip(cursor, tag, 'KeyValueList', ARRAY_VALUE);
  }
  leave(cursor, outer);
  return values;
}
