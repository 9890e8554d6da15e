import type { Dialect, Reading } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import type { PromptReader } from './tags.ts';
import { text, truth } from './values.ts';

/**
 * Promptfoo's provider spans: the conventions up to 1.36, with bodies as text of their own. All of it is evaluation traffic;
 * answers from its cache say nothing of latency, and count their tokens as cached ones.
 */
export const promptfoo: Dialect = {
  name: 'promptfoo',
  matches: ({ scope, span: { attributes } }) => scope.name.startsWith('promptfoo') || MARKERS.some((key) => attributes.has(key)),
  read(source): Reading {
    const reading = readGenAi(source);
    if (reading.kind === 'relative') return reading;
    const { attributes } = source.span;
    const { inference } = reading;
    const is_cache_hit = truth(attributes.get('promptfoo.cache_hit')) === true;
    return {
      kind: 'inference',
      inference: {
        ...inference,
        usage: is_cache_hit ? { ...inference.usage, cache_read: null } : inference.usage,
        output: attributes.get('promptfoo.response.body') ?? inference.output,
        is_cache_hit,
        is_experiment: attributes.has('promptfoo.eval.id') || source.scope.name.startsWith('promptfoo'),
      },
    };
  },
};

const MARKERS = ['promptfoo.provider.id', 'promptfoo.eval.id', 'promptfoo.prompt.label'];

/** One free text ("support-answer v1"), which is moved from one prompt to the next: a label, and the name of last resort. */
export const promptfooPrompt: PromptReader = (attributes, flags) => {
  const label = text(attributes.get('promptfoo.prompt.label'), flags);
  return label === null ? null : { prompt_name: label, prompt_version: null, prompt_version_source: 'label', prompt_label: label, prompt_attribution: 'direct', name_is_id: true };
};
