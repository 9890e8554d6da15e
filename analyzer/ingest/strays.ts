import { createGenerations, type Generations } from './generations.ts';
import { createLibraries } from './libraries.ts';
import type { Nesting, SeenInference, SpanNode } from './nesting.ts';
import { couldBeOne, enclose, isWrapper, type TwinFinder } from './twins.ts';

/**
 * Twins that neither share a response id nor stand side by side. Some libraries do not hand their context on to the client below them
 * (LangChain, by OpenInference and by LangSmith; with Anthropic's SDK, which has had spans of its own since 2.0, nobody has to instrument
 * anything for that). So the client's span strays: it is the root of another trace, or hangs from whatever the application has open. Of a
 * streamed answer LangChain does not know the response id, so nothing that is written on both says that they are one.
 *
 * What is left is circumstance, and two calls taken for one would hide a call. So all of this must hold:
 * - two libraries, one service; nothing that both say differs, prompt, session and user included; a model that both say;
 * - one encloses the other in time, and they begin and end within `START_APART_MS` and `END_APART_MS`;
 * - *across traces*: at least one of them strays, that is has nothing but inferences above it; and both say the same tokens in and out or, where neither
 *   knows any (a failure, a stream without usage), the same session;
 *   *within a trace*: one's parent stands above the other;
 * - this is so of no third span and either of them; and where a third only ends too far away, it has such a one itself. So traffic that two libraries tell of
 *   can be told from two kinds of traffic, each told of by one, where spans fit by accident and most have none that fits. Else all count: `isUnclear`.
 *
 * `strays-traffic.test.ts` measures what this comes to.
 *
 * Whom a span is joined with follows from the spans that have come, whatever their order: a span that comes later may show that a
 * twin was none. What the call took over from it by then it keeps; and what was joined before a restart stays joined.
 */
export type Strays = {
  /** An inference has come. */
  see(node: SpanNode): void;
  /** What stands around it, or what it is, has changed. */
  reconsider(node: SpanNode): void;
  /** Joins and parts, once all that has come is placed. */
  decide(): void;
  /** It could be one of several: it may count twice. */
  isUnclear(node: SpanNode): boolean;
};

/** Up to 64 ms were measured among 40 streams in one process: a client's span ends with its stream, the library's right after. Twice as much here would hide twice as many calls. */
const END_APART_MS = 100;
/** Where both name one session, which has few calls at a time. 117 ms were measured on a machine with nine runnable threads a core. */
const END_APART_IN_SESSION_MS = 1_000;
/** The library's first call builds its client first; 40 streams that begin at once take up to 830 ms to get to it. */
const START_APART_MS = 1_000;
/** Nobody else has to be looked at to tell whether two are one: more than twice as far apart as those may begin. */
export const AROUND_STRAYS_S = 3;
/** An answer of one token is what every classifier gives. */
const FEWEST_OUTPUT_TOKENS = 2;
/** A span and those that may be its twins are in one of these, or in two that follow one another. */
export const BUCKET_MS = 2 * START_APART_MS;
/** Spans that are alike, in one bucket. Beyond it nobody could tell them apart. */
export const MOST_ALIKE = 64;

