import { afterAll, beforeAll, expect, it } from 'vitest';
import { chartSvg, type ChartFacts } from '../../../api/chart/svg.ts';
import { pngOf } from '../../../api/chart/picture.ts';
import { Alert } from '../../../schemas/alert.ts';
import { openApi, type TestApi } from '../server.ts';
import { randomFrom, seedRollout, twoHoursTo, worseRollout } from '../traffic.ts';

/** The chart of an alert: from the real store, as SVG and PNG. */

const nowMs = Date.parse('2026-06-01T10:00:00Z');
let api: TestApi;
let alertId = '';

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const seeded = await seedRollout(api.store, worseRollout(nowMs), twoHoursTo(nowMs), randomFrom(11));
  alertId = seeded.alertId ?? '';
}, 60_000);
afterAll(() => api.close());

it('shows both arms, the onset, the evidence and its threshold', async () => {
  const answer = await api.app.request(`/v1/alerts/${alertId}/chart.svg`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('image/svg+xml; charset=utf-8');
  const svg = await answer.text();
  expect(svg).toContain('>v1</text>');
  expect(svg).toContain('>v2</text>');
  expect(svg).toContain('>began 08:30</text>');
  expect(svg).toMatch(/>alert \d\d:\d\d<\/text>/);
  expect(svg).toContain('>100 : 1</text>');
  // Two bands, two arms, one evidence line, each of many points.
  const paths = [...svg.matchAll(/<path d="([^"]*)"/g)].map(([, path = '']) => path.split('L').length);
  expect(paths.length).toBeGreaterThanOrEqual(5);
  expect(Math.min(...paths.toSorted((one, other) => other - one).slice(0, 5))).toBeGreaterThan(8);
});

it('is a PNG with text in it, where no font is installed', async () => {
  const answer = await api.app.request(`/v1/alerts/${alertId}/chart.png`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/png']);
  const png = Buffer.from(await answer.arrayBuffer());
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1440, 860]);
  expect(png.length).toBeLessThan(200_000);
  // The renderer reads no fonts of the machine: what text adds to an empty picture is drawn with ours.
  const words = (content: string): string => `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40" font-family="'DejaVu Sans', sans-serif"><text x="5" y="25">${content}</text></svg>`;
  const [empty, regular, bold, other] = await Promise.all([pngOf(words('')), pngOf(words('refund v2')), pngOf(words('<tspan font-weight="700">refund v2</tspan>')), pngOf(words('refund v3'))]);
  expect(regular.length).toBeGreaterThan(empty.length + 500);
  expect(new Set([regular, bold, other].map((image) => Buffer.from(image).toString('base64'))).size).toBe(3);
});

it('is drawn once for all who ask at the same time, and anew later', async () => {
  const before = await (await api.app.request(`/v1/alerts/${alertId}/chart.svg`)).text();
  api.clock.nowMs += 30 * 60_000;
  const after = await (await api.app.request(`/v1/alerts/${alertId}/chart.svg`)).text();
  api.clock.nowMs -= 30 * 60_000;
  expect(after).not.toBe(before);
});

it('answers 404 where there is no such alert', async () => {
  expect((await api.app.request('/v1/alerts/none/chart.png')).status).toBe(404);
});

it('says so where an alert has nothing to be drawn from', async () => {
  const [row] = await api.store.select<{ body: string }>('SELECT body FROM alert_transitions WHERE alert_id = {id:String}', { id: alertId });
  const alert = { ...Alert.parse(JSON.parse(row?.body ?? '')), id: 'alr_bare', metric: 'nothing' };
  await api.store.insert('alert_transitions', [{ transition_id: 'bare-1', alert_id: 'alr_bare', sequence: 1, project: 'default', comparison_id: 'cmp_gone', state: 'open', at_ms: nowMs, reason: '', body: JSON.stringify(alert) }]);
  expect(await (await api.app.request('/v1/alerts/alr_bare/chart.svg')).text()).toContain('no calls in this time');
  expect((await api.app.request('/v1/alerts/alr_bare/chart.png')).status).toBe(200);
});

it('draws the quantile that the alert is of', async () => {
  const [row] = await api.store.select<{ body: string; comparison_id: string }>('SELECT body, comparison_id FROM alert_transitions WHERE alert_id = {id:String}', { id: alertId });
  const alert = Alert.parse(JSON.parse(row?.body ?? ''));
  const arms = await Promise.all(
    (['ratio_p95', 'ratio_p99'] as const).map(async (kind) => {
      const body = { ...alert, id: `alr_${kind}`, metric: 'latency', evidence: { ...alert.evidence, effect: { ...alert.evidence.effect, kind } } };
      await api.store.insert('alert_transitions', [{ transition_id: kind, alert_id: body.id, sequence: 1, project: 'default', comparison_id: row?.comparison_id, state: 'open', at_ms: nowMs, reason: '', body: JSON.stringify(body) }]);
      const svg = await (await api.app.request(`/v1/alerts/${body.id}/chart.svg`)).text();
      expect(svg).toContain(`latency ${kind.slice('ratio_'.length)}`);
      return [...svg.matchAll(/<path d="([^"]*)"/g)].map(([, path]) => path).join(' ');
    }),
  );
  expect(new Set(arms).size).toBe(2);
});

it('says when it was raised above the axis, however much evidence came later', () => {
  const minute = 60_000;
  const looks = Array.from({ length: 20 }, (_, index) => ({ at_ms: nowMs - (20 - index) * minute, e_value: 10 ** (3 + 15 * index) }));
  const svg = chartSvg({ title: 'refund-agent', measure: 'error rate', format: String, isFromZero: true, fromMs: nowMs - 40 * minute, toMs: nowMs, stepMs: minute, onsetMs: nowMs - 21 * minute, raisedMs: nowMs - 20 * minute, resolvedMs: null, threshold: 100, arms: [], looks });
  const topOf = (text: RegExp): number => Number(new RegExp(`<text[^>]* y="([\\d.]+)"[^>]*>${text.source}</text>`).exec(svg.slice(svg.indexOf('Evidence that')))?.[1]);
  expect(topOf(/alert 09:40/)).toBeLessThan(topOf(/09:50/) - 15);
  // The axis ends where more is not surer, so that one still sees the line cross its threshold; its end says how much it is.
  expect(topOf(/10\^288 : 1/)).toBeLessThan(topOf(/100 : 1/) - 50);
  expect(svg).toContain('>10^40</text>');
  expect(svg).not.toMatch(/10\^[1-9]\d\d<|1e\d/);
});

it('has hostile names as text only, and extreme numbers as a picture', async () => {
  const hostile = '</text><script>alert(1)</script>&"\'<![CDATA[\u0000\u202e\ud800 ';
  const facts: ChartFacts = {
    title: hostile.repeat(20), measure: hostile, format: String, isFromZero: false, fromMs: nowMs - 1, toMs: nowMs, stepMs: 1, onsetMs: nowMs, raisedMs: nowMs, resolvedMs: nowMs, threshold: 100,
    arms: [{ role: 'baseline', name: hostile, points: [{ at_ms: nowMs, value: 1e300, low: -1e300, high: 1e308 }] }, { role: 'candidate', name: '', points: [{ at_ms: nowMs - 1, value: -0, low: null, high: null }] }],
    looks: [{ at_ms: nowMs, e_value: 1e308 }, { at_ms: nowMs, e_value: 0 }],
  };
  const svg = chartSvg(facts);
  expect(svg).not.toContain('<script');
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect((await pngOf(svg)).length).toBeGreaterThan(1000);
});
