import type { LlmCall } from '../../schemas/call.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import { MAX_DEPTH, type SpanNode, type Tags } from './nesting.ts';
import type { Relative } from '../normalise.ts';

/**
 * What a call inherits from the spans above it. A call can stand above another (an agent that is itself an inference); its children
 * inherit from it as from any span.
 *
 * Session and user each come from the nearest span that has one, itself first. The prompt is that of the nearest span that says
 * anything of one; what it leaves open is completed from further up, as long as nothing there speaks of another prompt:
 * - a version for a name, from a span that has the same name; or from one that has a version only, if the next name above it is the
 *   same, or there is none: else it is that one's version;
 * - a name for a version, from a span that has the same version, or none.
 * A label belongs with its version and comes with it; who says which label was meant leaves no version open. Past a span that says otherwise
 * nothing of this prompt is looked for. So no name meets a version that no span, alone or with those that agree with it, has beside it.
 *
 * Environment and application version are not inherited: they are the resource's, and every span has its own.
 */
export type Resolution = {
  readonly call: LlmCall;
  /** The nearest ancestor that has not been seen, by key, where it may bring something. Null when the chain is complete or nothing is lacking. */
  readonly unseen: string | null;
  /** The same, where it is worth waiting for: without its prompt a call belongs nowhere, and without its session it would count as a unit of its own. */
  readonly missing: string | null;
};

/** The span with this key, as far as it is remembered. */
type At = (key: string) => SpanNode | undefined;

/** What a call names itself, beside which something of its prompt was found further up. */
const NAME_INHERITED = 'prompt_name_inherited';
const VERSION_INHERITED = 'prompt_version_inherited';

export function resolve(call: LlmCall, at: At): Resolution {
  if (call.parent_span_id === null) return { call, unseen: null, missing: null };
  const parent = spanKey({ project: call.project, trace_id: call.trace_id, span_id: call.parent_span_id });
  const { tags, unseen, isPromptOpen } = inherit(call, parent, at);
  const missing = isPromptOpen || tags.session_id === null ? unseen : null;
  if (inheritsTheSame(tags, call)) return { call, unseen, missing };
  const { prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id } = tags;
  const flags = prompt_attribution === 'direct' ? [...call.flags, ...foundAbove(call, tags)] : call.flags;
  return { call: { ...call, prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id, flags }, unseen, missing };
}

/** Whether what these spans, by key, say or lead to changes what a call below them inherits. */
export function inheritsThrough(spans: ReadonlySet<string>, { inference, parent }: SpanNode, at: At): boolean {
  if (inference === null) return false;
  const without = inherit(inference, parent, (key) => (spans.has(key) ? undefined : at(key)));
  return without.unseen !== null && !inheritsTheSame(inherit(inference, parent, at).tags, without.tags);
}

/** The call without what it has inherited of its prompt. */
export function withOwnPrompt(call: LlmCall): LlmCall {
  if (call.prompt_attribution === 'inherited') return { ...call, ...NO_PROMPT };
  const has = (flag: string): boolean => call.flags.includes(flag);
  if (!has(NAME_INHERITED) && !has(VERSION_INHERITED)) return call;
  const { prompt_name, prompt_version, prompt_version_source, prompt_label } = has(VERSION_INHERITED) ? { ...NO_PROMPT, prompt_name: call.prompt_name } : { ...call, prompt_name: null };
  return { ...call, prompt_name, prompt_version, prompt_version_source, prompt_label, flags: call.flags.filter((flag) => !isPromptFlag(flag)) };
}

/** Whether a flag says that a part of the prompt was found further up. */
export function isPromptFlag(flag: string): boolean {
  return flag === NAME_INHERITED || flag === VERSION_INHERITED;
}

const NO_PROMPT = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' } as const;

type Inherited = { readonly tags: Tags; readonly unseen: string | null; readonly isPromptOpen: boolean };

/** @param own what the span says itself, or has inherited so far: then the rest is found as if it were all looked for at once. */
function inherit(own: Tags, parentKey: string | null, at: At): Inherited {
  let prompt: Prompt | null = isTagged(own) ? own : null;
  let isSettled = prompt !== null && isWhole(prompt);
  /** A version that was passed and stands without a name. */
  let loose: Prompt | null = null;
  let { session_id, user_id } = own;
  let parent = parentKey;
  let unseen: string | null = null;
  // A chain longer than this, or one that loops, ends here.
  for (let depth = 0; parent !== null && depth < MAX_DEPTH && !(isSettled && session_id !== null && user_id !== null); depth += 1) {
    const ancestor: SpanNode | undefined = at(parent);
    if (ancestor?.hasCome !== true) {
      unseen = parent;
      break;
    }
    const { tags } = ancestor;
    parent = ancestor.parent;
    if (tags === null) continue;
    session_id ??= tags.session_id;
    user_id ??= tags.user_id;
    if (isSettled || !isTagged(tags)) continue;
    if (prompt === null) {
      prompt = { ...withoutText(tags), prompt_attribution: tags.prompt_attribution === 'ambiguous' ? 'ambiguous' : 'inherited' };
      isSettled = isWhole(prompt);
      continue;
    }
    const step: Step = prompt.prompt_name === null ? nameFor(prompt, tags) : versionFor(prompt, tags, loose);
    ({ prompt, loose, isSettled } = step);
  }
  // The version without a name has nobody else's name above it.
  if (prompt !== null && loose !== null && unseen === null && parent === null) prompt = withVersionOf(prompt, loose);
  const { prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution } = prompt ?? own;
  return { tags: { prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id }, unseen, isPromptOpen: !isSettled };
}

