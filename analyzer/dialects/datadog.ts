import type { Attributes } from '../../schemas/otlp.ts';
import type { Dialect, Reading } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { fieldsOf, type Fields } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstText, text } from './values.ts';

/**
 * Datadog's prompt tracking on OpenTelemetry spans: one attribute, JSON `{id or name, version, label, template or chat_template, …}`.
 * The span itself follows the conventions.
 */
const PROMPT = '_dd.ml_obs.prompt_tracking';

export const datadog: Dialect = {
  name: 'datadog',
  matches: ({ span }) => span.attributes.has(PROMPT),
  read(source): Reading {
    const reading = readGenAi(source);
    if (reading.kind === 'relative') return reading;
    const prompt = promptIn(source.span.attributes, source.flags);
    const template = prompt?.get('template') ?? prompt?.get('chat_template') ?? undefined;
    return { kind: 'inference', inference: { ...reading.inference, prompt_text: { ...reading.inference.prompt_text, template } } };
  },
};

export const datadogPrompt: PromptReader = (attributes, flags) => {
  const prompt = promptIn(attributes, flags);
  if (prompt === null) return null;
  const name = firstText(prompt, ['id', 'name'], flags);
  const version = firstText(prompt, ['version', 'prompt_version_uuid'], flags);
  const label = text(prompt.get('label'), flags);
  // Its SDK makes this name up where the application gave none.
  const prompt_name = name === null || name.endsWith('_unnamed-prompt') ? null : name;
  if (prompt_name === null && version === null && label === null) return null;
  return { prompt_name, prompt_version: version, prompt_version_source: version === null ? 'none' : 'explicit', prompt_label: label, prompt_attribution: 'direct' };
};

function promptIn(attributes: Attributes, flags: Set<string>): Fields | null {
  return fieldsOf(attributes.get(PROMPT), flags);
}
