import { describe, expect, it, vi } from 'vitest';
import type { Store } from '../../../schemas/store.ts';
import { callsOf, linesOf, scenario, together, type Change, type Scenario } from '../../simulation/traffic.ts';
import { alertsOf, expectVerified, lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';
import { inLongForm } from '../../long.ts';

/** Who is named when arms do not run at the same time: from OTLP to alerts over a real store, with other prompts beside. */

vi.setConfig({ testTimeout: 180_000 });

const here = lookStore();

const OLD = 'gpt-4o-2024-08-06';
const NEW = 'gpt-4o-2024-11-20';
const cutover: Scenario['versions'] = [[0, { v1: 1 }], [75, { v2: 1 }]];
const target = (change: Partial<Scenario>): Scenario => scenario({ minutes: 120, callsPerMinute: 30, versions: cutover, ...change });
const beside = (change: Partial<Scenario> = {}): Scenario[] =>
  ['triage', 'search', 'summary'].map((prompt, index) => scenario({ prompt, minutes: 120, callsPerMinute: 20 + 5 * index, normally: { ...scenario().normally, quality: 0.8 + 0.03 * index }, ...change }));

async function alertsIn(prompts: readonly Scenario[], seed: number, settings: object = {}) {
  const endMs = await ingest(here.store, together(...prompts.map((traffic, index) => linesOf(traffic, callsOf(traffic, seed + 100 * index)))));
  const look = lookOver(here.store, settings, 60);
  await look.start();
  const events = await look.advance(endMs + 20 * 60_000);
  await expectVerified(here.store, events);
  return alertsOf(events);
}

const outage = (fromMinute: number, toMinute: number): Change => ({ error: 0.4, medianMs: 2500, fromMinute, toMinute });

describe('a full cutover', () => {
  it('to a version that answers worse is paged, before and after, with the model exonerated (seed 71)', async () => {
    const alerts = await alertsIn([target({ changes: [{ version: 'v2', quality: 0.75 }] }), ...beside()], 71);
    expect(alerts).toMatchObject([
      {
        state: 'open', severity: 'page', prompt: 'refund-agent', prompt_version: 'v2', metric: 'quality',
        culprit: { factor: 'prompt_version', value: 'v2', baseline: 'v1' },
        evidence: { grade: 'before_after', threshold: 100 },
        exonerated: [{ factor: 'model', value: OLD, reason: expect.stringMatching(/did not move with it$/) }],
      },
    ]);
    const onsetMs = target({}).beginMs + 75 * 60_000;
    expect(Math.abs(Date.parse(alerts[0]?.onset ?? '') - onsetMs)).toBeLessThan(3 * 60_000);
    expect(alerts[0]?.examples.length).toBeGreaterThan(0);
    expect(await here.store.select('SELECT uniqExact(control) AS controls FROM strata WHERE control != \'\'')).toEqual([{ controls: 3 }]);
  });

  it('where nothing is there to compare with is a ticket, and says so (seed 72)', async (context) => {
    inLongForm(context);
    const alerts = await alertsIn([target({ changes: [{ version: 'v2', error: 0.3 }] })], 72);
    expect(alerts).toMatchObject([{ severity: 'ticket', culprit: { value: 'v2' }, evidence: { grade: 'alone' }, exonerated: [] }]);
  });

  it('in the minute of an outage is exonerated: one page, of the model (seed 73)', async () => {
    const alerts = await alertsIn([target({ changes: [outage(76, 100)] }), ...beside({ changes: [outage(76, 100)] })], 73);
    expect(alerts).toMatchObject([
      {
        state: 'open', severity: 'page', prompt: null, prompt_version: null, metric: 'error_rate', culprit: { factor: 'model', value: OLD }, evidence: { grade: 'before_after' },
        exonerated: [{ factor: 'prompt_version', value: 'v2', reason: expect.stringContaining('refund-agent changed to it') }],
      },
    ]);
    const minutes = (text: string | undefined): number => (Date.parse(text ?? '') - target({}).beginMs) / 60_000;
    expect(minutes(alerts[0]?.raised_at)).toBeLessThan(79);
    expect(Math.abs(minutes(alerts[0]?.onset) - 76)).toBeLessThan(1.5);
  });
});

describe('a model', () => {
  it('that answers under an unchanged name as another is named, and the version is not (seed 74)', async () => {
    const models: Scenario['models'] = [[0, { [OLD]: 1 }], [75, { [NEW]: 1 }]];
    const alerts = await alertsIn([target({ versions: [[0, { v1: 1 }]], models, changes: [{ model: NEW, quality: 0.75 }] }), ...beside()], 74);
    expect(alerts).toMatchObject([
      { severity: 'page', prompt: 'refund-agent', prompt_version: 'v1', metric: 'quality', culprit: { factor: 'model', value: NEW, baseline: OLD }, evidence: { grade: 'before_after' }, exonerated: [{ factor: 'prompt_version', value: 'v1' }] },
    ]);
    expect(await here.store.select("SELECT DISTINCT model FROM strata WHERE metric = 'error_rate' AND control = ''"), 'failed calls name no model').toEqual([{ model: 'gpt-4o' }]);
  });

  it('that came with a version carries both, and says so (seed 75)', async (context) => {
    inLongForm(context);
    const models: Scenario['models'] = [[0, { [OLD]: 1 }], [75, { [NEW]: 1 }]];
    const alerts = await alertsIn([target({ models, changes: [{ model: NEW, quality: 0.75 }] }), ...beside()], 75);
    expect(alerts).toMatchObject([{ severity: 'page', culprit: { factor: 'model', value: NEW, confounded_with: [{ factor: 'prompt_version', value: 'v2' }] } }]);
  });

  it('that fails on all prompts though nothing changed is paged once, and resolved an hour after (seed 76)', async (context) => {
    inLongForm(context);
    const longer = { minutes: 220, versions: [[0, { v1: 1 }]] as const, changes: [outage(90, 110)] };
    const alerts = await alertsIn([target(longer), ...beside(longer)], 76);
    expect(alerts.map(({ state, prompt, culprit, metric }) => [state, prompt, culprit.factor, metric])).toEqual([['open', null, 'model', 'error_rate'], ['resolved', null, 'model', 'error_rate']]);
    const resolvedMinute = (Date.parse(alerts[1]?.resolved_at ?? '') - target({}).beginMs) / 60_000;
    expect(resolvedMinute).toBeGreaterThan(168);
    expect(resolvedMinute).toBeLessThan(173);
  });

  it('is not accused of what one prompt does (seed 77)', async () => {
    const alerts = await alertsIn([target({ versions: [[0, { v1: 1 }]], changes: [outage(90, 110)] }), ...beside()], 77);
    expect(alerts).toMatchObject([{ prompt: 'refund-agent', culprit: { factor: 'unknown' }, exonerated: [{ factor: 'model' }] }]);
  });
});

describe('data that cannot be trusted', () => {
  const split: Scenario['versions'] = [[0, { v1: 1 }], [30, { v1: 0.5, v2: 0.5 }]];
  const traffic = target({ minutes: 150, callsPerMinute: 60, versions: split, changes: [{ version: 'v2', quality: 0.835 }] });
  const reasons = () => here.store.select<{ reason: string }>("SELECT reason FROM comparisons FINAL WHERE prompt_name != ''");
  const alertsOn = async (calls: ReturnType<typeof callsOf>, store = here.store) => {
    const endMs = await ingest(here.store, linesOf(traffic, calls));
    const look = lookOver(store, {}, 60);
    await look.start();
    return alertsOf(await look.advance(endMs + 20 * 60_000));
  };

  it('is not what scores are as long as both arms are judged alike (seed 78)', async (context) => {
    inLongForm(context);
    const asked: string[] = [];
    const store: Store = { ...here.store, select: (sql, parameters) => (asked.push(sql), here.store.select(sql, parameters)) };
    expect(await alertsOn(callsOf(traffic, 78), store)).toMatchObject([{ metric: 'quality', culprit: { value: 'v2' } }]);
    expect(asked.filter((sql) => /is_judged|AS judge\b/.test(sql)), 'where arms run together the store is not asked who was judged').toEqual([]);
    expect(asked.length).toBeGreaterThan(0);
  });

  it('accuses nobody by scores that one arm has less often, and the reason is told (seed 78)', async () => {
    const calls = callsOf(traffic, 78).map((call, index) => (call.version === 'v2' && index % 4 > 0 ? { ...call, score: null } : call));
    expect(await alertsOn(calls)).toEqual([]);
    expect((await reasons())[0]?.reason).toMatch(/^v2 is scored less often \(\d\d % of its units have quality, \d\d % of v1's\)/);
  });

  it('where units were not divided as they were meant to be, nothing is decided (seed 80)', async (context) => {
    inLongForm(context);
    const endMs = await ingest(here.store, linesOf(traffic, callsOf({ ...traffic, changes: [{ version: 'v2', error: 0.1 }] }, 80)));
    const look = lookOver(here.store, { prompts: { 'refund-agent': { split: { v1: 70, v2: 30 } } } }, 60);
    await look.start();
    expect(alertsOf(await look.advance(endMs + 20 * 60_000))).toEqual([]);
    expect((await reasons())[0]?.reason).toMatch(/^v2 got [45]\d\.\d % of the units, not the 30\.0 % that were meant/);
  });

  it('does not hide what calls show by themselves (seed 79)', async (context) => {
    inLongForm(context);
    const calls = callsOf({ ...traffic, changes: [{ version: 'v2', quality: 0.835, error: 0.3 }] }, 79).map((call, index) => (call.version === 'v2' && index % 4 > 0 ? { ...call, score: null } : call));
    expect(await alertsOn(calls)).toMatchObject([{ metric: 'error_rate', culprit: { value: 'v2' } }]);
  });
});

describe('a name that answers as another model on all prompts', () => {
  it('is told as that model, once (seed 81)', async (context) => {
    inLongForm(context);
    const moved: Partial<Scenario> = { minutes: 150, versions: [[0, { v1: 1 }]], models: [[0, { [OLD]: 1 }], [75, { [NEW]: 1 }]], changes: [{ model: NEW, error: 0.2 }] };
    const alerts = (await alertsIn([target(moved), ...beside(moved)], 81)).filter(({ severity, state }) => severity === 'page' && state === 'open');
    expect(alerts).toMatchObject([{ prompt: null, metric: 'error_rate', culprit: { factor: 'model', value: NEW, baseline: OLD } }]);
  });
});
