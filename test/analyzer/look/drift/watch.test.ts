import { describe, expect, it, vi } from 'vitest';
import type { Alert } from '../../../../schemas/alert.ts';
import { callsOf, linesOf, scenario, together, type Change, type Scenario } from '../../../simulation/traffic.ts';
import { alertsOf, expectVerified, lookStore } from '../look-run.ts';
import { ingest, lookOver } from '../../../simulation/store.ts';
import { inLongForm } from '../../../long.ts';

/** Models of one provider that move at once: one page, of the provider. From OTLP to alerts over a real store. */

vi.setConfig({ testTimeout: 240_000 });

const here = lookStore();

async function alertsIn(prompts: readonly Scenario[], seed: number): Promise<Alert[]> {
  const endMs = await ingest(here.store, together(...prompts.map((traffic, index) => linesOf(traffic, callsOf(traffic, seed + 100 * index)))));
  const look = lookOver(here.store, {}, 60);
  await look.start();
  const events = await look.advance(endMs + 60_000);
  await expectVerified(here.store, events);
  return alertsOf(events);
}

const BIG = 'gpt-4o-2024-08-06';
const MINI = 'gpt-4o-mini-2024-07-18';
const CLAUDE = 'claude-sonnet-4-5';
const outage = (fromMinute: number): Change => ({ error: 0.4, fromMinute, toMinute: 115 });
const on = (prompt: string, model: string, change: Partial<Scenario> = {}): Scenario =>
  scenario({ prompt, minutes: 120, callsPerMinute: 25, models: { [model]: 1 }, ...(model === CLAUDE ? { providers: [[0, { anthropic: 1 }]] } : {}), ...change });

describe('a provider whose models fail at once', () => {
  it('is paged once, with no model and no version beside it, though a version was deployed in that minute (seed 201)', async () => {
    const versions = [[0, { v1: 1 }], [89, { v2: 1 }]] as const;
    const fails = { changes: [outage(90)] };
    const alerts = await alertsIn([on('refund', BIG, { versions, ...fails }), on('triage', BIG, fails), on('search', MINI, fails), on('summary', MINI, fails), on('essay', CLAUDE), on('letter', CLAUDE)], 201);
    expect(new Set(alerts.map(({ id }) => id)).size, alerts.map(({ summary }) => summary).join('; ')).toBe(1);
    const last = alerts.at(-1);
    expect(last).toMatchObject({
      state: 'open', severity: 'page', prompt: null, metric: 'error_rate', culprit: { factor: 'provider', value: 'openai' },
      exonerated: [{ factor: 'prompt_version', value: 'v2', reason: expect.stringContaining('refund changed to it') }],
    });
    expect(last?.summary).toMatch(/^openai on gpt-4o, gpt-4o-mini and 3 prompts fails/);
    expect((Date.parse(last?.raised_at ?? '') - scenario().beginMs) / 60_000).toBeLessThan(93);
  });

  it('is, where each of its models has one prompt only (seed 202)', async (context) => {
    inLongForm(context);
    const fails = { changes: [outage(90)] };
    const alerts = await alertsIn([on('refund', BIG, fails), on('search', MINI, fails), on('essay', CLAUDE)], 202);
    expect(alerts).toMatchObject([{ severity: 'page', prompt: null, culprit: { factor: 'provider', value: 'openai' } }]);
  });

  it('is told when a second model follows the first: the page of the first is revised (seed 203)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([on('refund', BIG, { changes: [outage(80)] }), on('triage', BIG, { changes: [outage(80)] }), on('search', MINI, { changes: [outage(95)] }), on('summary', MINI, { changes: [outage(95)] })], 203);
    expect(alerts.map(({ culprit, state }) => [culprit.factor, culprit.value, state])).toEqual([['model', BIG, 'open'], ['provider', 'openai', 'open']]);
    expect(alerts[0]?.id).toBe(alerts[1]?.id);
    const transitions = await here.store.select<{ reason: string }>('SELECT reason FROM alert_transitions FINAL ORDER BY sequence');
    expect(transitions.map(({ reason }) => reason)).toEqual(['several prompts moved at once', `revised: not ${BIG} alone, other models of openai moved as well`]);
  });

  it('is not, where one model fails alone (seed 204)', async (context) => {
    inLongForm(context);
    const fails = { changes: [outage(90)] };
    const alerts = await alertsIn([on('refund', BIG, fails), on('triage', BIG, fails), on('search', MINI), on('summary', MINI)], 204);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'model', value: BIG } }]);
  });
});

describe('a change that all prompts had in that minute', () => {
  it('is told beside the model: an application (seed 205)', async (context) => {
    inLongForm(context);
    const apps = [[0, { '1.4.0': 1 }], [90, { '1.5.0': 1 }]] as const;
    const fails = { apps, changes: [outage(90)] };
    const alerts = await alertsIn([on('refund', BIG, fails), on('triage', BIG, fails), on('search', BIG, fails)], 205);
    // That it was deployed may be seen only after the outage is: then the alert is revised.
    const pages = alerts.filter(({ severity }) => severity === 'page');
    expect(new Set(pages.map(({ id }) => id)).size).toBe(1);
    expect(pages.at(-1)).toMatchObject({ prompt: null, culprit: { factor: 'model', value: BIG, confounded_with: [{ factor: 'app_version', value: '1.5.0', told_apart_by: expect.any(String) }] } });
  });

  it('is the culprit, where it is who serves the model (seed 206)', async () => {
    const moved = { providers: [[0, { openai: 1 }], [90, { 'azure.ai.openai': 1 }]] as const, changes: [{ provider: 'azure.ai.openai', error: 0.3 }] };
    const alerts = await alertsIn([on('refund', BIG, moved), on('triage', BIG, moved), on('search', BIG, moved)], 206);
    expect(alerts.filter(({ severity }) => severity === 'page')).toMatchObject([{ prompt: null, culprit: { factor: 'provider', value: 'azure.ai.openai', baseline: 'openai' } }]);
  });
});
