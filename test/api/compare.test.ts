import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binOf } from '../../analyzer/statistics/badness.ts';
import { differenceOf } from '../../analyzer/statistics/effect.ts';
import { callRow, scoreRow } from './rows.ts';
import { openApi, type TestApi } from './server.ts';

/** Comparison on demand, the matrix and the quality of the telemetry, over the real store. */
type Json = Record<string, any>; // eslint-disable-line -- answers are read as what they say
let api: TestApi;
const nowMs = Date.parse('2026-06-01T10:00:00Z');
const minute = 60_000;

/** Two models, one of them slow and used more by v2: pooled, v2 looks slow; within a model it is not. */
const calls = Array.from({ length: 1200 }, (_, index) => {
  const version = index % 2 === 0 ? 'v1' : 'v2';
  const isSlow = version === 'v2' ? index % 8 !== 1 : index % 8 === 0;
  return { ...callRow({ at_ms: nowMs - 60 * minute + index * 2900, id: `call ${index}`, prompt: 'router', version, is_error: version === 'v2' && index % 10 === 1, duration_ms: isSlow ? 3000 : 300, model: isSlow ? 'big-1' : 'small-1' }), request_model: isSlow ? 'big' : 'small' };
});
const ask = async (path: string): Promise<{ status: number; body: Json }> => {
  const response = await api.app.request(path, { headers: { host: '127.0.0.1' } });
  return { status: response.status, body: (await response.json()) as Json };
};

beforeAll(async () => {
  api = await openApi({}, nowMs);
  await api.store.insert('calls', calls);
  await api.store.insert('calls', [{ ...callRow({ at_ms: nowMs - minute, id: 'untagged', prompt: null, version: null }), service_name: 'legacy', received_ms: nowMs - minute - 5000 }]);
  await api.store.insert('scores', calls.filter(({ is_error }) => !is_error).map((call, index) => scoreRow(call, { name: 'stars', value: 3 + (index % 3) })));
}, 60_000);
afterAll(() => api.close());

describe('any two on demand', () => {
  it('compares versions within the same minutes and model, so that a moving mix of models is no difference', async () => {
    const { body } = await ask('/v1/compare?prompt=router&a=v1&b=v2&metric=latency');
    expect(body).toMatchObject({ status: 'exploratory', method: 'concurrent_strata', units: { a: 600, b: 480 }, says: expect.stringMatching(/^No difference in latency can be told/) });
    expect(body['a'].value).toBeLessThan(body['b'].value / 1.5);
    expect(body['effects'][0]).toMatchObject({ kind: 'ratio_p50', estimate: expect.closeTo(1, 6) });
    expect(body['caveats'][0]).toMatch(/^Chosen after the fact/);
  });

  it('finds what is there, with the interval of the statistics on the same counts', async () => {
    const { body } = await ask('/v1/compare?prompt=router&a=v1&b=v2');
    expect(body['says']).toBe('error_rate is higher in v2 than in v1, as far as this goes.');
    const counts = new Map<string, { bins: number[]; a: number[]; b: number[] }>();
    for (const call of calls) {
      const key = `${Math.floor(Number(call.event_time) / body['strata'].window_seconds)} ${call.request_model}`;
      const cells = counts.get(key) ?? { bins: [0, 50], a: [0, 0], b: [0, 0] };
      counts.set(key, cells);
      const at = binOf({ kind: 'rate', direction: 'up' }, Number(call.is_error)) / 50;
      const arm = call.prompt_version === 'v2' ? cells.b : cells.a;
      arm[at] = (arm[at] ?? 0) + 1;
    }
    const expected = differenceOf({ kind: 'rate', direction: 'up' }, [...counts.values()]);
    expect(body['effects'][0].estimate).toBeCloseTo(expected?.estimate ?? Number.NaN, 9);
    // The bounds hang a little on the order of strata of one time.
    for (const name of ['low', 'high'] as const) expect(body['effects'][0][name]).toBeCloseTo(expected?.[name] ?? Number.NaN, 3);
  });

  it('compares models and periods, says what that is worth, and reads a score on its own scale', async () => {
    const models = (await ask('/v1/compare?prompt=router&factor=model&a=small-1&b=big-1&metric=latency')).body;
    expect(models['effects'][0].estimate).toBeGreaterThan(9);
    const periods = (await ask('/v1/compare?prompt=router&factor=period&a=2026-06-01T09:00Z/2026-06-01T09:30Z&b=2026-06-01T09:30Z/2026-06-01T10:00Z&metric=stars')).body;
    expect(periods).toMatchObject({ method: 'strata_over_time', caveats: [expect.any(String), expect.stringMatching(/different times/)], strata: { window_seconds: null } });
    expect(periods['effects'][0]).toMatchObject({ kind: 'difference', estimate: expect.closeTo(0, 1) });
  });

  it('refuses what is no question, and says so where nothing is known', async () => {
    expect(await ask('/v1/compare?prompt=router&a=v1&b=v1')).toMatchObject({ status: 400, body: { detail: 'b: is what a is; name two different ones' } });
    expect(await ask('/v1/compare?prompt=router&factor=period&a=yesterday&b=today')).toMatchObject({ status: 400, body: { detail: 'a: is no period' } });
    expect((await ask('/v1/compare?prompt=router&a=v1&b=v2&metric=latnecy')).body).toMatchObject({ effects: [], says: 'No latnecy of v1 or v2 was measured here.' });
    expect((await ask("/v1/compare?prompt=router&a=v1&b=v9')--&metric=latency")).body).toMatchObject({ effects: [], b: null, says: "Nothing of v9')-- was measured here." });
  });
});

