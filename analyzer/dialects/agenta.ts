import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { fieldsOf, type Fields } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstAmount, firstCount, firstText, firstTruth, text } from './values.ts';

/**
 * Agenta (docs/observability, "Semantic conventions"): `ag.type.node` says what a span is, `ag.meta`, `ag.metrics` and `ag.data`
 * describe it, and `ag.refs` (deprecated) or `ag.references` name application, variant and environment. The references stand on the
 * function that was instrumented; the call below it is mostly another library's span.
 */
export const agenta: Dialect = { name: 'agenta', matches: ({ span }) => span.attributes.has('ag.type.node') || span.attributes.has('ag.meta.request.model'), read };

const OPERATIONS: ReadonlyMap<string, string> = new Map([['chat', 'chat'], ['completion', 'text_completion'], ['embedding', 'embeddings']]);
const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([['tool', 'tool'], ['query', 'retrieval'], ['rerank', 'retrieval']]);

function read(source: SpanSource): Reading {
  const { attributes } = source.span;
  const node = text(attributes.get('ag.type.node'), source.flags)?.toLowerCase() ?? null;
  const other = OTHERS.get(node ?? '');
  if (other !== undefined) return { kind: 'relative', reason: other };
  if (attributes.has('gen_ai.operation.name') && !OPERATIONS.has(node ?? '')) return readGenAi(source);
  const inference = inferenceIn(source, OPERATIONS.get(node ?? '') ?? 'chat');
  const says = inference.request_model !== null || inference.response_model !== null || inference.usage.input !== null;
  if (!says) return { kind: 'relative', reason: 'wrapper' };
  return node === null || OPERATIONS.has(node) ? { kind: 'inference', inference } : { kind: 'relative', reason: 'wrapper', aggregate: inference };
}

/** Of this span alone; `cumulative` ones have those of the spans below in them. The third form is that of SDKs before 0.40. */
const INPUT_TOKENS = ['ag.metrics.tokens.incremental.prompt', 'ag.metrics.unit.tokens.prompt'];
const OUTPUT_TOKENS = ['ag.metrics.tokens.incremental.completion', 'ag.metrics.unit.tokens.completion'];
const TOTAL_TOKENS = ['ag.metrics.tokens.incremental.total', 'ag.metrics.unit.tokens.total'];
const COST = ['ag.metrics.costs.incremental.total', 'ag.metrics.unit.costs.total'];

function inferenceIn(source: SpanSource, operation: string): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const said = inferenceOf(source, operation);
  const inputs = data(attributes.get('ag.data.inputs'), flags);
  const outputs = data(attributes.get('ag.data.outputs'), flags);
  return {
    ...said,
    provider: firstText(attributes, ['ag.meta.system', 'ag.meta.provider'], flags) ?? said.provider,
    request_model: text(attributes.get('ag.meta.request.model'), flags) ?? said.request_model,
    response_model: text(attributes.get('ag.meta.response.model'), flags) ?? said.response_model,
    is_stream: firstTruth(attributes, ['ag.meta.request.streaming']) ?? said.is_stream,
    usage: {
      ...said.usage,
      input: firstCount(attributes, INPUT_TOKENS) ?? said.usage.input,
      output: firstCount(attributes, OUTPUT_TOKENS) ?? said.usage.output,
      total: firstCount(attributes, TOTAL_TOKENS) ?? said.usage.total,
    },
    cost_usd: firstAmount(attributes, COST) ?? said.cost_usd,
    output: outputs?.get('completion') ?? said.output,
    prompt_text: { template: undefined, system: conversation(inputs?.get('prompt')) ?? said.prompt_text.system },
  };
}

const JSON_MARK = '@ag.type=json:';

/** Its SDK marks what it wrote as JSON. */
function data(value: AttributeValue | undefined, flags: Set<string>): Fields | null {
  const json = typeof value === 'string' && value.startsWith(JSON_MARK) ? value.slice(JSON_MARK.length) : value;
  return typeof json === 'string' && !json.startsWith('{') ? null : fieldsOf(json, flags);
}

/** The first form is the newer. */
const REFERENCES = ['ag.references.', 'ag.refs.'];
const NAMES = keysOf(['application.slug', 'application.id']);
const SLUGS = keysOf(['application.slug']);
const VERSIONS = keysOf(['application_revision.version', 'application_variant.version', 'variant.version', 'application_revision.id']);
/** The environment that it was deployed to, else the line of versions that it belongs to. */
const LABELS = keysOf(['environment.slug', 'application_variant.slug', 'variant.slug']);

function keysOf(names: readonly string[]): string[] {
  return names.flatMap((name) => REFERENCES.map((prefix) => `${prefix}${name}`));
}

export const agentaPrompt: PromptReader = (attributes: Attributes, flags) => {
  const prompt_name = firstText(attributes, NAMES, flags);
  if (prompt_name === null) return null;
  const prompt_version = firstText(attributes, VERSIONS, flags);
  const name_is_id = firstText(attributes, SLUGS, flags) === null;
  return { prompt_name, prompt_version, prompt_version_source: prompt_version === null ? 'none' : 'explicit', prompt_label: firstText(attributes, LABELS, flags), prompt_attribution: 'direct', name_is_id };
};
