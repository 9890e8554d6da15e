import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApi, type TestApi } from './server.ts';

/** Expiry by the clock of the API: the engine's own TTL deletes when it likes. */
describe('GET /v1/calls/{trace_id}/{span_id}/content', () => {
  let api: TestApi;
  const stored = { project: 'default', trace_id: 'a'.repeat(32), mode: 'stored', input: 'ask', output: null, over_limit: ['output'] };
  const eventTime = (ms: number): number => Math.floor(ms / 1000);
  beforeAll(async () => {
    api = await openApi({ content: { mode: 'stored', days: 7 } });
    const { nowMs } = api.clock;
    await api.store.insert('contents', [
      { ...stored, span_id: 'young', event_time: eventTime(nowMs - 6.9 * 86_400_000), end_ns: 1 },
      { ...stored, span_id: 'old', event_time: eventTime(nowMs - 7.1 * 86_400_000), end_ns: 1 },
      { ...stored, span_id: 'other', project: 'another', event_time: eventTime(nowMs), end_ns: 1 },
      { ...stored, span_id: 'twice', input: 'later', event_time: eventTime(nowMs), end_ns: 2 },
    ]);
    await api.store.insert('contents', [{ ...stored, span_id: 'twice', input: 'earlier', event_time: eventTime(nowMs), end_ns: 1 }]);
  });
  afterAll(() => api.close());
  const get = async (span: string): Promise<Response> => api.app.request(`http://localhost/v1/calls/${'A'.repeat(32)}/${span}/content`);

  it('gives what is kept, to be kept by nobody else', async () => {
    const response = await get('young');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toEqual({ trace_id: stored.trace_id, span_id: 'young', mode: 'stored', input: 'ask', output: null, over_limit: ['output'] });
  });

  it('gives the row of the span that ended last', async () => {
    expect(await (await get('twice')).json()).toMatchObject({ input: 'later' });
  });

  it.each(['old', 'other', 'nowhere'])('answers 404 for a call that is %s', async (span) => {
    const response = await get(span);
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
  });

  it('is in the document', async () => {
    const document = (await (await api.app.request('http://localhost/openapi.json')).json()) as { paths: Record<string, unknown> };
    expect(Object.keys(document.paths)).toContain('/v1/calls/{trace_id}/{span_id}/content');
  });
});
