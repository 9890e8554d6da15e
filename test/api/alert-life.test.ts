import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renewedAlert } from '../../analyzer/look/renewal.ts';
import { ComparisonSettings } from '../../schemas/evidence.ts';
import { compileMatchers, labelsOf } from '../../schemas/matcher.ts';
import { callRow } from './rows.ts';
import { openApi, type TestApi } from './server.ts';
import { alertAt, HOSTILE } from './sinks/alert.ts';

/** What people do with an alert over the API: silence it, see who was told, see what else changed. */

type Json = any; // eslint-disable-line -- answers are checked field by field below
const nowMs = Date.parse('2026-06-01T10:00:00Z');
let api: TestApi;

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const alert = { ...alertAt('alr_1', 'open', nowMs - 3_600_000), prompt: 'refund-agent' };
  const row = (body: object, id: string, project = 'default') => ({ transition_id: `${id}-1`, alert_id: id, sequence: 1, project, comparison_id: '', state: 'open', at_ms: nowMs - 3_600_000, reason: 'evidence past its threshold', body: JSON.stringify(body) });
  await api.store.insert('alert_transitions', [row(alert, 'alr_1'), row({ ...alert, id: 'alr_2', prompt: HOSTILE, severity: 'ticket' }, 'alr_2'), row({ ...alert, id: 'alr_3', project: 'other' }, 'alr_3', 'other')]);
});
afterAll(() => api.close());

const get = async (path: string): Promise<Json> => (await api.app.request(path)).json();
const post = async (path: string, body: unknown): Promise<{ status: number; body: Json }> => {
  const response = await api.app.request(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
};

describe('silences', () => {
  it('are previewed, made once, shown with what they match, and ended with a reason', async () => {
    expect((await post('/v1/silences/preview', { matchers: ['prompt=refund-*', 'severity=page'] })).body).toMatchObject({ matching: 1, of: 2, alerts: [{ id: 'alr_1' }] });
    const silence = { matchers: ['prompt=refund-agent'], starts_at: String(nowMs), duration_s: 7200, by: 'mira', reason: 'load test' };
    const made = await post('/v1/silences', silence);
    expect(made).toMatchObject({ status: 201, body: { state: 'active', by: 'mira', reason: 'load test', ends_at: '2026-06-01T12:00:00.000Z' } });
    expect((await post('/v1/silences', silence)).body.id).toBe(made.body.id);
    expect((await get('/v1/silences')).silences).toHaveLength(1);
    expect((await get('/v1/alerts/alr_1')).silences).toMatchObject([{ id: made.body.id }]);
    expect((await get('/v1/alerts/alr_2')).silences).toEqual([]);

    const ended = await post(`/v1/silences/${made.body.id}/end`, { by: 'jo', reason: 'over' });
    expect(ended).toMatchObject({ status: 200, body: { state: 'ended', by: 'jo', reason: 'over' } });
    expect(api.released).toEqual([made.body.id]);
    expect((await post(`/v1/silences/${made.body.id}/end`, { reason: 'again' })).body).toEqual(ended.body);
    expect((await get('/v1/silences?state=active')).silences).toEqual([]);
  });

  it.each([
    [{ matchers: [], duration_s: 600, reason: 'x' }, 'matchers: name at least one matcher'],
    [{ matchers: ['promt=x'], duration_s: 600, reason: 'x' }, 'has no label "promt" to match; labels are project, environment, prompt'],
    [{ matchers: ['prompt'], duration_s: 600, reason: 'x' }, 'is no matcher; write label=value'],
    [{ matchers: ['prompt=~(a'], duration_s: 600, reason: 'x' }, 'is no regular expression of RE2'],
    [{ matchers: ['prompt=~(?=a)'], duration_s: 600, reason: 'x' }, 'is no regular expression of RE2'],
    [{ matchers: ['prompt=x'], reason: 'x' }, 'ends_at: a silence needs one end'],
    [{ matchers: ['prompt=x'], ends_at: '2026-06-01T09:00:00Z', reason: 'x' }, 'ends_at: is over before it begins'],
    [{ matchers: ['prompt=x'], ends_at: '2027-06-01T09:00:00Z', reason: 'x' }, 'ends_at: is more than 90 days ahead'],
    [{ matchers: ['prompt=x'], duration_s: 600, reason: ' ' }, 'reason: say why'],
    [{ matchers: ['prompt=x'], duration_s: 600, reason: 'x', colour: 'red' }, 'colour: There is no such parameter.'],
  ])('refuse what is wrong and say what to send: %j', async (body, detail) => {
    const answer = await post('/v1/silences', body);
    expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining(detail)]);
  });

  it('of another project are not there', async () => {
    const made = await api.silences.add('other', { matchers: ['alert=alr_1'], starts_ms: nowMs, ends_ms: nowMs + 600_000, who: 'x', reason: 'x' });
    expect((await post(`/v1/silences/${made.id}/end`, { reason: 'x' })).status).toBe(404);
    expect((await get('/v1/alerts/alr_1')).silences).toEqual([]);
    expect((await get('/v1/silences')).silences.map(({ id }: Json) => id)).not.toContain(made.id);
  });
});

