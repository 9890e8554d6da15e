import { describe, expect, it } from 'vitest';
import { providersResponseId } from '../../analyzer/response-ids.ts';
import { scoreOfRecord } from '../../analyzer/scores.ts';
import { callIn, context, record } from './spans.ts';

const wrapped = (text: string): string => `resp_${Buffer.from(text).toString('base64')}`;
const OURS = wrapped('litellm:custom_llm_provider:openai;model_id:None;response_id:resp_503ced82');

describe('the id of a response', () => {
  it('is that of the provider where LiteLLM wrapped it', () => {
    expect(providersResponseId(OURS)).toBe('resp_503ced82');
    expect(callIn('openai', { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.response.id': OURS })).toMatchObject({ response_id: 'resp_503ced82' });
  });

  it('is that also where a score names it as the client knew it', () => {
    const reading = scoreOfRecord(context, record({ 'gen_ai.evaluation.name': 'helpfulness', 'gen_ai.evaluation.score.value': 1, 'gen_ai.response.id': OURS }));
    expect(reading).toMatchObject({ kind: 'score', score: { response_id: 'resp_503ced82' } });
  });

  it.each([null, '', 'resp_503ced82', 'chatcmpl-1', wrapped('litellm:something else'), 'resp_bGl0ZWxsbTpj%%', wrapped('litellm:a;response_id:')])('stays %j otherwise', (id) => {
    expect(providersResponseId(id)).toBe(id);
  });
});
