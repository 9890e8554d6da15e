import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vendors } from '../../../collector/rest/index.ts';
import { createTaking, nanoseconds, NOW_MS } from './taking.ts';

const { request } = createTaking();
const TRACE = '7d9a1b332545bbee0402f7799f4fca36';
const score = { name: 'quality', value: 0.5, trace_id: TRACE, span_id: 'fad46136acea9015' };

describe('POST /v1/scores', () => {
  it('takes everything that can be said of a score', async () => {
    const whole = {
      ...score, id: 'mine', label: 'fair', explanation: 'why', evaluator: { name: 'judge', kind: 'llm', version: '3' }, response_id: 'chatcmpl-1', session_id: 's-1', run_id: 'r-1', data_type: 'numeric', time: '2026-11-23T08:00:00+01:00',
    };
    const { status, body, scores } = await request('POST', '/v1/scores', whole);
    expect({ status, body }).toEqual({ status: 200, body: { scores: [{ score_id: 'mine' }] } });
    expect(scores).toEqual([
      {
        project: 'default', score_id: 'mine', name: 'quality', value: 0.5, label: 'fair', data_type: 'numeric', explanation: 'why', evaluator: 'judge@3', evaluator_kind: 'llm', error_type: null,
        // A session is only judged where nothing more exact is named.
        trace_id: TRACE, span_id: 'fad46136acea9015', response_id: 'chatcmpl-1', target_session_id: null, run_id: 'r-1',
        observed_time_ns: nanoseconds('2026-11-23T07:00:00Z'), received_time_ms: NOW_MS, change: 'judgement', is_deleted: false, flags: [],
      },
    ]);
  });

  it('takes one, an array, or a list in an object', async () => {
    const two = [score, { ...score, name: 'tone', value: true }];
    for (const body of [two, { scores: two }]) expect((await request('POST', '/v1/scores', body)).scores).toMatchObject([{ name: 'quality' }, { name: 'tone', value: 1, data_type: 'boolean' }]);
    expect((await request('POST', '/v1/scores', gzipSync(JSON.stringify(two)), { 'content-type': 'application/json; charset=utf-8', 'content-encoding': 'gzip' })).scores).toHaveLength(2);
    expect((await request('POST', '/v1/scores', Buffer.from(JSON.stringify(score)), {})).scores).toHaveLength(1);
  });

  it('derives the same id for the same target, name and judge', async () => {
    const idOf = async (changed: object) => (await request('POST', '/v1/scores', { ...score, ...changed })).scores[0]?.score_id;
    expect(await idOf({ value: 0.9 })).toBe(await idOf({}));
    const ids = [await idOf({}), await idOf({ evaluator: { name: 'other' } }), await idOf({ evaluator: { name: 'other', version: '2' } }), await idOf({ name: 'tone' }), await idOf({ span_id: null }), await idOf({ response_id: 'r' })];
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each([
    ['no JSON', '{'],
    ['nothing', ''],
    ['an unknown key', { ...score, valeu: 1 }],
    ['no name', { ...score, name: ' ' }],
    ['no target', { name: 'quality', value: 1 }],
    ['no judgement', { ...score, value: null }],
    ['a bad trace id', { ...score, trace_id: 'abc' }],
    ['a time that is none', { ...score, time: 'yesterday' }],
    ['an empty list', []],
    ['too long an id', { ...score, id: 'x'.repeat(129) }],
    ['too many', Array.from({ length: 10_001 }, () => score)],
    ['one bad among good', [score, { ...score, name: '' }]],
  ])('refuses %s, as a whole, in a sentence', async (_, body) => {
    const answered = await request('POST', '/v1/scores', body);
    expect(answered).toMatchObject({ status: 400, body: { status: 400, detail: expect.stringMatching(/.{4,}/) }, scores: [] });
  });

  it.each([
    [{ name: 'quality', trace_id: TRACE }, 'value: says nothing; set value, label or error_type'],
    [{}, 'name: is missing: expected string'],
    [undefined, 'body: is missing: expected array or object'],
    [{ ...score, value: 'good' }, 'value: Invalid input: expected number or boolean, received string'],
    [{ scores: [score, { ...score, time: 'monday' }] }, 'scores.1.time: Invalid ISO datetime'],
    [7, 'body: Invalid input: expected array or object, received number'],
  ])('says of %j what is wrong with it', async (body, detail) => {
    expect((await request('POST', '/v1/scores', body)).body).toMatchObject({ detail });
  });

  it('refuses what a browser would post for any page', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) expect(await request('POST', '/v1/scores', JSON.stringify(score), { 'content-type': type })).toMatchObject({ status: 415, scores: [] });
  });

  it('says when the store is away, and takes nothing', async () => {
    const answered = await createTaking('away').request('POST', '/v1/scores', score);
    expect(answered).toMatchObject({ status: 503, body: { detail: 'the store is away' } });
    expect(answered.headers.get('retry-after')).toBe('7');
  });

  it('leaves reading to the API', async () => {
    expect(await createTaking().request('GET', '/v1/scores')).toMatchObject({ status: 404, body: '404 Not Found' });
  });
});

it('DELETE /v1/scores/{score_id} hides a score', async () => {
  expect(await request('DELETE', '/v1/scores/mine')).toMatchObject({ status: 200, body: { scores: [{ score_id: 'mine' }] }, scores: [{ score_id: 'mine', change: 'deletion', is_deleted: true }] });
});

/** A path that a route takes: what stands in its pattern, with an id in the place of each group. */
const pathOf = (pattern: RegExp): string => pattern.source.replaceAll('\\/', '/').replace('(?:/api/v1)?', '').replace(/\(\?:([^|)]*)\|[^)]*\)\??/g, '$1').replace(/\((?!\?)[^)]*\)/g, '01a2079c-3052-7758-becd-abb824cea1b5').replace('[^/]+', 'x').replace(/\/?\?\$$/, '').replace(/\$$/, '');

describe('every route', () => {
  const routes = vendors.flatMap((vendor) => vendor.routes);

  it.each(routes.map((route) => [`${route.method} ${pathOf(route.path)}`, route] as const))('%s answers any JSON with JSON (a version: with text): taken, or told what is wrong', async (_, route) => {
    const path = pathOf(route.path);
    expect(route.path.test(path), path).toBe(true);
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (body) => {
        const answered = await request(route.method, path, route.method === 'GET' || route.method === 'DELETE' ? undefined : body);
        expect([200, 201, 202, 207, 400, 404]).toContain(answered.status);
        if (!path.endsWith('_version')) expect(answered.body).toBeTypeOf('object');
      }),
      { numRuns: 50 },
    );
  });
});
