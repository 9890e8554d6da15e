import type { LlmCall } from '../../schemas/call.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import type { Score } from '../../schemas/score.ts';
import { LOG_EVENT } from '../dialects/log-events.ts';
import { text } from '../dialects/values.ts';
import { spanKey } from '../ingest/identity.ts';
import type { Tags } from '../ingest/nesting.ts';
import type { Normaliser, NormaliseContext, NormalisedRecord, NormalisedSpan } from '../normalise.ts';
import { createCounting, type Counting } from './counting.ts';
import { merge } from '../ingest/merge.ts';
import { CALL_FIELDS, factsOfRecord, factsOfSpan, flagsOf, RECORD_IDENTITY, SPAN_IDENTITY } from './facts.ts';
import { probesOfRecord, probesOfSpan, type RecordSubject, type SpanSubject } from './probes.ts';
import { sourcesOf, type Facts, type Probe, type Reader, type Sources } from './provenance.ts';
import { sdkOf, sdkOfScope, type Sdk } from './sdks.ts';
import { shapeOfRecord, shapeOfSpan } from './shape.ts';

/**
 * What Culprit makes of captured telemetry, without a store: the same normaliser, the same inheritance of tags and the same choice of
 * the span that counts for an inference as ingest, over what the given files hold. Pure: decoded requests in, findings out.
 */
export type Finding =
  | (Place & {
      readonly kind: 'call';
      readonly call: LlmCall;
      /** Span ids that fields were taken from (a span above, or another one of the same inference), by field; their sources are those of that span. */
      readonly inherited: ReadonlyMap<string, string>;
      /** An ancestor that may carry tags is not in the files. */
      readonly misses_ancestor: boolean;
      /** A wrapper whose inferences are not in the files: it counts in their place. */
      readonly stands_for_inferences: boolean;
    })
  | (Place & { readonly kind: 'ignored'; readonly reason: string; readonly relative: TaggedSpan; readonly flags: readonly string[] })
  | (Place & { readonly kind: 'score'; readonly score: Score; readonly judges: Judged });

/** A span that does not count, with what it hands on. */
type TaggedSpan = Tags & Pick<LlmCall, 'trace_id' | 'span_id' | 'parent_span_id'>;

/** What a score's target is in these files: a call, a span that stands for calls, one that does not, a trace only, or not there. */
export type Judged = 'call' | 'stand_in' | 'other_span' | 'trace' | 'not_here';

type Place = {
  readonly file: string;
  readonly trace_id: string | null;
  readonly span_id: string | null;
  readonly span_name: string;
  readonly scope_name: string;
  /** Who wrote the span, as far as it can be told; null where it has nothing to do with a language model. */
  readonly sdk: Sdk | null;
  /** The source of each field. Traced when it is asked for: it is most of the work. */
  readonly sources: () => Sources;
};

export type Inspection = {
  /** Takes a decoded request. Nothing is resolved before all are there. */
  add(file: string, decoded: Decoded): void;
  /** In the order of the files: each span, then its scores. */
  findings(): Generator<Finding>;
  /** Log records that are no scores, and evaluations that could not be read, by reason. */
  ignoredRecords(): ReadonlyMap<string, number>;
};

type SpanEntry = { readonly kind: 'span'; readonly file: string; readonly subject: SpanSubject; readonly read: NormalisedSpan; readonly isRepeated: boolean };
type RecordEntry = { readonly kind: 'record'; readonly file: string; readonly subject: RecordSubject; readonly read: NormalisedRecord & { readonly kind: 'score' } };
/** A log event that tells of a call. */
type EventEntry = { readonly kind: 'event'; readonly file: string; readonly subject: RecordSubject; readonly read: NormalisedRecord & { readonly kind: 'call' }; readonly isRepeated: boolean };

const MAX_DEPTH = 64;
/** Shapes whose sources are remembered. */
const MAX_SHAPES = 4_096;