type Prompt = Pick<Tags, 'prompt_name' | 'prompt_version' | 'prompt_version_source' | 'prompt_label' | 'prompt_attribution'>;
type Step = { readonly prompt: Prompt; readonly loose: Prompt | null; readonly isSettled: boolean };

function isWhole(prompt: Prompt): boolean {
  return prompt.prompt_attribution === 'ambiguous' || (prompt.prompt_name !== null && (versionOf(prompt) !== null || prompt.prompt_label !== null));
}

function nameFor(prompt: Prompt, above: Prompt): Step {
  const isOther = above.prompt_attribution === 'ambiguous' || (versionOf(above) !== null && versionOf(above) !== prompt.prompt_version);
  if (isOther || above.prompt_name !== null) return { prompt: isOther ? prompt : { ...prompt, prompt_name: above.prompt_name }, loose: null, isSettled: true };
  return { prompt, loose: null, isSettled: false };
}

function versionFor(prompt: Prompt, above: Prompt, loose: Prompt | null): Step {
  const isOther = above.prompt_attribution === 'ambiguous' || (above.prompt_name !== null && above.prompt_name !== prompt.prompt_name);
  const isOtherVersion = loose !== null && versionOf(above) !== null && versionOf(above) !== loose.prompt_version;
  if (isOther || isOtherVersion) return { prompt, loose: null, isSettled: true };
  const version = loose ?? (versionOf(above) === null ? null : above);
  if (above.prompt_name === null || version === null) return { prompt, loose: version, isSettled: false };
  return { prompt: withVersionOf(prompt, version), loose: null, isSettled: true };
}

function withVersionOf(prompt: Prompt, { prompt_version, prompt_version_source, prompt_label }: Prompt): Prompt {
  return { ...prompt, prompt_version, prompt_version_source, prompt_label };
}

/** What a call is named after its own text (text-versions.ts) is no version of the spans around it, and gives way to one of theirs. */
function versionOf({ prompt_version, prompt_version_source: source }: Prompt): string | null {
  return source === 'template_fp' || source === 'system_fp' ? null : prompt_version;
}

function withoutText(prompt: Prompt): Prompt {
  return versionOf(prompt) === prompt.prompt_version ? prompt : { ...prompt, prompt_version: null, prompt_version_source: 'none' };
}

/** Whether two agree in all that is inherited. */
export function inheritsTheSame(one: Tags, other: Tags): boolean {
  return (
    one.prompt_name === other.prompt_name &&
    one.prompt_version === other.prompt_version &&
    one.prompt_version_source === other.prompt_version_source &&
    one.prompt_label === other.prompt_label &&
    one.prompt_attribution === other.prompt_attribution &&
    one.session_id === other.session_id &&
    one.user_id === other.user_id
  );
}

function foundAbove(own: Tags, tags: Tags): string[] {
  if (own.prompt_name !== tags.prompt_name) return [NAME_INHERITED];
  return own.prompt_version === tags.prompt_version ? [] : [VERSION_INHERITED];
}

/** Whether a span stands below another, by id, as far as the spans between them are remembered. */
export function isBelow(span: SpanIdentity, ancestorId: string, at: At): 'yes' | 'no' | 'unknown' {
  const ancestor = spanKey({ ...span, span_id: ancestorId });
  let key = spanKey(span);
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    if (key === ancestor) return depth === 0 ? 'no' : 'yes';
    const node = at(key);
    if (node?.hasCome !== true) return 'unknown';
    if (node.parent === null) return 'no';
    key = node.parent;
  }
  return 'no';
}

/** What a call is named after its own text (text-versions.ts) gives way to any tag, and is not handed on. */
export function isTagged(span: Pick<Relative, 'prompt_name' | 'prompt_version' | 'prompt_attribution'>): boolean {
  return span.prompt_attribution !== 'none' && (span.prompt_name !== null || span.prompt_version !== null);
}

/** Whether a span has to be stored for the calls below it: one that stands under nothing and carries nothing has nothing to pass on. */
export function isWorthKeeping(relative: Relative): boolean {
  return relative.parent_span_id !== null || relative.prompt_name !== null || relative.prompt_version !== null || relative.session_id !== null || relative.user_id !== null;
}
