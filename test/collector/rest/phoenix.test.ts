import { describe, expect, it } from 'vitest';
import { createTaking } from './taking.ts';

const { request } = createTaking();
const annotation = { name: 'correctness', annotator_kind: 'LLM', result: { label: 'correct', score: 0.85, explanation: 'it is' } };

describe('Phoenix', () => {
  it.each([
    ['span', { span_id: '67F6740BBE1DDC3F' }, { span_id: '67f6740bbe1ddc3f', trace_id: null }],
    ['trace', { trace_id: '1'.repeat(32) }, { trace_id: '1'.repeat(32), span_id: null }],
    ['session', { session_id: 'chat-1' }, { target_session_id: 'chat-1', trace_id: null }],
  ])('annotations of a %s are taken, each answered with its id', async (kind, subject, target) => {
    const { status, body, scores } = await request('POST', `/v1/${kind}_annotations?sync=true`, { data: [{ ...annotation, ...subject, identifier: 'judge-1', metadata: {} }, { ...annotation, ...subject, name: 'tone', identifier: '' }] });
    expect(status).toBe(200);
    expect(scores).toMatchObject([
      { ...target, name: 'correctness', value: 0.85, label: 'correct', explanation: 'it is', evaluator: 'judge-1', evaluator_kind: 'llm' },
      { ...target, name: 'tone', evaluator: 'llm' },
    ]);
    expect(body).toEqual({ data: scores.map(({ score_id }) => ({ id: score_id })) });
  });

  it('the same target, name and identifier is the same annotation; a person is told apart and not named', async () => {
    const by = async (identifier: string, score: number) => (await request('POST', '/v1/span_annotations', { data: [{ ...annotation, span_id: '1'.repeat(16), annotator_kind: 'HUMAN', identifier, result: { score } }] })).scores[0];
    const [jane, again, john] = [await by('jane', 1), await by('jane', 0), await by('john', 1)];
    expect(again?.score_id).toBe(jane?.score_id);
    expect(john?.score_id).not.toBe(jane?.score_id);
    expect(jane?.evaluator).toBe('human');
  });

  it('says that it is new enough for annotations of sessions, as text', async () => {
    expect(await request('GET', '/arize_phoenix_version')).toMatchObject({ status: 200, body: '12.0.0', scores: [] });
  });

  it('what is wrong is told in its words', async () => {
    for (const body of [{}, { data: [{ ...annotation }] }, { data: [{ ...annotation, span_id: 'xyz' }] }]) expect(await request('POST', '/v1/span_annotations', body)).toMatchObject({ status: 400, body: { detail: expect.any(String) }, scores: [] });
  });
});
