import type { LlmCall } from '../../schemas/call.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Relative } from '../normalise.ts';

/**
 * The spans around calls, as far as they are remembered: who is whose parent, and what tags stand where. A call takes its
 * prompt (name and version together), session and user each from the nearest span that has it, itself first.
 */
export type Ancestry = {
  add(ancestor: Ancestor): void;
  /** Fills what the call lacks from its ancestors. */
  resolve(call: LlmCall): Resolution;
  /** Whether a span stands above another, as far as the spans between them are remembered. */
  isBelow(span: SpanIdentity, ancestor: string): 'yes' | 'no' | 'unknown';
};

/** What a span passes on to those below it, and to whom it belongs itself. */
export type Ancestor = Omit<Relative, 'reason' | 'start_time_ns'>;

/** `missing`: the nearest ancestor that has not been seen, by key; null when the chain is complete or nothing is lacking. */
export type Resolution = { readonly call: LlmCall; readonly missing: string | null };

/** A parent chain longer than this, or one that loops, ends here. */
const MAX_DEPTH = 64;

/** A call can stand above another (an agent that is itself an inference); its children inherit from it as from any span. */
export function ancestorOf(call: LlmCall): Ancestor {
  return {
    project: call.project,
    trace_id: call.trace_id,
    span_id: call.span_id,
    parent_span_id: call.parent_span_id,
    prompt_name: call.prompt_name,
    prompt_version: call.prompt_version,
    prompt_version_source: call.prompt_version_source,
    prompt_label: call.prompt_label,
    prompt_attribution: call.prompt_attribution,
    session_id: call.session_id,
    user_id: call.user_id,
    received_ms: call.received_time_ms,
  };
}

/** @param capacity spans remembered in each of two generations. */
export function createAncestry(capacity: number): Ancestry {
  const spans = createGenerations<Ancestor>(capacity);
  return {
    add: (ancestor) => spans.set(spanKey(ancestor), ancestor),
    resolve(call) {
      if (call.parent_span_id === null || !lacking(call)) return { call, missing: null };
      const filled: LlmCall = { ...call };
      let parent: string | null = call.parent_span_id;
      for (let depth = 0; parent !== null && depth < MAX_DEPTH; depth += 1) {
        const key: string = spanKey({ project: call.project, trace_id: call.trace_id, span_id: parent });
        const ancestor = spans.get(key);
        if (ancestor === undefined) return { call: filled, missing: lacking(filled) ? key : null };
        if (!isTagged(filled) && isTagged(ancestor)) {
          filled.prompt_name = ancestor.prompt_name;
          filled.prompt_version = ancestor.prompt_version;
          filled.prompt_version_source = ancestor.prompt_version_source;
          filled.prompt_label = ancestor.prompt_label;
          filled.prompt_attribution = ancestor.prompt_attribution === 'ambiguous' ? 'ambiguous' : 'inherited';
        }
        filled.session_id ??= ancestor.session_id;
        filled.user_id ??= ancestor.user_id;
        if (!lacking(filled)) return { call: filled, missing: null };
        parent = ancestor.parent_span_id;
      }
      return { call: filled, missing: null };
    },
    isBelow(span, ancestor) {
      let current: string | null = span.span_id;
      for (let depth = 0; current !== null && depth < MAX_DEPTH; depth += 1) {
        if (current === ancestor) return depth === 0 ? 'no' : 'yes';
        const relative = spans.get(spanKey({ ...span, span_id: current }));
        if (relative === undefined) return 'unknown';
        current = relative.parent_span_id;
      }
      return 'no';
    },
  };
}

/**
 * Worth waiting for an ancestor: without its prompt a call belongs nowhere, and without its session it would count as a
 * unit of its own beside its session. A missing user id is not worth it.
 */
function lacking(call: LlmCall): boolean {
  return call.prompt_name === null || call.prompt_attribution === 'none' || call.session_id === null;
}

/** What a call is named after its own text (text-versions.ts) gives way to any tag, and is not handed on. */
export function isTagged(span: Pick<Relative, 'prompt_name' | 'prompt_version' | 'prompt_attribution'>): boolean {
  return span.prompt_attribution !== 'none' && (span.prompt_name !== null || span.prompt_version !== null);
}

/** Whether a span has to be stored for the calls below it: one that stands under nothing and carries nothing has nothing to pass on. */
export function isWorthKeeping(relative: Relative): boolean {
  return relative.parent_span_id !== null || relative.prompt_name !== null || relative.prompt_version !== null || relative.session_id !== null || relative.user_id !== null;
}
