import type { BrowserContextOptions, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { violationsIn, withPages } from './pages.ts';
import { openApi, type TestApi } from './server.ts';
import { harmlessRollout, randomFrom, seedRollout, twoHoursTo, worseRollout } from './traffic.ts';

/** What the page of a prompt shows of a rollout that is under way, in a real browser. */
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const MINUTE_MS = 60_000;
const hostile = '<img src=x onerror="window.hacked=1">';

describe('the page of a prompt with a rollout', { timeout: 60_000 }, () => {
  const postTo = (api: TestApi) => async (path: string, body: object): Promise<string> => {
    const response = await api.app.request(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { id: string }).id; // as openapi.test.ts holds it
  };

  const pages = withPages(async () => {
    const api = await openApi({ heartbeatMs: 200 }, nowMs);
    const post = postTo(api);
    const random = randomFrom(7);
    for (const [prompt, callsPerMinute] of [['proved', 60], ['waiting', 10], ['nobodys', 10], ['steered', 4], ['forgotten', 4]] as const) await seedRollout(api.store, { ...harmlessRollout(nowMs, callsPerMinute), prompt }, twoHoursTo(nowMs), random);
    await seedRollout(api.store, worseRollout(nowMs), twoHoursTo(nowMs), random);
    const harmless = harmlessRollout(nowMs, 20);
    await seedRollout(api.store, { ...harmless, prompt: 'friendlier', candidate: { ...harmless.candidate, quality: 0.5 } }, twoHoursTo(nowMs), random);
    const steps = [{ name: 'canary', share_percent: 10 }, { share_percent: 50, minimum_s: 1200 }, { name: hostile, share_percent: 100 }];
    api.clock.nowMs = nowMs - 60 * MINUTE_MS;
    const declared = await Promise.all([
      post('/v1/rollouts', { prompt: 'proved', candidate: 'v2', baseline: 'v1', metrics: ['quality'], by: 'mira', reason: 'friendlier tone', steps }),
      post('/v1/rollouts', { prompt: 'waiting', candidate: 'v2', metrics: ['error_rate'], by: 'argo', steps: [{ share_percent: 50 }, { share_percent: 100 }] }),
    ]);
    await post('/v1/rollouts', { prompt: 'refund-agent', candidate: 'v2', baseline: 'v1', by: 'argo', steps: [{ share_percent: 50 }, { share_percent: 100 }] });
    api.clock.nowMs = nowMs - 40 * MINUTE_MS;
    await post(`/v1/rollouts/${declared[0]}/advance`, { step: 2, by: 'mira' });
    api.clock.nowMs = nowMs;
    return api;
  });
  const open = (path: string, options: BrowserContextOptions = {}): Promise<Page> => pages.open(path, { shows: '.rollout', ...options });
  const textOf = async (page: Page, selector: string): Promise<string> => ((await page.textContent(selector)) ?? '').replaceAll(/\s+/g, ' ');

  test('says go with what comes next, and shows each step with what was seen of it', async () => {
    const page = await open('/prompts/proved');
    expect(await textOf(page, '.rollout h2')).toBe('Rollout of v2 beside v1 go step 2 of 3');
    expect(await textOf(page, '.rollout h2 + p')).toContain('On to 100 %: proved not worse by the tolerance.');
    const steps = await page.locator('.stages li').allTextContents();
    expect(steps.map((text) => text.replaceAll(/\s+/g, ' '))).toEqual([
      expect.stringMatching(/^10 % canary done ?since \d\d:\d\d, mira ?\d\d(\.\d)? % of [\d ]+ units ?left at (hold|go)$/),
      expect.stringMatching(/^50 % now ?since \d\d:\d\d, mira ?\d\d(\.\d)? % of [\d ]+ units$/),
      `100 % ${hostile} aheadnot begun`,
    ]);
    expect(await page.locator('.stages [aria-current=step]').count()).toBe(1);
    expect(await textOf(page, '.rollout')).toMatch(/Another share than declared|Declared \d\d:\d\d by mira: friendlier tone\. Waits for quality only\./);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
  });

  test('says hold with what it waits for, and when that will be known', async () => {
    const page = await open('/prompts/waiting');
    expect(await textOf(page, '.rollout h2 + p')).toMatch(/^Stay at this step: the evidence does not suffice yet.* Known about .*\(in .*\), if both versions are alike\.$/);
    expect(await textOf(page, '.rollout')).toContain('Not proved yet: error rate.');
    // What changes while it is shown is drawn anew.
    await postTo(pages.api)('/v1/rollouts', { prompt: 'waiting', candidate: 'v3', by: 'argo', steps: [{ share_percent: 5 }] });
    pages.api.publish({ id: '1', type: 'calls', data: {} });
    await page.waitForSelector('.rollout h2:has-text("Rollout of v3")');
  });

  test('a person says by keyboard that a step has begun, and that it was aborted; both are kept with a reason', async () => {
    const id = await postTo(pages.api)('/v1/rollouts', { prompt: 'steered', candidate: 'v2', baseline: 'v1', by: 'mira', steps: [{ share_percent: 10 }, { share_percent: 100 }] });
    const page = await open('/prompts/steered');
    const say = async (button: string, why: string): Promise<void> => {
      await page.getByRole('button', { name: button }).focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('dialog[open]');
      await page.keyboard.type(why);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
    };
    await say('Step 2 has begun…', 'it held');
    await page.waitForSelector('.rollout h2:has-text("step 2 of 2")');
    expect(await page.getByRole('button', { name: 'Step 3' }).count()).toBe(0);
    await say('Aborted…', 'complaints');
    await page.waitForSelector('.rollout', { state: 'detached' });
    const ended = await (await pages.api.app.request(`/v1/rollouts/${id}`)).json();
    expect(ended).toMatchObject({ state: 'aborted', reason: 'complaints', steps: [{ state: 'done' }, { state: 'stopped', reason: 'it held' }] });
  });

  test('one that nobody has ended is shown as lapsed, and a person says that it goes on', async () => {
    pages.api.clock.nowMs = nowMs - 15 * 24 * 60 * MINUTE_MS;
    await postTo(pages.api)('/v1/rollouts', { prompt: 'forgotten', candidate: 'v3', baseline: 'v1', by: 'mira', steps: [{ share_percent: 10 }, { share_percent: 100 }] });
    pages.api.clock.nowMs = nowMs;
    const forgotten = '[aria-label="Rollout of v3"]';
    const page = await open('/prompts/forgotten', { bypassCSP: true });
    expect(await textOf(page, `${forgotten} h2`)).toBe('Rollout of v3 beside v1 lapsed step 1 of 2');
    expect(await textOf(page, `${forgotten} h2 + p`)).toMatch(/^Nobody has said anything of it since .*, so nothing is advised any more\./);
    expect(await violationsIn(page)).toEqual([]);
    await page.getByRole('button', { name: 'Step 1 goes on…' }).click();
    await page.keyboard.type('we wait for the judge');
    await page.getByRole('button', { name: 'Go on', exact: true }).click();
    await page.waitForSelector(`${forgotten} h2:has-text("hold")`);
    expect(await textOf(page, `${forgotten} [aria-current=step]`)).toContain('now');
  });

  test('says back with the alert, and that the share is not the declared one', async () => {
    const page = await open('/prompts/refund-agent');
    expect(await textOf(page, '.rollout h2 + p')).toMatch(/^Back to v1: evidence against error_rate reached/);
    expect(await textOf(page, '.rollout .notice')).toMatch(/^Another share than declared\. v2 gets (9|1\d)(\.\d+)? %, not the 50 % that were declared\.$/);
    await page.click('.rollout >> text=The alert');
    await page.waitForURL('**/alerts/*');
  });

  test('draws the metric that got worse, and errors where none did', async () => {
    const chart = (page: Page) => page.locator('.watching figure.chart svg[role=img]').first();
    await expect.poll(async () => chart(await open('/prompts/friendlier')).getAttribute('aria-label'), { timeout: 20_000 }).toMatch(/^quality over time/);
    await expect.poll(async () => chart(await open('/prompts/proved')).getAttribute('aria-label'), { timeout: 20_000 }).toMatch(/^Error rate over time/);
  });

  test('shows one that nobody declared, and says that it is recognised', async () => {
    const page = await open('/prompts/nobodys');
    expect(await textOf(page, '.rollout')).toMatch(/Rollout of v2 beside v1 hold step 1 of 1.*Nobody declared it/);
  });

  test('axe finds nothing, light and dark, and a phone has no page that scrolls sideways', async () => {
    for (const path of ['/prompts/proved', '/prompts/refund-agent']) {
      const page = await open(path, { colorScheme: 'light', bypassCSP: true, viewport: { width: 390, height: 844 } });
      expect(await violationsIn(page), path).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), path).toBe(true);
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await violationsIn(page, ['color-contrast']), `${path}, dark`).toEqual([]);
    }
  });
});
