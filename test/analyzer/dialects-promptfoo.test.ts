import { describe, expect, it } from 'vitest';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, relativeIn } from './spans.ts';

const scope = 'promptfoo.providers';

describe('the capture promptfoo', () => {
  describeCapture({ client: 'promptfoo', dialect: 'promptfoo' });

  it('is all of it an experiment, under a label that is no version', () => {
    for (const result of normalisedCapture('promptfoo')) {
      expect(result).toMatchObject({ kind: 'call', call: { is_experiment: true, is_cache_hit: false, prompt_version_source: 'label' } });
      if (result.kind === 'call') expect(result.call).toMatchObject({ prompt_label: result.call.prompt_name, is_empty: result.call.is_error ? null : false });
    }
  });
});

const chat = { 'gen_ai.system': 'openai', 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o', 'promptfoo.provider.id': 'openai:chat:gpt-4o' };

it('knows an answer from the cache, whose tokens were not sent anew', () => {
  const hit = { ...chat, 'promptfoo.cache_hit': true, 'gen_ai.usage.cached_tokens': 75, 'gen_ai.usage.total_tokens': 75, 'promptfoo.response.body': '' };
  expect(callIn(scope, hit)).toMatchObject({ is_cache_hit: true, cache_read_tokens: null, input_tokens: null, is_empty: true });
});

it('has a name only where nothing better names the prompt', () => {
  const labelled = { ...chat, 'promptfoo.prompt.label': 'p v1' };
  expect(callIn(scope, labelled)).toMatchObject({ prompt_name: 'p v1', prompt_label: 'p v1' });
  expect(callIn(scope, { ...labelled, 'gen_ai.prompt.name': 'p', 'gen_ai.prompt.version': '1' })).toMatchObject({ prompt_name: 'p', prompt_version: '1', prompt_attribution: 'direct' });
});

it('counts embeddings, and no span without a model', () => {
  expect(callIn(scope, { ...chat, 'gen_ai.operation.name': 'embedding' })).toMatchObject({ operation: 'embeddings' });
  expect(relativeIn(scope, { 'promptfoo.eval.id': 'e' })).toMatchObject({ reason: 'not_an_llm_call' });
});

anySpanOf(scope, {
  keys: ['gen_ai.system', 'gen_ai.operation.name', 'gen_ai.request.model', 'promptfoo.cache_hit', 'promptfoo.eval.id', 'promptfoo.response.body', 'gen_ai.usage.cached_tokens'],
  versions: ['promptfoo.prompt.label'],
});
