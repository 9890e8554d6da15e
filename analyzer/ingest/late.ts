import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import { inheritsTheSame, inheritsThrough, withOwnPrompt, type Resolution } from './ancestry.ts';
import type { Draft, FiledCall } from './draft.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import { MAX_DEPTH, type SpanNode } from './nesting.ts';
import { loadCallsOfTraces, loadFiledCalls } from './recovery.ts';

/**
 * Calls that entered as they are because an ancestor did not come in time. A span is sent when it ends, so the root of an agent that
 * runs for minutes comes minutes after its calls: then their rows are corrected (and those of their scores: scoring.ts). They keep
 * their slots (what was bet on is not bet again) and are flagged `attributed_late`. Remembered by id only, in bounded memory; what
 * is to be corrected is read from the store.
 */
export type Late = {
  /** A call became complete while this ancestor was missing. */
  expect(missing: string, call: SpanIdentity): void;
  /** Drafts what these ancestors, by key, correct. Answers what to do when all is drafted. */
  correct(draft: Draft, ancestors: readonly string[], admit: (call: LlmCall) => LlmCall): Promise<readonly (() => void)[]>;
  /** Drafts what changes in the traces of these spans, which say another prompt than before. */
  reconsider(draft: Draft, spans: readonly SpanIdentity[], admit: (call: LlmCall) => LlmCall): Promise<void>;
};

export const ATTRIBUTED_LATE = 'attributed_late';

/** Calls that may hang from one missing span (an agent that runs for hours has thousands below its root); the rest stay as they are. Their rows are all in memory when they are corrected: 40 MB. */
const MAX_CHILDREN = 20_000;
/** Calls of one trace that are looked at again when a span in it says another prompt than before. */
const MAX_RECONSIDERED = 1_000;

/** @param capacity missing ancestors remembered in each of two generations. */
export function createLate(deps: { readonly store: Store; readonly resolve: (call: LlmCall) => Resolution; readonly at: (key: string) => SpanNode | undefined }, capacity: number): Late {
  const { store, resolve, at } = deps;
  const byAncestor = createGenerations<string, SpanIdentity[]>(capacity);
  const expectAncestor = (missing: string, { project, trace_id, span_id }: SpanIdentity): void => {
    const expecting = byAncestor.get(missing) ?? [];
    if (expecting.length < MAX_CHILDREN) expecting.push({ project, trace_id, span_id });
    // Anew, so that one that more and more calls hang from is not forgotten for its age.
    byAncestor.set(missing, expecting);
  };
  const draftWhereChanged = (draft: Draft, { call: asStored, stored }: FiledCall, resolved: LlmCall, admit: (call: LlmCall) => LlmCall): void => {
    if (inheritsTheSame(resolved, asStored)) return;
    draft.correctedCall({ key: spanKey(resolved), call: admit({ ...resolved, flags: [...resolved.flags.filter((flag) => flag !== ATTRIBUTED_LATE), ATTRIBUTED_LATE] }), stored });
  };
  return {
    expect: expectAncestor,
    async correct(draft, ancestors, admit) {
      const arrived = new Set(ancestors);
      const whenDrafted: (() => void)[] = [];
      const concerned = new Map<string, SpanIdentity>();
      for (const key of arrived) {
        const expecting = byAncestor.get(key);
        const node = at(key);
        if (expecting === undefined && (node === undefined || node.below.length === 0)) continue;
        const { saysSomething, unseen } = handedOnBy(key, at);
        if (expecting !== undefined) {
          whenDrafted.push(() => byAncestor.delete(key));
          if (unseen !== null) for (const call of expecting) whenDrafted.push(() => expectAncestor(unseen, call));
        }
        if (!saysSomething) continue;
        // Those that are remembered to be below it are known across a restart, too; those that wait for it are not, but they are all.
        const below = node?.below.flatMap(({ filed, isComplete, inference }) => (filed === 'call' && isComplete && inference !== null ? [inference] : [])) ?? [];
        for (const call of [...(expecting ?? []), ...below]) concerned.set(spanKey(call), call);
      }
      const changed = [...concerned].filter(([key]) => {
        const node = at(key);
        return !draft.calls.has(key) && (node === undefined || inheritsThrough(arrived, node, at));
      });
      for (const filed of await loadFiledCalls(store, changed.map(([, call]) => call))) {
        if (filed.stored.role !== 'call' || filed.stored.slot === 0) continue;
        draftWhereChanged(draft, filed, resolve(filed.call).call, admit);
      }
      return whenDrafted;
    },
    async reconsider(draft, spans, admit) {
      if (spans.length === 0) return;
      for (const filed of await loadCallsOfTraces(store, spans, MAX_RECONSIDERED)) {
        const { call: asStored } = filed;
        if (draft.calls.has(spanKey(asStored))) continue;
        // The nearest that says a prompt may be another one now.
        const bare = withOwnPrompt(asStored);
        const { call: resolved } = resolve(bare);
        // What it had from above may be forgotten by now.
        const isForgotten = (asStored.prompt_name !== null && resolved.prompt_name === null) || (asStored.prompt_version !== null && resolved.prompt_version === null);
        if (!isForgotten && resolved.prompt_attribution !== 'none') draftWhereChanged(draft, filed, resolved, admit);
      }
    },
  };
}

/** Whether it may change something below that an ancestor has come: it, or one above it that is known, says something, or all are known now. And the next that has not been seen. */
function handedOnBy(ancestor: string, at: (key: string) => SpanNode | undefined): { readonly saysSomething: boolean; readonly unseen: string | null } {
  let saysSomething = false;
  let key: string | null = ancestor;
  for (let depth = 0; key !== null && depth < MAX_DEPTH; depth += 1) {
    const node = at(key);
    if (node?.hasCome !== true) return { saysSomething, unseen: key };
    saysSomething ||= node.tags !== null;
    key = node.parent;
  }
  return { saysSomething: true, unseen: null };
}
