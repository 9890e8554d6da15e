import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openApi, type TestApi } from './server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const ask = async (method: string, path: string): Promise<{ status: number; allow: string | null; detail: string }> => {
  const response = await api.app.request(path, { method });
  return { status: response.status, allow: response.headers.get('allow'), detail: z.object({ detail: z.string() }).parse(await response.json()).detail };
};

describe('what nobody answers', () => {
  test.each([
    ['GET', '/v1/query', 'POST'],
    ['POST', '/v1/alerts', 'GET'],
    ['DELETE', '/v1/calls', 'GET'],
    ['PUT', '/v1/scores', 'GET, POST'],
    ['PUT', '/v1/silences', 'GET, POST'],
    ['DELETE', '/v1/prompts/support%2Fanswer', 'GET'],
  ])('%s %s is the wrong method, and says which is right', async (method, path, allow) => {
    expect(await ask(method, path)).toEqual({ status: 405, allow, detail: `${path} takes ${allow}, not ${method}.` });
  });

  test.each([
    ['GET', '/v1/trace'],
    ['POST', '/v1/trace'],
  ])('%s %s is not there', async (method, path) => {
    expect(await ask(method, path)).toEqual({ status: 404, allow: null, detail: `There is nothing at ${path}; /openapi.json lists the resources.` });
  });

  // OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it stands: the exporter puts no path behind it.
  test.each(['/', '/otlp', '/prompts/x'])('an exporter that sends to %s is told where OTLP belongs', async (path) => {
    expect((await ask('POST', path)).detail).toContain('OTLP is sent to /v1/traces and /v1/logs.');
  });
});

test('a parameter that is missing is said to be missing', async () => {
  const response = await api.app.request('/v1/verdict?prompt=refund-agent');
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ detail: 'candidate: is missing: expected string', errors: [{ path: 'candidate', message: 'is missing: expected string', fix: 'Add `candidate` (query); /openapi.json describes it.' }] });
});