it('matchers compare with globs and regular expressions, whatever a name holds', () => {
  const labels = labelsOf({ ...alertAt('alr_1', 'open', nowMs), prompt: `support/${HOSTILE}` });
  const fits = (...texts: string[]): boolean => compileMatchers(texts)(labels);
  expect(fits()).toBe(true);
  expect(fits('prompt=support/*')).toBe(true);
  expect(fits('prompt=support')).toBe(false);
  expect(fits('prompt!=billing/*', 'severity=page')).toBe(true);
  expect(fits('prompt=~support/.*')).toBe(true);
  expect(fits('prompt=~support')).toBe(false);
  expect(fits('prompt!~sup.*')).toBe(false);
  expect(fits(`prompt=support/${HOSTILE}`)).toBe(true);
  expect(fits('owner=')).toBe(true);
  // Linear time, where a backtracking engine would take for ever.
  expect(compileMatchers(['prompt=~(a|a)*b'])({ ...labels, prompt: 'a'.repeat(100_000) })).toBe(false);
});

it('says who was told of an alert, and why who was not', async () => {
  const row = (sink: string, attempt: number, outcome: string, detail: string, more: object = {}) => ({ transition_id: 'alr_1-1', sink, attempt, at_ms: nowMs + attempt, outcome, detail, ...more });
  await api.store.insert('deliveries', [row('pager', 1, 'retry', 'HTTP 500'), row('pager', 2, 'delivered', 'HTTP 202'), row('boss', 0, 'postponed', 'for 900 s of nobody acknowledging', { until_ms: nowMs + 900_000 }), row('other', 0, 'withheld', 'no route leads here')]);
  expect((await get('/v1/alerts/alr_1')).told).toEqual([
    { sink: 'boss', sequence: 1, outcome: 'postponed', detail: 'for 900 s of nobody acknowledging', attempts: 0, at_ms: nowMs, until_ms: nowMs + 900_000 },
    { sink: 'other', sequence: 1, outcome: 'withheld', detail: 'no route leads here', attempts: 0, at_ms: nowMs, until_ms: null },
    { sink: 'pager', sequence: 1, outcome: 'delivered', detail: 'HTTP 202', attempts: 2, at_ms: nowMs + 2, until_ms: null },
  ]);
});

