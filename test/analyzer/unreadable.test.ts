import { describe, expect, it } from 'vitest';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { callIn, callOf, normalise, span } from './spans.ts';

/** Structures that cannot be read: whatever key they stand under, the call is there, with all that was readable, and says so by one flag. */
const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
const FLAGGED = ['attribute_unreadable'];

type Case = readonly [key: string, whole: string, beside?: Readonly<Record<string, AttributeValue>>, scope?: string];

const messages = '[{"role":"system","content":"You are terse.","parts":[{"type":"text","content":"You are terse."}]}]';
const response = '{"choices":[{"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7}}';
const CASES: readonly Case[] = [
  // Messages
  ['gen_ai.input.messages', messages],
  ['gen_ai.output.messages', messages],
  ['gen_ai.system_instructions', '[{"type":"text","content":"You are terse."}]'],
  ['gen_ai.prompt', messages],
  ['gen_ai.completion', messages],
  ['gen_ai.completion', response, { 'langsmith.span.kind': 'llm' }],
  ['langfuse.observation.input', messages, { 'langfuse.observation.type': 'generation' }],
  ['langfuse.observation.output', messages, { 'langfuse.observation.type': 'generation' }],
  ['mlflow.spanInputs', `{"messages":${messages}}`, { 'mlflow.spanType': '"LLM"' }],
  ['mlflow.spanOutputs', response, { 'mlflow.spanType': '"LLM"' }],
  ['mlflow.spanOutputs', '"yes, it is"', { 'mlflow.spanType': '"LLM"' }],
  ['output.value', response, { 'openinference.span.kind': 'LLM', 'output.mime_type': 'application/json' }],
  ['output.value', response, { 'openinference.span.kind': 'LLM' }],
  ['output.value', response, {}, 'traceai_openai'],
  ['braintrust.output_json', response, { 'braintrust.span_attributes.type': 'llm' }],
  ['braintrust.input_json', messages, { 'braintrust.span_attributes.type': 'llm' }],
  ['ai.prompt.messages', messages, { 'ai.operationId': 'ai.generateText.doGenerate' }],
  ['ai.response.toolCalls', '[{"toolName":"weather"}]', { 'ai.operationId': 'ai.generateText.doGenerate' }],
  ['events', '[{"event.name":"gen_ai.choice","message":{"content":"Yes."}}]', {}, 'pydantic-ai'],
  ['response_data', '{"message":{"content":"Yes."}}', { request_data: '{"stream":false}' }, 'logfire.openai'],
  ['langwatch.output', '{"type":"text","value":"Yes."}', { 'langwatch.span.type': 'llm' }],
  ['llm.messages', messages, { 'span.type': 'llm' }, '@voltagent/core'],
  ['ag.data.inputs', `{"prompt":${messages}}`, { 'ag.type.node': 'chat' }],
  ['genkit:output', '{"message":{"content":[{"text":"Yes."}]}}', { 'genkit:metadata:subtype': 'model' }, 'genkit-tracer'],
  // Metadata and tags
  ['metadata', '{"prompt_name":"support","prompt_version":"3"}'],
  ['metadata', '{"route":"/refund","plan":"gold"}'],
  ['langfuse.observation.metadata', '{"finish_reason":"stop"}', { 'langfuse.observation.type': 'generation' }],
  ['braintrust.metadata', '{"model":"gpt-4o"}'],
  ['mlflow.linkedPrompts', '[{"name":"support","version":"3"}]'],
  ['_dd.ml_obs.prompt_tracking', '{"id":"support","version":"3"}'],
  ['ai.telemetry.metadata.langfusePrompt', '{"name":"support","version":3}'],
  ['metadata.requester_metadata', "{'prompt_name': 'support', 'prompt_version': '3'}"],
  // Parameters and counts
  ['llm.invocation_parameters', '{"model":"gpt-4o","stream":true}', { 'openinference.span.kind': 'LLM' }],
  ['langfuse.observation.model.parameters', '{"temperature":0.2,"top_p":1}', { 'langfuse.observation.type': 'generation' }],
  ['langfuse.observation.model.parameters', '{"stream":true,"top_p":1}', { 'langfuse.observation.type': 'generation' }],
  ['langfuse.observation.usage_details', '{"input":7,"output":1}', { 'langfuse.observation.type': 'generation' }],
  ['langsmith.metadata.ls_invocation_params', '{"temperature":0.2,"stop":null}', { 'langsmith.span.kind': 'llm' }],
  ['gen_ai.usage.input_token_details', "{'cache_read': 3, 'audio': None}", { 'langsmith.span.kind': 'llm', 'gen_ai.usage.input_tokens': 7 }],
  ['mlflow.chat.tokenUsage', '{"input_tokens":7,"output_tokens":1}', { 'mlflow.spanType': '"LLM"' }],
  ['ai.response.providerMetadata', '{"openai":{"acceptedPredictionTokens":0}}', { 'ai.operationId': 'ai.generateText.doGenerate' }],
  ['llm.openai.usage', "{'prompt_tokens': 7, 'completion_tokens': 1}", { 'llm.openai.choices': "[{'message': {'content': 'Yes.'}}]" }, 'litellm'],
];

