import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import type { PromptTags } from './tags.ts';
import { text } from './values.ts';

/** The name and version that two values say. Null where neither says anything. */
export function promptOf(name: AttributeValue | undefined, version: AttributeValue | undefined, flags: Set<string>): PromptTags | null {
  const prompt_name = text(name, flags);
  const prompt_version = text(version, flags);
  if (prompt_name === null && prompt_version === null) return null;
  return { prompt_name, prompt_version, prompt_version_source: prompt_version === null ? 'none' : 'explicit', prompt_label: null, prompt_attribution: 'direct' };
}

/** The same, from two attributes. */
export function promptAt(attributes: Attributes, keys: { readonly name: string; readonly version: string }, flags: Set<string>): PromptTags | null {
  return promptOf(attributes.get(keys.name), attributes.get(keys.version), flags);
}
