import type { LlmCall } from '../../schemas/call.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
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
  /** Inferences below it, and those of them that no barrier parts from it. The first `MOST_BELOW`. */
  readonly below: SpanNode[];
  readonly unparted: SpanNode[];
  /** Own inferences directly below it, the latest ones, and the scope that wrote them: null where several did. */
  children: SpanNode[] | null;
  childrenScope: string | null;
  /** Other spans of the same inference. */
  twins: Twins | null;
  /** As its row says; null before it has one. */
  filed: Role | null;
  /** Its row says so, and its twins are not remembered. */
  isForgottenTwin: boolean;
  /** Counts, in a slot that is fixed. */
  isComplete: boolean;
};

/** call: counts; candidate: a wrapper that counts if no inference below it comes; wrapper, duplicate: does not count. */
export type Role = 'call' | 'candidate' | 'wrapper' | 'duplicate';

/** What has to be known of an inference to tell whether another span is the same one. `own`: one inference; `aggregate`: a wrapper's sum. */
export type SeenInference = SpanIdentity & {
  readonly kind: 'own' | 'aggregate';
  readonly scope_name: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly embeds: boolean;
  readonly request_model: string | null;
  readonly response_model: string | null;
  readonly response_id: string | null;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly is_cache_hit: boolean;
  readonly hasVersion: boolean;
};

export type Nesting = {
  get(key: string): SpanNode | undefined;
  /** A span has come, or comes again. */
  place(span: SpanIdentity & { readonly parent_span_id: string | null }, as: { readonly isBarrier: boolean; readonly inference: SeenInference | null }): SpanNode;
  /** The spans above it that are known, nearest first. */
  above(node: SpanNode): SpanNode[];
};

export const MOST_BELOW = 32;
const MAX_DEPTH = 64;

export function seenInference(call: LlmCall, kind: SeenInference['kind']): SeenInference {
  return {
    project: call.project,
    trace_id: call.trace_id,
    span_id: call.span_id,
    kind,
    scope_name: call.scope_name,
    // Exact to a microsecond, which is enough to compare times.
    start_ms: Number(call.start_time_ns) / 1e6,
    end_ms: Number(call.end_time_ns) / 1e6,
    embeds: call.operation.includes('embed'),
    request_model: call.request_model,
    response_model: call.response_model,
    response_id: call.response_id,
    input_tokens: call.input_tokens,
    output_tokens: call.output_tokens,
    is_cache_hit: call.is_cache_hit,
    hasVersion: call.prompt_version !== null,
  };
}

/**
 * @param capacity spans remembered in each of two generations.
 * @param deps.onBelow an inference is seen to have another below it.
 */
export function createNesting(capacity: number, deps: { readonly onBelow: (node: SpanNode) => void; readonly onRotate: () => void }): Nesting {
  const spans = createGenerations<SpanNode>(capacity, deps.onRotate);

  const nodeAt = (key: string): SpanNode => {
    const known = spans.get(key);
    if (known !== undefined) return known;
    const node: SpanNode = { key, parent: null, hasCome: false, isBarrier: false, inference: null, below: [], unparted: [], children: null, childrenScope: null, twins: null, filed: null, isForgottenTwin: false, isComplete: false };
    spans.set(key, node);
    return node;
  };

  const handUp = (from: SpanNode, inferences: readonly SpanNode[], unpartedBelow: readonly SpanNode[]): void => {
    let node = from;
    let unparted = unpartedBelow;
    for (let depth = 0; node.parent !== null && depth < MAX_DEPTH; depth += 1) {
      const above = nodeAt(node.parent);
      const isNew = addTo(above.below, inferences, above);
      const isNewUnparted = addTo(above.unparted, unparted, above);
      if (!isNew && !isNewUnparted) return;
      if (above.inference !== null) deps.onBelow(above);
      if (above.isBarrier) unparted = [];
      node = above;
    }
  };

  return {
    get: (key) => spans.get(key),
    place(span, { isBarrier, inference }) {
      const node = nodeAt(spanKey(span));
      const hadCome = node.hasCome;
      const wasInference = node.inference !== null;
      node.parent = span.parent_span_id === null ? null : spanKey({ project: span.project, trace_id: span.trace_id, span_id: span.parent_span_id });
      node.hasCome = true;
      node.isBarrier = isBarrier;
      node.inference = inference ?? node.inference;
      if (!hadCome) {
        // In the younger generation, even if it was expected for long.
        spans.set(node.key, node);
        if (node.below.length > 0) handUp(node, node.below, isBarrier ? [] : node.unparted);
      }
      if (inference !== null && !wasInference) {
        if (node.below.length > 0) deps.onBelow(node);
        handUp(node, [node], inference.kind === 'own' ? [node] : []);
      }
      return node;
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

/** Whether any of them was not there, and there was room for it. Where parents form a circle, nothing is below what is below it. */
function addTo(list: SpanNode[], added: readonly SpanNode[], above: SpanNode): boolean {
  let isNew = false;
  for (const node of added) {
    if (list.length >= MOST_BELOW) return isNew;
    if (node === above || list.includes(node) || node.below.includes(above)) continue;
    list.push(node);
    isNew = true;
  }
  return isNew;
}
