import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { fieldsOf } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstCount, firstText, text } from './values.ts';

/**
 * Mirascope 2 (scopes `mirascope.llm` and `mirascope.ops`): the conventions, with the library's own names of models ("openai/gpt-4o:completions"), and
 * all counts of tokens as JSON. Above the call is the span of the function, which may have a version.
 */
export const mirascope: Dialect = { name: 'mirascope', matches: ({ scope }) => scope.name.startsWith('mirascope.'), read };

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  if (source.scope.name === 'mirascope.ops' && reading.kind === 'relative') return { kind: 'relative', reason: 'wrapper' };
  return reading.kind === 'inference' ? { kind: 'inference', inference: completed(source, reading.inference) } : reading;
}

function completed({ span, flags }: SpanSource, said: Inference): Inference {
  const usage = fieldsOf(span.attributes.get('mirascope.response.usage'), flags);
  const counted = (name: string) => (usage === null ? null : firstCount(usage, [name]));
  return {
    ...said,
    request_model: plainModel(said.request_model, said.provider),
    response_model: plainModel(said.response_model, said.provider),
    usage: {
      ...said.usage,
      cache_read: said.usage.cache_read ?? counted('cache_read_tokens'),
      cache_write: said.usage.cache_write ?? counted('cache_write_tokens'),
      reasoning: said.usage.reasoning ?? counted('reasoning_tokens'),
      cache_counting: 'inclusive',
    },
  };
}

const API = /:(?:completions|responses)$/;

function plainModel(model: string | null, provider: string | null): string | null {
  if (model === null || provider === null || !model.startsWith(`${provider}/`)) return model;
  return model.slice(provider.length + 1).replace(API, '');
}

/** A versioned function: its number where Mirascope's registry knows one, else the hash of its code. */
export const mirascopePrompt: PromptReader = (attributes, flags) => {
  const version = text(attributes.get('mirascope.version.version'), flags);
  const hash = text(attributes.get('mirascope.version.hash'), flags);
  // A name alone is what it writes where it could not read the function's code.
  if (version === null && hash === null) return null;
  const name = firstText(attributes, ['mirascope.version.name', 'mirascope.fn.qualname'], flags);
  return { prompt_name: name, prompt_version: version ?? hash, prompt_version_source: version === null ? 'hash' : 'explicit', prompt_label: null, prompt_attribution: 'direct' };
};
