import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { transitionRow } from '../../schemas/alert.ts';
import { findChromium, launchBrowser } from '../api/browser.ts';
import { alertAt } from '../api/sinks/alert.ts';
import { configuredKey, startGuarded, type Guarded } from './guarded.ts';

/** The whole server with a flag that it serves: a rollback by itself, one that is confirmed and one that is vetoed, seen from outside. */

type Json = Record<string, any>; // eslint-disable-line -- answers are checked field by field
const keys = { act: configuredKey('default', ['act']), read: configuredKey('default', ['read']), ingest: configuredKey('default', ['ingest']), admin: configuredKey('default', ['admin']), other: configuredKey('other', ['act']) };
const flag = (name: string) => ({ kind: 'flagd', name, flag: `${name}-prompt`, variants: { stable: 'v1', next: 'v2' }, default_variant: 'next' });
const rule = (hook: string, mode: string, veto_s = 0) => ({ rollback: { mode, hook, veto_s } });
let server: Guarded;

beforeAll(async () => {
  const settings = {
    hooks: [flag('quick'), flag('asked'), flag('slow')],
    prompts: { quick: rule('quick', 'act'), asked: rule('asked', 'propose'), slow: rule('slow', 'act', 3600) },
    access: { keys: Object.values(keys).map(({ entry }) => entry) },
  };
  server = await startGuarded(settings, async (store) => {
    for (const prompt of ['quick', 'asked', 'slow']) {
      const atMs = Date.now() - 1000;
      const alert = { ...alertAt(`alr_${prompt}`, 'open', atMs), prompt, links: { alert: '', evidence: '', chart: '', rollback: `http://127.0.0.1/alerts/alr_${prompt}#rollback` } };
      await store.insert('alert_transitions', [transitionRow(alert, { comparison_id: 'cmp_1', sequence: 1, at_ms: atMs, reason: 'evidence past its threshold' })]);
    }
  });
}, 60_000);
afterAll(() => server.close());

const json = async (path: string, asking: Parameters<Guarded['ask']>[1] = { key: keys.read.secret }): Promise<Json> => (await (await server.ask(path, asking)).json()) as Json; // what the API answers
const stateOf = async (prompt: string): Promise<string> => (await json(`/v1/alerts/alr_${prompt}`))['rollbacks'][0]?.state ?? 'none';
const becomes = (prompt: string, state: string) => vi.waitUntil(async () => (await stateOf(prompt)) === state, { timeout: 15_000, interval: 100 });
const served = async (name: string): Promise<string> => (await json('/v1/flags/flagd.json'))['flags'][`${name}-prompt`].defaultVariant;

