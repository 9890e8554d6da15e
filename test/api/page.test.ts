import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { createVersionEvents } from '../../api/version-events.ts';
import { listen } from './browser.ts';
import { violationsIn, withPages } from './pages.ts';
import { callRow } from './rows.ts';
import { openApi } from './server.ts';
import { randomFrom, seedRollout, twoHoursTo, worseRollout } from './traffic.ts';

/** The page in a real browser, on the real API and store. */
const hostile = '<img src=x onerror="window.hacked=1">"\'`</script>&\u202e';
/** As it is shown: what would turn the direction of the rest is a sign of its own. */
const shownHostile = hostile.replace('\u202e', '\ufffd');
const seed = 11;

describe('the page', { timeout: 60_000 }, () => {
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  let alertId: string;
  const pages = withPages(async () => {
    const api = await openApi({ heartbeatMs: 200, traceUrl: 'https://viewer.example/trace/{trace_id}?span={span_id}' }, nowMs);
    api.status.behind_ms = 2000;
    console.info(`traffic seed ${seed}`);
    return api;
  });

  test('an empty page says how to send, and shows the first span when it arrives', async () => {
    const page = await pages.open('/');
    expect(await page.textContent('h1')).toBe('Waiting for the first span');
    const text = (await page.textContent('main')) ?? '';
    for (const expected of [`OTEL_EXPORTER_OTLP_ENDPOINT=${pages.address}`, 'gen_ai.prompt.name', 'gen_ai.prompt.version', 'gen_ai.request.model']) expect(text).toContain(expected);
    const curl = (await page.locator('pre', { hasText: 'curl' }).textContent()) ?? '';
    const sent = JSON.parse(/-d '([\s\S]*)'$/.exec(curl)?.[1] ?? '');
    expect(sent.resourceSpans[0].scopeSpans[0].spans[0].traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(sent.resourceSpans[0].scopeSpans[0].spans[0].attributes).toContainEqual({ key: 'gen_ai.prompt.version', value: { stringValue: 'v1' } });

    await pages.api.store.insert('calls', [callRow({ at_ms: nowMs - 2000, id: 'first', prompt: 'hello', version: null, model: 'gpt-4o' })]);
    pages.api.publish({ id: '1', type: 'calls', data: {} });
    await page.waitForSelector('text=The first span is here');
    const checks = await page.locator('.checks li').allTextContents();
    expect(checks.map((check) => check.replace(/\s+/g, ' '))).toEqual(['✓gen_ai.prompt.name hello', '✗gen_ai.prompt.version missing', '✓gen_ai.request.model gpt-4o']);
    expect(await page.textContent('#live')).toBe('live, 2\u202fs behind');
  });

  describe('with traffic', () => {
    beforeAll(async () => {
      if (!pages.isBegun) return;
      const random = randomFrom(seed);
      const time = twoHoursTo(nowMs);
      const seeded = await seedRollout(pages.api.store, worseRollout(nowMs), time, random);
      alertId = seeded.alertId ?? '';
      await seedRollout(
        pages.api.store,
        {
          prompt: hostile,
          baseline: { version: hostile, share: 0.5, errorRate: 0.01, medianMs: 1400, quality: 0.8 },
          candidate: { version: `${hostile}2`, share: 0.5, errorRate: 0.3, medianMs: 1400, quality: 0.8 },
          beganMs: nowMs - 60 * 60_000,
          callsPerMinute: 20,
          raisesAlert: true,
        },
        time,
        random,
      );
    }, 60_000);

    test('the alert page answers in order: what, since when, who, how sure, who not', async () => {
      const page = await pages.open(`/alerts/${alertId}`);
      expect(await page.textContent('h1')).toMatch(/^refund-agent v2 fails [\d.]+ times as often as v1$/);
      expect(await page.title()).toContain('refund-agent v2 fails');
      expect(await page.textContent('.lead')).toMatch(/error rate against .* since \d\d:\d\d/);
      const charts = page.locator('figure.chart svg[role=img]');
      await charts.nth(1).waitFor();
      expect(await charts.nth(0).getAttribute('aria-label')).toMatch(/^Error rate over time\. v1: between .* It began at \d\d:\d\d\.$/);
      expect(await charts.nth(1).getAttribute('aria-label')).toMatch(/The threshold is 100 to 1\. It was reached at \d\d:\d\d\.$/);
      const row = page.locator('.results tbody tr', { hasText: 'Error rate' });
      expect(await row.textContent()).toMatch(/regressed$/);
      expect(await page.locator('aside').textContent()).toMatch(/prompt version v2 against v1.*payments.*4f2a91c7d0.*Innocent.*gpt-4o-2024-08-06.*error 500 after/s);
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('text=Evidence file')]);
      expect(JSON.parse(await readFile(await download.path(), 'utf8'))).toMatchObject({ schema: 'culprit.evidence/1' });
    });

    test('one laptop screen holds it all: what, who, how sure, who not, what to do, calls in one’s own viewer, the change', async () => {
      await createVersionEvents(pages.api.store).append(
        'default',
        [{ prompt: 'refund-agent', version: 'v2', at_ms: nowMs - 95 * 60_000, kind: 'registered', source: 'git', actor: 'mira', label: null, facts: { pull_request_url: 'https://git.example/shop/pull/812', message: 'friendlier tone', diff: `--- a/refund.md\n+++ b/refund.md\n@@ -1,3 +1,3 @@\n-State first whether the order is eligible.\n+Open with a warm line. <img src=x onerror="window.hacked=1">\n${' same\n'.repeat(40)}` } }],
        'dated',
      );
      const page = await pages.open(`/alerts/${alertId}`, { viewport: { width: 1366, height: 768 } });
      await page.locator('figure.chart svg[role=img]').nth(1).waitFor();
      for (const part of ['h1', '.actions button >> nth=0', 'figure.chart svg[role=img] >> nth=1', '.results tbody tr >> nth=3', '.who', '.innocent', '.examples', '.diff span >> nth=0']) {
        const box = await page.locator(part).first().boundingBox();
        expect((box?.y ?? 1e9) + (box?.height ?? 0), part).toBeLessThanOrEqual(768);
      }
      expect(await page.locator('.examples a').first().getAttribute('href')).toMatch(/^https:\/\/viewer\.example\/trace\/[0-9a-f]{32}\?span=[0-9a-f]{16}$/);
      expect(await page.locator('.diff').first().locator('.removed').textContent()).toBe('-State first whether the order is eligible.\n');
      expect(await page.locator('.facts a', { hasText: '812' }).getAttribute('href')).toBe('https://git.example/shop/pull/812');
      await page.getByText('Whole diff').click();
      expect(await page.locator('details .diff .same').count()).toBe(40);
      expect(await page.evaluate('window.hacked')).toBeUndefined();
    });

    test('choosing a metric shows its arms, and keeps the keyboard where it is', async () => {
      const page = await pages.open(`/alerts/${alertId}`);
      const button = page.locator('.pick', { hasText: 'Latency' });
      await button.focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('.pick[aria-pressed=true]:has-text("Latency")');
      expect(await page.locator('figure.chart svg').first().getAttribute('aria-label')).toMatch(/^Latency over time/);
      expect(await page.evaluate('document.activeElement.textContent')).toContain('Latency');
    });

    test('by keyboard alone: silence, with what it matches; it is shown, and ended with a reason', async () => {
      const page = await pages.open(`/alerts/${alertId}`);
      await page.getByRole('button', { name: 'Silence…' }).focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('dialog[open] [role=status]:has-text("matches 1 of")');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      await page.waitForSelector('dialog [role=status]:has-text("prompt=refund-agent: matches 1 of")');
      await page.locator('#silence-reason').focus();
      await page.keyboard.type('load test');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.notice:has-text("prompt=refund-agent for another")');
      const list = await pages.open('/alerts');
      await list.getByRole('button', { name: 'End the silence of prompt=refund-agent' }).click();
      await list.keyboard.type('over');
      await list.getByRole('button', { name: 'End', exact: true }).click();
      await list.waitForSelector('.silences', { state: 'detached' });
      expect(pages.api.released).toHaveLength(1);
    });

    test('by keyboard alone: skip link, chart readout, numbers, resolve with a reason', async () => {
      const page = await pages.open(`/alerts/${alertId}`);
      await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
      await page.locator('.plot').first().focus();
      await page.keyboard.press('ArrowLeft');
      expect(await page.locator('.readout').first().textContent()).toMatch(/\d\d:\d\dv1 .*v2 /);
      await page.locator('.numbers summary').first().focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('.numbers[open] tbody tr');
      expect(await page.locator('.numbers').first().locator('tbody tr').count()).toBeGreaterThan(8);
      await page.getByRole('button', { name: 'Acknowledge' }).focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('.chip:has-text("acknowledged")');
      await page.getByRole('button', { name: 'Resolve…' }).focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('dialog[open]');
      await page.keyboard.press('Escape');
      await page.waitForSelector('dialog', { state: 'detached' });
      await page.getByRole('button', { name: 'Resolve…' }).focus();
      await page.keyboard.press('Enter');
      await page.keyboard.type('rolled back to v1');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.chip:has-text("resolved")');
      expect(await page.textContent('.past')).toMatch(/open.*acknowledged.*resolved.*rolled back to v1/s);
    });

    test('who was told, and what else changed, stand on the alert', async () => {
      const atMs = nowMs - 60_000;
      await pages.api.store.insert('deliveries', [{ transition_id: `${alertId}-1`, sink: 'on-call', attempt: 1, at_ms: atMs, outcome: 'delivered', detail: 'HTTP 202' }]);
      await pages.api.store.insert('calls', [{ ...callRow({ at_ms: nowMs - 92 * 60_000, id: 'new app' }), service_version: '2026.6.2' }]);
      const page = await pages.open(`/alerts/${alertId}`);
      expect(await page.textContent('main')).toMatch(/Who was told.*on-calltoldHTTP 202/s);
      expect(await page.locator('.card', { hasText: 'Also new around then' }).textContent()).toContain('shop-backend 2026.6.2 app version, 1 call');
    });

    test('navigation is by links: overview, prompt, back; focus goes to the heading', async () => {
      const page = await pages.open('/');
      await page.click('.prompts >> text=refund-agent');
      await page.waitForSelector('h1:has-text("refund-agent")');
      expect(new URL(page.url()).pathname).toBe('/prompts/refund-agent');
      await page.waitForFunction('document.activeElement.tagName === "H1"');
      expect(await page.locator('.versions thead').textContent()).toContain('v1v2');
      await page.goBack();
      await page.waitForSelector('.prompts');
    });

    test('hostile names are text everywhere', async () => {
      for (const path of ['/', '/alerts', `/prompts/${encodeURIComponent(hostile)}`]) {
        const page = await pages.open(path);
        await page.waitForSelector('table, article');
        expect(await page.textContent('main')).toContain(shownHostile);
        expect(await page.evaluate('window.hacked')).toBeUndefined();
        expect(await page.locator('main img, main script').count()).toBe(0);
      }
      const page = await pages.open('/alerts');
      await page.locator('article a', { hasText: 'onerror' }).first().click();
      await page.waitForSelector('.results');
      expect(await page.evaluate('window.hacked')).toBeUndefined();
      expect(await page.locator('main img').count()).toBe(0);
    });

    test('axe finds nothing, light and dark', async () => {
      for (const path of ['/', '/alerts', `/alerts/${alertId}`, '/prompts/refund-agent', '/compare?prompt=refund-agent&a=v1&b=v2&metric=latency', '/query', '/data', '/alerts/none']) {
        const page = await pages.open(path, { colorScheme: 'light', bypassCSP: true });
        await page.waitForFunction("document.querySelector('[aria-busy]') === null");
        expect(await violationsIn(page), path).toEqual([]);
        await page.emulateMedia({ colorScheme: 'dark' });
        expect(await violationsIn(page, ['color-contrast']), `${path}, dark`).toEqual([]);
      }
    });

    test('axe finds nothing in the silence dialog', async () => {
      const page = await pages.open('/alerts', { bypassCSP: true });
      await page.locator('article:not(.resolved) a').first().click();
      await page.getByRole('button', { name: 'Silence…' }).click();
      await page.waitForSelector('dialog[open] [role=status]:has-text("matches")');
      expect(await violationsIn(page)).toEqual([]);
    });

    test('a phone is never wider than its screen', async () => {
      for (const path of ['/', '/alerts', `/alerts/${alertId}`, '/prompts/refund-agent', `/prompts/${encodeURIComponent(hostile)}`, '/compare?prompt=refund-agent&a=v1&b=v2', '/query', '/data']) {
        const page = await pages.open(path, { viewport: { width: 360, height: 740 } });
        expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(360);
      }
    });

    test('what is not there is said so, and a lost connection too', async () => {
      const page = await pages.open('/alerts/none');
      expect(await page.textContent('main')).toContain('There is no alert "none"');
      for (const path of ['/prompts/%E0%A4%A', '/prompts', '/alert']) expect(await (await pages.open(path)).textContent('h1'), path).toBe('There is no such page');
      // Whoever asks for no page gets none.
      for (const [path, accept] of [['/alert', '*/*'], ['/v1/prompt', 'text/html']] as const) expect((await pages.api.app.request(path, { headers: { accept } })).headers.get('content-type')).toBe('application/problem+json');
      const mortal = await listen(pages.api.app);
      const watching = await pages.open('/data', { at: mortal.address });
      await watching.waitForSelector('#live[data-state=live]');
      await mortal.close();
      await watching.waitForSelector('#live[data-state=lost]');
      expect(await watching.textContent('#announcement')).toContain('may be old');
      // A refused connection is what was asked for.
      pages.forgive(watching);
    });
  });
});
