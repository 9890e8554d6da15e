import { expect, test } from 'vitest';
import { selfAlertOf } from '../../analyzer/self/fault.ts';
import { ledgerFault } from '../../analyzer/self/ledger-fault.ts';
import { transitionRow } from '../../schemas/alert.ts';
import { withPages } from './pages.ts';
import { openApi } from './server.ts';

/** The page of an alert on Culprit itself, in a real browser. */
let alertId: string;
const pages = withPages(async () => {
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const api = await openApi({ heartbeatMs: 200 }, nowMs);
  await api.store.insert('ledger', [{ project: 'default', hour: Math.floor(nowMs / 3_600_000) * 3600, signal: 'traces', outcome: 'received', reason: '', count: 12, last_batch: 0 }]);
  const [fault] = await ledgerFault.find({ store: api.store, nowMs, startedMs: 0, project: 'default' });
  if (fault === undefined) throw new Error('the ledger balances');
  const alert = await selfAlertOf(ledgerFault, fault, { epoch: 0, raisedMs: nowMs, publicUrl: '' });
  alertId = alert.id;
  await api.store.insert('alert_transitions', [transitionRow(alert, { comparison_id: 'slf_1', sequence: 1, at_ms: nowMs, reason: fault.summary })]);
  return api;
});

test('says what is wrong, since when and what to do, in the list and on its own page, and can be resolved there', { timeout: 60_000 }, async () => {
  const page = await pages.open('/alerts');
  expect(await page.locator('.alert-row').textContent()).toMatch(/ticket · open.*the ledger does not balance: 12 records received and not accounted for.*A fault of Culprit itself, since/);
  await page.click('.alert-row a');
  await page.waitForURL(`**/alerts/${alertId}`);
  await page.waitForSelector('.alert h1');
  expect(await page.textContent('h1')).toBe('the ledger does not balance: 12 records received and not accounted for');
  expect(await page.textContent('.lead')).toMatch(/^12 records not accounted for when it was raised, since \d\d:\d\d\.$/);
  expect(await page.textContent('.evidence')).toMatch(/What to do.*\/v1\/ledger.*History/s);
  const screenshot = process.env['SCREENSHOT'];
  if (screenshot !== undefined) await page.screenshot({ path: screenshot });
  await page.click('text=Resolve…');
  await page.fill('dialog textarea', 'found and counted');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('text=Resolved by somebody. found and counted');
});
