import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { withPages } from './pages.ts';
import { callRow } from './rows.ts';
import { openApi } from './server.ts';
import { randomFrom, seedRollout } from './traffic.ts';

/** The way of an analyst in a real browser: a prompt, its matrix, a comparison, SQL, the data; and states that are huge. */
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const long = `${'very-long-'.repeat(51)}ab`;

describe('the page for analysts', { timeout: 60_000 }, () => {
  const pages = withPages(async () => {
    const api = await openApi({ heartbeatMs: 200 }, nowMs);
    await seedRollout(
      api.store,
      { prompt: 'refund-agent', baseline: { version: 'v1', share: 0.5, errorRate: 0.01, medianMs: 900, quality: 0.86 }, candidate: { version: 'v2', share: 0.5, errorRate: 0.2, medianMs: 880, quality: 0.85 }, beganMs: nowMs - 50 * 60_000, callsPerMinute: 40, raisesAlert: false },
      { fromMs: nowMs - 60 * 60_000, toMs: nowMs },
      randomFrom(5),
    );
    await api.store.insert('version_events', [{ project: 'default', prompt_name: 'refund-agent', version: 'v2', event_id: 'ver_1', at_ms: nowMs - 55 * 60_000, kind: 'label_set', source: 'langfuse', actor: 'mira', label: 'production', facts: '{}' }]);
    return api;
  });
  const open = (path: string): Promise<Page> => pages.open(path, { viewport: { width: 1366, height: 768 } });

  test('from a prompt to its matrix, to a comparison that calls itself exploratory', async () => {
    const page = await open('/prompts/refund-agent');
    await page.selectOption('#matrix-metric', 'latency');
    await page.waitForSelector('[aria-label="Latency of versions by models"]');
    expect(await page.locator('.matrix thead').textContent()).toContain('gpt-4o-2024-08-06');
    expect(await page.locator('.matrix tbody tr').first().textContent()).toMatch(/^v\d.*ms to .*p95/);
    expect(await page.textContent('main')).toMatch(/What happened to versions.*v2got the label production mira, by langfuse/s);
    await page.click('text=Compare any two versions, models or periods');
    await page.waitForSelector('.found');
    expect(await page.textContent('.found h2')).toMatch(/Exploratory No difference in latency can be told/);
    await page.fill('#compare-metric', 'error_rate');
    await page.locator('#compare-metric').press('Enter');
    await page.waitForSelector('.found h2:has-text("error_rate is higher in v2 than in v1")');
    expect(page.url()).toContain('metric=error_rate');
    expect(await page.textContent('.caveats')).toContain('Take it for an idea, not for a proof.');
    expect(await page.locator('#compare-attribute').isVisible()).toBe(false);
    await page.selectOption('#compare-factor', 'slice');
    for (const [name, value] of [['attribute', 'app.route'], ['a', '/refund'], ['b', '/order']] as const) await page.fill(`#compare-${name}`, value);
    await page.locator('#compare-b').press('Enter');
    await page.waitForSelector('.found h2:has-text("Nothing of /order was measured here.")');
    expect(await page.locator('.found a', { hasText: 'As JSON' }).getAttribute('href')).toContain('attribute=app.route&');
  });

  test('SQL: an answer, a refusal, a file', async () => {
    const page = await open('/query');
    await page.fill('#sql', "SELECT prompt_version, count() AS calls FROM llm_calls GROUP BY prompt_version ORDER BY prompt_version");
    await page.locator('#sql').press('Control+Enter');
    await page.waitForSelector('.answer');
    expect(await page.textContent('.answer h2')).toMatch(/^2 rows in /);
    expect(await page.locator('.answer tbody tr').first().textContent()).toMatch(/^v1\d+$/);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('text=Save as CSV')]);
    expect(await readFile(await download.path(), 'utf8')).toMatch(/^"prompt_version","calls"\n"v1",\d+\n/);
    await page.fill('#sql', 'DROP TABLE calls');
    await page.click('text=Run');
    await page.locator('.sql [role=status]', { hasText: /syntax|SELECT/i }).waitFor();
    expect(await page.inputValue('#sql')).toBe('DROP TABLE calls');
    // The refusal is what was asked for.
    pages.forgive(page);
  });

  test('the data: how well it is tagged and how late it comes', async () => {
    const page = await open('/data');
    expect(await page.textContent('.quality')).toMatch(/From the end of a call to its arrival: 80\d.*Without a prompt name0\D+0.*Scores without a target0/s);
  });

  test('long versions are told apart at the ends of their lines, within the chart', async () => {
    for (const [prompt, versions, ends] of [['by commit', ['4f2a91c7d05e', '07ab19e2f3c4'], ['4f2a91…', '07ab19…']], ['by day', ['2026-11-01', '2026-11-08'], ['…-11-01', '…-11-08']]] as const) {
      await pages.api.store.insert('calls', Array.from({ length: 40 }, (_, index) => callRow({ at_ms: nowMs - (40 - index) * 60_000, id: `${prompt} ${index}`, prompt, version: versions[index % 2] ?? '' })));
      const page = await open(`/prompts/${encodeURIComponent(prompt)}`);
      const chart = page.locator('.multiples svg[role=img]').first();
      await chart.waitFor();
      const labels = chart.locator('.end');
      expect((await labels.allTextContents()).toSorted((one, other) => one.localeCompare(other))).toEqual(ends.toSorted((one, other) => one.localeCompare(other)));
      const whole = await chart.boundingBox();
      for (const label of await labels.all()) {
        const box = await label.boundingBox();
        expect((box?.x ?? 1e9) + (box?.width ?? 0), prompt).toBeLessThanOrEqual((whole?.x ?? 0) + (whole?.width ?? 0));
      }
    }
  });

  test('a version that nobody named is said to be unknown, with the fingerprint that stands for it', async () => {
    await pages.api.store.insert('calls', [callRow({ at_ms: nowMs - 5_000, id: 'unnamed', prompt: 'unnamed', version: 's:0123456789abcdef' })]);
    const page = await open('/prompts/unnamed');
    expect(await page.textContent('.notice')).toMatch(/^Its version is unknown: .* fingerprint .*gen_ai\.prompt\.version/);
    expect(await page.textContent('.lead')).toContain('1 call in the last');
    expect(await page.textContent('main')).toContain('s:0123456789abcdef');
    expect(await (await open('/prompts/refund-agent')).locator('.notice', { hasText: 'unknown' }).count()).toBe(0);
  });

  test('a version that has only just begun is a point with its interval, within the chart', async () => {
    const begun = (version: string, count: number, fromMs: number) => Array.from({ length: count }, (_, index) => callRow({ at_ms: fromMs + index * 60_000, id: `begun ${version} ${index}`, prompt: 'just begun', version, is_error: index % 3 === 0 }));
    await pages.api.store.insert('calls', [...begun('v1', 60, nowMs - 3_600_000), ...begun('v2', 1, nowMs - 5_000)]);
    const page = await open('/prompts/just%20begun');
    const chart = page.locator('.multiples svg[role=img]').first();
    await chart.waitFor();
    const point = chart.locator('circle.spot:not([visibility])');
    expect(await point.count()).toBe(1);
    expect(await chart.locator('.bounds').count()).toBe(1);
    const [box, grid] = await Promise.all([point.boundingBox(), chart.locator('.grid').first().boundingBox()]);
    expect((box?.x ?? 1e9) + (box?.width ?? 0)).toBeLessThanOrEqual((grid?.x ?? 0) + (grid?.width ?? 0) + 1);
  });

  test('10,000 prompts, one of them with 512 characters, stay a page that can be used', async () => {
    const at = String(Math.floor(nowMs / 1000) - 60);
    await pages.api.store.command(`INSERT INTO calls (project, event_time, trace_id, span_id, start_ns, end_ns, received_ms, slot, batch, revision, environment, operation, prompt_name, prompt_version)
      SELECT 'default', toDateTime(${at}), concat('many', toString(number)), concat('many', toString(number)), ${at}000000000, ${at}900000000, ${at}950, 1, 9, 1, 'production', 'chat', if(number = 0, '${long}', concat('prompt-', toString(number))), 'v1' FROM numbers(10000)`);
    await pages.api.store.command(`INSERT INTO calls (project, event_time, trace_id, span_id, start_ns, end_ns, received_ms, slot, batch, revision, environment, operation, prompt_name, prompt_version)
      SELECT 'default', toDateTime(${at}), concat('long', toString(number)), concat('long', toString(number)), ${at}000000000, ${at}900000000, ${at}950, 1, 9, 1, 'production', 'chat', '${long}', 'v1' FROM numbers(50)`);
    const page = await open('/');
    expect(await page.locator('.prompts tbody tr').count()).toBe(200);
    expect(await page.textContent('main')).toMatch(/The 200 busiest prompts in the last 24\s*h: /);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1366);
    await page.locator('.prompts a', { hasText: 'very-long' }).first().click();
    await page.waitForSelector('.versions');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1366);
  });
});
