import { expect, test } from 'vitest';
import { selfAlertOf } from '../../analyzer/self/fault.ts';
import { ledgerFault } from '../../analyzer/self/ledger-fault.ts';
import { transitionRow } from '../../schemas/alert.ts';
import { withPages } from './pages.ts';
import { callRow } from './rows.ts';
import { openApi } from './server.ts';
import { randomFrom, seedRollout, twoHoursTo, worseRollout } from './traffic.ts';

/** The overview, and what it leads to, in a real browser: a prompt that was paged for, a newer ticket, and a prompt with a version for every call. */
const VERSIONS = 3_000;
const pages = withPages(async () => {
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const api = await openApi({ heartbeatMs: 200 }, nowMs);
  await seedRollout(api.store, worseRollout(nowMs), twoHoursTo(nowMs), randomFrom(5));
  await api.store.insert('calls', Array.from({ length: VERSIONS }, (_, index) => callRow({ at_ms: nowMs - 600_000 + index, id: `call ${index}`, prompt: 'built-often', version: `build-of-the-night-${index}`, duration_ms: 999.7 })));
  await api.store.insert('ledger', [{ project: 'default', hour: Math.floor(nowMs / 3_600_000) * 3600, signal: 'traces', outcome: 'received', reason: '', count: 12, last_batch: 0 }]);
  const [fault] = await ledgerFault.find({ store: api.store, nowMs, startedMs: 0, project: 'default' });
  if (fault === undefined) throw new Error('the ledger balances');
  const ticket = await selfAlertOf(ledgerFault, fault, { epoch: 0, raisedMs: nowMs, publicUrl: '' });
  await api.store.insert('alert_transitions', [transitionRow(ticket, { comparison_id: 'slf_1', sequence: 1, at_ms: nowMs, reason: fault.summary })]);
  return api;
});

test('pages stand before newer tickets', { timeout: 60_000 }, async () => {
  const page = await pages.open('/');
  expect(await page.locator('.alert-row .chip').allTextContents()).toEqual([expect.stringMatching(/^page/), expect.stringMatching(/^ticket/)]);
});

test('small shares and times on the edge of a unit are told as they are', { timeout: 60_000 }, async () => {
  const page = await pages.open('/');
  const row = (await page.locator('.prompts tbody tr', { hasText: 'built-often' }).textContent())?.replaceAll('\u202f', ' ');
  expect(row).toMatch(/build-of-the-night-\d+ 0\.03 %.* and 2 997 more/);
  expect(row).toContain('1.00 s');
});

test.each([1280, 360])('name, state and errors are seen without scrolling, %i wide', { timeout: 60_000 }, async (width) => {
  const page = await pages.open('/', { viewport: { width, height: 800 } });
  for (const cell of await page.locator('.prompts tbody tr').first().locator(':is(th, td):is(:nth-child(1), :nth-child(2), :nth-child(5))').all()) {
    const box = await cell.boundingBox();
    expect((box?.x ?? 1e9) + (box?.width ?? 0)).toBeLessThanOrEqual(width);
  }
  expect(await page.locator('.prompts .state.bad').textContent()).toContain('regressed');
});

test('an environment without calls leads to the one that has them', { timeout: 60_000 }, async () => {
  const page = await pages.open('/prompts/refund-agent?environment=prod');
  expect(await page.textContent('.lead')).toMatch(/^prod · 0 calls/);
  await page.click('nav[aria-label=Environment] >> text=production');
  await page.waitForSelector('.versions');
});
