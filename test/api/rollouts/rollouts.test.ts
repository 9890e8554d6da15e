import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { createRollUp, DEFAULT_ROLL_UP } from '../../../analyzer/roll-up/roll-up.ts';
import { Rollout } from '../../../api/rollouts/shown.ts';
import { callRow } from '../rows.ts';
import { openApi, type TestApi } from '../server.ts';
import { harmlessRollout, randomFrom, seedRollout, twoHoursTo, worseRollout } from '../traffic.ts';

/** Rollouts of a version that is worse, and of one whose quality is proved to be no worse, while of its errors it is not known yet. */
const startMs = Date.parse('2026-06-01T10:00:00Z');
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
let api: TestApi;

beforeAll(async () => {
  api = await openApi({}, startMs);
  const random = randomFrom(7);
  await seedRollout(api.store, worseRollout(startMs), twoHoursTo(startMs), random);
  await seedRollout(api.store, { ...harmlessRollout(startMs, 20), prompt: 'harmless' }, twoHoursTo(startMs), random);
  // From ten minutes ago on, the candidate has about half.
  for (const prompt of ['ramped', 'shared']) {
    const { calls } = await seedRollout(api.store, { ...worseRollout(startMs), prompt, raisesAlert: false }, twoHoursTo(startMs), random);
    const served = calls.filter(({ event_time }) => Number(event_time) * 1000 >= startMs - 10 * MINUTE_MS).length;
    await api.store.insert('calls', Array.from({ length: served }, (_, index) => callRow({ at_ms: startMs - 10 * MINUTE_MS + (index * 10 * MINUTE_MS) / served, id: `more ${prompt} ${index}`, prompt, version: 'v2' })));
  }
}, 60_000);
afterAll(() => api.close());
afterEach(() => void (api.clock.nowMs = startMs));

const Refusal = z.object({ status: z.number(), detail: z.string(), errors: z.array(z.object({ path: z.string() })).optional() });
async function send<T>(path: string, body: object | undefined, schema: z.ZodType<T>): Promise<{ status: number; body: T }> {
  const response = await api.app.request(path, body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: response.status, body: schema.parse(await response.json()) };
}
const ask = (path: string, body?: object) => send(path, body, Rollout);
const refuse = (path: string, body?: object) => send(path, body, Refusal);
const declare = (body: object) => ask('/v1/rollouts', { candidate: 'v2', steps: [{ share_percent: 50 }], by: 'argo', ...body });
const listed = async (query: string): Promise<Rollout[]> => (await send(`/v1/rollouts?${query}`, undefined, z.object({ rollouts: z.array(Rollout) }))).body.rollouts;
/** The same rollout can be declared anew once it is over. */
const ended = async (id: string): Promise<void> => void (await ask(`/v1/rollouts/${id}/end`, { outcome: 'aborted' }));

