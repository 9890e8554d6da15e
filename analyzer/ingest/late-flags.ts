import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import { withOwnPrompt } from './ancestry.ts';
import type { SpanArrival } from './arrivals.ts';
import { orAssigned } from '../dialects/agreement.ts';
import type { Assignment } from '../dialects/feature-flags.ts';
import type { PromptTags } from '../dialects/tags.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Inferences } from './inferences.ts';
import { ATTRIBUTED_LATE } from './late.ts';
import type { SpanNode } from './nesting.ts';
import type { Relative } from '../normalise.ts';
import type { Placed, PlacedRelative } from './reading.ts';
import { loadFiledCalls, loadRelatives } from './recovery.ts';

/**
 * Feature flags that were logged and come after their span was read: the log exporter runs behind the trace exporter. The span is taken as if it
 * came again, with what the flag says; calls below it are looked at anew (late.ts). A flag for a span that has not come yet changes nothing
 * here: it is remembered where spans are read (dialects/feature-flags.ts). Nor does one for a span that a restart has forgotten, because it
 * stood above everything and carried nothing.
 */
export type Reassigned = {
  readonly calls: Map<string, SpanArrival>;
  readonly relatives: readonly PlacedRelative[];
  /** Spans of earlier batches that say another prompt now. */
  readonly spans: readonly SpanIdentity[];
};

type Batch = { readonly calls: Map<string, SpanArrival>; readonly relatives: readonly PlacedRelative[] };

export async function reassign(deps: { readonly store: Store; readonly inferences: Inferences }, assignments: readonly Placed<Assignment>[], batch: Batch): Promise<Reassigned> {
  if (assignments.length === 0) return { ...batch, spans: [] };
  const { store, inferences } = deps;
  const assigned = new Map(assignments.map((placed) => [spanKey(placed.item), placed]));

  // 1. Spans that were read before the flag, in this very batch.
  const calls = new Map([...batch.calls].map(([key, arrival]) => [key, { ...arrival, item: prompted(arrival.item, assigned.get(key)?.item) ?? arrival.item }]));
  const relatives = batch.relatives.map((relative) => ({ ...relative, item: prompted(relative.item, assigned.get(relative.key)?.item) ?? relative.item }));

  // 2. Those that are stored.
  const here = new Set([...calls.keys(), ...relatives.map(({ key }) => key)]);
  const elsewhere = [...assigned].filter(([key]) => !here.has(key)).map(([, { item }]) => item);
  if (elsewhere.length === 0) return { calls, relatives, spans: [] };
  await inferences.recallTraces(elsewhere);
  const stored = new Map((await loadFiledCalls(store, elsewhere)).map((filed) => [spanKey(filed.call), filed]));
  const kept = await loadRelatives(store, elsewhere);
  const spans: SpanIdentity[] = [];
  for (const span of elsewhere) {
    const key = spanKey(span);
    const stampMs = assigned.get(key)?.stampMs ?? 0;
    const filed = stored.get(key);
    const call = filed === undefined ? null : prompted(withOwnPrompt(filed.call), span);
    const relative = filed === undefined ? prompted(kept.get(key) ?? relativeAt(inferences.at(key), span), span) : null;
    if (filed !== undefined && call !== null) {
      const flags = filed.stored.slot === 0 || call.flags.includes(ATTRIBUTED_LATE) ? call.flags : [...call.flags, ATTRIBUTED_LATE];
      calls.set(key, { item: { ...call, flags }, stampMs, stored: filed.stored, reason: filed.stored.reason });
    } else if (relative !== null) {
      // The newest row is the one that counts.
      relatives.push({ key, stampMs, item: { ...relative, received_ms: stampMs } });
    } else {
      continue;
    }
    spans.push(span);
  }
  return { calls, relatives, spans };
}

type Prompted = Pick<LlmCall, keyof PromptTags & keyof LlmCall>;

/** The span with what a flag says of it; null where that says nothing new. */
function prompted<Span extends Prompted>(span: Span | null, assignment: Assignment | undefined): Span | null {
  if (span === null || assignment === undefined) return null;
  const own = ownTags(span);
  const said = orAssigned(own, assignment.prompt, new Set());
  const { prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution } = said;
  const isSame = said === own || (prompt_name === span.prompt_name && prompt_version === span.prompt_version && prompt_attribution === span.prompt_attribution);
  return isSame ? null : { ...span, prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution };
}

/** What its own tags said: not what it has from above, nor what it is called after its text. */
function ownTags({ prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution }: Prompted): PromptTags {
  const isOfText = prompt_version_source === 'template_fp' || prompt_version_source === 'system_fp';
  const version = isOfText ? { prompt_version: null, prompt_version_source: 'none' as const } : { prompt_version, prompt_version_source };
  if (prompt_attribution === 'direct' || prompt_attribution === 'ambiguous') return { prompt_name, prompt_label, prompt_attribution, ...version };
  return { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' };
}

/** A span that is remembered and was not worth a row. */
function relativeAt(node: SpanNode | undefined, { project, trace_id, span_id }: SpanIdentity): Relative | null {
  if (node?.hasCome !== true || node.inference !== null) return null;
  const tags = node.tags ?? { prompt_name: null, prompt_version: null, prompt_version_source: 'none' as const, prompt_label: null, prompt_attribution: 'none' as const, session_id: null, user_id: null };
  const parent_span_id = node.parent === null ? null : node.parent.slice(node.parent.lastIndexOf('/') + 1);
  return { project, trace_id, span_id, parent_span_id, ...tags, received_ms: 0, reason: node.isBarrier ? 'agent' : 'not_an_llm_call', start_time_ns: '0' };
}
