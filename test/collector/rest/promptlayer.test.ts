import { describe, expect, it } from 'vitest';
import { captured, createTaking } from './taking.ts';

const { request } = createTaking();

describe('PromptLayer', () => {
  it('a score of a request that PromptLayer numbered is kept under its number', async () => {
    const { status, body, scores } = await request('POST', '/library-track-score', captured('promptlayer-score.json'));
    expect({ status, body }).toEqual({ status: 200, body: { success: true } });
    expect(scores).toMatchObject([{ name: 'helpfulness', value: 87, run_id: '777001', span_id: null, trace_id: null }]);
  });

  it('a request that Culprit logged has the name of its span, and its score finds that span', async () => {
    const logged = await request('POST', '/track-request', captured('promptlayer-request.json'));
    expect(logged).toMatchObject({ status: 200, body: { request_id: '84e22cdf690ce7ad' }, scores: [] });
    // `log_request` takes no other status than 201 for done.
    expect(await request('POST', '/log-request', { provider: 'openai', model: 'gpt-4o', span_id: '84e22cdf690ce7ad' })).toMatchObject({ status: 201, body: { id: '84e22cdf690ce7ad' }, scores: [] });
    expect(await request('POST', '/rest/track-score', { request_id: '84e22cdf690ce7ad', score: 90 })).toMatchObject({ status: 200, scores: [{ name: 'score', value: 90, span_id: '84e22cdf690ce7ad', run_id: null }] });
  });

  it('prompts are refused in its words, and what is wrong too', async () => {
    expect(await request('POST', '/prompt-templates/support%2Fanswer', {})).toMatchObject({ status: 404, body: { success: false, message: expect.any(String) } });
    expect(await request('POST', '/library-track-score', { request_id: 1, score: 'much' })).toMatchObject({ status: 400, body: { success: false, message: expect.stringContaining('score') }, scores: [] });
  });
});