it('the matrix has a cell for each version and model, errors under the model that was asked for', async () => {
  const { body } = await ask('/v1/prompts/router/matrix?metric=error_rate');
  expect(body).toMatchObject({ versions: ['v1', 'v2'], models: expect.arrayContaining(['big', 'small']) });
  const cell = body['cells'].find((one: Json) => one['version'] === 'v2' && one['model'] === 'small');
  const own = calls.filter((call) => call.prompt_version === 'v2' && call.request_model === 'small');
  expect(cell.summary).toMatchObject({ n: own.length, value: expect.closeTo(own.filter((call) => call.is_error).length / own.length, 9), interval: 'wilson' });
});

it('the quality of the telemetry: what is not tagged, by sender, how late, and whose clock is ahead', async () => {
  const { body } = await ask('/v1/quality');
  expect(body).toMatchObject({ calls: 1201, unnamed: 1, unversioned: 0, clock_ahead: 1, services: [{ service: 'shop-backend', calls: 1200, unnamed: 0 }, { service: 'legacy', calls: 1, unnamed: 1 }] });
  expect(body['lateness_ms'].p50).toBeCloseTo(800, -1);
});

describe('slices on demand', () => {
  it('compares slices: calls with one value of an attribute against those with another, all else held', async () => {
    const routes = ['/refund', '/order'];
    await api.store.insert('calls', Array.from({ length: 600 }, (_, index) => ({
      ...callRow({ at_ms: nowMs - 50 * minute + index * 4000, id: `sliced ${index}`, prompt: 'sliced', is_error: index % 4 === 1 }),
      stratum_attributes: { 'app.route': routes[index % 2], 'app.tier': index % 4 < 2 ? 'free' : 'paid' },
    })));
    const { body } = await ask('/v1/compare?prompt=sliced&factor=slice&attribute=app.route&a=/refund&b=/order');
    expect(body).toMatchObject({ factor: 'slice', method: 'concurrent_strata', units: { a: 300, b: 300 }, says: 'error_rate is higher in /order than in /refund, as far as this goes.', strata: { compared_share: 1 } });
    expect(body['effects'][0]).toMatchObject({ kind: 'difference', estimate: expect.closeTo(0.5, 6) });
    for (const query of ['factor=slice&a=/refund&b=/order', 'attribute=app.route&a=v1&b=v2']) expect(await ask(`/v1/compare?prompt=sliced&${query}`)).toMatchObject({ status: 400, body: { errors: [{ path: 'attribute' }] } });
  });
});

it('takes no latency from a call that came from a cache, nor from one of which nobody says how long it took', async () => {
  const at = (index: number) => ({ at_ms: nowMs - 60 * minute + index * 2900, prompt: 'cached' });
  await api.store.insert('calls', ['v1', 'v2'].flatMap((version) => [
    callRow({ ...at(0), id: `${version} measured`, version, duration_ms: 300 }),
    { ...callRow({ ...at(1), id: `${version} cached`, version, duration_ms: 2 }), is_cache_hit: true },
    callRow({ ...at(2), id: `${version} unknown`, version, duration_ms: 0 }),
  ]));
  expect((await ask('/v1/compare?prompt=cached&a=v1&b=v2&metric=latency')).body).toMatchObject({ units: { a: 1, b: 1 }, a: { value: 300 }, b: { value: 300 } });
  expect((await ask('/v1/compare?prompt=cached&a=v1&b=v2&metric=ttft')).body).toMatchObject({ units: { a: 2, b: 2 } });
});
