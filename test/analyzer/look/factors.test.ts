import { describe, expect, it, vi } from 'vitest';
import type { Alert } from '../../../schemas/alert.ts';
import { callsOf, linesOf, scenario, together, type Scenario } from '../../simulation/traffic.ts';
import { alertsOf, expectVerified, lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';
import { inLongForm } from '../../long.ts';

/** Everything but versions and models that can be blamed: from OTLP to alerts over a real store, with other prompts beside. */

vi.setConfig({ testTimeout: 240_000 });

const here = lookStore();

const target = (change: Partial<Scenario>): Scenario => scenario({ minutes: 120, callsPerMinute: 30, ...change });
const beside = (change: Partial<Scenario> = {}): Scenario[] => ['triage', 'search', 'summary'].map((prompt, index) => scenario({ prompt, minutes: 120, callsPerMinute: 20 + 5 * index, ...change }));

async function alertsIn(prompts: readonly Scenario[], seed: number, settings: object = {}): Promise<Alert[]> {
  const endMs = await ingest(here.store, together(...prompts.map((traffic, index) => linesOf(traffic, callsOf(traffic, seed + 100 * index)))), settings);
  const look = lookOver(here.store, settings, 60);
  await look.start();
  const events = await look.advance(endMs + 20 * 60_000);
  await expectVerified(here.store, events);
  return alertsOf(events);
}

const at75 = (before: string, after: string) => [[0, { [before]: 1 }], [75, { [after]: 1 }]] as const;
const half = (before: string, after: string) => [[0, { [before]: 1 }], [40, { [before]: 0.5, [after]: 0.5 }]] as const;

describe('a change that is no version', () => {
  it('a provider that takes over is named, and the version is not (seed 91)', async () => {
    const alerts = await alertsIn([target({ providers: at75('openai', 'azure.ai.openai'), changes: [{ provider: 'azure.ai.openai', quality: 0.74 }] }), ...beside()], 91);
    expect(alerts).toMatchObject([
      {
        severity: 'page', prompt: 'refund-agent', prompt_version: 'v1', metric: 'quality', evidence: { grade: 'before_after' },
        culprit: { factor: 'provider', value: 'azure.ai.openai', baseline: 'openai' }, exonerated: [{ factor: 'prompt_version', value: 'v1' }],
      },
    ]);
    expect(alerts[0]?.summary).toMatch(/^refund-agent on azure\.ai\.openai scores lower on quality than on openai/);
  });

  it('one of two providers that serve side by side is named (seed 92)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ providers: half('openai', 'azure.ai.openai'), changes: [{ provider: 'azure.ai.openai', error: 0.12 }] })], 92);
    expect(alerts).toMatchObject([{ severity: 'page', metric: 'error_rate', culprit: { factor: 'provider', value: 'azure.ai.openai' }, evidence: { grade: 'concurrent' } }]);
  });

  it('another model that is asked for is named, though another provider has it, and the version is not (seed 103)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ models: at75('gpt-4o-2024-08-06', 'gpt-4.1'), providers: at75('openai', 'azure.ai.openai'), changes: [{ model: 'gpt-4.1', quality: 0.74 }] }), ...beside()], 103);
    expect(alerts).toMatchObject([
      {
        severity: 'page', prompt: 'refund-agent', prompt_version: 'v1', metric: 'quality', evidence: { grade: 'before_after' },
        culprit: { factor: 'model', value: 'gpt-4.1', baseline: 'gpt-4o' }, exonerated: [{ factor: 'prompt_version', value: 'v1' }],
      },
    ]);
    expect(alerts[0]?.culprit.confounded_with).toBeUndefined();
    expect(alerts[0]?.summary).toMatch(/^refund-agent on gpt-4\.1 scores lower on quality than on gpt-4o/);
  });

  it('one of two models that are asked for side by side is named (seed 104)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ models: half('gpt-4o-2024-08-06', 'gpt-4.1'), changes: [{ model: 'gpt-4.1', error: 0.12 }] })], 104);
    expect(alerts).toMatchObject([{ severity: 'page', metric: 'error_rate', culprit: { factor: 'model', value: 'gpt-4.1', baseline: 'gpt-4o' }, evidence: { grade: 'concurrent' } }]);
  });

  it('an application that is deployed to half of the machines is named (seed 93)', async () => {
    const alerts = await alertsIn([target({ apps: half('1.4.0', '1.5.0'), changes: [{ app: '1.5.0', error: 0.12 }] }), ...beside({ apps: half('1.4.0', '1.5.0') })], 93);
    expect(alerts).toMatchObject([{ severity: 'page', prompt: 'refund-agent', culprit: { factor: 'app_version', value: '1.5.0', baseline: '1.4.0' }, evidence: { grade: 'concurrent' } }]);
    expect(alerts[0]?.exonerated).toMatchObject([{ factor: 'model' }]);
  });

  it('an application that is deployed at once is named, though all prompts are in it (seed 94)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ apps: at75('1.4.0', '1.5.0'), changes: [{ app: '1.5.0', quality: 0.74 }] }), ...beside({ apps: at75('1.4.0', '1.5.0') })], 94);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'app_version', value: '1.5.0' }, evidence: { grade: 'before_after' } }]);
  });

  it('an edit that nobody versioned is named (seed 95)', async () => {
    const alerts = await alertsIn([target({ texts: at75('You decide refunds.', 'You decide refunds. Be strict.'), changes: [{ text: 'You decide refunds. Be strict.', quality: 0.74 }] }), ...beside()], 95);
    expect(alerts).toMatchObject([{ severity: 'page', prompt_version: 'v1', culprit: { factor: 'prompt_content', value: expect.stringMatching(/^s:[0-9a-f]{16}$/) }, evidence: { grade: 'before_after' } }]);
    expect(alerts[0]?.exonerated).toContainEqual({ factor: 'prompt_version', value: 'v1', reason: 'it stayed the same while its text moved', e_value: null });
  });

  it('an attribute that the configuration names is, also where strata are kept apart by it (seed 96)', async (context) => {
    inLongForm(context);
    const ringed = target({ attributes: { 'deployment.ring': half('stable', 'canary') }, changes: [{ attribute: 'canary', error: 0.12 }] });
    const settings = { factors: { attributes: ['deployment.ring'] }, strata: { attributes: ['app.route', 'deployment.ring'] } };
    expect(await alertsIn([ringed], 96, settings)).toMatchObject([{ severity: 'page', culprit: { factor: 'deployment.ring', value: 'canary', baseline: 'stable' }, evidence: { grade: 'concurrent' } }]);
  });
});

