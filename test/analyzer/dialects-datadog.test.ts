import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { callOf, relativeOf } from './spans.ts';

/** No capture of Datadog's prompt tracking was at hand: the attribute is as docs.datadoghq.com (LLM Observability, Prompt Tracking, OpenTelemetry) has it. */
const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
const tracked = (prompt: unknown) => ({ '_dd.ml_obs.prompt_tracking': typeof prompt === 'string' ? prompt : JSON.stringify(prompt) });
const fingerprint = (messages: unknown) => `t:${createHash('sha256').update(JSON.stringify(messages)).digest('hex').slice(0, 16)}`;

it('reads name, version, label and template', () => {
  const prompt = { name: 'greeting-prompt', version: 'v1', label: 'production', template: 'Hello {{name}}', variables: { name: 'Alice' } };
  expect(callOf({ ...chat, ...tracked(prompt) })).toMatchObject({ dialect: 'datadog', prompt_name: 'greeting-prompt', prompt_version: 'v1', prompt_version_source: 'explicit', prompt_label: 'production', prompt_fingerprint: fingerprint([{ role: '', content: 'Hello {{name}}' }]), flags: [] });
  expect(relativeOf(tracked(prompt)).relative).toMatchObject({ prompt_name: 'greeting-prompt', prompt_version: 'v1' });
});

it('reads an id, a template of messages and a version that only has an id', () => {
  const chat_template = [{ role: 'system', content: 'You are {{mood}}.' }];
  expect(callOf({ ...chat, ...tracked({ id: 'greeting', chat_template, prompt_version_uuid: '0b9e' }) })).toMatchObject({ prompt_name: 'greeting', prompt_version: '0b9e', prompt_fingerprint: fingerprint(chat_template) });
});

it.each([
  ['a name that the SDK made up', { id: 'shop_unnamed-prompt', template: 'x' }, []],
  ['no JSON', 'greeting', ['attribute_unreadable']],
  ['a list', ['greeting'], ['attribute_unreadable']],
])('finds no prompt in %s', (_case, prompt, flags) => {
  expect(callOf({ ...chat, ...tracked(prompt) })).toMatchObject({ prompt_name: null, prompt_version: null, prompt_attribution: 'none', flags });
});

/** As ddtrace 4.16.0 exports them; what a whole run looks like is in `golden/recorded/ddtrace`. */
const traced = { '_dd.llmobs.span_kind': 'llm', component: 'openai', 'gen_ai.operation.name': 'llm', 'gen_ai.provider.name': 'unknown', 'gen_ai.request.model': 'gpt-4o-2024-08-06', 'openai.request.model': 'gpt-4o', '_dd.llmobs.model_name': 'gpt-4o-2024-08-06', 'gen_ai.usage.reasoning_output_tokens': 3 };

it("reads the spans of Datadog's tracer", () => {
  expect(callOf(traced)).toMatchObject({ dialect: 'datadog', operation: 'chat', provider: 'openai', request_model: 'gpt-4o', response_model: 'gpt-4o-2024-08-06', reasoning_tokens: 3, is_error: false });
  expect(callOf({ ...traced, 'error.type': 'openai.BadRequestError' }, { status_code: 2 })).toMatchObject({ is_error: true, request_model: 'gpt-4o', error_type: 'openai.BadRequestError' });
  expect(callOf({ ...traced, '_dd.llmobs.span_kind': 'embedding' })).toMatchObject({ operation: 'embeddings' });
  for (const [kind, reason] of [['agent', 'agent'], ['workflow', 'wrapper'], ['tool', 'tool'], ['retrieval', 'retrieval'], ['experiment', 'not_an_llm_call']]) expect(relativeOf({ ...traced, '_dd.llmobs.span_kind': kind ?? '' })).toMatchObject({ reason });
});