describe('go, hold and back', () => {
  it('is back where the version is worse', async () => {
    const { status, body } = await declare({ prompt: 'refund-agent' });
    expect([status, body.advice]).toMatchObject([201, { says: 'back', verdict: 'regressed', known_at: null, reason: expect.stringContaining('evidence against error_rate') }]);
    expect(body).toMatchObject({ baseline: 'v1', environment: 'production', by: 'argo' });
    await ended(body.id);
  });

  it('is go where it is proved to be no worse, and the step has lasted long enough', async () => {
    const { body } = await declare({ prompt: 'harmless', metrics: ['quality'], steps: [{ share_percent: 50, minimum_s: 600 }] });
    expect(body.advice).toMatchObject({ says: 'hold', verdict: 'not_worse', known_at: '2026-06-01T10:10:00.000Z', reason: expect.stringContaining('has to last until') });
    api.clock.nowMs += 10 * MINUTE_MS;
    expect((await ask(`/v1/rollouts/${body.id}`)).body.advice).toMatchObject({ says: 'go', reason: 'proved not worse by the tolerance' });
    await ended(body.id);
  });

  it('is hold while it is not known, with when it will be', async () => {
    const { body } = await declare({ prompt: 'harmless' });
    expect(body.advice).toMatchObject({ says: 'hold', verdict: 'undecided', waits_for: expect.arrayContaining(['error_rate', 'format']), reason: expect.stringContaining('does not suffice yet') });
    await ended(body.id);
    const named = (await declare({ prompt: 'harmless', metrics: ['error_rate', 'quality'] })).body;
    expect(named.advice?.waits_for).toEqual(['error_rate']);
    expect(Date.parse(named.advice?.known_at ?? '')).toBeGreaterThan(startMs);
    await ended(named.id);
  });

  it('is go sooner where more is tolerated, and hold where a tolerance does not fit', async () => {
    const loose = (await declare({ prompt: 'harmless', metrics: ['error_rate', 'quality'], tolerances: { error_rate: { odds_ratio: 10 } } })).body;
    expect([loose.tolerances, loose.advice]).toMatchObject([{ error_rate: { odds_ratio: 10 } }, { says: 'go', waits_for: [] }]);
    expect((await refuse('/v1/rollouts', { prompt: 'harmless', candidate: 'v2', steps: [{ share_percent: 50 }], metrics: ['error_rate', 'quality'] })).status).toBe(409);
    await ended(loose.id);
    const stricter = (await declare({ prompt: 'harmless', metrics: ['quality'], tolerances: { quality: { shift: 0.001 } } })).body;
    expect(stricter.advice).toMatchObject({ says: 'hold', waits_for: ['quality'] });
    await ended(stricter.id);
    // What kind a score is shows only in its comparison.
    const misfit = (await declare({ prompt: 'harmless', metrics: ['quality'], tolerances: { quality: { ratio: 1.2 } } })).body;
    expect(misfit.advice).toMatchObject({ says: 'hold', known_at: null, reason: 'the tolerance of quality is no shift, as that of a score is' });
    await ended(misfit.id);
    // A page is a page, whatever a rollout tolerates.
    const paged = (await declare({ prompt: 'refund-agent', tolerances: { error_rate: { odds_ratio: 10 } } })).body;
    expect(paged.advice).toMatchObject({ says: 'back' });
    await ended(paged.id);
  });

  it('is hold where nothing is compared, and says with what it is compared instead', async () => {
    const unknown = (await declare({ prompt: 'harmless', candidate: 'v9' })).body;
    expect(unknown.advice).toMatchObject({ says: 'hold', verdict: 'no_data', reason: 'no comparison of this candidate is known' });
    const other = (await declare({ prompt: 'harmless', baseline: 'v0' })).body;
    await ended(other.id);
    expect(other.advice).toMatchObject({ says: 'hold', verdict: 'no_data', reason: expect.stringContaining('v2 is compared with v1, not with v0') });
    const misnamed = (await declare({ prompt: 'harmless', metrics: ['quality', 'qualty'] })).body;
    expect(misnamed.advice).toMatchObject({ says: 'hold', waits_for: ['qualty'] });
    for (const { id } of [unknown, misnamed]) await ended(id);
  });

  it('is hold with its reason while a guard fires', async () => {
    const [row] = await api.store.select<{ settings: string; slot: number }>(`SELECT * FROM comparisons FINAL WHERE prompt_name = 'harmless'`);
    const guarded = { ...(JSON.parse(row?.settings ?? '') as object), guards: [{ metric: '*', reason: 'v2 got 20 % of the units, not the 50 % that were meant' }] };
    await api.store.insert('comparisons', [{ ...row, slot: (row?.slot ?? 0) + 1, settings: JSON.stringify(guarded) }]);
    // Results are kept from look to look: the guard came with one.
    await api.store.insert('looks', await api.store.select<object>(`SELECT comparison_id, slot + 1 AS slot, at, e_value, metrics FROM looks FINAL WHERE comparison_id IN (SELECT comparison_id FROM comparisons WHERE prompt_name = 'harmless') ORDER BY slot DESC LIMIT 1`));
    const { body } = await declare({ prompt: 'harmless', metrics: ['quality'] });
    expect(body.advice).toMatchObject({ says: 'hold', known_at: null, reason: 'v2 got 20 % of the units, not the 50 % that were meant' });
    await ended(body.id);
    await api.store.insert('comparisons', [{ ...row, slot: (row?.slot ?? 0) + 2 }]);
  });

  it('does not take up what was concluded and over before it was declared', async () => {
    const [row] = await api.store.select<{ slot: number }>(`SELECT * FROM comparisons FINAL WHERE prompt_name = 'refund-agent'`);
    await api.store.insert('comparisons', [{ ...row, slot: (row?.slot ?? 0) + 1, state: 'closed', reason: 'v2 takes no more traffic' }]);
    const { body } = await declare({ prompt: 'refund-agent', candidate: 'v2', environment: 'production' });
    expect(body.advice).toMatchObject({ says: 'back' });
    await ended(body.id);
    api.clock.nowMs += MINUTE_MS;
    expect((await declare({ prompt: 'refund-agent' })).body.advice).toMatchObject({ says: 'hold', verdict: 'no_data' });
    await api.store.insert('comparisons', [{ ...row, slot: (row?.slot ?? 0) + 2 }]);
  });
});

