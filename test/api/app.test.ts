import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Alert } from '../../schemas/alert.ts';
import { Evidence } from '../../schemas/evidence.ts';
import { verify } from '../../analyzer/statistics/verify.ts';
import { openApi, type TestApi } from './server.ts';
import { callRow, scoreRow, type CallRow } from './rows.ts';
import { randomFrom, seedRollout, twoHoursTo, worseRollout } from './traffic.ts';

const nowMs = Date.parse('2026-06-01T10:00:00Z');
const seed = 7;
let api: TestApi;
let refund: { comparisonId: string; alertId: string | null; calls: CallRow[] };

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const random = randomFrom(seed);
  console.info(`traffic seed ${seed}`);
  refund = await seedRollout(api.store, worseRollout(nowMs), twoHoursTo(nowMs), random);
  await seedRollout(
    api.store,
    {
      prompt: 'support/answer',
      baseline: { version: '1.4', share: 0.5, errorRate: 0.01, medianMs: 1400, quality: 0.8 },
      candidate: { version: '1.5', share: 0.5, errorRate: 0.01, medianMs: 1400, quality: 0.8 },
      beganMs: nowMs - 60 * 60_000,
      callsPerMinute: 10,
      raisesAlert: false,
    },
    twoHoursTo(nowMs),
    random,
  );
}, 60_000);
afterAll(() => api.close());

type Json = Record<string, any>; // eslint-disable-line -- answers are checked field by field below
async function get(path: string, expected = 200): Promise<Json> {
  const response = await api.app.request(path);
  const text = await response.text();
  expect(response.status, `${path}: ${text.slice(0, 400)} ${api.failures.map(String).join()}`).toBe(expected);
  if (expected >= 400) expect(response.headers.get('content-type')).toBe('application/problem+json');
  return JSON.parse(text) as Json;
}