/** @param capacity inferences remembered in each of two generations. */
export function createStrays(capacity: number, { nesting, link, unlink }: Pick<TwinFinder, 'link' | 'unlink'> & { readonly nesting: Pick<Nesting, 'above' | 'spans'> }): Strays {
  /** Spans that are alike and began together. Most buckets have one span, and then it is that. Undefined until it is first asked, then made of all that is remembered. */
  let buckets: Buckets | undefined;
  const libraries = createLibraries();
  const unclear = new WeakSet<SpanNode>();
  let pending = new Set<SpanNode>();

  const madeBuckets = (): Buckets => {
    if (buckets !== undefined) return buckets;
    buckets = createGenerations(capacity);
    for (const node of nesting.spans()) if (isCandidate(node)) file(buckets, node);
    return buckets;
  };

  /** Where one library tells of its service, it is no other span's twin. */
  const isToldBySeveral = (node: SpanNode): boolean => members(node).some(({ inference }) => inference !== null && libraries.areSeveral(inference));

  /** The inferences that this one, or a twin of it that is known for certain, could be. Null: more than can be compared. */
  const possibleTwins = (node: SpanNode): ReadonlySet<SpanNode> | null => {
    const found = new Set<SpanNode>();
    for (const member of members(node)) {
      if (!isCandidate(member) || !libraries.areSeveral(member.inference)) continue;
      for (const likeness of likenessesOf(member.inference)) {
        for (const at of bucketsAround(member.inference)) {
          const bucket = madeBuckets().get(bucketKey(likeness, at));
          if (bucket === undefined || bucket === node) continue;
          const alike = Array.isArray(bucket) ? bucket : [bucket];
          if (alike.length > MOST_ALIKE && alike.some(({ inference }) => inference?.scope_name !== member.inference.scope_name)) return null;
          for (const other of alike) if (isPossibleTwin(member, other)) found.add(other);
        }
      }
    }
    return found;
  };

  const isPossibleTwin = (node: SpanNode, other: SpanNode): boolean => {
    if (!isCandidate(node) || !isCandidate(other) || node === other || (node.twins !== null && node.twins === other.twins)) return false;
    const [seen, otherSeen] = [node.inference, other.inference];
    if (!isLike(seen, otherSeen) || sees(node, otherSeen.scope_name) || sees(other, seen.scope_name)) return false;
    return seen.trace_id === otherSeen.trace_id ? areCousins(node, other) : shareLikeness(seen, otherSeen) && (strays(node) || strays(other));
  };

  /** One's parent stands above the other. Those with the same parent, and those that stand above one another, are known otherwise. */
  const areCousins = (node: SpanNode, other: SpanNode): boolean => {
    if (node.parent === other.parent || node.below.includes(other) || other.below.includes(node)) return false;
    return nesting.above(other).some(({ key }) => key === node.parent) || nesting.above(node).some(({ key }) => key === other.parent);
  };

  /** Up to the root there are inferences only, or what wraps them: it opened this trace itself. */
  const strays = (node: SpanNode): boolean => {
    if (node.parent === null) return true;
    const above = nesting.above(node);
    return above.at(-1)?.parent === null && above.every(({ inference }) => inference !== null);
  };

  /** Asks once for each span. */
  const createAsking = () => {
    const asked = new Map<SpanNode, { readonly possible: ReadonlySet<SpanNode> | null; readonly near: readonly SpanNode[] }>();
    const about = (node: SpanNode) => {
      const known = asked.get(node);
      if (known !== undefined) return known;
      const possible = possibleTwins(node);
      const near = [...(possible ?? [])].filter((other) => members(node).some((member) => isNear(member, other)));
      const answer = { possible, near };
      asked.set(node, answer);
      return answer;
    };
    return about;
  };

  const twinOf = (node: SpanNode, about: ReturnType<typeof createAsking>): { readonly twin: SpanNode | null; readonly isUnclear: boolean } => {
    const { possible, near } = about(node);
    const [twin] = near;
    if (twin === undefined) return { twin: null, isUnclear: possible === null };
    const others = about(twin);
    const isOnly = areOne(near, twin) && areOne(others.near, node);
    const haveOwn = (spans: ReadonlySet<SpanNode> | null, but: SpanNode): boolean => spans !== null && [...spans].every((span) => members(but).includes(span) || about(span).near.length > 0);
    return isOnly && haveOwn(possible, twin) && haveOwn(others.possible, node) ? { twin, isUnclear: false } : { twin: null, isUnclear: true };
  };

  return {
    see(node) {
      if (!isCandidate(node)) return;
      libraries.see(node.inference);
      if (buckets !== undefined) file(buckets, node);
      pending.add(node);
    },
    reconsider: (node) => void pending.add(node),
    decide() {
      if (pending.size === 0) return;
      const about = createAsking();
      const concerned = new Set<SpanNode>();
      // Of the others none is linked or unclear, and none can be.
      for (const node of pending) if (isToldBySeveral(node)) concerned.add(node);
      for (const node of pending) for (const other of node.twins?.stray?.members ?? []) concerned.add(other);
      // Those that it could be; and those that they could be, of which it may show that they have one of their own.
      const theirs = new Set<SpanNode>();
      for (const node of concerned) for (const other of about(node).possible ?? []) theirs.add(other);
      for (const node of theirs) {
        concerned.add(node);
        for (const other of about(node).possible ?? []) concerned.add(other);
      }
      for (const node of concerned) {
        const { twin, isUnclear } = twinOf(node, about);
        if (isUnclear) unclear.add(node);
        else unclear.delete(node);
        const linked = node.twins?.stray ?? null;
        if (linked !== null && linked === twin?.twins) continue;
        if (linked !== null) unlink(node);
        if (twin !== null) link(node, twin);
      }
      // Linking and parting asks for another look at what has just been looked at.
      pending = new Set();
    },
    isUnclear: (node) => unclear.has(node),
  };
}

type Buckets = Generations<number, SpanNode | SpanNode[]>;

function file(buckets: Buckets, node: Candidate): void {
  for (const likeness of likenessesOf(node.inference)) {
    const key = bucketKey(likeness, bucketOf(node.inference));
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, node);
    else if (bucket === node) continue;
    else if (!Array.isArray(bucket)) buckets.set(key, [bucket, node]);
    else if (bucket.length <= MOST_ALIKE && !bucket.includes(node)) bucket.push(node);
  }
}

