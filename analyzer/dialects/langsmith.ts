import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { firstToken } from './first-token.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource, WireUsage } from './index.ts';
import { errorOf, inferenceOf, readGenAi } from './otel-genai.ts';
import { providerUsage, tokenDetails } from './provider-usage.ts';
import { responseBody } from './response-body.ts';
import { fieldsOf, isFields, noteCut, structureIn } from './structured.ts';
import { promptAt } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { firstTruth, text } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * LangSmith SDKs (Python and JS), also as LangChain writes through them. `langsmith.span.kind` is the run's type and right;
 * `gen_ai.operation.name` is guessed from it and calls a retriever "embeddings". Finish reasons are joined by ", ", token
 * details are `str(dict)` in Python and JSON in JS.
 */
export const langsmith: Dialect = {
  name: 'langsmith',
  matches: ({ scope, span: { attributes } }) => scope.name.startsWith('langsmith') || MARKERS.some((key) => attributes.has(key)),
  read,
};

const MARKERS = ['langsmith.span.kind', 'langsmith.trace.name', 'langsmith.span.id', 'langsmith.usage_metadata'];

const HUB_REPO = 'langsmith.metadata.lc_hub_repo';

/**
 * The prompt hub's repository and commit. An application that names a version of its own beside them means that one: a
 * commit says which text, its own version which release.
 */
export const langsmithPrompt: PromptReader = (attributes, flags) => {
  const repo = text(attributes.get(HUB_REPO), flags);
  const commit = text(attributes.get('langsmith.metadata.lc_hub_commit_hash'), flags)?.toLowerCase() ?? null;
  if (repo === null && commit === null) return null;
  const own = promptAt(attributes, { name: 'langsmith.metadata.prompt_name', version: 'langsmith.metadata.prompt_version' }, flags);
  if (own !== null && own.prompt_name !== null && own.prompt_version !== null) return own;
  const owner = text(attributes.get('langsmith.metadata.lc_hub_owner'), flags);
  return {
    prompt_name: repo === null || owner === null ? repo : `${owner}/${repo}`,
    prompt_version: commit,
    prompt_version_source: commit === null ? 'none' : 'commit',
    prompt_label: null,
    prompt_attribution: 'direct',
  };
};

const CALLS: ReadonlyMap<string, string> = new Map([
  ['llm', 'chat'],
  ['embedding', 'embeddings'],
]);

const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['tool', 'tool'],
  ['retriever', 'retrieval'],
  ['evaluator', 'evaluator'],
]);

function read(source: SpanSource): Reading {
  const kind = text(source.span.attributes.get('langsmith.span.kind'), source.flags)?.toLowerCase();
  if (kind === undefined) return readGenAi(source);
  const operation = CALLS.get(kind);
  if (operation !== undefined) return { kind: 'inference', inference: inference(source, operation) };
  const reason = OTHERS.get(kind) ?? 'wrapper';
  if (!isWrapper(reason)) return { kind: 'relative', reason };
  const said = inference(source, 'chat');
  // Whatever a message passes through after the model has written it repeats what it used, beside the model's own span: only who names a model stands for one.
  return said.request_model === null && said.response_model === null ? { kind: 'relative', reason } : wrapper(reason, said);
}

function inference(source: SpanSource, operation: string): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const standard = inferenceOf(source, operation);
  const completion = structureIn(attributes.get('gen_ai.completion'), flags);
  const body = isFields(completion) ? responseBody(completion, flags) : null;
  const provider = standard.provider === 'langchain' ? null : standard.provider;
  return {
    ...standard,
    provider: provider ?? text(attributes.get('langsmith.metadata.ls_provider'), flags) ?? standard.provider,
    request_model: standard.request_model ?? text(attributes.get('langsmith.metadata.ls_model_name'), flags),
    response_model: standard.response_model ?? body?.model ?? null,
    response_id: standard.response_id ?? body?.id ?? null,
    finish_reason: standard.finish_reason ?? body?.finish_reason ?? null,
    is_stream: firstTruth(attributes, ['langsmith.request.streaming']) ?? standard.is_stream ?? body?.is_stream ?? (attributes.get(AI_SDK_METHOD) === 'ai.doStream' ? true : null),
    ttft: firstToken(span) ?? standard.ttft,
    // The status is OK whatever happened: an exception is recorded for a failed run, and only for one.
    error: errorOf(span, flags, false),
    usage: usageOf(attributes, standard.usage, body?.usage ?? null, flags),
    output: body === null ? standard.output : body.messages,
    asks_json: standard.asks_json || ASKS_JSON.some((key) => asksJson(attributes.get(key), flags)),
    is_experiment: attributes.has('langsmith.reference_example_id') || attributes.has('langsmith.metadata.reference_example_id'),
  };
}

/** Which method of a model its wrapper of the AI SDK stands for. */
const AI_SDK_METHOD = 'langsmith.metadata.ai_sdk_method';

const USAGE_METADATA = ['langsmith.usage_metadata', 'langsmith.metadata.usage_metadata'];

function usageOf(attributes: Attributes, standard: WireUsage, inBody: WireUsage | null, flags: Set<string>): WireUsage {
  const metadata = USAGE_METADATA.map((key) => fieldsOf(attributes.get(key), flags)).find((fields) => fields !== null);
  const counted = metadata === undefined ? inBody : providerUsage(metadata);
  if (standard.input === null && standard.output === null) return counted ?? standard;
  const details = tokenDetails(fieldsOf(attributes.get('gen_ai.usage.input_token_details'), flags), fieldsOf(attributes.get('gen_ai.usage.output_token_details'), flags));
  return {
    ...standard,
    cache_read: standard.cache_read ?? details.cache_read ?? counted?.cache_read ?? null,
    cache_write: standard.cache_write ?? details.cache_write ?? counted?.cache_write ?? null,
    reasoning: standard.reasoning ?? details.reasoning ?? counted?.reasoning ?? null,
  };
}

const ASKS_JSON = ['gen_ai.prompt', 'langsmith.metadata.ls_invocation_params', 'langsmith.metadata.invocation_params'];
const JSON_FORMAT = /"response_format":\s?\{"type":\s?"json_(?:object|schema)"/;
const MAX_CHARACTERS = 256 * 1024;

/** The request as JSON text is searched, not parsed: quotes inside of a message would be escaped, so only the field matches. */
function asksJson(request: AttributeValue | undefined, flags: Set<string>): boolean {
  noteCut(request, flags);
  return typeof request === 'string' && request.length <= MAX_CHARACTERS && JSON_FORMAT.test(request);
}

