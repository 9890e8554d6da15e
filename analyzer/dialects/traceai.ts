import type { AttributeValue } from '../../schemas/otlp.ts';
import { firstToken } from './first-token.ts';
import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { answer, responseBody } from './response-body.ts';
import { fieldsOf, isFields, structureIn } from './structured.ts';
import type { PromptReader } from './tags.ts';
import { firstText, text, truth } from './values.ts';

/**
 * traceAI (Future AGI): OpenInference's way of writing under `gen_ai.` keys. The kind of the span takes the place of the operation,
 * what was asked for stands in `gen_ai.request.parameters`, and `gen_ai.request.model` is the model that answered.
 */
export const traceAi: Dialect = { name: 'traceai', matches: ({ scope }) => scope.name.startsWith('traceai') || scope.name.startsWith('@traceai/'), read };

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  if (reading.kind === 'inference') return { kind: 'inference', inference: completed(source, reading.inference) };
  return reading.aggregate === undefined ? reading : { ...reading, aggregate: completed(source, reading.aggregate) };
}

function completed({ span, flags }: SpanSource, said: Inference): Inference {
  const { attributes } = span;
  const parameters = fieldsOf(attributes.get('gen_ai.request.parameters'), flags);
  const response = structureIn(attributes.get('output.value'), flags);
  const body = isFields(response) ? responseBody(response, flags) : null;
  const asked = parameters === null ? null : text(parameters.get('model'), flags);
  const ttft = firstToken(span) ?? said.ttft;
  const embeds = text(attributes.get('embedding.model_name'), flags);
  return {
    ...said,
    request_model: asked ?? said.request_model,
    response_model: said.response_model ?? (asked === null || said.error !== null ? null : (said.request_model ?? embeds)),
    response_id: said.response_id ?? (body?.messages === undefined ? null : body.id),
    finish_reason: said.finish_reason ?? body?.finish_reason ?? null,
    is_stream: said.is_stream ?? truth(parameters?.get('stream')) ?? (ttft === null ? null : true),
    ttft,
    output: said.output ?? body?.messages ?? plainOutput(attributes.get('output.value'), said.operation),
    prompt_text: { template: undefined, system: said.prompt_text.system ?? systemOf(attributes) },
  };
}

function plainOutput(output: AttributeValue | undefined, operation: string): AttributeValue | undefined {
  return operation === 'embeddings' || typeof output !== 'string' ? undefined : [answer(output)];
}

function systemOf(attributes: SpanSource['span']['attributes']): AttributeValue | undefined {
  const role = attributes.get('gen_ai.input.messages.0.message.role');
  return role === 'system' || role === 'developer' ? attributes.get('gen_ai.input.messages.0.message.content') : undefined;
}

/** The key for the template's name holds its text where the SDK's context writes it: the name is the application's, in `metadata`. */
export const traceAiPrompt: PromptReader = (attributes, flags) => {
  const version = text(attributes.get('gen_ai.prompt.template.version'), flags);
  const label = firstText(attributes, ['gen_ai.prompt.template.label'], flags);
  if (version === null && label === null) return null;
  return { prompt_name: null, prompt_version: version, prompt_version_source: version === null ? 'none' : 'explicit', prompt_label: label, prompt_attribution: 'direct' };
};
