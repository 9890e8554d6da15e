import { describe, expect, it } from 'vitest';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, relativeIn } from './spans.ts';

const scope = 'humanloop.sdk.provider';

describe('the capture humanloop: JSON without a content type, ids in base64, everything as text', () => {
  describeCapture({ client: 'humanloop', dialect: 'humanloop' });

  it('sees every answer, and prices it', () => {
    const calls = normalisedCapture('humanloop').flatMap((result) => (result.kind === 'call' && !result.call.is_error ? [result.call] : []));
    expect(new Set(calls.map((call) => [call.is_empty, call.cost_source].join()))).toEqual(new Set(['false,computed']));
  });

  it('takes the path of a flow for no prompt', () => {
    const flows = normalisedCapture('humanloop').flatMap((result) => (result.kind === 'relative' ? [result] : []));
    expect(flows).toMatchObject([{ reason: 'wrapper', candidate: null, relative: { prompt_name: null } }]);
  });
});

describe('a decorated function', () => {
  const file = { 'humanloop.file.path': 'support/answer', 'humanloop.file.type': 'prompt' };

  it('that is a prompt may stand for its call', () => {
    const logged = { ...file, 'humanloop.file.model': 'gpt-4o', 'humanloop.log.prompt_tokens': '10', 'humanloop.log.output_tokens': '2', 'humanloop.log.output': 'hello' };
    expect(relativeIn(scope, logged)).toMatchObject({
      reason: 'wrapper',
      candidate: { request_model: 'gpt-4o', input_tokens: 10, output_tokens: 2, is_empty: false },
      relative: { prompt_name: 'support/answer', prompt_version: null },
    });
    expect(relativeIn(scope, file)).toMatchObject({ reason: 'wrapper', candidate: null });
  });

  it.each([
    ['tool', 'tool'],
    ['flow', 'wrapper'],
    ['evaluator', 'evaluator'],
    ['else', 'not_an_llm_call'],
  ])('that is a %s', (type, reason) => {
    expect(relativeIn(scope, { ...file, 'humanloop.file.type': type })).toMatchObject({ reason, candidate: null, relative: { prompt_name: null } });
  });

  it('run for a datapoint is an experiment', () => {
    const call = { ...file, 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.operation.name': 'chat', 'humanloop.log.source_datapoint_id': 'dp' };
    expect(callIn(scope, call)).toMatchObject({ is_experiment: true });
  });
});

anySpanOf(scope, {
  keys: [
    'humanloop.file.path', 'humanloop.file.type', 'humanloop.file.template', 'humanloop.file.model', 'humanloop.log.output', 'humanloop.log.prompt_tokens', 'gen_ai.provider.name',
    'gen_ai.request.model', 'gen_ai.operation.name', 'gen_ai.response.finish_reasons', 'gen_ai.is_streaming',
  ],
  versions: ['gen_ai.prompt.version'],
});
