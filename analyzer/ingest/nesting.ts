import type { LlmCall } from '../../schemas/call.ts';
import { LOG_EVENT } from '../dialects/log-events.ts';
import type { StoredSpan } from './draft.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Found } from './known.ts';
import type { Twins } from './twins.ts';

/**
 * Which spans stand above and below one another, as far as they are remembered. Spans come in any order, children mostly first, in
 * requests of their own; so a span is known by its id before it has come, and what is below it is handed up as links appear.
 *
 * Cost: a span hands on at most `MOST_BELOW` inferences, to at most `MAX_DEPTH` spans above it, and stops where they are known
 * already or there is no room; so a trace costs time in proportion to its spans, however deep, wide or circular it is.
 */
export type SpanNode = {
  readonly key: string;
  /** Key of the span above it. Null: none, or it has not come yet. */
  parent: string | null;
  hasCome: boolean;
  /** A tool, an agent: an inference above it and one below it are two calls. */
  isBarrier: boolean;
  inference: SeenInference | null;
  /** Null: it has nothing to pass on. */
  tags: Tags | null;
  /** Inferences below it: the first `MOST_BELOW`. */
  below: readonly SpanNode[];
  /** Those of them that are inferences of their own, and that no barrier parts from it: a bit each. */
  unparted: number;
  /** The scope that wrote those directly below it. Undefined: there are none; null: several did. */
  childrenScope: string | null | undefined;
  /** Other spans of the same inference. */
  twins: Twins | null;
  /** As its row says; null before it has one, and where the row was not written since the start. */
  stored: Found<StoredSpan> | null;
  /** The role that its row has; null before it has one. */
  filed: Role | null;
  /** Its row says so, and its twins are not remembered. */
  isForgottenTwin: boolean;
  /** Counts, in a slot that is fixed. */
  isComplete: boolean;
};

/** What the calls below a span inherit. */
export type Tags = Pick<LlmCall, 'prompt_name' | 'prompt_version' | 'prompt_version_source' | 'prompt_label' | 'prompt_attribution' | 'session_id' | 'user_id'>;

/** call: counts; candidate: a wrapper that counts if no inference below it comes; wrapper, duplicate: does not count. */
export type Role = 'call' | 'candidate' | 'wrapper' | 'duplicate';

/** What has to be known of an inference to tell whether another span is the same one. `own`: one inference; `aggregate`: a wrapper's sum; `echo`: a log event that tells of one. */
export type SeenInference = SpanIdentity & Readonly<Tags> & {
  readonly kind: 'own' | 'aggregate' | 'echo';
  readonly scope_name: string;
  readonly service_name: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly embeds: boolean;
  readonly request_model: string | null;
  readonly response_model: string | null;
  readonly response_id: string | null;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cache_read_tokens: number | null;
  readonly is_cache_hit: boolean;
  readonly is_error: boolean;
  readonly is_stream: boolean | null;
};

export type Nesting = {
  get(key: string): SpanNode | undefined;
  /** All that are remembered, those that are expected only included; one may come twice. */
  spans(): Iterable<SpanNode>;
  /** A span has come, or comes again. Answers it, and the span above it, which may not have come. */
  place(key: string, span: Tags & { readonly project: string; readonly trace_id: string; readonly parent_span_id: string | null }, as: { readonly isBarrier: boolean; readonly inference: SeenInference | null }): { readonly node: SpanNode; readonly above: SpanNode | null };
  /** The spans above it that are known, nearest first. */
  above(node: SpanNode): SpanNode[];
};

/** As many as there are bits. */
export const MOST_BELOW = 30;
export const MAX_DEPTH = 64;
const NOTHING: readonly SpanNode[] = [];

/** @param reason why the span by itself is no call; empty for an inference of its own. */
export function kindOf(reason: string): SeenInference['kind'] {
  return reason === '' ? 'own' : reason === LOG_EVENT ? 'echo' : 'aggregate';
}

export function seenInference(call: LlmCall, kind: SeenInference['kind']): SeenInference {
  return {
    project: call.project,
    trace_id: call.trace_id,
    span_id: call.span_id,
    kind,
    scope_name: call.scope_name,
    service_name: call.service_name,
    // Exact to a microsecond, which is enough to compare times.
    start_ms: Number(call.start_time_ns) / 1e6,
    end_ms: Number(call.end_time_ns) / 1e6,
    embeds: call.operation.includes('embed'),
    request_model: call.request_model,
    response_model: call.response_model,
    response_id: call.response_id,
    input_tokens: call.input_tokens,
    output_tokens: call.output_tokens,
    cache_read_tokens: call.cache_read_tokens,
    is_cache_hit: call.is_cache_hit,
    is_error: call.is_error,
    is_stream: call.is_stream,
    prompt_name: call.prompt_name,
    prompt_version: call.prompt_version,
    prompt_version_source: call.prompt_version_source,
    prompt_label: call.prompt_label,
    prompt_attribution: call.prompt_attribution,
    session_id: call.session_id,
    user_id: call.user_id,
  };
}

