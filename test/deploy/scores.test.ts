import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createServers, ledgerOf, post, tracesBody } from './server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

type Shown = { score_id: string; name: string; value: number | null; target: string; join_state: string; trace_id: string | null; call_trace_id: string | null; call_span_id: string | null; prompt_version: string | null; evaluator: string | null; is_deleted: boolean };
const scoresOf = async (url: string, query: string): Promise<Shown[]> => ((await (await fetch(`${url}/v1/scores?${query}`)).json()) as { scores: Shown[] }).scores;
const send = (url: string, path: string, body: object | Buffer, headers: Record<string, string> = { 'content-type': 'application/json' }, method = 'POST') =>
  fetch(`${url}${path}`, { method, headers, body: Buffer.isBuffer(body) ? body : JSON.stringify(body) });
const captured = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../collector/rest/captures', name));
const GZIPPED = { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' };

/** Scores wait one second for the calls of their scope, and the clock ticks twice a second. */
const QUICK = ['--resolve-wait-s', '1'];
const WITHIN = { timeout: 20_000, interval: 100 };

describe('scores, over HTTP into a process', { timeout: 90_000 }, () => {
  it('of OpenLIT are one, though they come as log record and as span event, and judge the call below the span that they name', async () => {
    const server = await servers.start(await servers.directory(), QUICK);
    expect((await send(server.url, '/v1/logs', captured('openlit.logs.bin'), GZIPPED)).status).toBe(200);
    expect((await send(server.url, '/v1/traces', captured('openlit.traces.bin'), GZIPPED)).status).toBe(200);
    await expect
      .poll(async () => (await scoresOf(server.url, 'trace_id=4fccc1184609da365540f2fa989b17e1')).map(({ name, join_state, call_span_id }) => ({ name, join_state, call_span_id })).toSorted((one, other) => one.name.localeCompare(other.name)), WITHIN)
      .toEqual(['helpfulness', 'thumbs', 'tone'].map((name) => ({ name, join_state: 'joined', call_span_id: '0bdb6b2fc1288642' })));
    expect(await scoresOf(server.url, 'trace_id=1a453fe9d72e9891a4b55ab184591970')).toMatchObject([{ name: 'helpfulness', value: 0.4, call_span_id: '7ca445f758334631' }]);
    expect(await ledgerOf(server.url)).toMatchObject({ balanced: true });
  });

  it('of every vendor find their call, are corrected and deleted, and survive a kill', async () => {
    const data = await servers.directory();
    const first = await servers.start(data, QUICK);
    const run = '01a2079c-2b9d-76a2-bea3-738491ee2d07';
    const spans = [{ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') }, { trace_id: run.replaceAll('-', ''), span_id: '01a2079c2b9d76a2' }] as const;
    const [{ trace_id, span_id }] = spans;
    const ofTrace = { traceId: trace_id, name: 'langfuse', value: 0.5, id: 'lf' };
    // Before their calls, a deletion before its score too.
    for (const [path, body] of [
      ['/api/public/scores', [ofTrace, { ...ofTrace, id: 'lf-2', name: 'other' }]],
      ['/feedback', { id: '01a2079c-3052-7758-becd-abb824cea1b5', run_id: run, trace_id: run, key: 'langsmith', score: 1 }],
      ['/v1/span_annotations', { data: [{ span_id, name: 'phoenix', annotator_kind: 'LLM', result: { score: 0.9 }, identifier: 'judge' }] }],
      ['/library-track-score', { request_id: span_id, score: 80, name: 'promptlayer' }],
      // The session of a call is its trace here (server-process.ts).
      ['/v2/annotation-tasks/task/annotations', { entity_instance_id: trace_id, tags: { traceloop: 0.5 } }],
      ['/v1/scores', { name: 'own', value: true, session_id: trace_id }],
    ] as const) {
      expect((await send(first.url, path, body)).ok, path).toBe(true);
    }
    expect((await fetch(`${first.url}/v1/scores/gone`, { method: 'DELETE' })).status).toBe(200);
    expect((await post(first.url, tracesBody(spans, Date.now()))).status).toBe(200);
    expect((await send(first.url, '/v1/scores', { id: 'gone', name: 'gone', value: 1, trace_id, span_id })).status).toBe(200);
    expect((await send(first.url, '/feedback/01a2079c-3052-7758-becd-abb824cea1b5', { score: 0 }, undefined, 'PATCH')).status).toBe(200);
    expect((await fetch(`${first.url}/api/public/scores/lf-2`, { method: 'DELETE' })).status).toBe(202);

    const expected = [
      { name: 'langfuse', target: 'trace', value: 0.5 },
      { name: 'own', target: 'session', value: 1 },
      { name: 'phoenix', target: 'span', value: 0.9, evaluator: 'judge' },
      { name: 'promptlayer', target: 'span', value: 80 },
      { name: 'task.traceloop', target: 'session', value: 0.5 },
    ].map((score) => ({ ...score, join_state: 'joined', call_span_id: span_id, prompt_version: 'v1', is_deleted: false }));
    const byName = async (url: string) => (await scoresOf(url, `trace_id=${trace_id}`)).toSorted((one, other) => one.name.localeCompare(other.name));
    await expect.poll(() => byName(first.url), WITHIN).toMatchObject(expected);
    const ofRun = [{ name: 'langsmith', value: 0, call_span_id: '01a2079c2b9d76a2', join_state: 'joined' }];
    expect(await scoresOf(first.url, `trace_id=${spans[1].trace_id}`)).toMatchObject(ofRun);
    const ledger = await ledgerOf(first.url);
    // Two calls, eight scores and a deletion; then a score that was deleted before, a correction, a deletion.
    expect(ledger).toMatchObject({ balanced: true, received: 13, stored: 10, duplicate: 3 });

    await first.kill();
    const second = await servers.start(data, QUICK);
    expect(await byName(second.url)).toMatchObject(expected);
    expect(await scoresOf(second.url, `trace_id=${spans[1].trace_id}`)).toMatchObject(ofRun);
    expect((await scoresOf(second.url, `trace_id=${trace_id}&deleted=true`)).filter(({ is_deleted }) => is_deleted).map(({ name }) => name).toSorted()).toEqual(['gone', 'other']);
    expect((await send(second.url, '/api/public/scores', [ofTrace])).status).toBe(202);
    expect(await ledgerOf(second.url)).toMatchObject({ balanced: true, received: 14, duplicate: 4 });
    expect(second.output()).not.toMatch(/Error|warn/i);
  });
});
