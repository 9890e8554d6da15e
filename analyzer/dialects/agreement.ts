import type { Attributes } from '../../schemas/otlp.ts';
import type { PromptReader, PromptTags } from './tags.ts';
import { text } from './values.ts';

/**
 * One span may name its prompt in several dialects' words: an application's baggage, its metadata and the library's own keys.
 *
 * The first reader that finds something is kept, name and version together, for a name of one source beside a version of
 * another would be a prompt that nobody wrote. Later ones may complete it where that is safe (the same name with a version; a
 * name for a version that came alone; a label) and otherwise have to agree: if they do not, the first stays and is marked
 * `ambiguous`, which keeps it out of every comparison.
 */
export function agreed(own: PromptTags | null, readers: readonly PromptReader[], attributes: Attributes, flags: Set<string>): PromptTags {
  let kept = own;
  for (const read of readers) {
    const tags = read(attributes, flags);
    if (tags !== null) kept = kept === null ? tags : together(kept, tags);
  }
  return kept === null ? NO_TAGS : withoutLabelAsVersion(kept, flags);
}

/** What a feature flag says counts only where nothing else says it: the tags know which prompt was really used. */
export function orAssigned(tags: PromptTags, assigned: PromptTags | null, flags: Set<string>): PromptTags {
  if (assigned === null) return tags;
  if (tags.prompt_attribution === 'none') return withoutLabelAsVersion(assigned, flags);
  const lacksVersion = tags.prompt_attribution === 'direct' && tags.prompt_version === null && tags.prompt_name === assigned.prompt_name;
  return lacksVersion ? { ...withoutLabelAsVersion(assigned, flags), prompt_label: tags.prompt_label } : tags;
}

const NO_TAGS: PromptTags = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' };

function together(kept: PromptTags, other: PromptTags): PromptTags {
  if (kept.prompt_attribution === 'ambiguous' || other.prompt_attribution === 'ambiguous') return kept;
  if (!mayBeOnePrompt(kept, other) || contradict(kept, other)) return { ...kept, prompt_attribution: 'ambiguous' };
  const prompt_label = kept.prompt_label ?? other.prompt_label;
  const isBetterNamed = kept.prompt_name === null || (kept.name_is_id === true && other.prompt_name !== null);
  const { prompt_name, name_is_id = false } = isBetterNamed ? other : kept;
  const isBetterVersion = kept.prompt_version === null || (isChosen(other) && !isChosen(kept));
  // A version without a name may be of another prompt.
  const mayTakeVersion = other.prompt_version !== null && (other.prompt_name !== null || kept.prompt_name === null);
  const { prompt_version, prompt_version_source } = isBetterVersion && mayTakeVersion ? other : kept;
  return { prompt_name, name_is_id, prompt_version, prompt_version_source, prompt_label, prompt_attribution: 'direct' };
}

/** LangSmith names a prompt with its owner in front. */
function mayBeOnePrompt(kept: PromptTags, other: PromptTags): boolean {
  const [a, b] = [kept.prompt_name, other.prompt_name];
  return a === null || b === null || a === b || kept.name_is_id === true || other.name_is_id === true || a.endsWith(`/${b}`) || b.endsWith(`/${a}`);
}

/** A commit beside a number that people chose are two words for one version; two numbers are two versions. */
function contradict(kept: PromptTags, other: PromptTags): boolean {
  const [a, b] = [kept.prompt_version, other.prompt_version];
  return a !== null && b !== null && a !== b && isChosen(kept) === isChosen(other);
}

function isChosen(tags: PromptTags): boolean {
  return tags.prompt_version_source === 'explicit' && !isLabel(tags);
}

/** Names that are moved from one version to the next: the conventions themselves give "prod" as an example of a version. */
const LABELS: ReadonlySet<string> = new Set(['prod', 'production', 'latest', 'canary', 'staging', 'dev', 'development']);
/** Logfire's word for "no label: what stands in the code". It points at nothing, so it makes no version. */
const CODE_DEFAULT = '<code_default>';

function isLabel({ prompt_version, prompt_label }: PromptTags): boolean {
  return prompt_version !== null && (prompt_version === prompt_label || prompt_version === CODE_DEFAULT || LABELS.has(prompt_version.toLowerCase()));
}

/**
 * A label means another prompt tomorrow, so it is kept as a label, and the version says that it is only that: `label:prod`. Where
 * the prompt's text is known, its fingerprint becomes the version instead (`analyzer/ingest/text-versions.ts`).
 */
function withoutLabelAsVersion(kept: PromptTags, flags: Set<string>): PromptTags {
  const { prompt_name, prompt_version: version, prompt_version_source: source, prompt_attribution } = kept;
  const tags: PromptTags = { prompt_name, prompt_version: version, prompt_version_source: source, prompt_label: kept.prompt_label, prompt_attribution };
  const prompt_label = tags.prompt_label ?? (isLabel(tags) ? version : null);
  if (version !== null && !isLabel(tags)) return source === 'commit' || source === 'hash' ? { ...tags, prompt_version: version.toLowerCase() } : tags;
  if (prompt_label === null) return tags;
  if (prompt_label === CODE_DEFAULT) return { ...tags, prompt_label, prompt_version: null, prompt_version_source: 'none' };
  return { ...tags, prompt_label, prompt_version: text(`label:${version ?? prompt_label}`, flags), prompt_version_source: 'label' };
}
