import { describe, expect, it, vi } from 'vitest';
import { slotOf } from '../../../analyzer/slots.ts';
import { callsOf, linesOf, scenario, type Scenario } from '../../simulation/traffic.ts';
import { some } from '../../long.ts';
import { alertsOf, conclusionsOf, lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';

/** From OTLP to alerts over a real store, on small scenarios in which it is known what was broken. */

// Each replays an hour and a half of traffic, on machines that may do much else.
vi.setConfig({ testTimeout: 120_000 });

const here = lookStore();

const split: Scenario['versions'] = [[0, { v1: 1 }], [20, { v1: 0.5, v2: 0.5 }]];

async function alertsIn(traffic: Scenario, seed: number, settings: object = {}) {
  const endMs = await ingest(here.store, linesOf(traffic, callsOf(traffic, seed)), settings);
  const look = lookOver(here.store, settings, 120);
  await look.start();
  return alertsOf(await look.advance(endMs + 20 * 60_000));
}

describe('a version that is worse', () => {
  it.each(some([
    { fault: 'fails', metric: 'error_rate', change: { error: 0.15 }, seed: 11 },
    { fault: 'is slow', metric: 'latency', change: { medianMs: 1500 }, seed: 12 },
    { fault: 'is rarely, but very slow', metric: 'latency', change: { tail: 0.1 }, seed: 13 },
    { fault: 'answers badly', metric: 'quality', change: { quality: 0.76 }, seed: 14 },
    { fault: 'breaks the format', metric: 'format', change: { badJson: 0.12 }, seed: 15 },
  ], 3))('is named when it $fault (seed $seed)', async ({ metric, change, seed }) => {
    const traffic = scenario({ versions: split, changes: [{ version: 'v2', ...change }] });
    const alerts = await alertsIn(traffic, seed);
    expect(alerts.map((alert) => [alert.state, alert.severity, alert.prompt, alert.culprit.value, alert.culprit.baseline, alert.metric])).toEqual([['open', 'page', 'refund-agent', 'v2', 'v1', metric]]);
    const onsetMs = traffic.beginMs + 20 * 60_000;
    expect(Math.abs(Date.parse(alerts[0]?.onset ?? '') - onsetMs), 'onset').toBeLessThan(3 * 60_000);
    expect(Date.parse(alerts[0]?.raised_at ?? '') - onsetMs, 'delay').toBeLessThan(60 * 60_000);
    expect(alerts[0]?.evidence.e_value).toBeGreaterThan(100);
    expect(alerts[0]?.examples.length).toBeGreaterThan(0);
  });

  it('is named from the time on at which it broke (seed 16)', async () => {
    const traffic = scenario({ minutes: 100, versions: split, changes: [{ version: 'v2', error: 0.25, fromMinute: 55 }] });
    const [alert] = await alertsIn(traffic, 16);
    expect(alert?.metric).toBe('error_rate');
    expect(Math.abs(Date.parse(alert?.onset ?? '') - traffic.beginMs - 55 * 60_000)).toBeLessThan(10 * 60_000);
  });

  it('is named where it is worse on one model only (seed 17)', async () => {
    const traffic = scenario({ versions: split, models: { 'gpt-4o-2024-08-06': 0.5, 'claude-sonnet-4-5': 0.5 }, changes: [{ version: 'v2', model: 'claude-sonnet-4-5', quality: 0.72 }] });
    expect((await alertsIn(traffic, 17)).map((alert) => [alert.culprit.value, alert.metric])).toEqual([['v2', 'quality']]);
  });

  it('resolves half an hour after it takes no more traffic, and is new when it comes back (seed 18)', async () => {
    const traffic = scenario({ minutes: 150, versions: [...split, [60, { v1: 1 }], [120, { v1: 0.5, v2: 0.5 }]], changes: [{ version: 'v2', error: 0.3 }] });
    const alerts = await alertsIn(traffic, 18);
    expect(alerts.map((alert) => alert.state)).toEqual(['open', 'resolved', 'open']);
    const resolvedMs = Date.parse(alerts[1]?.resolved_at ?? '') - traffic.beginMs;
    expect(resolvedMs / 60_000).toBeGreaterThan(89);
    expect(resolvedMs / 60_000).toBeLessThan(93);
    expect(await here.store.select("SELECT reason FROM alert_transitions FINAL WHERE state = 'resolved'")).toEqual([{ reason: 'v2 takes no more traffic, and error_rate recovered' }]);
    expect(alerts[2]?.id, 'another epoch').not.toBe(alerts[0]?.id);
    expect(await here.store.select('SELECT epoch, state, reason FROM comparisons FINAL WHERE prompt_name != \'\' ORDER BY epoch')).toEqual([
      { epoch: 0, state: 'closed', reason: 'its alert was resolved' },
      { epoch: 1, state: 'open', reason: '' },
    ]);
  });

  it('stays open where it takes no more traffic and that did not help, until it is well (seed 19)', async () => {
    const traffic = scenario({ minutes: 170, versions: [...split, [60, { v1: 1 }]], changes: [{ version: 'v2', error: 0.3, toMinute: 60 }, { version: 'v1', error: 0.3, fromMinute: 60, toMinute: 110 }] });
    const alerts = (await alertsIn(traffic, 19)).filter(({ culprit }) => culprit.factor === 'prompt_version');
    expect(alerts.map(({ id, state, recovery }) => [id, state, recovery])).toEqual([[alerts[0]?.id, 'open', undefined], [alerts[0]?.id, 'open', 'not_recovered'], [alerts[0]?.id, 'resolved', 'recovered']]);
    const resolvedMs = Date.parse(alerts[2]?.resolved_at ?? '') - traffic.beginMs;
    expect(resolvedMs / 60_000).toBeGreaterThan(110);
    expect(resolvedMs / 60_000).toBeLessThan(155);
    expect(await here.store.select(`SELECT event, reason FROM alert_transitions FINAL WHERE alert_id = '${alerts[0]?.id}' AND reason LIKE '%takes no more traffic%' ORDER BY sequence`)).toEqual([
      { event: 'updated', reason: 'v2 takes no more traffic, but error_rate did not recover: it was not the culprit, or not alone' },
      { event: 'resolved', reason: 'v2 takes no more traffic, and error_rate recovered' },
    ]);
  });
});

describe('a version that is not worse', () => {
  it('is not paged when it is better (seed 21)', async () => {
    expect(await alertsIn(scenario({ versions: split, changes: [{ version: 'v2', quality: 0.93, medianMs: 600, error: 0 }] }), 21)).toEqual([]);
  });

  it('is not paged for an outage of both arms while it ramps up (seeds from 22 on)', async () => {
    const ramp: Scenario['versions'] = [[0, { v1: 1 }], [20, { v1: 0.95, v2: 0.05 }], [35, { v1: 0.7, v2: 0.3 }], [50, { v1: 0.2, v2: 0.8 }]];
    const traffic = scenario({ rhythm: 0.8, versions: ramp, changes: [{ error: 0.4, medianMs: 2500, fromMinute: 40, toMinute: 60 }] });
    for (const seed of some([22, 23, 24], 1)) {
      expect(await alertsIn({ ...traffic, prompt: `refund-agent-${seed}` }, seed), `seed ${seed}`).toEqual([]);
    }
    expect((await conclusionsOf(here.store)).looks.length, 'bets were made').toBeGreaterThan(50);
  });

  it('is not paged where evidence is about an effect within tolerance, however sure (seed 25)', async () => {
    const traffic = scenario({ versions: split, changes: [{ version: 'v2', error: 0.2 }] });
    const settings = { metrics: { error_rate: { tolerance: 0.5 } } };
    expect(await alertsIn(traffic, 25, settings)).toEqual([]);
    const [last] = await here.store.select<{ e_value: number }>('SELECT e_value FROM looks FINAL ORDER BY slot DESC LIMIT 1');
    expect(last?.e_value).toBeGreaterThan(1e4);
  });

  it('does not hide behind a metric within its tolerance (seed 26)', async () => {
    const traffic = scenario({ versions: split, changes: [{ version: 'v2', error: 0.2, medianMs: 1250 }] });
    const alerts = await alertsIn(traffic, 26, { metrics: { latency: { tolerance: 1 } } });
    expect(alerts.map((alert) => alert.metric)).toEqual(['error_rate']);
  });
});

describe('what arrives after its slot was looked at', () => {
  it('never changes a stratum that was bet on (seed 31)', async () => {
    const traffic = scenario({ minutes: 50, versions: split });
    const calls = callsOf(traffic, 31);
    const isLate = (index: number): boolean => index % 7 === 0;
    const endMs = await ingest(here.store, linesOf(traffic, calls.filter((_, index) => !isLate(index))));
    const look = lookOver(here.store);
    await look.start();
    await look.advance(endMs + 60_000);
    const before = await conclusionsOf(here.store);
    expect(before.strata.length).toBeGreaterThan(50);

    // The rest arrives half an hour later: stored, and never bet on in the slots of the time that it is of.
    const stamp = `${endMs + 30 * 60_000}000000`;
    const marker = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: stamp, eventName: 'other' }] }] }] });
    await ingest(here.store, [marker, ...linesOf(traffic, calls.filter((_, index) => isLate(index)))]);
    await look.advance(endMs + 90 * 60_000);
    const closed = slotOf(endMs + 60_000);
    const after = await conclusionsOf(here.store);
    const ofThen = (rows: object[]): object[] => rows.filter((row) => 'slot' in row && Number(row.slot) < closed);
    expect(ofThen(after.strata)).toEqual(before.strata);
    expect(ofThen(after.looks)).toEqual(before.looks);
    expect(await here.store.select('SELECT count() AS calls FROM calls WHERE slot > 0')).toEqual([{ calls: calls.length }]);
  });
});