const read = ([key, , beside = {}, scope = '']: Case, value: string) =>
  callIn(scope, { ...(scope === 'litellm' ? {} : chat), ...beside, [key]: value }, { name: scope === 'litellm' ? 'raw_gen_ai_request' : 'chat' });

describe('a structure that is cut', () => {
  it.each(CASES.map((one) => [one[0], one] as const))('under %s, is flagged, and the call is there', (_key, one) => {
    const whole = one[1];
    expect(read(one, whole).flags).toEqual([]);
    for (const cut of [Math.ceil(whole.length * 0.8), Math.ceil(whole.length * 0.5)]) {
      const call = read(one, whole.slice(0, cut));
      expect(call.flags).toEqual(FLAGGED);
      if (one[3] !== 'litellm') expect(call.request_model).toBe('gpt-4o');
    }
  });
});

describe('what looks broken and is not', () => {
  it.each<[string, Readonly<Record<string, AttributeValue>>]>([
    ['an answer that begins with a bracket', { 'gen_ai.output.messages': '[1] See the manual, page 7' }],
    ['one that begins with a brace', { 'gen_ai.completion': '{name} is not known' }],
    ['an answer in words to Langfuse', { 'langfuse.observation.type': 'generation', 'langfuse.observation.output': '[sic] as you wrote' }],
    ['a system prompt that is a template', { 'gen_ai.system_instructions': '{{persona}} Answer in one line.' }],
    ['words in the place of metadata', { metadata: 'gold' }],
    ['no metadata, as LiteLLM writes it', { 'metadata.requester_metadata': '' }],
  ])('%s', (_case, attributes) => {
    expect(callOf({ ...chat, ...attributes }).flags).toEqual([]);
  });
});

describe('an answer in JSON', () => {
  const asked = { ...chat, 'gen_ai.output.type': 'json' };

  it('that the model broke is the fault of the model', () => {
    for (const output of ['{"refund": 12', '{"type":"refund","id":', '{"refund": yes}']) {
      expect(callOf({ ...asked, 'gen_ai.completion': output })).toMatchObject({ is_format_valid: false, flags: [] });
    }
  });

  it('that the sender cut says nothing of the format, nor of the text', () => {
    const output = JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content: '{"refund":12}' }] }]);
    expect(callOf({ ...asked, 'gen_ai.output.messages': output })).toMatchObject({ is_format_valid: true, is_empty: false, flags: [] });
    expect(callOf({ ...asked, 'gen_ai.output.messages': output.slice(0, -6) })).toMatchObject({ is_format_valid: null, is_empty: null, flags: FLAGGED });
  });
});

it('instructions that are cut, here at one length and there at another, are no versions of a text', () => {
  const instructions = JSON.stringify([{ type: 'text', content: 'You are a shop assistant. Never promise a refund.' }]);
  for (const cut of [40, 50, 60]) expect(callOf({ ...chat, 'gen_ai.system_instructions': instructions.slice(0, cut) })).toMatchObject({ prompt_fingerprint: null, flags: FLAGGED });
  const conversation = JSON.stringify([{ role: 'system', content: 'You are a shop assistant.' }, { role: 'user', content: 'Hello, I have a question.' }]);
  const { prompt_fingerprint } = callOf({ ...chat, 'gen_ai.input.messages': conversation });
  expect(prompt_fingerprint).not.toBeNull();
  // The first message is whole.
  expect(callOf({ ...chat, 'gen_ai.input.messages': conversation.slice(0, -9) })).toMatchObject({ prompt_fingerprint, flags: FLAGGED });
});

it('a name whose version may have been cut off is not taken', () => {
  expect(callOf({ ...chat, metadata: '{"prompt_name":"support","prompt_ver' })).toMatchObject({ prompt_name: null, prompt_version: null, flags: FLAGGED });
  expect(callOf({ ...chat, metadata: "{'prompt_name': 'support', 'prompt_version': 3, 'x': None}" })).toMatchObject({ prompt_name: 'support', prompt_version: '3', flags: [] });
});

it('a span that is no call is read all the same', () => {
  expect(normalise(span({ metadata: '{"prompt_name":"supp' }))).toMatchObject({ kind: 'relative', relative: { prompt_name: null }, flags: FLAGGED });
});
