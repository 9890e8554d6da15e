import type { Attributes, AttributeValue, OtlpEvent, OtlpLink, OtlpLogRecord, OtlpScope, OtlpSpan, ResourceLogs, ResourceSpans } from '../../schemas/otlp.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { eventNameOf, spanIdOrNull, traceIdOrNull } from './ids.ts';
import { eachOf, readBoolean, readDouble, readEnum, readHex, readInt64, readList, readObject, readText, readTime, readBase64, requireObject } from './json-fields.ts';
import type { Json, Path } from './json-fields.ts';
import { parseJson } from './json-parse.ts';
import { MAX_DEPTH } from './wire.ts';

/**
 * ExportTraceServiceRequest and ExportLogsServiceRequest from OTLP/JSON, into the same structures as protobuf-traces.ts and protobuf-logs.ts.
 *
 * Source: the proto3 JSON mapping as changed by OTLP (specification, "JSON Protobuf Encoding"): ids in hex, enums as
 * integers, lowerCamelCase names only, unknown fields ignored, null and absent mean the default. Taken as well, because
 * clients in use send it: base64 ids and names of enums (the plain proto3 mapping).
 */
const SPAN_KINDS = ['SPAN_KIND_UNSPECIFIED', 'SPAN_KIND_INTERNAL', 'SPAN_KIND_SERVER', 'SPAN_KIND_CLIENT', 'SPAN_KIND_PRODUCER', 'SPAN_KIND_CONSUMER'];
const STATUS_CODES = ['STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR'];
const SEVERITIES = [
  'SEVERITY_NUMBER_UNSPECIFIED',
  ...['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'].flatMap((name) => ['', '2', '3', '4'].map((suffix) => `SEVERITY_NUMBER_${name}${suffix}`)),
];

const ROOT: Path = { parent: null, name: '', index: -1 };

/** Groups without spans are left out. Ids are not yet judged. Throws PermanentError. */
export function readTraces(body: Uint8Array): ResourceSpans[] {
  const request = readRequest(body, 'resourceSpans');
  return readList(request, 'resourceSpans', ROOT, (entry, path) => {
    const resource = readResource(entry, path);
    return readList(entry, 'scopeSpans', path, (scopeSpans, scopePath) => ({
      resource,
      scope: readScope(scopeSpans, scopePath),
      spans: readList(scopeSpans, 'spans', scopePath, readSpan),
    })).filter((group) => group.spans.length > 0);
  }).flat();
}

/** Groups without records are left out. Throws PermanentError. */
export function readLogs(body: Uint8Array): ResourceLogs[] {
  const request = readRequest(body, 'resourceLogs');
  return readList(request, 'resourceLogs', ROOT, (entry, path) => {
    const resource = readResource(entry, path);
    return readList(entry, 'scopeLogs', path, (scopeLogs, scopePath) => ({
      resource,
      scope: readScope(scopeLogs, scopePath),
      records: readList(scopeLogs, 'logRecords', scopePath, readLogRecord),
    })).filter((group) => group.records.length > 0);
  }).flat();
}

/** Unknown fields are ignored, but a request of another signal would then be lost without a word. */
function readRequest(body: Uint8Array, wanted: string): Json {
  const request = parseJson(body);
  for (const [field, path] of [['resourceSpans', '/v1/traces'], ['resourceLogs', '/v1/logs'], ['resourceMetrics', '/v1/metrics']] as const) {
    if (field !== wanted && field in request && !(wanted in request)) {
      throw new PermanentError(`malformed JSON: the body has ${field} where ${wanted} belongs; it should go to ${path}`);
    }
  }
  return request;
}

function readResource(entry: Json, path: Path): Attributes {
  const resource = readObject(entry, 'resource', path);
  return resource === null ? NO_ATTRIBUTES : readAttributes(resource, 'attributes', { parent: path, name: 'resource', index: -1 }, 0);
}

