import { describe, expect, it, vi } from 'vitest';
import type { Alert } from '../../../../schemas/alert.ts';
import { callsOf, linesOf, scenario, together, type Change, type Scenario } from '../../../simulation/traffic.ts';
import { alertsOf, expectVerified, forgetLooks, lookStore } from '../look-run.ts';
import { ingest, lookOver } from '../../../simulation/store.ts';
import { inLongForm } from '../../../long.ts';

/** A prompt that gets worse by itself, long after its last change. From OTLP to alerts over a real store. */

vi.setConfig({ testTimeout: 240_000 });

const here = lookStore();

const fault: Change = { error: 0.3, fromMinute: 100 };
const target = (change: Partial<Scenario> = {}): Scenario => scenario({ minutes: 125, callsPerMinute: 25, ...change });
const beside = (change: Partial<Scenario> = {}): Scenario[] => ['triage', 'search'].map((prompt) => target({ prompt, ...change }));
const takeover: Scenario['versions'] = [[0, { v1: 1 }], [30, { v2: 1 }]];

/** @param restartMinute a new look takes over there. */
async function alertsIn(prompts: readonly Scenario[], seed: number, restartMinute: number | null = null): Promise<Alert[]> {
  const endMs = await ingest(here.store, together(...prompts.map((traffic, index) => linesOf(traffic, callsOf(traffic, seed + 100 * index)))));
  const events = [];
  for (const untilMs of [...(restartMinute === null ? [] : [target().beginMs + restartMinute * 60_000]), endMs + 60_000]) {
    const look = lookOver(here.store, {}, 60);
    await look.start();
    events.push(...(await look.advance(untilMs)));
  }
  await expectVerified(here.store, events);
  return alertsOf(events);
}

describe('a version that has been alone for an hour when it goes bad', () => {
  const its = target({ versions: takeover, changes: [fault] });

  it('is not accused: the prompt is, with the model exonerated and what changed last told, also after a restart (seed 301)', async () => {
    const alerts = await alertsIn([its, ...beside()], 301);
    expect(alerts).toMatchObject([
      {
        state: 'open', severity: 'page', prompt: 'refund-agent', prompt_version: 'v2', metric: 'error_rate', culprit: { factor: 'unknown', value: 'refund-agent', baseline: 'the hour before' },
        evidence: { grade: 'before_after' }, links: { chart: expect.stringMatching(/\/v1\/alerts\/alr_\w+\/chart.png$/) }, exonerated: [{ factor: 'model', reason: 'search, triage on it did not move' }],
        recent_changes: [{ factor: 'prompt_version', value: 'v2', at: expect.stringMatching(/T08:30:/) }],
      },
    ]);
    const minute = (text: string | undefined): number => (Date.parse(text ?? '') - its.beginMs) / 60_000;
    expect(Math.abs(minute(alerts[0]?.onset) - 100)).toBeLessThan(1.5);
    expect(minute(alerts[0]?.raised_at)).toBeLessThan(104);
    await forgetLooks(here.store);
    for (const table of ['calls', 'scores', 'versions']) await here.store.command(`TRUNCATE TABLE ${table}`);
    expect(await alertsIn([its, ...beside()], 301, 101)).toEqual(alerts);
  });

  it('is a ticket where nothing shows that it is not the model (seed 302)', async (context) => {
    inLongForm(context);
    expect(await alertsIn([its], 302)).toMatchObject([{ severity: 'ticket', culprit: { factor: 'unknown' }, evidence: { grade: 'alone' }, exonerated: [] }]);
  });
});

describe('what is not a drift of one prompt', () => {
  it('a model that fails for all of them: the model alone (seed 303)', async () => {
    const alerts = await alertsIn([target({ changes: [fault] }), ...beside({ changes: [fault] })], 303);
    expect(alerts).toMatchObject([{ severity: 'page', prompt: null, culprit: { factor: 'model' } }]);
  });

  it('a return to a version that was always slower (seed 304)', async (context) => {
    inLongForm(context);
    const versions: Scenario['versions'] = [[0, { v1: 1 }], [20, { v2: 1 }], [95, { v1: 1 }]];
    expect(await alertsIn([target({ versions, changes: [{ version: 'v2', medianMs: 500 }] }), ...beside()], 304)).toEqual([]);
  });
});