/**
 * @param capacity spans remembered in each of two generations.
 * @param deps.onBelow an inference is seen to have another below it.
 * @param deps.onLinked a span has come that inferences below it waited for: they may inherit through it.
 */
export function createNesting(capacity: number, deps: { readonly onBelow: (node: SpanNode) => void; readonly onLinked: (node: SpanNode) => void; readonly onRotate: () => void }): Nesting {
  const spans = createGenerations<string, SpanNode>(capacity, deps.onRotate);

  /** A span that may not have come. */
  const nodeAt = (key: string): SpanNode => {
    const known = spans.get(key);
    if (known !== undefined) return known;
    const node = createNode(key);
    spans.set(key, node);
    return node;
  };

  /** From a span below to `above`, and on from there. */
  const handUp = (to: SpanNode, inferences: readonly SpanNode[], unpartedOfThem: number): void => {
    let above = to;
    let unparted = unpartedOfThem;
    for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
      if (!addBelow(above, inferences, unparted)) return;
      if (above.inference !== null) deps.onBelow(above);
      if (above.parent === null) return;
      if (above.isBarrier) unparted = 0;
      above = nodeAt(above.parent);
    }
  };

  return {
    get: (key) => spans.get(key),
    spans: () => spans.values(),
    place(key, span, { isBarrier, inference }) {
      const expected = spans.get(key);
      const node = expected ?? createNode(key);
      const { hasCome, inference: before } = node;
      node.parent = span.parent_span_id === null ? null : spanKey({ project: span.project, trace_id: span.trace_id, span_id: span.parent_span_id });
      node.hasCome = true;
      node.isBarrier = isBarrier;
      node.inference = inference ?? before;
      node.tags = inference ?? tagsOf(span);
      // In the younger generation, even if it was expected for long.
      if (!hasCome) spans.set(key, node);
      const above = node.parent === null ? null : inference !== null || node.below.length > 0 ? nodeAt(node.parent) : null;
      if (!hasCome && node.below.length > 0) {
        if (above !== null) handUp(above, node.below, isBarrier ? 0 : node.unparted);
        deps.onLinked(node);
      }
      if (inference !== null && before === null) {
        if (node.below.length > 0) deps.onBelow(node);
        if (above !== null) handUp(above, [node], inference.kind === 'own' ? 1 : 0);
      }
      return { node, above };
    },
    above(node) {
      const found: SpanNode[] = [];
      let parent = node.parent;
      for (let depth = 0; parent !== null && depth < MAX_DEPTH; depth += 1) {
        const above = spans.get(parent);
        if (above === undefined || above === node) return found;
        found.push(above);
        parent = above.parent;
      }
      return found;
    },
  };
}

function createNode(key: string): SpanNode {
  return { key, parent: null, hasCome: false, isBarrier: false, inference: null, tags: null, below: NOTHING, unparted: 0, childrenScope: undefined, twins: null, stored: null, filed: null, isForgottenTwin: false, isComplete: false };
}

function tagsOf({ prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id }: Tags): Tags | null {
  const hasTags = prompt_name !== null || prompt_version !== null || session_id !== null || user_id !== null;
  return hasTags ? { prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id } : null;
}

/** Whether any of them was not there, and there was room for it. Where parents form a circle, nothing is below what is below it. */
function addBelow(above: SpanNode, inferences: readonly SpanNode[], unparted: number): boolean {
  if (above.below.length >= MOST_BELOW) return false;
  const below = [...above.below];
  for (const [index, node] of inferences.entries()) {
    if (below.length >= MOST_BELOW || node === above || below.includes(node) || node.below.includes(above)) continue;
    if ((unparted & (1 << index)) !== 0) above.unparted |= 1 << below.length;
    below.push(node);
  }
  if (below.length === above.below.length) return false;
  above.below = below;
  return true;
}

/** The inferences of their own below a span that no barrier parts from it. */
export function unpartedBelow({ below, unparted }: SpanNode): SpanNode[] {
  return below.filter((_, index) => (unparted & (1 << index)) !== 0);
}
