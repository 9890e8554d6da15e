import type { LlmCall } from '../../schemas/call.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import type { Score } from '../../schemas/score.ts';
import { createAncestry, relativeOf } from '../ingest/ancestry.ts';
import { spanKey } from '../ingest/identity.ts';
import type { Normaliser, NormaliseContext, NormalisedRecord, NormalisedSpan, Relative } from '../normalise.ts';
import { factsOfRecord, factsOfSpan, RECORD_IDENTITY, SPAN_IDENTITY } from './facts.ts';
import { probesOfRecord, probesOfSpan, type RecordSubject, type SpanSubject } from './probes.ts';
import { sourcesOf, type Probe, type Reader, type Sources } from './provenance.ts';
import { sdkOf, type Sdk } from './sdks.ts';
import { shapeOfRecord, shapeOfSpan } from './shape.ts';

/**
 * What Culprit makes of captured telemetry, without a store: the same normaliser and the same inheritance of tags as ingest,
 * over what the given files hold. Pure: decoded requests in, findings out.
 */
export type Finding =
  | (Place & {
      readonly kind: 'call';
      readonly call: LlmCall;
      /** Span ids that prompt, session and user were inherited from, by field; their sources are those of that span. */
      readonly inherited: ReadonlyMap<string, string>;
      /** An ancestor that may carry tags is not in the files. */
      readonly misses_ancestor: boolean;
      /** A wrapper whose inferences are not in the files: it counts in their place. */
      readonly stands_for_inferences: boolean;
    })
  | (Place & { readonly kind: 'ignored'; readonly reason: string; readonly relative: Relative })
  | (Place & { readonly kind: 'score'; readonly score: Score; readonly judges: Judged });

/** What a score's target is in these files: a call, a span that is none, a trace only, or not there. */
export type Judged = 'call' | 'other_span' | 'trace' | 'not_here';

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

const MAX_DEPTH = 64;
/** Shapes whose sources are remembered. */
const MAX_SHAPES = 4_096;

export function createInspection(normaliser: Normaliser, settings: { readonly project: string }): Inspection {
  const entries: (SpanEntry | RecordEntry)[] = [];
  const spans = new Map<string, SpanEntry>();
  const callsByResponse = new Set<string>();
  const ancestry = createAncestry(Number.MAX_SAFE_INTEGER);
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
    const found = reader.facts(subject).has('operation') ? withOperation(traced) : traced;
    if (shapes.size < MAX_SHAPES) shapes.set(shape, found);
    return found;
  }
  const sourcesOfSpan = ({ subject, read }: SpanEntry): Sources => remembered(shapeOfSpan(subject, factsOfSpan(read)), subject, spanReader, probesOfSpan);
  const sourcesOfRecord = ({ subject, read }: RecordEntry): Sources => remembered(shapeOfRecord(subject, factsOfRecord(read)), subject, recordReader, probesOfRecord);

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

  /** Spans with an inference somewhere below them. */
  function wrapsAnInference(): Set<string> {
    const found = new Set<string>();
    for (const { subject, read } of spans.values()) {
      if (read.kind !== 'call') continue;
      for (const { subject: ancestor } of above(subject.span)) found.add(keyOf(ancestor.span));
    }
    return found;
  }

  function judgedBy(score: Score): Judged {
    if (score.response_id !== null && callsByResponse.has(score.response_id)) return 'call';
    if (score.trace_id === null) return 'not_here';
    if (score.span_id === null) return 'trace';
    const target = spans.get(keyOf({ trace_id: score.trace_id, span_id: score.span_id }));
    return target === undefined ? 'not_here' : target.read.kind === 'call' ? 'call' : 'other_span';
  }

  function inspectCall(entry: SpanEntry, asRead: LlmCall, stands_for_inferences: boolean): Finding {
    const { call, missing } = ancestry.resolve(asRead);
    const givers = new Map<string, SpanEntry>();
    for (const field of INHERITED) {
      if (call[field] === null || asRead[field] !== null) continue;
      const giver = [...above(entry.subject.span)].find(({ read }) => tagsOf(read)[field] !== null);
      if (giver !== undefined) givers.set(field, giver);
    }
    const sources = (): Sources => {
      const found = new Map(sourcesOfSpan(entry));
      for (const [field, giver] of givers) found.set(field, sourcesOfSpan(giver).get(field) ?? []);
      return found;
    };
    const inherited = new Map([...givers].map(([field, { subject }]) => [field, subject.span.span_id]));
    return { ...placeOf(entry, sources), kind: 'call', call, inherited, misses_ancestor: missing !== null, stands_for_inferences };
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
            ancestry.add(tagsOf(read));
            if (read.kind === 'call' && read.call.response_id !== null) callsByResponse.add(read.call.response_id);
          }
        }
      } else {
        for (const { resource, scope, records } of decoded.groups) {
          for (const record of records) {
            const subject = { resource, scope, record };
            const read = readRecord(subject);
            if (read.kind === 'score') entries.push({ kind: 'record', file, subject, read });
            else count(read.reason);
          }
        }
      }
    },
    *findings() {
      const wrappers = wrapsAnInference();
      for (const entry of entries) {
        if (entry.kind === 'span') {
          yield* inspectSpan(entry, wrappers);
          continue;
        }
        const { file, subject, read } = entry;
        const { trace_id, span_id } = read.score;
        const place = { file, trace_id, span_id, span_name: subject.record.event_name, scope_name: subject.scope.name, sdk: null, sources: () => sourcesOfRecord(entry) };
        yield { ...place, kind: 'score', score: read.score, judges: judgedBy(read.score) };
      }
    },
    ignoredRecords: () => ignored,
  };

  function* inspectSpan(entry: SpanEntry, wrappers: ReadonlySet<string>): Generator<Finding> {
    const { subject, read, isRepeated } = entry;
    const place = placeOf(entry, () => sourcesOfSpan(entry));
    const candidate = read.kind === 'relative' && !wrappers.has(keyOf(subject.span)) ? read.candidate : null;
    if (isRepeated) yield { ...place, kind: 'ignored', reason: 'same_span_again', relative: tagsOf(read) };
    else if (read.kind === 'call') yield inspectCall(entry, read.call, false);
    else if (candidate !== null) yield inspectCall(entry, candidate, true);
    else yield { ...place, kind: 'ignored', reason: read.reason, relative: read.relative };
    if (isRepeated) return;
    for (const [index, score] of read.scores.entries()) {
      const prefix = `scores.${index}.`;
      const sources = (): Sources => new Map([...sourcesOfSpan(entry)].flatMap(([field, by]) => (field.startsWith(prefix) ? [[field.slice(prefix.length), by] as const] : [])));
      yield { ...placeOf(entry, sources), kind: 'score', score, judges: judgedBy(score) };
    }
  }
}

/** Where any other operation would make it no call at all, what says that it is one says which. */
function withOperation(sources: Sources): Sources {
  const recognisedBy = sources.get('recognised_as');
  return recognisedBy === undefined || sources.has('operation') ? sources : new Map([...sources, ['operation', recognisedBy]]);
}

const INHERITED = ['prompt_name', 'prompt_version', 'prompt_label', 'session_id', 'user_id'] as const;

function tagsOf(read: NormalisedSpan): Relative {
  return read.kind === 'call' ? relativeOf(read.call) : read.relative;
}

function placeOf({ file, subject }: SpanEntry, sources: () => Sources): Place {
  const { trace_id, span_id, name } = subject.span;
  return { file, trace_id, span_id, span_name: name, scope_name: subject.scope.name, sdk: sdkOf(subject), sources };
}
