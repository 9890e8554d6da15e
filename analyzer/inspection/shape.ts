import { hash } from 'node:crypto';
import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import type { RecordSubject, SpanSubject } from './probes.ts';
import type { Facts } from './provenance.ts';

/**
 * What decides which key a field is read from: which keys there are, of which type, and whether each says anything; not the
 * values themselves. Telemetry of one program has a handful of shapes, so provenance is traced once for each.
 */
export function shapeOfSpan({ resource, scope, span }: SpanSubject, facts: Facts): string {
  const parts = ['span', scope.name, span.name.slice(0, 64).split(' ', 1)[0] ?? '', String(span.status_code), String(span.parent_span_id === null), String(span.links.length)];
  describeAll(span.attributes, parts);
  for (const event of span.events.slice(0, MAX_EVENTS)) {
    parts.push('event', event.name);
    describeAll(event.attributes, parts);
  }
  parts.push(String(span.events.length));
  return digest(parts, resource, scope.attributes, facts);
}

export function shapeOfRecord({ resource, scope, record }: RecordSubject, facts: Facts): string {
  const parts = ['record', scope.name, record.event_name, String(record.trace_id === null), String(record.span_id === null), describe(record.body)];
  describeAll(record.attributes, parts);
  return digest(parts, resource, scope.attributes, facts);
}

const MAX_EVENTS = 64;

/** Of the facts, which there are; and those that are words of a small vocabulary. */
function digest(parts: string[], resource: Attributes, scope: Attributes, facts: Facts): string {
  parts.push('resource');
  describeAll(resource, parts);
  parts.push('scope');
  describeAll(scope, parts);
  for (const field of facts.keys()) parts.push(field);
  for (const field of VOCABULARIES) parts.push(String(facts.get(field)));
  return hash('sha256', parts.join('\0'), 'hex');
}

const VOCABULARIES = ['recognised_as', 'reason', 'dialect', 'operation', 'provider', 'finish_reason'];

function describeAll(attributes: Attributes, parts: string[]): void {
  for (const [key, value] of attributes) parts.push(key, describe(value));
}

const NOTHING: ReadonlySet<string> = new Set(['', 'null', 'undefined', 'None', '-']);
const MAX_JSON_CHARACTERS = 4096;
const MAX_DESCRIBED_MEMBERS = 64;

function describe(value: AttributeValue): string {
  if (typeof value === 'string') return describeText(value, 0);
  if (typeof value === 'number' || typeof value === 'bigint') return value > 0 ? '+' : value < 0 ? '-' : '0';
  if (value instanceof Map) return [...value].slice(0, MAX_DESCRIBED_MEMBERS).map(([key, member]: [string, AttributeValue]) => `${key}:${describe(member)}`).join(',');
  if (Array.isArray(value)) return `[${value.length === 0 ? '' : describe(value[0])}]`;
  return value === null ? 'null' : typeof value;
}

function describeText(value: string, depth: number): string {
  if (value.length > MAX_JSON_CHARACTERS) return 'long';
  const trimmed = value.trim();
  if (NOTHING.has(trimmed)) return 'nothing';
  if (/^\d+(\.\d+)?$/.test(trimmed)) return 'number';
  const first = trimmed[0];
  if (first === '{' || first === '[' || first === '"') {
    try {
      return describeJson(JSON.parse(trimmed), depth + 1);
    } catch {
      return 'text';
    }
  }
  return 'text';
}

const MAX_DEPTH = 8;

function describeJson(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) return 'deep';
  if (typeof value === 'string') return describeText(value, depth);
  if (Array.isArray(value)) return `[${value.slice(0, 3).map((member: unknown) => describeJson(member, depth + 1)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return typeof value;
  return `{${Object.entries(value).slice(0, MAX_DESCRIBED_MEMBERS).map(([key, member]) => `${key}:${describeJson(member, depth + 1)}`).join(',')}}`;
}