describe('the life of a rollout', () => {
  const steps = [{ name: 'canary', share_percent: 10 }, { share_percent: 25 }, { share_percent: 100 }];

  it('is declared once, whoever says it twice; another one only when it is over', async () => {
    const first = await declare({ prompt: 'p', steps, reason: 'friendlier tone' });
    const second = await declare({ prompt: 'p', steps, reason: 'said again' });
    expect([second.status, second.body]).toEqual([201, first.body]);
    expect(first.body.steps.map(({ state, share_percent, name }) => [state, share_percent, name])).toEqual([['present', 10, 'canary'], ['ahead', 25, null], ['ahead', 100, null]]);
    const other = await refuse('/v1/rollouts', { prompt: 'p', candidate: 'v2', steps: [{ share_percent: 20 }] });
    expect([other.status, other.body.detail]).toEqual([409, expect.stringContaining(`/v1/rollouts/${first.body.id}/end`)]);
    await ended(first.body.id);
    const anew = await declare({ prompt: 'p', steps: [{ share_percent: 20 }] });
    expect(anew.body).toMatchObject({ state: 'under_way', steps: [{ share_percent: 20 }] });
    expect(anew.body.id).not.toBe(first.body.id);
    expect(Object.fromEntries((await listed('prompt=p')).map(({ id, state }) => [id, state]))).toEqual({ [first.body.id]: 'aborted', [anew.body.id]: 'under_way' });
    expect((await listed('prompt=p&state=aborted')).map(({ id }) => id)).toEqual([first.body.id]);
  });

  it('is at the step that somebody said has begun, with what was said of the one before', async () => {
    const { id } = (await declare({ prompt: 'refund-agent', candidate: 'v3', steps })).body;
    api.clock.nowMs += MINUTE_MS;
    const third = await ask(`/v1/rollouts/${id}/advance`, { step: 3, by: 'mira', reason: 'in a hurry' });
    expect(third.body.steps).toMatchObject([
      { state: 'done', by: 'argo', left: { says: 'hold', reason: 'no comparison of this candidate is known' } },
      { state: 'skipped', began_at: null, observed: null },
      { state: 'present', by: 'mira', reason: 'in a hurry', began_at: '2026-06-01T10:01:00.000Z', left: null },
    ]);
    api.clock.nowMs += MINUTE_MS;
    expect((await ask(`/v1/rollouts/${id}/advance`, { step: 3 })).body.steps).toEqual(third.body.steps);
    expect((await refuse(`/v1/rollouts/${id}/advance`, { step: 2 })).status).toBe(409);
    expect((await refuse(`/v1/rollouts/${id}/advance`, { step: 4 })).body).toMatchObject({ status: 400, errors: [{ path: 'step' }] });
    const over = await ask(`/v1/rollouts/${id}/end`, { outcome: 'completed', by: 'mira', reason: 'all on v3' });
    expect(over.body).toMatchObject({ state: 'completed', ended_at: '2026-06-01T10:02:00.000Z', by: 'mira', reason: 'all on v3', advice: null, share: null, steps: [{}, {}, { state: 'done', left: { says: 'hold' } }] });
    expect((await ask(`/v1/rollouts/${id}/end`, { outcome: 'completed' })).body).toEqual(over.body);
    expect((await refuse(`/v1/rollouts/${id}/end`, { outcome: 'aborted' })).status).toBe(409);
    expect((await refuse(`/v1/rollouts/${id}/advance`, { step: 3 })).status).toBe(409);
  });

  it('has lapsed where nobody has said anything of it for long; it may be ended, taken up again, or declared anew', async () => {
    const plan = [{ name: 'canary', share_percent: 10, minimum_s: 3600 }, { share_percent: 100 }];
    const declaredAt = { prompt: 'forgotten', candidate: 'v4', steps: plan };
    const { id } = (await declare(declaredAt)).body;
    api.clock.nowMs += 14 * DAY_MS + 3_599_000;
    expect((await ask(`/v1/rollouts/${id}`)).body).toMatchObject({ state: 'under_way', advice: { says: 'hold' } });
    api.clock.nowMs += 1000;
    const lapsed = (await ask(`/v1/rollouts/${id}`)).body;
    expect(lapsed).toMatchObject({ state: 'lapsed', advice: null, share: null, ended_at: null, by: 'argo', steps: [{ state: 'present' }, { state: 'ahead' }] });
    expect(await listed('prompt=forgotten&state=under_way')).toEqual([]);
    expect(await listed('prompt=forgotten&state=lapsed')).toEqual([lapsed]);

    const resumed = (await ask(`/v1/rollouts/${id}/advance`, { step: 1, by: 'mira' })).body;
    expect(resumed).toMatchObject({ state: 'under_way', advice: { says: 'hold' }, steps: [{ state: 'present', by: 'mira', began_at: new Date(api.clock.nowMs).toISOString() }, { state: 'ahead' }] });

    api.clock.nowMs += 15 * DAY_MS;
    const anew = (await declare(declaredAt)).body;
    expect([anew.state, anew.id === id]).toEqual(['under_way', false]);
    expect((await refuse(`/v1/rollouts/${id}/advance`, { step: 2 })).body).toMatchObject({ status: 409, detail: expect.stringContaining(anew.id) });
    expect((await ask(`/v1/rollouts/${id}/end`, { outcome: 'aborted' })).body).toMatchObject({ state: 'aborted' });
    await ended(anew.id);
  });

  it.each([
    ['steps.1.share_percent', { prompt: 'p', candidate: 'v2', steps: [{ share_percent: 20 }, { share_percent: 10 }] }],
    ['baseline', { prompt: 'p', candidate: 'v2', baseline: 'v2', steps: [{ share_percent: 20 }] }],
    ['steps.0.share_percent', { prompt: 'p', candidate: 'v2', steps: [{ share_percent: 0 }] }],
    ['steps', { prompt: 'p', candidate: 'v2', steps: [] }],
    ['tolerances.latency', { prompt: 'p', candidate: 'v2', steps: [{ share_percent: 20 }], tolerances: { latency: { shift: 3 } } }],
    ['stepz', { prompt: 'p', candidate: 'v2', stepz: [] }],
  ])('refuses what does not fit, by name: %s', async (path, body) => {
    const refused = await refuse('/v1/rollouts', body);
    expect([refused.status, refused.body.errors?.map((error) => error.path)]).toEqual([400, expect.arrayContaining([path])]);
  });

  it('knows none of another id', async () => {
    expect((await refuse('/v1/rollouts/rol_1')).status).toBe(404);
    expect((await refuse('/v1/rollouts/rol_1/advance', { step: 1 })).status).toBe(404);
    expect((await refuse('/v1/rollouts/rol_1/end', { outcome: 'aborted' })).status).toBe(404);
  });
});