describe('calls', () => {
  test('a named trace has no time window, and the newest revision of a span wins', async () => {
    const old = callRow({ at_ms: nowMs - 20 * 86_400_000, id: 'old', version: 'v0' });
    await api.store.insert('calls', [{ ...old, revision: 0, slot: 0, output_tokens: 1 }]);
    await api.store.insert('calls', [{ ...old, revision: 1, output_tokens: 99 }]);
    const { calls, next_cursor } = await get(`/v1/calls?trace_id=${old.trace_id.toUpperCase()}`);
    expect(calls).toHaveLength(1);
    expect(next_cursor).toBeNull();
    expect(calls[0]).toMatchObject({ project: 'default', output_tokens: 99, prompt_version: 'v0', start_time_ns: old.start_ns, end_time_ns: old.end_ns, duration_ms: 900, parent_span_id: null, is_error: false, stratum_attributes: { 'app.route': '/refund' } });
    expect((await get('/v1/calls?prompt_version=v0')).calls).toHaveLength(0);
  });

  test('a span without a usable end has no duration', async () => {
    const call = callRow({ at_ms: nowMs - 1000, id: 'no end', prompt: null });
    await api.store.insert('calls', [{ ...call, end_ns: '0' }]);
    expect((await get(`/v1/calls?trace_id=${call.trace_id}`)).calls[0]).toMatchObject({ duration_ms: null, prompt_name: null });
  });

  test('pages by cursor give every call of a prompt once', async () => {
    const ids = new Set<string>();
    let cursor = '';
    let pages = 0;
    do {
      const page: Json = await get(`/v1/calls?prompt_name=refund-agent&from=${nowMs - 3 * 3_600_000}&limit=1000${cursor}`);
      for (const call of page.calls) ids.add(`${call.trace_id}${call.span_id}`);
      cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`;
      pages += 1;
    } while (cursor !== '');
    expect(pages).toBe(Math.ceil(refund.calls.length / 1000));
    expect(ids.size).toBe(refund.calls.length);
  });

  test('filters by version, model and error', async () => {
    const { calls } = await get('/v1/calls?prompt_name=refund-agent&prompt_version=v2&is_error=true&limit=1000');
    expect(calls.length).toBe(refund.calls.filter((call) => call.prompt_version === 'v2' && call.is_error).length);
    const mini = await get('/v1/calls?model=gpt-4o-mini-2024-07-18&limit=5');
    expect(mini.calls.every((call: Json) => call.response_model === 'gpt-4o-mini-2024-07-18')).toBe(true);
  });
});

test('scores are found by the trace of their call', async () => {
  const all = await get('/v1/scores?name=quality&limit=5');
  const { scores } = await get(`/v1/scores?trace_id=${all.scores[0].trace_id}`);
  expect(scores).toHaveLength(1);
  expect(scores[0]).toMatchObject({ name: 'quality', join_state: 'joined', evaluator: 'judge-4o', value: expect.any(Number) });
});

describe('prompts', () => {
  test('are listed with versions, calls over time and open comparisons', async () => {
    const { prompts, step_seconds } = await get('/v1/prompts');
    const prompt = prompts.find((row: Json) => row.name === 'refund-agent');
    expect(prompt.calls).toBe(refund.calls.length);
    expect(prompt.versions.map((version: Json) => version.version).sort()).toEqual(['v1', 'v2']);
    expect(prompt.calls_over_time.reduce((sum: number, count: number) => sum + count, 0)).toBe(refund.calls.length);
    expect(prompt.error_rate).toBeCloseTo(refund.calls.filter((call) => call.is_error).length / refund.calls.length, 10);
    expect(prompt.comparisons[0]).toMatchObject({ candidate: 'v2', baseline: 'v1', verdict: 'regressed', threshold: 100 });
    expect(step_seconds).toBeGreaterThan(0);
  });

  test('versions stand side by side, each metric with an interval around its value', async () => {
    const prompt = await get('/v1/prompts/refund-agent');
    const v2 = prompt.versions.find((version: Json) => version.version === 'v2');
    const own = refund.calls.filter((call) => call.prompt_version === 'v2');
    const errors = v2.metrics.find((metric: Json) => metric.name === 'error_rate');
    expect(v2.calls).toBe(own.length);
    expect(errors).toMatchObject({ n: own.length, interval: 'wilson', kind: 'rate', direction: 'up' });
    expect(errors.value).toBeCloseTo(own.filter((call) => call.is_error).length / own.length, 10);
    expect(errors.low).toBeLessThan(errors.value);
    expect(errors.high).toBeGreaterThan(errors.value);
    const latency = v2.metrics.find((metric: Json) => metric.name === 'latency');
    expect(latency.n).toBe(own.filter((call) => !call.is_error).length);
    expect(latency.p50).toBeGreaterThan(700);
    expect(latency.p95).toBeGreaterThan(latency.p50);
    expect(latency.interval).toBe('asymptotic_cs');
    expect(v2.metrics.find((metric: Json) => metric.name === 'quality')).toMatchObject({ kind: 'score', direction: 'down' });
    expect(v2.series.error_rate.reduce((sum: number, point: Json) => sum + point.n, 0)).toBe(own.length);
    const times = v2.series.error_rate.map((point: Json) => point.at_ms);
    expect(times).toEqual(times.toSorted((one: number, other: number) => one - other));
  });

  test('a name with a slash is percent-encoded', async () => {
    expect((await get('/v1/prompts/support%2Fanswer')).versions).toHaveLength(2);
  });
});

describe('comparisons', () => {
  test('list and detail agree', async () => {
    const { comparisons } = await get('/v1/comparisons?prompt=refund-agent');
    expect(comparisons).toHaveLength(1);
    const one = await get(`/v1/comparisons/${refund.comparisonId}`);
    expect(one).toMatchObject({ id: refund.comparisonId, e_value: comparisons[0].e_value, alert_id: refund.alertId });
    const errors = one.results.find((result: Json) => result.name === 'error_rate');
    expect(errors.verdict).toBe('regressed');
    expect(errors.candidate.value).toBeGreaterThan(errors.baseline.value * 3);
    const difference = errors.effects.find((effect: Json) => effect.kind === 'difference');
    expect(difference.low).toBeGreaterThan(0);
    expect(difference.high).toBeGreaterThan(difference.estimate);
    const odds = errors.effects.find((effect: Json) => effect.kind === 'odds_ratio');
    const oddsOf = ({ value }: Json) => value / (1 - value);
    expect(odds.estimate / (oddsOf(errors.candidate) / oddsOf(errors.baseline))).toBeCloseTo(1, 0);
    expect([odds.low > 2, odds.low < odds.estimate, odds.estimate < odds.high]).toEqual([true, true, true]);
    expect(one.results.find((result: Json) => result.name === 'latency').effects.map((effect: Json) => effect.kind)).toContain('ratio_p95');
  });

  test('the evidence can be recomputed by anyone', async () => {
    const evidence = Evidence.parse(await get(`/v1/comparisons/${refund.comparisonId}/evidence`));
    expect(evidence.strata.length).toBeGreaterThan(100);
    expect(verify(evidence)).toMatchObject({ agrees: true });
    const stratum = evidence.strata.find((candidate) => candidate.metric === 'error_rate' && candidate.b.length > 1);
    if (stratum === undefined) throw new Error('no stratum with two bins');
    stratum.b[1] = (stratum.b[1] ?? 0) + 3;
    expect(verify(evidence)).toMatchObject({ agrees: false });
  });

  test('looks are thinned but keep the last and the highest', async () => {
    const all = await get(`/v1/comparisons/${refund.comparisonId}/looks`);
    const thin = await get(`/v1/comparisons/${refund.comparisonId}/looks?limit=5`);
    expect(all.looks).toHaveLength(all.total);
    expect(thin.looks.length).toBeLessThanOrEqual(6);
    expect(thin.looks.at(-1)).toEqual(all.looks.at(-1));
    expect(Math.max(...thin.looks.map((look: Json) => look.e_value))).toBe(Math.max(...all.looks.map((look: Json) => look.e_value)));
  });

  test.each(['error_rate', 'latency', 'quality'])('both arms over time: %s', async (metric) => {
    const { arms, step_seconds } = await get(`/v1/comparisons/${refund.comparisonId}/series?metric=${metric}`);
    expect(arms.map((arm: Json) => arm.value)).toEqual(['v1', 'v2']);
    expect(arms[0].points.length).toBeGreaterThan(10);
    expect(arms[1].points[0].at_ms).toBeGreaterThanOrEqual(nowMs - 90 * 60_000 - step_seconds * 1000);
  });
});

describe('the verdict for rollout controllers', () => {
  test('regressed, with the metric that shows it', async () => {
    expect(await get('/v1/verdict?prompt=refund-agent&candidate=v2')).toMatchObject({ verdict: 'regressed', metric: 'error_rate', baseline: 'v1', threshold: 100, comparison_id: refund.comparisonId, effect: { kind: 'difference' } });
  });
  test('one metric by itself', async () => {
    const latency = await get('/v1/verdict?prompt=refund-agent&candidate=v2&baseline=v1&metric=latency');
    expect(latency).toMatchObject({ metric: 'latency', effect: { kind: 'ratio_p95' } });
    expect(latency.verdict).not.toBe('regressed');
  });
  test('undecided and no_data are said so', async () => {
    expect((await get('/v1/verdict?prompt=support/answer&candidate=1.5')).verdict).toMatch(/undecided|not_worse/);
    expect(await get('/v1/verdict?prompt=refund-agent&candidate=v9')).toMatchObject({ verdict: 'no_data', comparison_id: null });
    expect(await get('/v1/verdict?prompt=refund-agent&candidate=v2&metric=nothing')).toMatchObject({ verdict: 'no_data' });
    expect((await get('/v1/verdict?prompt=refund-agent', 400)).errors[0].path).toBe('candidate');
  });

  test('of a version that came with its model, as one with it', async () => {
    const copy = async (table: string, changed: Record<string, unknown>): Promise<void> => {
      const rows = await api.store.select<Record<string, unknown>>(`SELECT * FROM ${table} FINAL WHERE comparison_id = {id:String}`, { id: refund.comparisonId });
      expect(rows.length).toBeGreaterThan(0);
      await api.store.insert(table, rows.map((row) => ({ ...row, comparison_id: 'cmp_carrier', ...changed })));
    };
    const [row] = await api.store.select<{ settings: string }>('SELECT settings FROM comparisons FINAL WHERE comparison_id = {id:String}', { id: refund.comparisonId });
    const ofModel = { prompt_name: 'shipped-together', factor: 'request_model', baseline: 'gpt-4o', candidate: 'gpt-4.1' };
    await copy('comparisons', { ...ofModel, settings: JSON.stringify({ ...JSON.parse(row?.settings ?? '{}'), carried: { versions: ['v2'], as: 'v1' } }) });
    for (const table of ['looks', 'strata']) await copy(table, {});
    await copy('alert_transitions', { alert_id: 'alr_carrier', transition_id: 'alr_carrier-1' });
    await copy('comparisons', { comparison_id: 'cmp_alone', prompt_name: 'shipped-together' });
    const verdict = await get('/v1/verdict?prompt=shipped-together&candidate=v2');
    expect(verdict).toMatchObject({ verdict: 'regressed', baseline: 'v1', candidate: 'v2', comparison_id: 'cmp_carrier', alert_id: 'alr_carrier', reason: expect.stringMatching(/^gpt-4\.1 came with v2, and the two are judged as one: evidence against error_rate/) });
    expect(await get('/v1/verdict?prompt=shipped-together&candidate=v3')).toMatchObject({ verdict: 'no_data' });
    await api.store.command(`DELETE FROM alert_transitions WHERE alert_id = 'alr_carrier'`);
  });
});

describe('what is stored and cannot be read', () => {
  test('is left out of all comparisons, counted, told once to whoever runs the server, and no other is missing', async () => {
    const before = await get('/v1/comparisons');
    const [row] = await api.store.select<object>('SELECT * FROM comparisons FINAL WHERE comparison_id = {id:String}', { id: refund.comparisonId });
    for (const [id, settings] of [['cmp_torn', '{'], ['cmp_odd', '{"alpha":"much"}']]) await api.store.insert('comparisons', [{ ...row, comparison_id: id, candidate: 'torn', settings }]);
    for (let asked = 0; asked < 2; asked += 1) expect(await get('/v1/comparisons')).toEqual({ comparisons: before.comparisons, unreadable: 2 });
    expect(api.failures.splice(0).map(String).sort()).toEqual([expect.stringContaining('the settings of comparison cmp_odd cannot be read: '), expect.stringContaining('the settings of comparison cmp_torn cannot be read: ')]);
    // Who asks for it by its name is told that it is there.
    await get('/v1/comparisons/cmp_torn', 500);
    expect(api.failures.splice(0)).toHaveLength(1);
    for (const page of ['/v1/prompts', '/v1/prompts/refund-agent', '/v1/verdict?prompt=refund-agent&candidate=torn']) await get(page);
    expect((await api.app.request('/metrics')).status).toBe(200);
    await api.store.command(`DELETE FROM comparisons WHERE candidate = 'torn'`);
  });
});

describe('alerts', () => {
  test('a person acknowledges, then resolves with a reason that is kept', async () => {
    const { alerts } = await get('/v1/alerts?state=open');
    expect(Alert.parse(alerts[0]).id).toBe(refund.alertId);
    const act = (action: string, body: unknown): Promise<Response> => Promise.resolve(api.app.request(`/v1/alerts/${refund.alertId}/${action}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }));
    expect((await act('resolve', {})).status).toBe(400);
    expect((await act('resolve', { reason: '  ' })).status).toBe(400);
    expect(await (await act('acknowledge', { by: 'mira' })).json()).toMatchObject({ state: 'acknowledged' });
    expect(await (await act('acknowledge', {})).json()).toMatchObject({ transitions: [{ state: 'open' }, { state: 'acknowledged', by: 'mira', reason: '' }] });
    expect(await (await act('resolve', { reason: 'rolled back', by: 'mira' })).json()).toMatchObject({ state: 'resolved' });
    expect((await act('acknowledge', {})).status).toBe(409);
    const alert = await get(`/v1/alerts/${refund.alertId}`);
    expect(alert.transitions.map((transition: Json) => [transition.state, transition.by, transition.reason])).toEqual([['open', '', 'evidence reached its threshold'], ['acknowledged', 'mira', ''], ['resolved', 'mira', 'rolled back']]);
    expect((await get('/v1/alerts?state=open')).alerts).toHaveLength(0);
    expect((await get('/v1/alerts?state=resolved')).alerts).toHaveLength(1);
  });

  test('a form of another site cannot act', async () => {
    const response = await api.app.request(`/v1/alerts/${refund.alertId}/resolve`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{"reason":"x"}' });
    expect(response.status).toBe(415);
  });

  test('a stored body that is no alert is counted, not shown', async () => {
    await api.store.insert('alert_transitions', [{ transition_id: 't', alert_id: 'broken', sequence: 1, project: 'default', comparison_id: '', state: 'open', at_ms: nowMs, reason: '', body: '{' }]);
    expect(await get('/v1/alerts?state=open')).toEqual({ alerts: [], unreadable: 1 });
    expect(await get('/v1/alerts?state=open')).toMatchObject({ unreadable: 1 });
    expect(api.failures.splice(0).map(String)).toEqual([expect.stringContaining('the body of alert broken is not culprit.alert/1')]);
    await get('/v1/alerts/broken', 404);
  });
});

