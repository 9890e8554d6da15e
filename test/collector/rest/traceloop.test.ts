import { describe, expect, it } from 'vitest';
import { captured, createTaking } from './taking.ts';

const { request } = createTaking();

describe('Traceloop', () => {
  it('each tag of an annotation is a score of its entity', async () => {
    const { status, scores } = await request('POST', '/v2/annotation-tasks/support-quality/annotations', captured('traceloop.json'));
    expect(status).toBe(200);
    expect(scores).toMatchObject([
      { name: 'support-quality.sentiment', label: 'positive', value: null, target_session_id: 'ticket-1', run_id: 'ticket-1', evaluator: 'human' },
      { name: 'support-quality.score', value: 0.9, target_session_id: 'ticket-1' },
    ]);
  });

  it('its polling finds nothing, and goes on', async () => {
    expect(await request('GET', '/v1/traceloop/prompts')).toMatchObject({ status: 200, body: { prompts: [] } });
    expect(await request('GET', '/traceloop/v1/traceloop/pii/tracing-allow-list')).toMatchObject({ status: 200, body: { associationPropertyAllowList: [] } });
  });

  it('what is wrong is told in its words', async () => {
    expect(await request('POST', '/v2/annotation-tasks/t/annotations', { tags: {} })).toMatchObject({ status: 400, body: { error: expect.stringContaining('entity_instance_id') } });
  });
});
