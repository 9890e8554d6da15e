import type { AttributeValue } from '../../schemas/otlp.ts';
import { answerOfBlocks } from './content-blocks.ts';
import type { Dialect, Inference, Reading, SpanSource, WireUsage } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { fieldsAt, fieldsOf, type Fields } from './structured.ts';
import { firstCount, firstText, text } from './values.ts';

/**
 * Google ADK (src/google/adk/telemetry/tracing.py). `call_llm` has request and response as JSON; newer versions put a
 * `generate_content` span below it, which is the same call again. Gemini counts the tokens of thoughts beside the output's.
 */
export const adk: Dialect = { name: 'adk', matches: ({ scope }) => scope.name === 'gcp.vertex.agent', read };

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  // Until 1.17, and in JavaScript, everything but the name is set after the answer: where nothing is, none came.
  if (reading.kind === 'relative' && source.span.name === 'call_llm') {
    const inference = completed(source, inferenceOf(source, 'generate_content'));
    const isUnanswered = !source.span.attributes.has('gen_ai.system') && inference.usage.output === null;
    return { kind: 'inference', inference: { ...inference, error: inference.error ?? (isUnanswered ? { type: null, message: null } : null) } };
  }
  return reading.kind === 'inference' ? { kind: 'inference', inference: completed(source, reading.inference) } : reading;
}

function completed({ span, flags }: SpanSource, said: Inference): Inference {
  const { attributes } = span;
  const response = content(attributes.get('gcp.vertex.agent.llm_response'), flags);
  const error = response === null ? null : firstText(response, ['error_code', 'errorCode'], flags);
  return {
    ...said,
    // Its own name for the step, where the conventions have the operation.
    operation: span.name === 'call_llm' ? 'generate_content' : said.operation,
    response_model: said.response_model ?? (response === null ? null : firstText(response, ['model_version', 'modelVersion'], flags)),
    finish_reason: said.finish_reason ?? text(response?.get('finish_reason'), flags),
    error: said.error ?? (error === null ? null : { type: error, message: text(response?.get('error_message'), flags, 1024) }),
    usage: usageOf(said.usage, fieldsAt(response, 'usage_metadata') ?? fieldsAt(response, 'usageMetadata'), firstCount(attributes, ['gen_ai.usage.experimental.reasoning_tokens'])),
    output: said.output ?? answerOfBlocks(fieldsAt(response, 'content')?.get('parts')),
    prompt_text: { template: undefined, system: said.prompt_text.system ?? systemOf(attributes.get('gcp.vertex.agent.llm_request'), flags) },
  };
}

function usageOf(said: WireUsage, metadata: Fields | null, experimental: number | null): WireUsage {
  const detailed = metadata ?? new Map<string, AttributeValue>();
  const thoughts = firstCount(detailed, ['thoughts_token_count', 'thoughtsTokenCount']) ?? experimental;
  const candidates = firstCount(detailed, ['candidates_token_count', 'candidatesTokenCount']) ?? said.output;
  return {
    ...said,
    cache_read: said.cache_read ?? firstCount(detailed, ['cached_content_token_count', 'cachedContentTokenCount']),
    reasoning: thoughts ?? said.reasoning,
    output: candidates === null || thoughts === null ? said.output : candidates + thoughts,
    cache_counting: 'inclusive',
  };
}

/** `{}` and no text where content must not be captured. */
function content(value: AttributeValue | undefined, flags: Set<string>): Fields | null {
  return typeof value === 'string' ? fieldsOf(value, flags) : null;
}

/** The request holds the whole conversation: it is parsed only where it has instructions. */
function systemOf(request: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  if (typeof request !== 'string' || !request.includes('"system_instruction"')) return undefined;
  const instruction = fieldsAt(content(request, flags), 'config')?.get('system_instruction');
  return instruction === null ? undefined : instruction;
}
