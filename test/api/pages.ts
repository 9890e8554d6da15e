import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { findChromium, launchBrowser, listen } from './browser.ts';
import type { TestApi } from './server.ts';

/** `at`: another server than the one that was begun. `shows`: what has to be there before the page is handed out. */
type Opening = BrowserContextOptions & { readonly at?: string; readonly shows?: string };

/**
 * An API in a real browser, for the tests of a file or a `describe`: begun once, ended together. Whatever the browser complains of, and every request to
 * somewhere else, fails the test. Without Chromium they are skipped and say so; with CI=true that is a failure.
 */
export function withPages(begin: () => Promise<TestApi>) {
  const executable = findChromium();
  if (executable === null && process.env.CI === 'true') throw new Error('CI must have Chromium: set CHROMIUM_PATH');
  let api: TestApi;
  let server: Awaited<ReturnType<typeof listen>>;
  let browser: Browser;
  const opened: { readonly page: Page; readonly complaints: string[] }[] = [];

  beforeAll(async () => {
    if (executable === null) return;
    api = await begin();
    server = await listen(api.app);
    browser = await launchBrowser(executable);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await api?.close();
  });
  beforeEach((context) => {
    if (executable === null) context.skip('no Chromium on PATH; set CHROMIUM_PATH');
  });
  afterEach(async () => {
    for (const { page, complaints } of opened.splice(0)) {
      await page.context().close();
      if (complaints.length > 0) throw new Error(`the browser complains: ${complaints.join('; ')}`);
    }
  });

  return {
    /** Whether there is a Chromium, and so all the rest. */
    isBegun: executable !== null,
    get api(): TestApi {
      return api;
    },
    get address(): string {
      return server.address;
    },
    async open(path: string, { at = server.address, shows = 'main h1', ...options }: Opening = {}): Promise<Page> {
      const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: 'UTC', ...options })).newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type()) && !/status of 404/.test(message.text())) complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('request', (request) => {
        if (!/^(?:blob|data):/.test(request.url()) && !request.url().startsWith(at)) complaints.push(`asked for ${request.url()}`);
      });
      opened.push({ page, complaints });
      await page.goto(at + path);
      await page.waitForSelector(shows);
      return page;
    },
    /** What the browser has said of this page until now is what was asked for. */
    forgive: (page: Page): void => void opened.find((each) => each.page === page)?.complaints.splice(0),
  };
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with a page that was opened with `bypassCSP`, which only axe itself needs: the rule, and the first place that breaks it. @param rules those that are asked; all where none are named. */
export async function violationsIn(page: Page, rules?: readonly string[]): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>(`axe.run(document, ${JSON.stringify({ resultTypes: ['violations'], ...(rules === undefined ? {} : { runOnly: rules }) })})`);
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}