describe('rollbacks of a running server', { timeout: 60_000 }, () => {
  it('acts by itself: the flag that it serves turns back, for flagd and over OFREP', async () => {
    await becomes('quick', 'done');
    expect(await json('/v1/flags/flagd.json')).toMatchObject({ $schema: 'https://flagd.dev/schema/v0/flags.json', flags: { 'quick-prompt': { state: 'ENABLED', variants: { stable: 'v1', next: 'v2' }, defaultVariant: 'stable' }, 'asked-prompt': { defaultVariant: 'next' } } });
    expect(await json('/ofrep/v1/evaluate/flags/quick-prompt', { key: keys.read.secret, body: { context: { targetingKey: 'user-1' } } })).toMatchObject({ key: 'quick-prompt', value: 'v1', variant: 'stable', reason: 'STATIC' });
    const missing = await server.ask('/ofrep/v1/evaluate/flags/gone', { key: keys.read.secret, body: {} });
    expect([missing.status, await missing.json()]).toEqual([404, { key: 'gone', errorCode: 'FLAG_NOT_FOUND', errorDetails: 'there is no such flag' }]);
    await vi.waitUntil(async () => (await json('/v1/alerts/alr_quick'))['rollback']?.state === 'done', { timeout: 15_000, interval: 100 });
    const alert = await json('/v1/alerts/alr_quick');
    expect(alert['transitions'].at(-1)).toMatchObject({ event: 'rollback', state: 'open', reason: 'quick was asked to roll back to v1: quick-prompt serves stable. Whether it helps is being tested' });
    const { entries } = await json('/v1/audit-log?action=rollback.ask', { key: keys.admin.secret });
    expect(entries).toMatchObject([{ actor: 'rollback hook quick', target: 'alr_quick', result: 'done' }]);
  });

  it('proposes, and turns back when somebody who may act says so; it can be turned again', async () => {
    await becomes('asked', 'proposed');
    const confirm = (key: string) => server.ask('/v1/alerts/alr_asked/rollback', { key, body: { action: 'confirm', by: 'the boss' } });
    expect([(await confirm(keys.read.secret)).status, (await confirm(keys.ingest.secret)).status, (await confirm(keys.other.secret)).status, await served('asked')]).toEqual([403, 403, 404, 'next']);
    expect((await confirm(keys.act.secret)).status).toBe(200);
    await becomes('asked', 'done');
    expect(await served('asked')).toBe('stable');
    const { rollbacks } = await json('/v1/rollbacks?prompt=asked');
    expect(rollbacks).toMatchObject([{ alert_id: 'alr_asked', hook: 'asked', kind: 'flagd', state: 'done', can: [], steps: [{ state: 'proposed' }, { state: 'confirmed', by: 'default act' }, { state: 'asked' }, { state: 'done', by: 'default act' }] }]);
    const again = await confirm(keys.act.secret);
    expect([again.status, (await again.json() as Json)['detail']]).toEqual([409, 'It is too late for that: the rollback is done.']); // a problem
    expect(await json('/v1/rollbacks', { key: keys.other.secret })).toEqual({ rollbacks: [] });

    const turned = await json('/v1/flags/asked-prompt', { key: keys.act.secret, body: { variant: 'next', reason: 'mended' } });
    expect(turned).toMatchObject({ variant: 'next', version: 'v2', by: 'default act', reason: 'mended' });
    expect((await server.ask('/v1/flags/asked-prompt', { key: keys.act.secret, body: { variant: 'v9', reason: 'x' } })).status).toBe(400);
    expect((await server.ask('/v1/flags/asked-prompt', { key: keys.other.secret, body: { variant: 'next', reason: 'x' } })).status).toBe(404);
  });

  it('shows on the page what it will do and lets a person veto', async (context) => {
    const executable = findChromium();
    if (executable === null) context.skip('no Chromium on PATH; set CHROMIUM_PATH');
    await becomes('slow', 'waiting');
    const browser = await launchBrowser(executable ?? '');
    try {
      const pages = await browser.newContext({ bypassCSP: true, viewport: { width: 1280, height: 800 }, extraHTTPHeaders: { authorization: `Bearer ${keys.act.secret}` } });
      const page = await pages.newPage();
      await page.goto(`${server.url}/alerts/alr_slow`);
      await page.waitForSelector('#rollback');
      expect(await page.textContent('#rollback p')).toMatch(/^Rollback slow rolls back to v1 in (60\smin|59\smin|1\sh), unless somebody vetoes\.$/);
      expect(await page.textContent('[data-key=rollback]')).toBe('Roll back to v1 now');
      await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
      expect((await page.evaluate<{ violations: { id: string }[] }>('axe.run(document.querySelector(".top"), { resultTypes: ["violations"] })')).violations.map(({ id }) => id)).toEqual([]);
      if (process.env.SCREENSHOTS !== undefined) await page.screenshot({ path: `${process.env.SCREENSHOTS}/rollback-waiting.png` });
      await page.click('[data-key=veto]');
      await page.fill('#ask-text', 'it is the provider');
      await page.click('dialog button[type=submit]');
      await page.waitForSelector('#rollback:has-text("default act vetoed the rollback: it is the provider.")');
      expect([await stateOf('slow'), await served('slow')]).toEqual(['vetoed', 'next']);
      expect(await page.textContent('[data-key=rollback]')).toBe('Roll back to v1');
      await page.click('[data-key=rollback]');
      await page.waitForSelector('#rollback:has-text("was asked to roll back to v1")');
      if (process.env.SCREENSHOTS !== undefined) await page.screenshot({ path: `${process.env.SCREENSHOTS}/rollback-done.png` });
      expect([await served('slow'), await page.locator('[data-key=rollback]').count()]).toEqual(['stable', 0]);
    } finally {
      await browser.close();
    }
  });
});