function readScope(entry: Json, path: Path): OtlpScope {
  const scope = readObject(entry, 'scope', path);
  if (scope === null) return { name: '', version: '', attributes: NO_ATTRIBUTES };
  const at = { parent: path, name: 'scope', index: -1 };
  return { name: readText(scope, 'name', at), version: readText(scope, 'version', at), attributes: readAttributes(scope, 'attributes', at, 0) };
}

function readSpan(span: Json, path: Path): OtlpSpan {
  const status = readObject(span, 'status', path);
  const statusPath = { parent: path, name: 'status', index: -1 };
  return {
    trace_id: readHex(span, 'traceId', path),
    span_id: readHex(span, 'spanId', path),
    parent_span_id: spanIdOrNull(readHex(span, 'parentSpanId', path)),
    name: readText(span, 'name', path),
    kind: readEnum(span, 'kind', path, SPAN_KINDS),
    start_ns: readTime(span, 'startTimeUnixNano', path),
    end_ns: readTime(span, 'endTimeUnixNano', path),
    attributes: readAttributes(span, 'attributes', path, 0),
    events: readList(span, 'events', path, readEvent),
    links: readList(span, 'links', path, readLink),
    status_code: status === null ? 0 : readEnum(status, 'code', statusPath, STATUS_CODES),
    status_message: status === null ? '' : readText(status, 'message', statusPath),
  };
}

function readEvent(event: Json, path: Path): OtlpEvent {
  return { name: readText(event, 'name', path), time_ns: readTime(event, 'timeUnixNano', path), attributes: readAttributes(event, 'attributes', path, 0) };
}

function readLink(link: Json, path: Path): OtlpLink {
  return { trace_id: readHex(link, 'traceId', path), span_id: readHex(link, 'spanId', path), attributes: readAttributes(link, 'attributes', path, 0) };
}

function readLogRecord(record: Json, path: Path): OtlpLogRecord {
  const attributes = readAttributes(record, 'attributes', path, 0);
  return {
    time_ns: readTime(record, 'timeUnixNano', path),
    observed_time_ns: readTime(record, 'observedTimeUnixNano', path),
    event_name: readText(record, 'eventName', path) || eventNameOf(attributes),
    trace_id: traceIdOrNull(readHex(record, 'traceId', path)),
    span_id: spanIdOrNull(readHex(record, 'spanId', path)),
    severity_number: readEnum(record, 'severityNumber', path, SEVERITIES),
    body: readAnyValue(record, 'body', path, 0),
    attributes,
  };
}

const NO_ATTRIBUTES: Attributes = new Map();

function readAttributes(holder: Json, field: string, path: Path, depth: number): Attributes {
  let attributes: Map<string, AttributeValue> | null = null;
  eachOf(holder, field, path, (entry, at) => {
    const key = readText(entry, 'key', at);
    (attributes ??= new Map()).set(key, readAnyValue(entry, 'value', at, depth));
  });
  return attributes ?? NO_ATTRIBUTES;
}

function readAnyValue(holder: Json, field: string, path: Path, depth: number): AttributeValue {
  const value = readObject(holder, field, path);
  return value === null ? null : readAnyValueItself(value, { parent: path, name: field, index: -1 }, depth);
}

function readAnyValueItself(value: Json, path: Path, depth: number): AttributeValue {
  if (depth > MAX_DEPTH) throw new PermanentError(`malformed JSON: values nested deeper than ${MAX_DEPTH}`);
  // By the field that is there, not by asking for one after the other: a value has one, and there are many values.
  for (const field in value) {
    if (value[field] === null) continue;
    const inner = { parent: path, name: field, index: -1 };
    switch (field) {
      case 'stringValue':
        return readText(value, field, path);
      case 'intValue':
        return readInt64(value, field, path);
      case 'doubleValue':
        return readDouble(value, field, path);
      case 'boolValue':
        return readBoolean(value, field, path);
      case 'bytesValue':
        return readBase64(value, field, path);
      case 'arrayValue':
        return readList(requireObject(value, field, path), 'values', inner, (entry, at) => readAnyValueItself(entry, at, depth + 1));
      case 'kvlistValue':
        return readAttributes(requireObject(value, field, path), 'values', inner, depth + 1);
    }
  }
  return null;
}