describe('texts that are no edit', () => {
  it('of three languages are compared with nothing (seed 97)', async (context) => {
    inLongForm(context);
    const texts = [[0, { English: 0.5, Deutsch: 0.3, Italiano: 0.2 }]] as const;
    expect(await alertsIn([target({ texts, changes: [{ text: 'Deutsch', error: 0.2 }] })], 97)).toEqual([]);
    expect(await here.store.select(`SELECT count() AS comparisons FROM comparisons WHERE factor = 'prompt_content'`)).toEqual([{ comparisons: 0 }]);
  });
});

describe('what moved at the same time', () => {
  const main = target({ minutes: 110 });
  const canary = (change: Partial<Scenario>): Scenario => target({ minutes: 70, beginMs: main.beginMs + 40 * 60_000, callsPerMinute: 15, versions: [[0, { v2: 1 }]], ...change });

  it('a version in a canary, on a model of its own: the model, and that they cannot be told apart (seed 105)', async () => {
    const alerts = await alertsIn([main, canary({ models: { 'gpt-4.1': 1 }, changes: [{ version: 'v2', quality: 0.74 }] })], 105);
    expect(alerts).toMatchObject([
      { severity: 'page', metric: 'quality', evidence: { grade: 'concurrent' }, culprit: { factor: 'model', value: 'gpt-4.1', baseline: 'gpt-4o', confounded_with: [{ factor: 'prompt_version', value: 'v2', told_apart_by: 'running gpt-4.1 without v2, or v2 without gpt-4.1' }] } },
    ]);
  });

  it('a version in a canary, with another provider: the provider, and that they cannot be told apart (seed 106)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([main, canary({ providers: [[0, { 'azure.ai.openai': 1 }]], changes: [{ version: 'v2', quality: 0.74 }] })], 106);
    expect(alerts).toMatchObject([{ severity: 'page', evidence: { grade: 'concurrent' }, culprit: { factor: 'provider', value: 'azure.ai.openai', confounded_with: [{ factor: 'prompt_version', value: 'v2' }] } }]);
  });

  it('a version that came with a model and runs without it too: the version, and the model is not accused (seed 107)', async (context) => {
    inLongForm(context);
    const worse = [{ version: 'v2', quality: 0.74 }];
    const alerts = await alertsIn([main, canary({ models: { 'gpt-4.1': 1 }, changes: worse }), canary({ beginMs: main.beginMs + 42 * 60_000, minutes: 68, changes: worse })], 107);
    expect(alerts).toMatchObject([{ severity: 'page', evidence: { grade: 'concurrent' }, culprit: { factor: 'prompt_version', value: 'v2', baseline: 'v1' } }]);
  });

  it('version and application: the version, and that it cannot be told from the application (seed 98)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ versions: at75('v1', 'v2'), apps: at75('1.4.0', '1.5.0'), changes: [{ version: 'v2', quality: 0.74 }] }), ...beside({ apps: at75('1.4.0', '1.5.0') })], 98);
    expect(alerts).toMatchObject([
      {
        severity: 'page', evidence: { grade: 'before_after' },
        culprit: { factor: 'prompt_version', value: 'v2', confounded_with: [{ factor: 'app_version', value: '1.5.0', told_apart_by: 'running v2 without 1.5.0, or 1.5.0 without v2' }] },
      },
    ]);
  });

  it('version and text: one alert, on the version (seed 99)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ versions: at75('v1', 'v2'), texts: at75('You decide refunds.', 'Be strict.'), changes: [{ version: 'v2', quality: 0.74 }] }), ...beside()], 99);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'prompt_version', value: 'v2' } }]);
    expect(alerts[0]?.culprit.confounded_with).toBeUndefined();
  });

  it('provider and version: one alert, and that they cannot be told apart (seed 101)', async () => {
    const alerts = await alertsIn([target({ versions: at75('v1', 'v2'), providers: at75('openai', 'azure.ai.openai'), changes: [{ version: 'v2', quality: 0.74 }] }), ...beside()], 101);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'provider', value: 'azure.ai.openai', confounded_with: [{ factor: 'prompt_version', value: 'v2' }] } }]);
    expect(alerts[0]?.exonerated).toEqual([]);
  });

  it('a version in a canary, while the application is deployed to all: the version, with the application exonerated (seed 102)', async (context) => {
    inLongForm(context);
    const versions = [[0, { v1: 1 }], [75, { v1: 0.5, v2: 0.5 }]] as const;
    const alerts = await alertsIn([target({ versions, apps: at75('1.4.0', '1.5.0'), changes: [{ version: 'v2', error: 0.15 }] }), ...beside({ apps: at75('1.4.0', '1.5.0') })], 102);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'prompt_version', value: 'v2' }, evidence: { grade: 'concurrent' } }]);
    expect(alerts[0]?.culprit.confounded_with).toBeUndefined();
  });
});
