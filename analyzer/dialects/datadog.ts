import type { Attributes } from '../../schemas/otlp.ts';
import type { Dialect, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { fieldsOf, type Fields } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstText, text } from './values.ts';

/**
 * Datadog's prompt tracking on OpenTelemetry spans: one attribute, JSON `{id or name, version, label, template or chat_template, …}`.
 * The span itself follows the conventions, or is one of `ddtrace`, which exports OTLP since 4.
 */
const PROMPT = '_dd.ml_obs.prompt_tracking';

export const datadog: Dialect = {
  name: 'datadog',
  matches: ({ span }) => span.attributes.has(PROMPT) || span.attributes.has(KIND),
  read(source): Reading {
    const reading = readAsTold(source);
    if (reading.kind === 'relative') return reading;
    const prompt = promptIn(source.span.attributes, source.flags);
    const template = prompt?.get('template') ?? prompt?.get('chat_template') ?? undefined;
    return { kind: 'inference', inference: { ...reading.inference, prompt_text: { ...reading.inference.prompt_text, template } } };
  },
};

/** What its own tracer writes on what it exports as OTLP; the words of the conventions beside it are made of it, and say `llm` for the operation. */
const KIND = '_dd.llmobs.span_kind';
const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['llm', 'chat'],
  ['embedding', 'embeddings'],
]);
const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['agent', 'agent'],
  ['workflow', 'wrapper'],
  ['task', 'wrapper'],
  ['tool', 'tool'],
  ['retrieval', 'retrieval'],
]);

function readAsTold(source: SpanSource): Reading {
  const { span, flags } = source;
  const kind = text(span.attributes.get(KIND), flags)?.toLowerCase();
  if (kind === undefined) return readGenAi(source);
  const operation = OPERATIONS.get(kind);
  if (operation === undefined) return { kind: 'relative', reason: OTHERS.get(kind) ?? 'not_an_llm_call' };
  const said = inferenceOf(source, operation);
  // It asks the address for the provider, which of a gateway is unknown; the integration that wrote the span knows.
  const library = text(span.attributes.get('component'), flags);
  const provider = said.provider === null || said.provider === 'unknown' ? library : said.provider;
  const model = text(span.attributes.get('_dd.llmobs.model_name'), flags);
  return {
    kind: 'inference',
    inference: {
      ...said,
      provider,
      request_model: text(span.attributes.get(`${library ?? ''}.request.model`), flags) ?? said.request_model ?? model,
      response_model: text(span.attributes.get(`${library ?? ''}.response.model`), flags) ?? said.response_model ?? (said.error === null ? model : null),
    },
  };
}

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