describe('scores', () => {
  test('are found by the trace and session of what they judge, and by where they stand; deleted ones only when asked for', async () => {
    const call = callRow({ at_ms: nowMs - 60_000, id: 'judged', prompt: 'scored', version: 'v1', session: 'sess-9' });
    const row = scoreRow(call, { name: 'tone', value: 0.5 });
    const other = (name: string, changed: object) => ({ ...scoreRow(call, { name, value: 0.5 }), ...changed });
    await api.store.insert('scores', [
      { ...row, target: 'response', trace_id: null, span_id: null, response_id: 'chatcmpl-1' },
      other('gone', { deleted_slot: 5 }),
      other('waits', { join_state: 'pending', slot: 0, target: 'session', trace_id: null, span_id: null, target_session_id: 'sess-9', call_trace_id: '', call_span_id: '', prompt_name: null, prompt_version: null }),
      other('', { change: 'update' }),
      ...(['kind', 'kind', 'curt'] as const).map((label, index) => other('mood', { score_id: `mood-${index}`, label, value: null, data_type: 'categorical' })),
      other('stars', { flags: ['type_conflict'] }),
    ]);
    const names = async (query: string) => (await get(`/v1/scores?${query}`)).scores.map((score: Json) => score['name']).toSorted();
    expect(await names(`trace_id=${call.trace_id}`)).toEqual(['mood', 'mood', 'mood', 'stars', 'tone']);
    expect(await names(`trace_id=${call.trace_id}&deleted=true`)).toEqual(['gone', 'mood', 'mood', 'mood', 'stars', 'tone']);
    expect(await names('session_id=sess-9&join_state=pending')).toEqual(['waits']);
    expect(await names('score_id=mood-1')).toEqual(['mood']);
    expect((await get(`/v1/scores?trace_id=${call.trace_id}&name=tone`)).scores).toMatchObject([{ target: 'response', response_id: 'chatcmpl-1', trace_id: null, call_span_id: call.span_id, is_deleted: false, flags: [], evaluator: 'judge-4o', evaluator_kind: null }]);

    await api.store.insert('calls', [call]);
    const { versions } = await get('/v1/prompts/scored');
    const share = (name: string) => versions[0].metrics.find((metric: Json) => metric['name'] === name);
    expect(share('mood=kind')).toMatchObject({ kind: 'rate', unit: 'share', n: 3, value: 2 / 3, interval: 'wilson' });
    expect(share('mood=curt')).toMatchObject({ value: 1 / 3 });
    expect(share('tone')).toMatchObject({ kind: 'score', n: 1 });
    for (const name of ['gone', 'stars', 'mood']) expect(share(name), name).toBeUndefined();
    expect((await get('/v1/ledger')).scores).toMatchObject({ pending: 1, deleted: 1, not_compared: 1, ambiguous: 0 });
  });
});

