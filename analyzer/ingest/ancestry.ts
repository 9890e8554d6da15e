import type { LlmCall } from '../../schemas/call.ts';
import { spanKey } from './identity.ts';
import { MAX_DEPTH, type SpanNode, type Tags } from './nesting.ts';
import type { Relative } from '../normalise.ts';

/** `missing`: the nearest ancestor that has not been seen, by key; null when the chain is complete or nothing is lacking. */
export type Resolution = { readonly call: LlmCall; readonly missing: string | null };

/**
 * Fills what a call lacks from the spans above it: its prompt (name and version together), session and user each from the nearest that
 * has it, itself first. A call can stand above another (an agent that is itself an inference); its children inherit from it as from any span.
 *
 * @param at the span with this key, as far as it is remembered.
 */
export function resolve(call: LlmCall, at: (key: string) => SpanNode | undefined): Resolution {
  if (call.parent_span_id === null || !lacking(call)) return { call, missing: null };
  const filled: LlmCall = { ...call };
  let parent: string | null = spanKey({ project: call.project, trace_id: call.trace_id, span_id: call.parent_span_id });
  // A chain longer than this, or one that loops, ends here.
  for (let depth = 0; parent !== null && depth < MAX_DEPTH; depth += 1) {
    const ancestor: SpanNode | undefined = at(parent);
    if (ancestor?.hasCome !== true) return { call: filled, missing: lacking(filled) ? parent : null };
    if (ancestor.tags !== null) inherit(filled, ancestor.tags);
    if (!lacking(filled)) return { call: filled, missing: null };
    parent = ancestor.parent;
  }
  return { call: filled, missing: null };
}

function inherit(call: LlmCall, tags: Tags): void {
  if (!isTagged(call) && isTagged(tags)) {
    call.prompt_name = tags.prompt_name;
    call.prompt_version = tags.prompt_version;
    call.prompt_version_source = tags.prompt_version_source;
    call.prompt_label = tags.prompt_label;
    call.prompt_attribution = tags.prompt_attribution === 'ambiguous' ? 'ambiguous' : 'inherited';
  }
  call.session_id ??= tags.session_id;
  call.user_id ??= tags.user_id;
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
