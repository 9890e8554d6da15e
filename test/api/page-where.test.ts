import { expect, test } from 'vitest';
import { transitionRow } from '../../schemas/alert.ts';
import { withPages } from './pages.ts';
import { openApi } from './server.ts';
import { alertAt } from './sinks/alert.ts';
import { randomFrom, seedRollout } from './traffic.ts';

/** Where a version is worse, and an alert of the mix, in a real browser. */
const nowMs = Math.floor(Date.now() / 1000) * 1000;
let alertId: string | null;
const pages = withPages(async () => {
  const api = await openApi({ heartbeatMs: 200 }, nowMs);
  const arm = { share: 0.5, medianMs: 900, quality: 0.86 };
  const rollout = { prompt: 'refund-agent', baseline: { ...arm, version: 'v1', errorRate: 0.01 }, candidate: { ...arm, version: 'v2', errorRate: 0.2 }, beganMs: nowMs - 60 * 60_000, callsPerMinute: 40, raisesAlert: true };
  ({ alertId } = await seedRollout(api.store, rollout, { fromMs: nowMs - 90 * 60_000, toMs: nowMs }, randomFrom(12)));
  // The same again on a second model.
  await api.store.command(`INSERT INTO strata SELECT * REPLACE ('gpt-4o-mini' AS model) FROM strata WHERE metric = 'error_rate'`);
  const mix = [{ dimension: 'app.language', value: 'de', before: 0.1, after: 0.6, raw: 0.15, standardised: { estimate: 0.004, low: -0.02, high: 0.03, confidence: 0.975 }, explains: true }];
  const usual = alertAt('alr_mix', 'open', nowMs);
  const ofMix = { ...usual, severity: 'ticket' as const, mix, culprit: { ...usual.culprit, factor: 'mix', value: 'app.language=de 10 % → 60 %', baseline: 'the hour before' } };
  await api.store.insert('alert_transitions', [transitionRow(ofMix, { comparison_id: 'cmp_mix', sequence: 1, at_ms: nowMs, reason: 'it got worse' })]);
  return api;
});

test('slices say where it is worse, and a mix what would be left of it', { timeout: 60_000 }, async () => {
  const page = await pages.open(`/alerts/${alertId}`, { shows: '.slices' });
  expect(await page.textContent('.slices h2')).toMatch(/^Where error rate is worse everywhere$/);
  expect(await page.locator('.slices tbody tr').allTextContents()).toEqual([expect.stringMatching(/^model gpt-4o.*worse$/), expect.stringMatching(/^model gpt-4o.*worse$/)]);
  await page.goto(`${pages.address}/alerts/alr_mix`);
  await page.waitForSelector('.alert h1');
  const text = await page.textContent('aside');
  expect(text).toContain('Other traffic: app.language=de 10 % → 60 %');
  expect(text).toContain('explains it: with the earlier mix worse by 0.004 (-0.02 to 0.03), as it was by 0.15');
});

test('of two metrics that were chosen one after the other the later one stays, though the other is read for longer', { timeout: 60_000 }, async () => {
  const page = await pages.open(`/alerts/${alertId}`, { shows: '.pick' });
  let answer = (): void => undefined;
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route('**/series?metric=latency', async (route) => {
    await held;
    await route.continue();
  });
  const asked = page.waitForRequest('**/series?metric=latency');
  await page.locator('.pick', { hasText: 'Latency' }).click();
  await asked;
  const drawn = page.waitForResponse('**/series?metric=error_rate');
  await page.locator('.pick', { hasText: 'Error rate' }).click();
  await drawn;
  const late = page.waitForResponse('**/series?metric=latency');
  answer();
  await (await late).finished();
  await page.evaluate('new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)))');
  expect(await page.locator('.pick[aria-pressed=true]').textContent()).toBe('Error rate');
});
