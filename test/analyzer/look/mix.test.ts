import { describe, expect, it, vi } from 'vitest';
import type { Alert } from '../../../schemas/alert.ts';
import { callsOf, linesOf, scenario, together, type Change, type Scenario, type Schedule } from '../../simulation/traffic.ts';
import { alertsOf, forgetLooks, lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';
import { inLongForm } from '../../long.ts';

/** A metric that moves because the traffic did, by something that no stratum is kept apart by. From OTLP to alerts over a real store. */

vi.setConfig({ testTimeout: 240_000 });

const here = lookStore();

const traffic = (change: Partial<Scenario> = {}): Scenario => scenario({ minutes: 130, callsPerMinute: 30, ...change });
const beside = (): Scenario[] => ['triage', 'search'].map((prompt) => traffic({ prompt }));
const languages = (minute: number): Record<string, Schedule> => ({ 'app.language': [[0, { en: 0.9, de: 0.1 }], [minute, { en: 0.4, de: 0.6 }]] });
const german: Change = { attribute: 'de', error: 0.35 };

/** @param restartMinute a new look takes over there. */
async function alertsIn(prompts: readonly Scenario[], seed: number, restartMinute: number | null = null): Promise<Alert[]> {
  const endMs = await ingest(here.store, together(...prompts.map((of, index) => linesOf(of, callsOf(of, seed + 100 * index)))));
  const events = [];
  for (const untilMs of [...(restartMinute === null ? [] : [traffic().beginMs + restartMinute * 60_000]), endMs + 60_000]) {
    const look = lookOver(here.store, {}, 60);
    await look.start();
    events.push(...(await look.advance(untilMs)));
  }
  return alertsOf(events);
}

describe('a prompt that fails more often because it is asked in another language', () => {
  it('is a ticket of the mix, its version innocent, also after a restart (seed 501)', async () => {
    const its = traffic({ attributes: languages(95), changes: [german] });
    const alerts = await alertsIn([its, ...beside()], 501);
    expect(alerts).toMatchObject([{ state: 'open', severity: 'ticket', prompt: 'refund-agent', metric: 'error_rate', culprit: { factor: 'mix', value: expect.stringMatching(/^app\.language=de (9|1\d|9\.\d) % → [56]\d %$/) } }]);
    expect(alerts[0]?.exonerated[0]).toMatchObject({ factor: 'prompt_version', value: 'v1', reason: expect.stringContaining('with the earlier mix of app.language') });
    const [shift] = alerts[0]?.mix ?? [];
    expect(shift).toMatchObject({ dimension: 'app.language', value: 'de', explains: true });
    expect(shift?.standardised.high).toBeLessThan((shift?.raw ?? 0) / 2);
    await forgetLooks(here.store);
    for (const table of ['calls', 'scores', 'versions']) await here.store.command(`TRUNCATE TABLE ${table}`);
    expect(await alertsIn([its, ...beside()], 501, 97)).toEqual(alerts);
  });

  it('is paged as itself where every language fails, with the shift told beside it (seed 502)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([traffic({ attributes: languages(95), changes: [{ error: 0.3, fromMinute: 95 }] }), ...beside()], 502);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'unknown' }, mix: [{ dimension: 'app.language', value: 'de', explains: false }] }]);
  });

  it('is paged as itself, with no shift beside it, where none is (seed 503)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([traffic({ attributes: languages(0), changes: [{ error: 0.3, fromMinute: 95 }] }), ...beside()], 503);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'unknown' } }]);
    expect(alerts[0]?.mix).toBeUndefined();
  });
});

describe('a cutover in the minute in which the language shifts', () => {
  const versions: Scenario['versions'] = [[0, { v1: 1 }], [70, { v2: 1 }]];

  it('is not blamed for what the language explains (seed 504)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([traffic({ versions, attributes: languages(70), changes: [german] }), ...beside()], 504);
    const told = { severity: 'ticket', prompt_version: 'v2', culprit: { factor: 'mix', value: expect.stringContaining('app.language=de') } };
    // Resolved by itself when the earlier traffic is used up.
    expect(alerts).toMatchObject([{ ...told, state: 'open' }, { ...told, state: 'resolved' }]);
    expect(alerts[0]?.exonerated[0]).toMatchObject({ factor: 'prompt_version', value: 'v2' });
  });

  it('is blamed for what it does in every language (seed 505)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([traffic({ versions, attributes: languages(70), changes: [{ version: 'v2', error: 0.3 }] }), ...beside()], 505);
    expect(alerts[0]).toMatchObject({ severity: 'page', culprit: { factor: 'prompt_version', value: 'v2' }, mix: [{ dimension: 'app.language', explains: false }] });
  });
});
