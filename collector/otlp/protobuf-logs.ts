import type { Attributes, AttributeValue, OtlpLogRecord, ResourceLogs } from '../../schemas/otlp.ts';
import { eventNameOf, spanIdOrNull, traceIdOrNull } from './ids.ts';
import { NO_ATTRIBUTES, NO_SCOPE, readAnyValue, readKeyValue, readResource, readScope } from './protobuf-attributes.ts';
import { createCursor, enter, FIXED64, leave, LENGTH, readEnum, readFixed64, readHex, readTag, readText, skip, spend, VARINT } from './wire.ts';
import type { Cursor } from './wire.ts';

/** ExportLogsServiceRequest from protobuf, every field that schemas/otlp.ts has. Source: opentelemetry-proto v1.9, logs.proto. */

/** Names of the fields that are read, by number: for messages about one of another wire type. */
const REQUEST = ['', 'resource_logs'];
const RESOURCE_LOGS = ['', 'resource', 'scope_logs'];
const SCOPE_LOGS = ['', 'scope', 'log_records'];
const LOG_RECORD = ['', 'time_unix_nano', 'severity_number', '', '', 'body', 'attributes', '', '', 'trace_id', 'span_id', 'observed_time_unix_nano', 'event_name'];

/** Groups without records are left out. Throws PermanentError. */
export function readLogs(body: Uint8Array): ResourceLogs[] {
  const cursor = createCursor(body);
  const groups: ResourceLogs[] = [];
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'ExportLogsServiceRequest');
    if (tag === ((1 << 3) | LENGTH)) readResourceLogs(cursor, groups);
    else skip(cursor, tag, 'ExportLogsServiceRequest', REQUEST);
  }
  return groups;
}

function readResourceLogs(cursor: Cursor, groups: ResourceLogs[]): void {
  const resource = new Map<string, AttributeValue>();
  const outer = enter(cursor, 'ExportLogsServiceRequest.resource_logs');
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'ResourceLogs');
    switch (tag) {
      case (1 << 3) | LENGTH:
        readResource(cursor, resource, 'ResourceLogs.resource');
        break;
      case (2 << 3) | LENGTH: {
        const group = readScopeLogs(cursor, resource);
        if (group.records.length > 0) groups.push(group);
        break;
      }
      default:
        skip(cursor, tag, 'ResourceLogs', RESOURCE_LOGS);
    }
  }
  leave(cursor, outer);
}

function readScopeLogs(cursor: Cursor, resource: Attributes): ResourceLogs {
  let scope = NO_SCOPE;
  const records: OtlpLogRecord[] = [];
  const outer = enter(cursor, 'ResourceLogs.scope_logs');
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'ScopeLogs');
    switch (tag) {
      case (1 << 3) | LENGTH:
        scope = readScope(cursor, scope, 'ScopeLogs.scope');
        break;
      case (2 << 3) | LENGTH:
        records.push(readLogRecord(cursor));
        break;
      default:
        skip(cursor, tag, 'ScopeLogs', SCOPE_LOGS);
    }
  }
  leave(cursor, outer);
  return { resource, scope, records };
}

function readLogRecord(cursor: Cursor): OtlpLogRecord {
  spend(cursor, 'ScopeLogs.log_records');
  let time_ns = 0n;
  let observed_time_ns = 0n;
  let event_name = '';
  let trace_id = '';
  let span_id = '';
  let severity_number = 0;
  let body: AttributeValue = null;
  let attributes: Map<string, AttributeValue> | null = null;
  const outer = enter(cursor, 'ScopeLogs.log_records');
  while (cursor.position < cursor.end) {
    const tag = readTag(cursor, 'LogRecord');
    switch (tag) {
      case (1 << 3) | FIXED64:
        time_ns = readFixed64(cursor, 'LogRecord.time_unix_nano');
        break;
      case (2 << 3) | VARINT:
        severity_number = readEnum(cursor, 'LogRecord.severity_number');
        break;
      case (5 << 3) | LENGTH:
        body = readAnyValue(cursor, 'LogRecord.body', 0);
        break;
      case (6 << 3) | LENGTH:
        readKeyValue(cursor, (attributes ??= new Map()), 'LogRecord.attributes', 0);
        break;
      case (9 << 3) | LENGTH:
        trace_id = readHex(cursor, 'LogRecord.trace_id');
        break;
      case (10 << 3) | LENGTH:
        span_id = readHex(cursor, 'LogRecord.span_id');
        break;
      case (11 << 3) | FIXED64:
        observed_time_ns = readFixed64(cursor, 'LogRecord.observed_time_unix_nano');
        break;
      case (12 << 3) | LENGTH:
        event_name = readText(cursor, 'LogRecord.event_name');
        break;
      default:
        skip(cursor, tag, 'LogRecord', LOG_RECORD);
    }
  }
  leave(cursor, outer);
  return {
    time_ns,
    observed_time_ns,
    event_name: event_name || eventNameOf(attributes ?? NO_ATTRIBUTES),
    trace_id: traceIdOrNull(trace_id),
    span_id: spanIdOrNull(span_id),
    severity_number,
    body,
    attributes: attributes ?? NO_ATTRIBUTES,
  };
}