describe('the share that is seen', () => {
  it('is told beside the one that was declared, and where it is another', async () => {
    api.clock.nowMs = startMs - 60 * MINUTE_MS;
    const { id } = (await declare({ prompt: 'shared', steps: [{ share_percent: 10 }, { share_percent: 30 }] })).body;
    api.clock.nowMs = startMs - 10 * MINUTE_MS;
    const before = (await ask(`/v1/rollouts/${id}`)).body;
    expect(before.share).toMatchObject({ declared_percent: 10, differs: false, says: expect.stringMatching(/^v2 gets \d+(\.\d+)? %; 10 % were declared$/) });
    expect(before.steps[0]?.observed?.share_percent).toBeGreaterThan(8);
    await ask(`/v1/rollouts/${id}/advance`, { step: 2 });
    api.clock.nowMs = startMs;
    const after = (await ask(`/v1/rollouts/${id}`)).body;
    expect(after.share).toMatchObject({ declared_percent: 30, differs: true, says: expect.stringMatching(/^v2 gets 5\d\.\d %, not the 30 % that were declared$/) });
    expect(after.steps.map(({ observed }) => Math.round((observed?.share_percent ?? 0) / 50))).toEqual([0, 1]);
    await ended(id);
  });
});

describe('a rollout that nobody declared', () => {
  it('is recognised by the growing share of a version, with its stretches as steps', async () => {
    const [rollout, ...others] = await listed('prompt=ramped&state=under_way');
    expect(others).toEqual([]);
    expect(rollout).toMatchObject({ origin: 'recognised', state: 'under_way', candidate: 'v2', baseline: 'v1', advice: { comparison_id: rollout?.id }, share: { declared_percent: null, differs: false } });
    expect(rollout?.steps.map(({ state, observed }) => [state, Math.round((observed?.share_percent ?? 0) / 50)])).toEqual([['done', 0], ['present', 1]]);
    expect(Math.abs(Date.parse(rollout?.steps[1]?.began_at ?? '') - (startMs - 10 * MINUTE_MS))).toBeLessThanOrEqual(2 * MINUTE_MS);
    expect((await ask(`/v1/rollouts/${rollout?.id}`)).body).toEqual(rollout);
    expect((await refuse(`/v1/rollouts/${rollout?.id}/advance`, { step: 1 })).body).toMatchObject({ status: 409, detail: expect.stringContaining('POST /v1/rollouts') });
  });

  it('is none where its share went back', async () => {
    api.clock.nowMs = startMs + 30 * MINUTE_MS;
    await api.store.insert('calls', Array.from({ length: 600 }, (_, index) => callRow({ at_ms: startMs + index * 3_000, id: `back ${index}`, prompt: 'ramped', version: index % 20 === 0 ? 'v2' : 'v1' })));
    expect(await listed('prompt=ramped&state=under_way')).toEqual([]);
  });

  it('is the declared one once somebody declares it, and none once somebody has ended it', async () => {
    const [recognised] = await listed('prompt=ramped&state=under_way');
    expect(recognised?.origin).toBe('recognised');
    const { id } = (await declare({ prompt: 'ramped' })).body;
    expect((await listed('prompt=ramped&state=under_way')).map((rollout) => [rollout.id, rollout.origin])).toEqual([[id, 'declared']]);
    expect((await refuse(`/v1/rollouts/${recognised?.id}`)).status).toBe(404);
    await ended(id);
    expect((await listed('prompt=ramped')).map((rollout) => [rollout.id, rollout.state])).toEqual([[id, 'aborted']]);
  });
});

