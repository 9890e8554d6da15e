import type { Attributes, AttributeValue, OtlpEvent, OtlpLogRecord, OtlpScope, OtlpSpan } from '../../schemas/otlp.ts';
import type { Probe } from './provenance.ts';

/** Everything on a span or a log record that a field may be read from, each with the ways to change it. */

export type SpanSubject = { readonly resource: Attributes; readonly scope: OtlpScope; readonly span: OtlpSpan };
export type RecordSubject = { readonly resource: Attributes; readonly scope: OtlpScope; readonly record: OtlpLogRecord };

/** Past these a subject is not probed: each probe reads the whole span again. */
const MAX_ATTRIBUTES = 1_000;
/** One span event for each streamed chunk is usual, and the first few of a name say it all. */
const MAX_EVENTS_OF_A_NAME = 8;
const MAX_LEAVES = 64;
/** Longer JSON text is changed as text: its leaves are not told apart. */
const MAX_JSON_CHARACTERS = 64 * 1024;

/** Null where the span is too large to be probed. */
export function probesOfSpan(subject: SpanSubject): readonly Probe<SpanSubject>[] | null {
  const { resource, scope, span } = subject;
  if (span.attributes.size + resource.size + scope.attributes.size > MAX_ATTRIBUTES) return null;
  const withSpan = (change: Partial<OtlpSpan>): SpanSubject => ({ ...subject, span: { ...span, ...change } });
  return [
    ...attributeProbes(span.attributes, '', (attributes) => withSpan({ attributes })),
    ...eventProbes(span.events, (events) => withSpan({ events })),
    ...span.links.slice(0, 1).map((link, index) =>
      probe('span link', () => withSpan({ links: span.links.with(index, { ...link, span_id: 'f'.repeat(16) }) }), () => withSpan({ links: span.links.toSpliced(index, 1) })),
    ),
    probe('span name', () => withSpan({ name: `x${span.name}` }), () => withSpan({ name: '' })),
    // A status that is no error says nothing, and one would turn the whole call into a failed one.
    probe('span status', () => (span.status_code === 2 ? withSpan({ status_code: 0 }) : null), () => withSpan({ status_code: 0 })),
    probe('span status message', () => withSpan({ status_message: `x${span.status_message}` }), () => withSpan({ status_message: '' })),
    probe('span parent', () => null, () => withSpan({ parent_span_id: null })),
    ...surroundings(subject, (change) => ({ ...subject, ...change })),
  ];
}

/** Null where the record is too large to be probed. */
export function probesOfRecord(subject: RecordSubject): readonly Probe<RecordSubject>[] | null {
  const { resource, scope, record } = subject;
  if (record.attributes.size + resource.size + scope.attributes.size > MAX_ATTRIBUTES) return null;
  const withRecord = (change: Partial<OtlpLogRecord>): RecordSubject => ({ ...subject, record: { ...record, ...change } });
  const body = record.body instanceof Map ? record.body : null;
  return [
    ...attributeProbes(record.attributes, '', (attributes) => withRecord({ attributes })),
    // The instance check does not narrow a readonly map that is part of a union.
    ...(body === null ? [] : attributeProbes(body as Attributes, 'body ', (changed) => withRecord({ body: changed }))),
    probe('record trace id', () => withRecord({ trace_id: record.trace_id === null ? null : 'f'.repeat(32) }), () => withRecord({ trace_id: null })),
    probe('record span id', () => withRecord({ span_id: record.span_id === null ? null : 'f'.repeat(16) }), () => withRecord({ span_id: null })),
    probe('record event name', () => withRecord({ event_name: `x${record.event_name}` }), () => withRecord({ event_name: '' })),
    ...surroundings(subject, (change) => ({ ...subject, ...change })),
  ];
}

function surroundings<Subject extends { readonly resource: Attributes; readonly scope: OtlpScope }>(
  { resource, scope }: Subject,
  changed: (change: { resource?: Attributes; scope?: OtlpScope }) => Subject,
): Probe<Subject>[] {
  return [
    ...attributeProbes(resource, 'resource ', (attributes) => changed({ resource: attributes })),
    ...attributeProbes(scope.attributes, 'scope ', (attributes) => changed({ scope: { ...scope, attributes } })),
    probe('scope name', () => changed({ scope: { ...scope, name: `x${scope.name}` } }), () => changed({ scope: { ...scope, name: '' } })),
  ];
}

function eventProbes<Subject>(events: readonly OtlpEvent[], put: (events: readonly OtlpEvent[]) => Subject): Probe<Subject>[] {
  const seen = new Map<string, number>();
  return events.flatMap((event, index) => {
    const ofName = (seen.get(event.name) ?? 0) + 1;
    seen.set(event.name, ofName);
    if (ofName > MAX_EVENTS_OF_A_NAME) return [];
    const source = `event ${event.name}`;
    return [
      probe(source, () => put(events.with(index, { ...event, time_ns: event.time_ns + 1_000_000n })), () => put(events.toSpliced(index, 1))),
      ...attributeProbes(event.attributes, `${source} `, (attributes) => put(events.with(index, { ...event, attributes }))),
    ];
  });
}

function attributeProbes<Subject>(attributes: Attributes, prefix: string, put: (attributes: Attributes) => Subject): Probe<Subject>[] {
  return [...attributes].map(([key, value]) => {
    const set = (changed: AttributeValue): Subject => put(new Map(attributes).set(key, changed));
    return {
      source: prefix + key,
      changed: () => {
        const other = otherValue(value);
        return other === undefined ? null : set(other);
      },
      removed: () => {
        const rest = new Map(attributes);
        rest.delete(key);
        return put(rest);
      },
      inner: () => leavesOf(value).map(({ path, changed }) => probe(`${prefix}${key} → ${path}`, () => set(changed()), () => set(changed()))),
    };
  });
}