export function createInspection(normaliser: Normaliser, settings: { readonly project: string }): Inspection {
  const entries: (SpanEntry | RecordEntry | EventEntry)[] = [];
  const spans = new Map<string, SpanEntry>();
  const events = new Map<string, EventEntry>();
  const callsByResponse = new Set<string>();
  const ignored = new Map<string, number>();
  const shapes = new Map<string, Sources>();

  const contextAt = (time_ns: bigint): NormaliseContext => ({ project: settings.project, received_ms: Number(time_ns / 1_000_000n) });
  const keyOf = (span: { readonly trace_id: string; readonly span_id: string }): string => spanKey({ project: settings.project, trace_id: span.trace_id, span_id: span.span_id });
  const count = (reason: string): void => void ignored.set(reason, (ignored.get(reason) ?? 0) + 1);

  const readSpan = ({ resource, scope, span }: SpanSubject): NormalisedSpan => normaliser.span(contextAt(span.end_ns), resource, scope, span);
  const readRecord = ({ resource, scope, record }: RecordSubject): NormalisedRecord => normaliser.record(contextAt(record.time_ns > 0n ? record.time_ns : record.observed_time_ns), resource, scope, record);
  const spanReader: Reader<SpanSubject> = { facts: (subject) => factsOfSpan(readSpan(subject)), identity: SPAN_IDENTITY };
  const recordReader: Reader<RecordSubject> = { facts: (subject) => factsOfRecord(readRecord(subject)), identity: RECORD_IDENTITY };

  /** Once for each shape. Empty where the subject is too large to be probed. */
  function remembered<Subject>(shape: string, subject: Subject, reader: Reader<Subject>, probes: (subject: Subject) => readonly Probe<Subject>[] | null): Sources {
    const known = shapes.get(shape);
    if (known !== undefined) return known;
    const traced = sourcesOf(subject, reader, probes(subject) ?? []);
    const found = withRecognition(traced, reader.facts(subject));
    if (shapes.size < MAX_SHAPES) shapes.set(shape, found);
    return found;
  }
  const sourcesOfSpan = ({ subject, read }: SpanEntry): Sources => remembered(shapeOfSpan(subject, factsOfSpan(read)), subject, spanReader, probesOfSpan);
  const sourcesOfRecord = ({ subject, read }: RecordEntry | EventEntry): Sources => remembered(shapeOfRecord(subject, factsOfRecord(read)), subject, recordReader, probesOfRecord);

  /** The spans above, nearest first. */
  function* above(span: { readonly trace_id: string; readonly parent_span_id: string | null }): Generator<SpanEntry> {
    let parent = span.parent_span_id;
    for (let depth = 0; parent !== null && depth < MAX_DEPTH; depth += 1) {
      const entry = spans.get(keyOf({ trace_id: span.trace_id, span_id: parent }));
      if (entry === undefined) return;
      yield entry;
      parent = entry.subject.span.parent_span_id;
    }
  }

  function judgedBy(score: Score, counting: Counting): Judged {
    if (score.response_id !== null && callsByResponse.has(score.response_id)) return 'call';
    if (score.trace_id === null) return 'not_here';
    if (score.span_id === null) return 'trace';
    const key = keyOf({ trace_id: score.trace_id, span_id: score.span_id });
    const target = spans.get(key);
    if (target === undefined) return 'not_here';
    const isCall = target.read.kind === 'call' && counting.roleOf(target.read.call, '') === 'call';
    return isCall ? 'call' : counting.standsForCalls(key) ? 'stand_in' : 'other_span';
  }

  function inspectCall(entry: SpanEntry, asRead: LlmCall, counting: Counting): Finding {
    const keys = counting.completedBy(asRead);
    const twins = keys.flatMap((key) => spans.get(key) ?? []);
    const echoes = keys.flatMap((key) => events.get(key) ?? []);
    const others = keys.flatMap((key) => events.get(key)?.read.call ?? callOf(spans.get(key)?.read) ?? []);
    const completed = others.reduce((call, other) => merge(call, counting.resolve(other).call), asRead);
    const { call, missing } = counting.resolve(completed);
    const givers = new Map<string, SpanEntry>();
    const echoed = new Map<string, EventEntry>();
    for (const field of CALL_FIELDS) {
      if (call[field] === null || call[field] === asRead[field]) continue;
      const twin = twins.find(({ read }) => callOf(read)?.[field] === call[field]);
      const giver = twin ?? [...twins, entry].flatMap(({ subject }) => [...above(subject.span)]).find(({ read }) => Reflect.get(tagsOf(read), field) === call[field]);
      const echo = echoes.find(({ read }) => read.call[field] === call[field]);
      if (giver !== undefined) givers.set(field, giver);
      else if (echo !== undefined) echoed.set(field, echo);
    }
    const sources = (): Sources => {
      const found = new Map(sourcesOfSpan(entry));
      for (const [field, giver] of givers) found.set(field, sourcesOfSpan(giver).get(field) ?? []);
      for (const [field, echo] of echoed) found.set(field, sourcesOfRecord(echo).get(field) ?? []);
      return found;
    };
    const inherited = new Map([...[...givers].map(([field, { subject }]) => [field, subject.span.span_id] as const), ...[...echoed].map(([field, { read }]) => [field, read.call.span_id] as const)]);
    return { ...placeOf(entry, sources), kind: 'call', call, inherited, misses_ancestor: missing !== null, stands_for_inferences: entry.read.kind === 'relative' };
  }

  function addEvent(entry: EventEntry): void {
    entries.push(entry);
    if (!entry.isRepeated) events.set(keyOf(entry.read.call), entry);
  }

  return {
    add(file, decoded) {
      if (decoded.signal === 'traces') {
        for (const { resource, scope, spans: received } of decoded.groups) {
          for (const span of received) {
            const subject = { resource, scope, span };
            const read = readSpan(subject);
            const key = keyOf(span);
            const entry: SpanEntry = { kind: 'span', file, subject, read, isRepeated: spans.has(key) };
            entries.push(entry);
            for (const reason of read.ignored_scores) count(reason);
            if (entry.isRepeated) continue;
            spans.set(key, entry);
            if (read.kind === 'call' && read.call.response_id !== null) callsByResponse.add(read.call.response_id);
          }
        }
      } else {
        for (const { resource, scope, records } of decoded.groups) {
          for (const record of records) {
            const subject = { resource, scope, record };
            const read = readRecord(subject);
            if (read.kind === 'score') entries.push({ kind: 'record', file, subject, read });
            else if (read.kind === 'ignored') count(read.reason);
            else addEvent({ kind: 'event', file, subject, read, isRepeated: events.has(keyOf(read.call)) });
          }
        }
      }
    },
    *findings() {
      const counting = createCounting([...spans.values()].map(({ read }) => read), [...events.values()].map(({ read }) => read.call));
      for (const entry of entries) {
        if (entry.kind === 'span') {
          yield* inspectSpan(entry, counting);
          continue;
        }
        if (entry.kind === 'event') {
          yield inspectEvent(entry, counting);
          continue;
        }
        const { file, subject, read } = entry;
        const { trace_id, span_id } = read.score;
        const place = { file, trace_id, span_id, span_name: subject.record.event_name, scope_name: subject.scope.name, sdk: null, sources: () => sourcesOfRecord(entry) };
        yield { ...place, kind: 'score', score: read.score, judges: judgedBy(read.score, counting) };
      }
    },
    ignoredRecords: () => ignored,
  };

  function inspectEvent(entry: EventEntry, counting: Counting): Finding {
    const { file, subject, read: { call }, isRepeated } = entry;
    const { trace_id, span_id } = call;
    const span_name = text(subject.record.attributes.get('event.name'), new Set()) ?? subject.record.event_name;
    const place = { file, trace_id, span_id, span_name, scope_name: subject.scope.name, sdk: sdkOfScope(subject.scope.name), sources: () => sourcesOfRecord(entry) };
    if (isRepeated) return { ...place, kind: 'ignored', reason: 'same_span_again', relative: call, flags: call.flags };
    const role = counting.roleOf(call, LOG_EVENT);
    // Nothing else comes.
    if (role === 'candidate' || role === 'call') return { ...place, kind: 'call', call, inherited: new Map(), misses_ancestor: false, stands_for_inferences: false };
    return { ...place, kind: 'ignored', reason: role, relative: call, flags: call.flags };
  }

  function* inspectSpan(entry: SpanEntry, counting: Counting): Generator<Finding> {
    const { read, isRepeated } = entry;
    const place = placeOf(entry, () => sourcesOfSpan(entry));
    const call = callOf(read);
    const reason = read.kind === 'call' ? '' : read.reason;
    const role = call === null ? null : counting.roleOf(call, reason);
    if (isRepeated) yield { ...place, kind: 'ignored', reason: 'same_span_again', relative: tagsOf(read), flags: flagsOf(read) };
    // Nothing else comes: a wrapper that may count in the place of inferences does.
    else if (call !== null && (role === 'call' || role === 'candidate')) yield inspectCall(entry, call, counting);
    else yield { ...place, kind: 'ignored', reason: reason === '' ? (role ?? '') : reason, relative: tagsOf(read), flags: flagsOf(read) };
    if (isRepeated) return;
    for (const [index, score] of read.scores.entries()) {
      const prefix = `scores.${index}.`;
      const sources = (): Sources => new Map([...sourcesOfSpan(entry)].flatMap(([field, by]) => (field.startsWith(prefix) ? [[field.slice(prefix.length), by] as const] : [])));
      yield { ...placeOf(entry, sources), kind: 'score', score, judges: judgedBy(score, counting) };
    }
  }
}

/** Where anything else would make it no call at all, what says that it is one says also which kind of call. */
function withRecognition(sources: Sources, facts: Facts): Sources {
  const recognisedBy = sources.get('recognised_as');
  if (recognisedBy === undefined) return sources;
  return new Map([...sources, ...['operation', 'is_stream'].flatMap((field) => (facts.has(field) && !sources.has(field) ? [[field, recognisedBy] as const] : []))]);
}

/** The inference that a span is, or the one that it may stand for. */
function callOf(read: NormalisedSpan | undefined): LlmCall | null {
  if (read === undefined) return null;
  return read.kind === 'call' ? read.call : read.candidate;
}

function tagsOf(read: NormalisedSpan): TaggedSpan {
  return read.kind === 'call' ? read.call : read.relative;
}

function placeOf({ file, subject }: SpanEntry, sources: () => Sources): Place {
  const { trace_id, span_id, name } = subject.span;
  return { file, trace_id, span_id, span_name: name, scope_name: subject.scope.name, sdk: sdkOf(subject), sources };
}
