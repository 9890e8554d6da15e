import { createFileRegistry, create, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import type { JsonValue } from '@bufbuild/protobuf';
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/**
 * The OTLP messages for @bufbuild/protobuf, an implementation that shares nothing with ours: an oracle for the decoder
 * and for the answers. From trace.proto, logs.proto, common.proto, resource.proto, *_service.proto, status.proto.
 * `name:number:type`, with * for repeated. Enums are int32 here, which is the same on the wire and a number in JSON.
 */
const MESSAGES: Readonly<Record<string, string>> = {
  ExportTraceServiceRequest: 'resource_spans:1:ResourceSpans*',
  ResourceSpans: 'resource:1:Resource scope_spans:2:ScopeSpans* schema_url:3:string',
  ScopeSpans: 'scope:1:InstrumentationScope spans:2:Span* schema_url:3:string',
  Span:
    'trace_id:1:bytes span_id:2:bytes trace_state:3:string parent_span_id:4:bytes name:5:string kind:6:int32 start_time_unix_nano:7:fixed64 ' +
    'end_time_unix_nano:8:fixed64 attributes:9:KeyValue* dropped_attributes_count:10:uint32 events:11:Event* dropped_events_count:12:uint32 ' +
    'links:13:Link* dropped_links_count:14:uint32 status:15:Status flags:16:fixed32',
  Event: 'time_unix_nano:1:fixed64 name:2:string attributes:3:KeyValue* dropped_attributes_count:4:uint32',
  Link: 'trace_id:1:bytes span_id:2:bytes trace_state:3:string attributes:4:KeyValue* dropped_attributes_count:5:uint32 flags:6:fixed32',
  Status: 'message:2:string code:3:int32',
  ExportLogsServiceRequest: 'resource_logs:1:ResourceLogs*',
  ResourceLogs: 'resource:1:Resource scope_logs:2:ScopeLogs* schema_url:3:string',
  ScopeLogs: 'scope:1:InstrumentationScope log_records:2:LogRecord* schema_url:3:string',
  LogRecord:
    'time_unix_nano:1:fixed64 observed_time_unix_nano:11:fixed64 severity_number:2:int32 severity_text:3:string body:5:AnyValue ' +
    'attributes:6:KeyValue* dropped_attributes_count:7:uint32 flags:8:fixed32 trace_id:9:bytes span_id:10:bytes event_name:12:string',
  Resource: 'attributes:1:KeyValue* dropped_attributes_count:2:uint32',
  InstrumentationScope: 'name:1:string version:2:string attributes:3:KeyValue* dropped_attributes_count:4:uint32',
  KeyValue: 'key:1:string value:2:AnyValue',
  ArrayValue: 'values:1:AnyValue*',
  KeyValueList: 'values:1:KeyValue*',
  ExportTraceServiceResponse: 'partial_success:1:ExportTracePartialSuccess',
  ExportTracePartialSuccess: 'rejected_spans:1:int64 error_message:2:string',
  RpcStatus: 'code:1:int32 message:2:string details:3:Any*',
  Any: 'type_url:1:string value:2:bytes',
  BadRequest: 'field_violations:1:FieldViolation*',
  FieldViolation: 'field:1:string description:2:string',
};
const ANY_VALUE = 'string_value:1:string bool_value:2:bool int_value:3:int64 double_value:4:double array_value:5:ArrayValue kvlist_value:6:KeyValueList bytes_value:7:bytes';

const TYPES: Readonly<Record<string, FieldDescriptorProto_Type>> = {
  string: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
  bool: FieldDescriptorProto_Type.BOOL,
  double: FieldDescriptorProto_Type.DOUBLE,
  int32: FieldDescriptorProto_Type.INT32,
  int64: FieldDescriptorProto_Type.INT64,
  uint32: FieldDescriptorProto_Type.UINT32,
  fixed32: FieldDescriptorProto_Type.FIXED32,
  fixed64: FieldDescriptorProto_Type.FIXED64,
};

function fields(text: string): object[] {
  return text.split(' ').map((entry) => {
    const [name = '', number, spelled = ''] = entry.split(':');
    const type = spelled.replace('*', '');
    const known = TYPES[type];
    return {
      name,
      jsonName: name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
      number: Number(number),
      label: spelled.endsWith('*') ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
      ...(known === undefined ? { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.otlp.${type}` } : { type: known }),
    };
  });
}

const file = create(FileDescriptorProtoSchema, {
  name: 'otlp.proto',
  package: 'otlp',
  syntax: 'proto3',
  messageType: [
    ...Object.entries(MESSAGES).map(([name, text]) => ({ name, field: fields(text) })),
    { name: 'AnyValue', field: fields(ANY_VALUE).map((field) => ({ ...field, oneofIndex: 0 })), oneofDecl: [{ name: 'value' }] },
  ],
});
const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));

function schemaOf(name: string) {
  const schema = registry.getMessage(`otlp.${name}`);
  if (schema === undefined) throw new Error(`no message ${name} in the oracle`);
  return schema;
}

/** proto3 JSON (ids in base64, 64-bit integers as strings) to protobuf. */
export function encode(name: string, json: object): Uint8Array {
  const schema = schemaOf(name);
  // fromJson checks what it is given; its parameter's type only leaves optional fields out.
  return toBinary(schema, fromJson(schema, json as JsonValue));
}

/** protobuf to proto3 JSON. */
export function explain(name: string, body: Uint8Array): JsonValue {
  const schema = schemaOf(name);
  return toJson(schema, fromBinary(schema, body));
}
