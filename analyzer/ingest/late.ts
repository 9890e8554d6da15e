import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import type { Resolution } from './ancestry.ts';
import type { Draft, FiledCall } from './draft.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import { loadCallsOfTraces, loadFiledCalls } from './recovery.ts';

/**
 * Calls that entered as they are because an ancestor did not come in time. A span is sent when it ends, so the root of an agent that
 * runs for minutes comes minutes after its calls: then their rows are corrected (and those of their scores: scoring.ts). They keep
 * their slots (what was bet on is not bet again) and are flagged `attributed_late`. Remembered by id only, in bounded memory, and not
 * across a restart; what is to be corrected is read from the store.
 */
export type Late = {
  /** A call became complete while this ancestor was missing. */
  expect(missing: string, call: SpanIdentity): void;
  /** Drafts what these ancestors, by key, correct. Answers what to do when the draft is durable. */
  correct(draft: Draft, ancestors: readonly string[], admit: (call: LlmCall) => LlmCall): Promise<readonly (() => void)[]>;
  /** Drafts what changes in the traces of these spans, which say another prompt than before. */
  reconsider(draft: Draft, spans: readonly SpanIdentity[], admit: (call: LlmCall) => LlmCall): Promise<void>;
};

export const ATTRIBUTED_LATE = 'attributed_late';

/** Calls that may hang from one missing span; the rest stay as they are. */
const MAX_CHILDREN = 1_000;

/** @param capacity missing ancestors remembered in each of two generations. */
export function createLate(deps: { readonly store: Store; readonly resolve: (call: LlmCall) => Resolution }, capacity: number): Late {
  const { store, resolve } = deps;
  const byAncestor = createGenerations<readonly SpanIdentity[]>(capacity);
  const expectAncestor = (missing: string, { project, trace_id, span_id }: SpanIdentity): void => {
    const expecting = byAncestor.get(missing) ?? [];
    if (expecting.length < MAX_CHILDREN) byAncestor.set(missing, [...expecting, { project, trace_id, span_id }]);
  };
  const draftWhereChanged = (draft: Draft, { call: asStored, stored }: FiledCall, resolved: LlmCall, admit: (call: LlmCall) => LlmCall): void => {
    if (resolved.prompt_name === asStored.prompt_name && resolved.prompt_version === asStored.prompt_version && resolved.prompt_attribution === asStored.prompt_attribution && resolved.session_id === asStored.session_id) return;
    draft.correctedCall(admit({ ...resolved, flags: [...resolved.flags.filter((flag) => flag !== ATTRIBUTED_LATE), ATTRIBUTED_LATE] }), stored);
  };
  return {
    expect: expectAncestor,
    async correct(draft, ancestors, admit) {
      if (byAncestor.size() === 0) return [];
      const keys = ancestors.filter((key) => byAncestor.get(key) !== undefined);
      const expecting = keys.flatMap((key) => byAncestor.get(key) ?? []).filter((call) => !draft.calls.has(spanKey(call)));
      if (expecting.length === 0) return [];
      const whenDurable: (() => void)[] = keys.map((key) => () => byAncestor.delete(key));
      for (const filed of await loadFiledCalls(store, expecting)) {
        if (filed.stored.role !== 'call' || filed.stored.slot === 0) continue;
        const { call: resolved, missing } = resolve(filed.call);
        if (missing !== null) whenDurable.push(() => expectAncestor(missing, filed.call));
        draftWhereChanged(draft, filed, resolved, admit);
      }
      return whenDurable;
    },
    async reconsider(draft, spans, admit) {
      if (spans.length === 0) return;
      for (const filed of await loadCallsOfTraces(store, spans, MAX_CHILDREN)) {
        const { call: asStored } = filed;
        if (draft.calls.has(spanKey(asStored))) continue;
        // The nearest that says a prompt may be another one now.
        const bare: LlmCall = asStored.prompt_attribution === 'inherited' ? { ...asStored, prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' } : asStored;
        const { call: resolved } = resolve(bare);
        // What it had from above may be forgotten by now.
        if (resolved.prompt_attribution !== 'none') draftWhereChanged(draft, filed, resolved, admit);
      }
    },
  };
}
