import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findChromium, launchBrowser } from '../browser.ts';
import { configuredKey, startGuarded, type Guarded } from '../../deploy/guarded.ts';

/** Logging in, as a person does it in a browser: without JavaScript, with a keyboard, light and dark, on a phone. */
const executable = findChromium();
const admin = configuredKey('default', ['admin']);
const PASSWORD = 'correct horse battery';

describe('the login page', { timeout: 90_000 }, () => {
  let server: Guarded;
  let browser: Browser;
  beforeEach((context) => {
    if (executable === null) context.skip('no Chromium on PATH; set CHROMIUM_PATH');
  });
  beforeAll(async () => {
    if (executable === null) return;
    server = await startGuarded({ access: { keys: [admin.entry] } });
    await server.ask('/v1/users', { key: admin.secret, body: { name: 'mira', role: 'admin', password: PASSWORD } });
    await server.ask('/v1/keys', { key: admin.secret, body: { name: 'k', project: 'bank', scopes: ['read'] } });
    browser = await launchBrowser(executable);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  async function violations(page: Page): Promise<unknown[]> {
    await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
    return page.evaluate<unknown[]>('axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 120))]))');
  }

  test('is accessible, light and dark, on a phone, and with a refusal on it', async () => {
    for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark', viewport: { width: 360, height: 640 } }] as const) {
      const context = await browser.newContext({ bypassCSP: true, ...options });
      const page = await context.newPage();
      await page.goto(`${server.url}/data`);
      expect(new URL(page.url()).pathname).toBe('/login');
      expect(await violations(page)).toEqual([]);
      await page.getByLabel('Name').fill('mira');
      await page.getByLabel('Password').fill('wrong');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').waitFor();
      expect(await page.getByRole('alert').textContent()).toContain('nobody with this name and password');
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      await context.close();
    }
  });

  test('lets a person in without JavaScript', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${server.url}/login?next=/openapi.json`);
    await page.getByLabel('Name').fill('mira');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.waitForURL('**/openapi.json');
    expect(await page.content()).toContain('Culprit');
    await context.close();
  });

  test('leads to the page that was asked for, which says who is there, changes the project, and logs out', async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(`${server.url}/data`);
    await page.getByLabel('Name').fill('mira');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/data');
    await page.getByText('mira', { exact: true }).waitFor();
    await page.waitForSelector('main h1');
    await page.getByLabel('Project').selectOption('bank');
    await page.waitForURL(`${server.url}/`);
    await expect.poll(() => page.getByLabel('Project').inputValue()).toBe('bank');
    expect(complaints).toEqual([]);
    // What is asked on the way out is refused, and leads nowhere else.
    const refused = page.waitForResponse((response) => response.status() === 401);
    await page.route('**/login', async (route) => {
      await refused;
      await route.continue();
    });
    await page.evaluate(`import('/assets/request.js').then(({ readJson }) => {
      const { fetch } = window;
      window.fetch = async (...request) => {
        const response = await fetch(...request);
        if (request[0] === '/logout') setTimeout(() => void readJson('/v1/me').catch(() => undefined));
        return response;
      };
    })`);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL('**/login');
    expect(complaints).toEqual([expect.stringContaining('401')]);
    await context.close();
  });

  test('has people change their own password, in a dialog, and go on', async () => {
    await server.ask('/v1/users', { key: admin.secret, body: { name: 'nina', role: 'viewer', password: PASSWORD } });
    const context = await browser.newContext({ bypassCSP: true, viewport: { width: 360, height: 640 } });
    const page = await context.newPage();
    const enter = async (password: string) => {
      await page.goto(`${server.url}/login?next=/data`);
      await page.getByLabel('Name').fill('nina');
      await page.getByLabel('Password').fill(password);
      await page.keyboard.press('Enter');
    };
    const answer = async (old: string, next: string, again: string) => {
      await page.getByLabel('Present password').fill(old);
      await page.getByLabel('New password').fill(next);
      await page.getByLabel('The new one again').fill(again);
      await page.keyboard.press('Enter');
    };
    await enter(PASSWORD);
    await page.getByRole('button', { name: 'Password…' }).click();
    await answer(PASSWORD, 'a newer long password', 'a newer lang password');
    await page.getByText('The two new passwords differ.').waitFor();
    await answer('guessed', 'a newer long password', 'a newer long password');
    await page.getByText('Not done: The old password is not right.').waitFor();
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    if (process.env.SCREENSHOTS !== undefined) await page.screenshot({ path: `${process.env.SCREENSHOTS}/password.png` });
    await answer(PASSWORD, 'a newer long password', 'a newer long password');
    await page.getByText('Your password is changed.').waitFor();
    await page.getByRole('button', { name: 'Close' }).press('Enter');
    // The login goes on.
    await page.reload();
    await page.getByText('nina', { exact: true }).waitFor();
    await context.clearCookies();
    await enter(PASSWORD);
    await page.getByRole('alert').waitFor();
    await enter('a newer long password');
    await page.waitForURL('**/data');
    await context.close();
  });

  test('is where one comes when the login is over', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${server.url}/`);
    await page.getByText('With an API key').click();
    await page.getByLabel('API key').fill(admin.secret);
    await page.getByRole('button', { name: 'Log in with the key' }).click();
    await page.waitForSelector('main h1');
    await context.clearCookies();
    await page.getByRole('link', { name: 'Alerts' }).click();
    await page.waitForURL('**/login?next=%2Falerts');
    expect(await page.getByRole('heading').textContent()).toBe('Log in');
    await context.close();
  });
});