describe('many rollouts that nobody declared', () => {
  const HOURS = 28;
  /** Those with traffic. */
  const busy = [2, 3, 10, 18, 19, 26];
  const names = ['many 1', 'many 2', 'many 3'];

  beforeAll(async () => {
    const [row] = await api.store.select<object>(`SELECT * FROM comparisons FINAL WHERE prompt_name = 'ramped'`);
    const hour_ms = (hour: number): number => Math.floor(startMs / 3_600_000) * 3_600_000 - (HOURS - hour) * 3_600_000;
    for (const prompt of names) {
      await api.store.insert('comparisons', [{ ...row, comparison_id: `cmp_${prompt}`, prompt_name: prompt, opened_ms: hour_ms(2) + 10 * MINUTE_MS }]);
      // Two calls a session; ten hours ago the candidate went from a tenth to nine.
      await api.store.insert('calls', Array.from({ length: busy.length * 40 }, (_, index) => {
        const hour = busy[Math.floor(index / 40)] ?? 0;
        const session = Math.floor((index % 40) / 2);
        const share = hour < HOURS - 10 ? 0.1 : 0.9;
        return callRow({ at_ms: hour_ms(hour) + (index % 40) * 80_000, id: `${prompt} ${index}`, prompt, version: session < 20 * share ? 'v2' : 'v1', session: `${prompt} ${hour} ${session}` });
      }));
    }
  }, 60_000);

  const seen = async (): Promise<{ rollouts: Rollout[]; ofCalls: string[] }> => {
    const select = vi.spyOn(api.store, 'select');
    const rollouts = (await listed('state=under_way&origin=recognised')).filter(({ prompt }) => names.includes(prompt));
    const ofCalls = select.mock.calls.map(([statement]) => statement).filter((statement) => /FROM (calls|cells)/.test(statement));
    select.mockRestore();
    return { rollouts, ofCalls };
  };

  it('are counted in one reading, which says the same from calls and from hourly cells', async () => {
    const fromCalls = await seen();
    expect(fromCalls.rollouts.map(({ prompt, steps }) => [prompt, ...steps.map(({ observed }) => observed)])).toEqual(names.map((prompt) => [prompt, { share_percent: 7.14, candidate_units: 4, all_units: 56 }, { share_percent: 90, candidate_units: 54, all_units: 60 }]));
    expect(fromCalls.ofCalls).toEqual([expect.not.stringContaining('FROM cells')]);
    const rollUp = createRollUp({ store: api.store, clock: () => api.clock.nowMs, random: Math.random }, { ...DEFAULT_ROLL_UP, rowsDays: null, cellsDays: null });
    while ((await rollUp.tick()) > 0);
    const fromCells = await seen();
    expect(fromCells.rollouts).toEqual(fromCalls.rollouts);
    expect(fromCells.ofCalls).toEqual([expect.stringContaining('FROM cells')]);
  }, 60_000);

  it('are judged after a look with one reading of their evidence, and those that somebody declared with another', async () => {
    const declared = [];
    for (const prompt of names.slice(0, 2)) declared.push((await declare({ prompt, environment: 'production' })).body.id);
    await api.store.command(`INSERT INTO looks SELECT comparison_id, coalesce(max(looks.slot), 0) + 1 AS slot, now() AS at, 1 AS e_value, map('error_rate', 1.) AS metrics FROM comparisons LEFT JOIN looks USING (comparison_id) GROUP BY comparison_id`);
    const select = vi.spyOn(api.store, 'select');
    const rollouts = await listed('state=under_way');
    const readings = select.mock.calls.filter(([statement]) => statement.includes('FROM strata'));
    select.mockRestore();
    expect(rollouts.filter(({ prompt }) => names.includes(prompt)).map(({ prompt, origin, advice }) => [prompt, origin, advice?.says])).toEqual(expect.arrayContaining([['many 1', 'declared', 'hold'], ['many 2', 'declared', 'hold'], ['many 3', 'recognised', 'hold']]));
    expect(readings.length).toBe(2);
    for (const id of declared) await ended(id);
  });
});
