import { describe, expect, it } from 'vitest';
import { captured, createTaking, nanoseconds, NOW_MS } from './taking.ts';

const { request } = createTaking();
const TRACE = '7d9a1b332545bbee0402f7799f4fca36';

describe('Langfuse', () => {
  it('SDK 3 sends batches of events', async () => {
    const { status, body, scores } = await request('POST', '/api/public/ingestion', captured('langfuse-v3.json'));
    expect(status).toBe(207);
    expect(body).toEqual({ successes: ['76f1268fa45fc4d04e9a953e4736c56b', '7fdf924b844ea8345ea7d6a952cf36dc', '53174f13887c9cd9e2097b99a5329975'].map((id) => ({ id, status: 201 })), errors: [] });
    expect(scores).toMatchObject([
      { score_id: 'a00365df7eb75754', name: 'helpfulness', value: 0.87, data_type: 'numeric', explanation: 'answers the question', trace_id: TRACE, span_id: 'fad46136acea9015', observed_time_ns: nanoseconds('2026-11-23T08:51:29.529Z') },
      { score_id: 'ccdb54aeacf68d85', name: 'thumbs', value: 1, data_type: 'boolean', trace_id: TRACE, span_id: null },
      { score_id: '617b1927ce5669b5', name: 'tone', value: null, label: 'kind', data_type: 'categorical', trace_id: 'c323e9efc76edc6d16e0e1366a0a8e14', span_id: null },
    ]);
  });

  it('SDK 5 sends arrays', async () => {
    const { status, body, scores } = await request('POST', '/api/public/scores', captured('langfuse-v5.json'));
    expect(status).toBe(202);
    expect(body).toEqual({ message: 'Accepted' });
    expect(scores.map(({ score_id, name, value, label, data_type }) => ({ score_id, name, value, label, data_type }))).toEqual([
      { score_id: '1f80d5a5477a5253', name: 'helpfulness', value: 0.87, label: null, data_type: 'numeric' },
      { score_id: '7caa0a78b14b2423', name: 'thumbs', value: 1, label: null, data_type: 'boolean' },
      { score_id: 'bf2dc3f45917be1a', name: 'tone', value: null, label: 'kind', data_type: 'categorical' },
      { score_id: '0a60a28f0da9e6d4', name: 'correctness', value: 0.5, label: null, data_type: 'numeric' },
    ]);
  });

  it('one score is answered with its id, the sender’s or a derived one that is the same again', async () => {
    const score = { traceId: TRACE, name: 'tone', value: 'good', dataType: 'CATEGORICAL', configId: 'config-1', source: 'ANNOTATION' };
    expect(await request('POST', '/any/prefix/api/public/scores/', { ...score, id: 'mine' })).toMatchObject({ status: 200, body: { id: 'mine' }, scores: [{ score_id: 'mine', label: 'good', value: null, data_type: 'categorical', evaluator: 'human', evaluator_kind: 'human' }] });
    const first = await request('POST', '/api/public/scores', score);
    const second = await request('POST', '/api/public/scores', { ...score, value: 'bad' });
    expect(first.scores[0]?.score_id).toMatch(/^[0-9a-f]{32}$/);
    expect(second.body).toEqual({ id: first.scores[0]?.score_id });
    expect(first.scores[0]?.observed_time_ns).toBe(`${NOW_MS}000000`);
  });

  it('sessions, old ids and dataset runs are targets', async () => {
    const targets = [{ sessionId: 's-1' }, { traceId: '7D9A1B33-2545-bbee-0402-f7799f4fca36' }, { traceId: 'my-trace', observationId: 'my-span' }, { datasetRunId: 'run-1' }];
    const { scores } = await request('POST', '/api/public/scores', targets.map((target) => ({ ...target, name: 'q', value: 1 })));
    expect(scores).toMatchObject([{ target_session_id: 's-1', trace_id: null }, { trace_id: TRACE, run_id: null }, { trace_id: null, span_id: null, run_id: 'my-span' }, { run_id: 'run-1' }]);
  });

  it('what is wrong is told one by one, and what is right is taken', async () => {
    const right = { traceId: TRACE, name: 'q', value: 1 };
    const batch = await request('POST', '/api/public/scores', [right, { ...right, name: '' }, { name: 'q', value: 1 }, 7]);
    expect(batch).toMatchObject({ status: 207, body: { accepted: 1, rejected: 3, errors: [{ index: 1 }, { index: 2, message: expect.stringContaining('traceId') }, { index: 3 }] } });
    expect(batch.scores).toHaveLength(1);
    const events = await request('POST', '/api/public/ingestion', { batch: [{ id: 'a', type: 'score-create', timestamp: 'x', body: right }, { id: 'b', type: 'score-create', body: {} }, { id: 'c', type: 'trace-create', body: {} }] });
    expect(events).toMatchObject({ status: 207, body: { successes: [{ id: 'a', status: 201 }], errors: [{ id: 'b', status: 400 }, { id: 'c', status: 400, message: expect.stringContaining('OpenTelemetry') }] } });
    expect(events.scores).toHaveLength(1);
    for (const body of ['{', '{"batch":{}}', '"x"', '[]', 'null']) expect(await request('POST', '/api/public/ingestion', body)).toMatchObject({ status: 400, body: { message: expect.any(String), error: 'InvalidRequestError' }, scores: [] });
  });

  it('free text is content and is not taken for a label', async () => {
    const { scores, ignored } = await request('POST', '/api/public/scores', { traceId: TRACE, name: 'note', value: 'Jane said so', dataType: 'TEXT' });
    expect({ scores, ignored }).toEqual({ scores: [], ignored: ['score_without_value'] });
  });

  it('a deletion is by id', async () => {
    expect(await request('DELETE', '/api/public/scores/a%2Fb')).toMatchObject({ status: 202, scores: [{ score_id: 'a/b', change: 'deletion', is_deleted: true, name: '' }] });
  });

  it('is answered what its SDKs ask before they send', async () => {
    expect(await request('GET', '/api/public/health')).toMatchObject({ status: 200, body: { status: 'OK', version: expect.any(String) }, scores: [] });
    expect(await request('GET', '/api/public/projects')).toMatchObject({ status: 200, body: { data: [{ id: 'default', metadata: {} }] } });
    expect(await request('GET', '/api/public/v2/prompts/support-answer?version=1')).toMatchObject({ status: 404, body: { error: 'LangfuseNotFoundError' } });
  });
});