it('says what else was new around the onset, and what was not', async () => {
  const onsetMs = nowMs - 3_600_000;
  const call = (id: string, minutes: number, facts: object, more: object = {}) => ({ ...callRow({ at_ms: onsetMs + minutes * 60_000, id, ...facts }), ...more });
  await api.store.insert('calls', [
    call('old', -240, {}, { service_version: '1' }),
    call('new version', -1, { version: 'v2' }, { service_version: '1' }),
    call('new app', -20, {}, { service_version: '2' }),
    call('new model elsewhere', -5, { prompt: 'faq', model: 'gpt-5' }, { service_version: '1' }),
    call('faq before', -200, { prompt: 'faq' }, { service_version: '1' }),
    call('long ago', -120, { model: 'gpt-4.1' }, { service_version: '1' }),
    call('too late', 15, { version: 'v3' }, { service_version: '1' }),
    call('a prompt of its own', -2, { prompt: 'brand-new' }, { service_version: '1' }),
    call('staging', -2, { version: 'v9' }, { service_version: '1', environment: 'staging' }),
    call('new text', -30, {}, { service_version: '1', prompt_content: 'text2' }),
    call('new ring', -40, {}, { service_version: '1', factor_attributes: { 'deployment.ring': 'canary' } }),
  ]);
  const moved = (minutes: number) => ({ project: 'default', at_ms: onsetMs + minutes * 60_000 });
  await api.store.insert('flag_changes', [{ ...moved(-3), flag: 'refund-prompt', sequence: 1, variant: 'next', who: 'mira', reason: '' }, { ...moved(-90), flag: 'refund-prompt', sequence: 0, variant: 'stable', who: 'mira', reason: '' }]);
  await api.store.insert('version_events', [{ ...moved(-4), prompt_name: 'faq', version: '7', event_id: 'ver_moved', kind: 'label_set', source: 'langfuse', actor: 'jo', label: 'production', facts: '{}' }]);
  const { changes } = await get('/v1/alerts/alr_1/changes');
  expect(changes.map(({ factor, value, prompt, is_culprit }: Json) => [factor, value, prompt, is_culprit])).toEqual([
    ['prompt_version', 'v2', 'refund-agent', true],
    ['flag', 'refund-prompt → next', null, false],
    ['label', 'production → 7', 'faq', false],
    ['model', 'gpt-5', 'faq', false],
    ['app_version', 'shop-backend 2', 'refund-agent', false],
    ['prompt_content', 'text2', 'refund-agent', false],
    ['deployment.ring', 'canary', 'refund-agent', false],
  ]);
  expect(changes.slice(0, 3).map(({ by, calls, seconds_from_onset }: Json) => [by, calls, seconds_from_onset])).toEqual([[null, 1, -60], ['mira', null, -180], ['jo', null, -240]]);
  expect((await api.app.request('/v1/alerts/none/changes')).status).toBe(404);
});

describe('growing evidence', () => {
  const settings = ComparisonSettings.parse({
    alpha: 0.01, stake: 1, slot_seconds: 30, opened_slot: 10, opened_ms: 300_000, models: [], session_window_s: 0, reserve: 0,
    metrics: { error_rate: { kind: 'rate', direction: 'up', weight: 1, from_slot: 10, tolerance: 0.005, severity: 'page', reference: null } },
  });
  const identity = { comparison_id: 'cmp_1', project: 'default', environment: 'production', prompt_name: 'refund-agent', factor: 'prompt_version' as const, baseline: 'v1', candidate: 'v2', epoch: 0 };
  const strata = (slots: number) => Array.from({ length: slots }, (_, index) => ({ metric: 'error_rate', slot: 10 + index, begin_slot: 10 + index, start_window_ms: 300_000, model: 'm', operation: 'chat', route: '', use: 'bet' as const, control: '', bins: [0, 50], a: [99, 1], b: [80, 20] }));
  const known = { ...alertAt('alr_1', 'acknowledged', 600_000), evidence: { ...alertAt('alr_1', 'open', 0).evidence, e_value: 1000, candidate: { units: 500, value: 0.2 } } };
  const evidence = (e_value: number) => ({ e_value, metrics: { error_rate: e_value }, controls: null });

  it('renews an alert when its units have doubled, and changes nothing else about it', () => {
    const renewed = renewedAlert(known, { identity, settings, evidence: evidence(1e9), strata: strata(12) });
    expect(renewed).toMatchObject({ id: 'alr_1', state: 'acknowledged', severity: 'page', raised_at: known.raised_at, evidence: { e_value: 1e9, candidate: { units: 1200, value: 0.2 }, baseline: { units: 1200, value: 0.01 } } });
    expect(renewed?.summary).toMatch(/^refund-agent v2 fails 20 times as often as v1 \(20 % against 1 %\)/);
  });

  it('does not where there is little more, or less, evidence', () => {
    expect(renewedAlert(known, { identity, settings, evidence: evidence(1e9), strata: strata(9) })).toBeNull();
    expect(renewedAlert(known, { identity, settings, evidence: evidence(900), strata: strata(12) })).toBeNull();
  });
});