test('the ledger balances, and waiting calls are not counted as stored', async () => {
  const entry = (outcome: string, reason: string, count: number): object => ({ project: 'default', hour: '2026-06-01 09:00:00', signal: 'traces', outcome, reason, count, last_batch: 1 });
  await api.store.insert('ledger', [entry('received', '', 100), entry('stored', 'call', 60), entry('duplicate', 'same span', 5), entry('ignored', 'not an LLM call', 30), entry('rejected', 'zero_trace_id', 5)]);
  const waiting = callRow({ at_ms: nowMs - 5000, id: 'waiting' });
  await api.store.insert('calls', [{ ...waiting, revision: 0, slot: 0 }]);
  const ledger = await get('/v1/ledger');
  expect(ledger).toMatchObject({ received: 100, stored: 59, waiting: 1, duplicate: 5, ignored: 30, rejected: 5, balanced: true, difference: 0 });
  expect(ledger.by_outcome.ignored).toEqual([{ signal: 'traces', reason: 'not an LLM call', count: 30 }]);
  await api.store.insert('ledger', [entry('received', '', 1)]);
  expect(await get('/v1/ledger')).toMatchObject({ balanced: false, difference: 1 });
});

describe('bad input is answered with a problem that names it', () => {
  test.each([
    ['/v1/calls?limit=0', 'limit'],
    ['/v1/calls?limit=1e9', 'limit'],
    ['/v1/calls?limit=5000', 'limit'],
    ['/v1/calls?promt_name=x', 'promt_name'],
    ['/v1/calls?from=yesterday', 'from'],
    ['/v1/calls?from=99999999999999', 'from'],
    ['/v1/calls?from=2026-06-02&to=2026-06-01', 'from'],
    ['/v1/calls?cursor=abc', 'cursor'],
    [`/v1/calls?cursor=${Buffer.from('["x","1 OR 1","a","b"]').toString('base64url')}`, 'cursor'],
    ['/v1/calls?limit=1&limit=2', 'limit'],
    [`/v1/calls?prompt_name=${'x'.repeat(600)}`, 'prompt_name'],
    ['/v1/alerts?state=burning', 'state'],
    ['/v1/comparisons?state=1', 'state'],
    ['/v1/scores?trace_id=', 'trace_id'],
    ['/v1/ledger?x=1', 'x'],
  ])('%s', async (path, parameter) => {
    const problem = await get(path, 400);
    expect(problem).toMatchObject({ status: 400, title: 'Bad request', type: expect.any(String), detail: expect.stringContaining(parameter) });
    expect(problem.errors[0]).toMatchObject({ path: parameter, fix: expect.any(String) });
  });

  test.each(['/v1/nothing', '/v1/alerts/none', '/v1/comparisons/none', '/v1/comparisons/none/evidence', '/v1/comparisons/none/looks', '/v1/comparisons/none/series?metric=x', '/v1/prompts/none', '/assets/..%2f..%2fpackage.json', '/assets/constructor', '/v1/prompts/%E0%A4%A'])('%s is 404', async (path) => {
    expect(await get(path, 404)).toMatchObject({ status: 404, title: 'Not found' });
  });

  test('hostile text is only ever a value', async () => {
    for (const text of ["' OR 1=1 --", '{project:String}', '\0', '\\', '\ud800', '%', '; DROP TABLE calls', '<script>alert(1)</script>']) {
      const name = encodeURIComponent(text.toWellFormed());
      expect((await get(`/v1/calls?prompt_name=${name}`)).calls).toEqual([]);
      await get(`/v1/prompts/${name}`, 404);
      await get(`/v1/comparisons/${refund.comparisonId}/series?metric=${name}`);
    }
    expect((await get('/v1/calls?limit=1')).calls).toHaveLength(1);
    expect(api.failures).toEqual([]);
  });

  test('malformed JSON is 400', async () => {
    const response = await api.app.request(`/v1/alerts/${refund.alertId}/resolve`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' });
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  });
});

test('another project sees nothing', async () => {
  await api.store.insert('calls', [callRow({ at_ms: nowMs - 1000, id: 'foreign', project: 'other', prompt: 'secret' })]);
  expect((await get('/v1/calls?prompt_name=secret')).calls).toEqual([]);
  expect((await get('/v1/prompts')).prompts.map((prompt: Json) => prompt.name)).not.toContain('secret');
});

test('the OpenAPI document is 3.1 and lists every resource', async () => {
  const document = await get('/openapi.json');
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(['/v1/calls', '/v1/scores', '/v1/prompts', '/v1/prompts/{name}', '/v1/comparisons', '/v1/comparisons/{id}/evidence', '/v1/alerts', '/v1/alerts/{id}/acknowledge', '/v1/ledger', '/v1/events']));
  expect(document.components.schemas).toHaveProperty('Alert');
});

test('the page is served with a policy that lets nothing in', async () => {
  for (const path of ['/', '/prompts/support%2Fanswer', '/alerts/x', '/data']) {
    const response = await api.app.request(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).not.toMatch(/<script(?![^>]*src=)|style=|onclick/);
  }
});
