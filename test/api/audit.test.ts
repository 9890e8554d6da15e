import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditResult } from '../../schemas/audit.ts';
import { openApi, type TestApi } from './server.ts';
import { harmlessRollout, randomFrom, seedRollout, twoHoursTo } from './traffic.ts';

let api: TestApi;
const now = Date.parse('2026-06-01T10:00:00Z');
beforeAll(async () => {
  api = await openApi({}, now);
  await seedRollout(api.store, harmlessRollout(now, 10), twoHoursTo(now), randomFrom(7));
});
afterAll(() => api.close());

type State = { running: { prompt: string } | null; failed: { message: string } | null; audits: (AuditResult & { at_ms: number })[] };
const state = async (): Promise<State> => (await (await api.app.request('http://localhost/v1/audit')).json()) as State;
const start = (body: object) => api.app.request('http://localhost/v1/audit', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

describe('/v1/audit', { timeout: 60_000 }, () => {
  it('runs one in the background, refuses a second meanwhile, and keeps the result', async () => {
    expect(await state()).toEqual({ running: null, failed: null, audits: [] });
    const begun = await start({ prompt: 'refund-agent', runs: 12, seed: 5 });
    expect([begun.status, await begun.json()]).toMatchObject([202, { running: { prompt: 'refund-agent', runs: 12, seed: 5 } }]);
    expect((await start({ prompt: 'refund-agent' })).status).toBe(409);
    await expect.poll(async () => (await state()).running, { timeout: 40_000 }).toBeNull();
    const { audits, failed } = await state();
    expect(failed).toBeNull();
    expect(audits).toMatchObject([{ schema: 'culprit.audit/1', prompt: 'refund-agent', runs: 12, seed: 5, alpha: 0.01, is_kept: true, at_ms: now }]);
    expect(audits[0]?.calls).toBeGreaterThan(1_000);
    expect(api.failures).toEqual([]);
  });

  it('says why one could not be done', async () => {
    await start({ prompt: 'nobody' });
    await expect.poll(async () => (await state()).failed?.message, { timeout: 20_000 }).toMatch(/no call of a prompt "nobody" is stored/);
    expect((await start({ runs: 3 })).status).toBe(400);
    expect((await start({ prompt: 'refund-agent', runs: 100_000 })).status).toBe(400);
  });
});