function probe<Subject>(source: string, changed: () => Subject | null, removed: () => Subject): Probe<Subject> {
  return { source, changed, removed, inner: () => [] };
}

/** Another value of the same type, near enough that what was plausible stays so. Undefined: there is none. */
function otherValue(value: AttributeValue): AttributeValue | undefined {
  if (typeof value === 'string') return otherText(value);
  if (typeof value === 'number') return otherNumber(value);
  if (typeof value === 'bigint') return value + 1n;
  if (typeof value === 'boolean') return !value;
  if (value === null) return undefined;
  if (value instanceof Uint8Array) return Uint8Array.of(...value.subarray(0, 1024), 1);
  if (value instanceof Map) return new Map([...value].map(([key, member]): [string, AttributeValue] => [key, otherValue(member) ?? member]));
  // What is left of the union is a list: the checks above do not narrow its readonly forms.
  return (value as readonly AttributeValue[]).map((member) => otherValue(member) ?? member);
}

function otherNumber(value: number): number {
  if (!Number.isFinite(value)) return 1;
  return Number.isInteger(value) ? value + 1 : value * 0.97;
}

const WHOLE_NUMBER = /^\d{1,15}$/;

/** At its front, because long text is cut at its end. Numbers and JSON as text stay what they are. */
function otherText(value: string): string {
  if (WHOLE_NUMBER.test(value)) return String(Number(value) + 1);
  const json = parsed(value);
  if (json !== undefined) return JSON.stringify(otherJson(json, 0));
  const members = pythonMembers(value);
  return members.length === 0 ? `x${value}` : members.reduceRight((text, member) => member.changedIn(text), value);
}

/** Values behind a key in a dict as Python prints it: `{'prompt_name': 'refund', 'n': 3}`. Enough to change them, not to read it. */
const PYTHON_MEMBER = /'([\w.-]{1,100})':\s*(?:'([^'\\]{1,1000})'|(\d{1,15}))/g;

function pythonMembers(text: string): { readonly key: string; readonly changedIn: (text: string) => string }[] {
  if (!/^\s*[{[(]/.test(text) || text.length > MAX_JSON_CHARACTERS) return [];
  return [...text.matchAll(PYTHON_MEMBER)].slice(0, MAX_LEAVES).map(({ index, 0: member, 1: key = '', 2: quoted, 3: number }) => {
    const other = quoted === undefined ? String(Number(number) + 1) : `x${quoted}'`;
    const end = index + member.length;
    const start = end - (quoted === undefined ? (number ?? '').length : quoted.length + 1);
    return { key, changedIn: (whole) => whole.slice(0, start) + other + whole.slice(end) };
  });
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

function parsed(text: string): Json | undefined {
  const first = text.trimStart()[0];
  if ((first !== '{' && first !== '[' && first !== '"') || text.length > MAX_JSON_CHARACTERS) return undefined;
  try {
    // JSON.parse gives nothing else than Json.
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

const MAX_DEPTH = 32;

function otherJson(value: Json, depth: number): Json {
  if (depth > MAX_DEPTH || value === null) return value;
  if (typeof value === 'string') return otherText(value);
  if (typeof value === 'number') return otherNumber(value);
  if (typeof value === 'boolean') return !value;
  if (Array.isArray(value)) return value.map((member) => otherJson(member, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, otherJson(member, depth + 1)]));
}

type Leaf = { readonly path: string; readonly changed: () => AttributeValue };

/** The scalars inside a kvlist, or inside JSON text (also JSON text in JSON text), each with the whole value as it is when that one differs. */
function leavesOf(value: AttributeValue): Leaf[] {
  if (value instanceof Map) {
    return [...value].slice(0, MAX_LEAVES).map(([key, member]: [string, AttributeValue]) => ({ path: key, changed: () => new Map(value).set(key, otherValue(member) ?? member) }));
  }
  if (typeof value !== 'string') return [];
  const json = parsed(value);
  if (json === undefined) return pythonMembers(value).map(({ key, changedIn }) => ({ path: key, changed: () => changedIn(value) }));
  const leaves: Leaf[] = [];
  collect(json, '', (changed) => JSON.stringify(changed), leaves, 0);
  return leaves;
}

function collect(value: Json, path: string, rebuilt: (changed: Json) => string, leaves: Leaf[], depth: number): void {
  if (leaves.length >= MAX_LEAVES || depth > MAX_DEPTH || value === null) return;
  if (Array.isArray(value)) {
    value.forEach((member, index) => collect(member, `${path}[${index}]`, (changed) => rebuilt(value.with(index, changed)), leaves, depth + 1));
  } else if (typeof value === 'object') {
    for (const [key, member] of Object.entries(value)) collect(member, path === '' ? key : `${path}.${key}`, (changed) => rebuilt({ ...value, [key]: changed }), leaves, depth + 1);
  } else {
    const inside = typeof value === 'string' ? parsed(value) : undefined;
    if (inside !== undefined && typeof inside === 'object') collect(inside, path, (changed) => rebuilt(JSON.stringify(changed)), leaves, depth + 1);
    else if (path !== '') leaves.push({ path, changed: () => rebuilt(otherJson(value, depth)) });
  }
}