type Candidate = SpanNode & { readonly inference: SeenInference };

function isCandidate(node: SpanNode): node is Candidate {
  return node.hasCome && node.inference?.kind === 'own' && !node.inference.embeds && node.inference.service_name !== '' && !isWrapper(node);
}

type Likeness = readonly (string | number | null)[];

/** What two spans have in common if they are twins, in one trace and across traces. */
function likenessesOf(seen: SeenInference): readonly Likeness[] {
  const inTrace = [seen.project, seen.trace_id];
  const acrossTraces = acrossTracesOf(seen);
  return acrossTraces === null ? [inTrace] : [inTrace, acrossTraces];
}

/** What two spans of one call have in common in two traces. Null: nothing that would set it apart from others. */
export function likenessOf(seen: Parameters<typeof acrossTracesOf>[0]): string | null {
  const likeness = acrossTracesOf(seen);
  return likeness === null ? null : JSON.stringify(likeness);
}

function acrossTracesOf(seen: Pick<SeenInference, 'project' | 'service_name' | 'input_tokens' | 'output_tokens' | 'session_id'>): Likeness | null {
  const { project, service_name, input_tokens, output_tokens, session_id } = seen;
  if (service_name === '') return null;
  if (areTelling(seen)) return [project, service_name, input_tokens, output_tokens];
  return input_tokens === null && output_tokens === null && session_id !== null ? [project, service_name, session_id] : null;
}

function shareLikeness(one: SeenInference, other: SeenInference): boolean {
  const likeness = likenessOf(one);
  return likeness !== null && likeness === likenessOf(other);
}

/** A number, since an inference has two of these, and texts would be most of what is remembered of it. Spans that share one are compared in full before anything is made of it. */
function bucketKey(likeness: Likeness, at: number): number {
  let hash = at | 0;
  for (const part of likeness) {
    if (typeof part !== 'string') hash = Math.imul(hash ^ (part ?? -1), 0x9e3779b1);
    else for (let index = 0; index < part.length; index += 1) hash = Math.imul(hash ^ part.charCodeAt(index), 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >> 1;
}

function bucketOf({ start_ms }: SeenInference): number {
  return Math.floor(start_ms / BUCKET_MS);
}

function bucketsAround(seen: SeenInference): readonly [number, number] {
  const own = bucketOf(seen);
  return [own, seen.start_ms - own * BUCKET_MS < START_APART_MS ? own - 1 : own + 1];
}

/** Whether the tokens of an inference set it apart from others. */
function areTelling({ input_tokens, output_tokens }: Pick<SeenInference, 'input_tokens' | 'output_tokens'>): boolean {
  return (input_tokens ?? 0) > 0 && (output_tokens ?? 0) >= FEWEST_OUTPUT_TOKENS;
}

function isLike(one: SeenInference, other: SeenInference): boolean {
  return (
    one.scope_name !== other.scope_name &&
    one.service_name === other.service_name &&
    (one.response_id === null || other.response_id === null) &&
    (one.request_model ?? one.response_model) !== null &&
    (other.request_model ?? other.response_model) !== null &&
    couldBeOne(one, other) &&
    one.is_error === other.is_error &&
    one.is_cache_hit === other.is_cache_hit &&
    differNowhere(one, other) &&
    Math.abs(one.start_ms - other.start_ms) <= START_APART_MS &&
    enclose(one, other)
  );
}

const SAID_BY_BOTH = ['is_stream', 'cache_read_tokens', 'prompt_name', 'prompt_version', 'session_id', 'user_id'] as const;

function differNowhere(one: SeenInference, other: SeenInference): boolean {
  return SAID_BY_BOTH.every((field) => one[field] === null || other[field] === null || one[field] === other[field]);
}

function isNear(one: SpanNode, other: SpanNode): boolean {
  const [seen, otherSeen] = [one.inference, other.inference];
  if (seen === null || otherSeen === null) return false;
  const isOneSession = seen.session_id !== null && seen.session_id === otherSeen.session_id;
  return Math.abs(seen.end_ms - otherSeen.end_ms) <= (isOneSession ? END_APART_IN_SESSION_MS : END_APART_MS);
}

/** A library sees an inference once: whether this one is known for certain to be what that library saw. */
function sees(node: SpanNode, scope: string): boolean {
  return node.twins?.members.some(({ inference }) => inference?.scope_name === scope) === true;
}

function members(node: SpanNode): readonly SpanNode[] {
  return node.twins?.members ?? [node];
}

/** All of them are one inference, and for certain: this one. */
function areOne(nodes: readonly SpanNode[], one: SpanNode): boolean {
  return nodes.every((node) => members(one).includes(node));
}
