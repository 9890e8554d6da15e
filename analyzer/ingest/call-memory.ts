import { createGenerations, type Generations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { CallFacts } from './rows.ts';

/**
 * The last calls that are complete and count, for the scores that judge them: by their span; and by their other names, and by their trace.
 *
 * Nearly every score names its span. So those who name something else are indexed from the first time on that somebody asks by it: a call costs one
 * entry, and not four.
 */
export type CallMemory = {
  /** By `spanKey`. */
  ofSpan(key: string): RememberedCall | undefined;
  /** By `untracedKey` or `responseKey`. */
  named(name: string): RememberedCall | undefined;
  /** The first 64 of a trace. */
  ofTrace(trace: { readonly project: string; readonly trace_id: string }): readonly RememberedCall[];
  remember(key: string, remembered: RememberedCall): void;
  forget(key: string, call: CallFacts): void;
};

export type RememberedCall = { readonly call: CallFacts; readonly slot: number };

/** Of one trace; a loop of an agent makes more, and the first say whose they are. */
const MAX_REMEMBERED_OF_TRACE = 64;

/** Of a span that is named without its trace. */
export function untracedKey({ project, span_id }: Pick<SpanIdentity, 'project' | 'span_id'>): string {
  return spanKey({ project, trace_id: '', span_id });
}

export function responseKey(project: string, responseId: string): string {
  return `${project}?${responseId}`;
}

/** @param capacity calls remembered in each of two generations. */
export function createCallMemory(capacity: number): CallMemory {
  const calls = createGenerations<string, RememberedCall>(capacity);
  const names = createIndex(calls, () => createNames(capacity));
  const traces = createIndex(calls, () => createTraces(capacity));
  return {
    ofSpan: (key) => calls.get(key),
    named: (name) => names.use().get(name),
    ofTrace: (trace) => traces.use().get(trace),
    remember(key, remembered) {
      calls.set(key, remembered);
      names.made()?.remember(remembered);
      traces.made()?.remember(remembered);
    },
    forget(key, call) {
      calls.delete(key);
      names.made()?.forget(call);
      traces.made()?.forget(call);
    },
  };
}

type Index = { remember(remembered: RememberedCall): void; forget(call: CallFacts): void };

/** Made of all that is remembered when it is first used. */
function createIndex<Kind extends Index>(calls: Generations<string, RememberedCall>, create: () => Kind) {
  let index: Kind | undefined;
  return {
    made: () => index,
    use(): Kind {
      if (index !== undefined) return index;
      index = create();
      for (const remembered of calls.values()) index.remember(remembered);
      return index;
    },
  };
}

/**
 * A span id that two calls have (the first half of a UUID that holds a time, say) names neither of them. Of two with one response id
 * (a server that repeats its ids) it names the one that knows its prompt.
 */
function createNames(capacity: number): Index & { get(name: string): RememberedCall | undefined } {
  const spans = createGenerations<string, RememberedCall | 'several'>(capacity);
  const responses = createGenerations<string, RememberedCall>(capacity);
  return {
    get(name) {
      const ofSpan = spans.get(name);
      return ofSpan === 'several' ? undefined : (ofSpan ?? responses.get(name));
    },
    remember(remembered) {
      const { call } = remembered;
      const untraced = untracedKey(call);
      const other = spans.get(untraced);
      spans.set(untraced, other === undefined || isOfSpan(other, call) ? remembered : 'several');
      if (call.response_id === null) return;
      const response = responseKey(call.project, call.response_id);
      const answered = responses.get(response);
      if (answered === undefined || isOfSpan(answered, call) || answered.call.prompt_version === null) responses.set(response, remembered);
    },
    forget(call) {
      if (isOfSpan(spans.get(untracedKey(call)), call)) spans.delete(untracedKey(call));
      const response = responseKey(call.project, call.response_id ?? '');
      if (isOfSpan(responses.get(response), call)) responses.delete(response);
    },
  };
}

function createTraces(capacity: number): Index & { get(trace: { readonly project: string; readonly trace_id: string }): readonly RememberedCall[] } {
  const traces = createGenerations<string, readonly RememberedCall[]>(capacity);
  const keyOf = ({ project, trace_id }: { readonly project: string; readonly trace_id: string }): string => `${project}/${trace_id}`;
  const others = (key: string, { span_id }: CallFacts): readonly RememberedCall[] => traces.get(key)?.filter(({ call }) => call.span_id !== span_id) ?? [];
  return {
    get: (trace) => traces.get(keyOf(trace)) ?? [],
    remember(remembered) {
      const key = keyOf(remembered.call);
      const before = others(key, remembered.call);
      if (before.length < MAX_REMEMBERED_OF_TRACE) traces.set(key, [...before, remembered]);
    },
    forget(call) {
      const key = keyOf(call);
      if (traces.get(key) !== undefined) traces.set(key, others(key, call));
    },
  };
}

function isOfSpan(named: RememberedCall | 'several' | undefined, { project, trace_id, span_id }: SpanIdentity): boolean {
  if (named === undefined || named === 'several') return false;
  const { call } = named;
  return call.span_id === span_id && call.trace_id === trace_id && call.project === project;
}
