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
