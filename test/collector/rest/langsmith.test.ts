import { describe, expect, it } from 'vitest';
import { captured, createTaking, nanoseconds } from './taking.ts';

const { request, counters } = createTaking();
const ID = '01a2079c-3052-7758-becd-abb824cea1b5';

describe('LangSmith', () => {
  it.each(['/feedback', '/api/v1/feedback', '/langsmith/feedback'])('feedback at %s judges the span of its run', async (path) => {
    const { status, body, scores } = await request('POST', path, captured('langsmith.json'));
    expect(status).toBe(200);
    // What clients read back as Feedback: id, times, run, trace and key are required there.
    expect(body).toMatchObject({ id: ID, key: 'helpfulness', score: 0.87, run_id: '01a2079c-2b9d-76a2-bea3-738491ee2d07', created_at: '2026-11-23T08:53:26.226467+00:00', modified_at: expect.any(String) });
    expect(scores).toMatchObject([
      {
        score_id: ID,
        name: 'helpfulness',
        value: 0.87,
        explanation: 'answers the question',
        evaluator: 'api',
        // Golden case 11: the first 16 digits of the run's UUID, in the trace of its trace's.
        span_id: '01a2079c2b9d76a2',
        trace_id: '01a2079c2b9d76a2bea3738491ee2d07',
        run_id: '01a2079c-2b9d-76a2-bea3-738491ee2d07',
        observed_time_ns: nanoseconds('2026-11-23T08:53:26.226Z'),
      },
    ]);
  });

  it.each([
    [{ score: true }, { value: 1, data_type: 'boolean' }],
    [{ score: 0.5, value: 'fair' }, { value: 0.5, label: 'fair' }],
    [{ value: 'fair' }, { value: null, label: 'fair', data_type: 'categorical' }],
    [{ score: 1, feedback_source: { type: 'model', metadata: { __run: { run_id: ID } } } }, { evaluator: 'llm', evaluator_kind: 'llm' }],
  ])('feedback %o is %o', async (said, expected) => {
    const { scores } = await request('POST', '/feedback', { run_id: ID, trace_id: null, key: 'k', ...said });
    expect(scores).toMatchObject([{ span_id: '01a2079c30527758', trace_id: null, ...expected }]);
  });

  it('feedback on the id of an OpenTelemetry trace is taken, which is no UUID of any version', async () => {
    const trace = '86419157-1451-f532-7e91-ae82d1ee8211';
    expect(await request('POST', '/feedback', { run_id: trace, trace_id: trace, key: 'k', score: 1 })).toMatchObject({ status: 200, scores: [{ trace_id: '864191571451f5327e91ae82d1ee8211', span_id: '864191571451f532' }] });
  });

  it('feedback on a root run of the JavaScript SDK judges the span whose id is in it', async () => {
    const run = '00000000-0000-0000-b7ad-6b7169203331';
    for (const named of [{ run_id: run }, { run_id: run, trace_id: run }, { trace_id: run }]) {
      expect(await request('POST', '/feedback', { ...named, key: 'k', score: 1 })).toMatchObject({ status: 200, scores: [{ trace_id: null, span_id: 'b7ad6b7169203331' }] });
    }
    // A run below it has an id of its own.
    expect(await request('POST', '/feedback', { run_id: ID, trace_id: run, key: 'k', score: 1 })).toMatchObject({ scores: [{ trace_id: null, span_id: '01a2079c30527758' }] });
  });

  it('feedback is corrected and deleted by its id', async () => {
    expect(await request('PATCH', `/feedback/${ID.toUpperCase()}`, { score: 0.5, comment: 'no' })).toMatchObject({ status: 200, scores: [{ score_id: ID, change: 'update', value: 0.5, explanation: 'no', name: '' }] });
    expect(await request('DELETE', `/feedback/${ID}`)).toMatchObject({ status: 200, scores: [{ score_id: ID, change: 'deletion' }] });
  });

  it('what it cannot take is told in its words', async () => {
    for (const body of [{ key: 'k', score: 1 }, { run_id: 'x', key: 'k' }, { run_id: ID, score: 1 }, []]) expect(await request('POST', '/feedback', body)).toMatchObject({ status: 400, body: { detail: expect.any(String) }, scores: [] });
    expect(await request('POST', '/runs/multipart', 'not json', { 'content-type': 'application/json' })).toMatchObject({ status: 400 });
    expect(await request('POST', '/runs/batch', {})).toMatchObject({ status: 404, body: { detail: expect.stringContaining('LANGSMITH_OTEL_ENABLED') } });
    expect(counters().refused).toContainEqual({ status: 404, reason: 'not_served', requests: 1 });
  });

  it('is told that feedback comes by itself, not hidden among runs', async () => {
    expect(await request('GET', '/info')).toMatchObject({ status: 200, body: { batch_ingest_config: { use_multipart_endpoint: false } } });
  });
});
