import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanAnswer } from '../../schemas/plan.ts';
import { openApi, type TestApi } from './server.ts';
import { harmlessRollout, randomFrom, seedRollout, twoHoursTo } from './traffic.ts';

let api: TestApi;
const now = Date.parse('2026-06-01T10:00:00Z');
beforeAll(async () => {
  api = await openApi({}, now);
  await seedRollout(api.store, harmlessRollout(now, 20), twoHoursTo(now), randomFrom(7));
});
afterAll(() => api.close());

const ask = (query: string) => api.app.request(`http://localhost/v1/plan?${query}`);
const plan = async (query: string): Promise<PlanAnswer> => {
  const response = await ask(query);
  expect([response.status, await response.clone().text()].slice(0, response.ok ? 1 : 2)).toEqual([200]);
  return (await response.json()) as PlanAnswer;
};

describe('GET /v1/plan', { timeout: 60_000 }, () => {
  it('reads rate and traffic from the history', async () => {
    const found = await plan('prompt=refund-agent&metric=error_rate&worse=0.06&share=0.5&runs=60');
    expect(found).toMatchObject({ schema: 'culprit.plan/1', prompt: 'refund-agent', kind: 'rate', direction: 'up', plan: { share: 0.5, runs: 60, seed: 1, is_told: true, found_share: 1 } });
    expect(found.baseline).toBeGreaterThan(0.005);
    expect(found.baseline).toBeLessThan(0.04);
    expect(found.changed - found.baseline).toBeCloseTo(0.06, 9);
    // 20 calls a minute, each a unit of its own.
    expect(found.units_per_hour).toHaveLength(1);
    expect(found.units_per_hour[0]).toBeGreaterThan(1_000);
    expect(found.units_per_hour[0]).toBeLessThan(1_450);
    expect(await plan('prompt=refund-agent&metric=error_rate&worse=0.06&share=0.5&runs=60')).toEqual(found);
  });

  it('takes judge sampling into account: as it is, and as it would be', async () => {
    const asIs = await plan('prompt=refund-agent&metric=quality&worse=0.05&share=0.5&runs=40');
    expect(asIs.kind).toBe('score');
    // Three of ten successful calls are judged.
    const [units = 0] = asIs.units_per_hour;
    expect(units).toBeGreaterThan(250);
    expect(units).toBeLessThan(480);
    const fewer = await plan('prompt=refund-agent&metric=quality&worse=0.05&share=0.5&runs=40&score_sampling=0.05');
    expect(fewer.plan.half_hours).toBeGreaterThan(2.5 * (asIs.plan.half_hours ?? Number.POSITIVE_INFINITY));
  });

  it('plans for latency by its own distribution, and for other traffic than there is', async () => {
    const found = await plan('prompt=refund-agent&metric=latency&times=1.25&share=0.25&runs=40&calls_per_hour=120');
    expect(found.baseline).toBeGreaterThan(750);
    expect(found.baseline).toBeLessThan(1_100);
    expect(found.units_per_hour[0]).toBeLessThan(121);
    expect(found.plan.half_hours).toBeGreaterThan(0.5);
  });

  it.each([
    ['prompt=nobody&metric=error_rate&worse=0.1', /No call of a prompt .+nobody/],
    ['prompt=refund-agent&metric=unheard&worse=0.1', /seen 0 times in the last seven days; a plan needs 50/],
    ['prompt=refund-agent&metric=error_rate', /once: `worse` or `times`/],
    ['prompt=refund-agent&metric=error_rate&worse=2', /not between 0 and 1/],
    ['prompt=refund-agent&metric=error_rate&worse=0.1&share=1.5', /share/],
    ['prompt=refund-agent&metric=output_tokens&times=2', /not bet on/],
  ])('refuses %s', async (query, says) => {
    const response = await ask(query);
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(says);
  });
});
