import { describe, expect, it } from 'vitest';
import { callOf, relativeOf, systemFingerprint } from './spans.ts';

/** No capture of Agenta was at hand: the spans are built after docs/docs/observability ("Semantic Conventions", "Reference Prompt Versions") of Agenta-AI/agenta and its SDK. */
const json = JSON.stringify;
const references = { 'ag.refs.application.slug': 'support-answer', 'ag.refs.application.id': '019a-1', 'ag.refs.variant.slug': 'formal', 'ag.refs.variant.version': '4', 'ag.refs.environment.slug': 'production' };
const model = { 'ag.meta.system': 'openai', 'ag.meta.request.model': 'gpt-4o', 'ag.meta.response.model': 'gpt-4o-2024-08-06', 'ag.metrics.tokens.incremental.prompt': 55, 'ag.metrics.tokens.incremental.completion': 33, 'ag.metrics.tokens.cumulative.prompt': 500, 'ag.metrics.costs.incremental.total': 0.002 };

describe('references', () => {
  it('stand on the function that was instrumented', () => {
    expect(relativeOf({ 'ag.type.node': 'workflow', ...references }, { name: 'generate' })).toMatchObject({
      reason: 'wrapper',
      relative: { prompt_name: 'support-answer', prompt_version: '4', prompt_version_source: 'explicit', prompt_label: 'production', prompt_attribution: 'direct' },
    });
  });

  it('in the newer form', () => {
    expect(relativeOf({ 'ag.references.application.slug': 'support-answer', 'ag.references.application_revision.version': 7 }).relative).toMatchObject({ prompt_name: 'support-answer', prompt_version: '7' });
  });

  it('by ids, and with an environment alone', () => {
    expect(relativeOf({ 'ag.refs.application.id': '019a-1', 'ag.refs.application_revision.id': '019a-9' }).relative).toMatchObject({ prompt_name: '019a-1', prompt_version: '019a-9' });
    expect(relativeOf({ 'ag.refs.application.slug': 'a', 'ag.refs.environment.slug': 'production' }).relative).toMatchObject({ prompt_version: 'label:production', prompt_version_source: 'label', prompt_label: 'production' });
  });
});

describe('a call', () => {
  it('counts its own tokens, not those of the spans below it', () => {
    const call = callOf({ 'ag.type.node': 'chat', ...model, 'ag.session.id': 's-1', 'ag.data.inputs': json({ prompt: [{ role: 'system', content: 'You are terse.' }] }), 'ag.data.outputs': `@ag.type=json:${json({ completion: [{ role: 'assistant', content: 'Monday.' }] })}` });
    expect(call).toMatchObject({ dialect: 'agenta', operation: 'chat', provider: 'openai', request_model: 'gpt-4o', response_model: 'gpt-4o-2024-08-06', input_tokens: 55, output_tokens: 33, cost_usd: 0.002, session_id: 's-1', is_empty: false, prompt_fingerprint: systemFingerprint('You are terse.'), flags: [] });
  });

  it('of each kind', () => {
    expect(callOf({ 'ag.type.node': 'completion', ...model })).toMatchObject({ operation: 'text_completion' });
    expect(callOf({ 'ag.type.node': 'embedding', ...model })).toMatchObject({ operation: 'embeddings' });
    expect(callOf({ ...model, 'ag.data.outputs': 'Monday.' })).toMatchObject({ operation: 'chat', flags: [] });
  });
});

it.each([
  [{ 'ag.type.node': 'workflow' }, 'wrapper'],
  [{ 'ag.type.node': 'chat' }, 'wrapper'],
  [{ 'ag.type.node': 'tool', ...model }, 'tool'],
  [{ 'ag.type.node': 'rerank', ...model }, 'retrieval'],
])('%j is no call', (attributes, reason) => {
  expect(relativeOf(attributes)).toMatchObject({ reason });
});

it('a workflow that says what was used can stand for a call that left no span', () => {
  expect(relativeOf({ 'ag.type.node': 'workflow', ...model }).candidate).toMatchObject({ input_tokens: 55 });
});
