import { describe, expect, it } from 'vitest';
import { audit, type AuditRequest } from '../../../../analyzer/look/audit/audit.ts';
import { ConfigFile } from '../../../../schemas/config.ts';
import { metricSettingsFor } from '../../../../schemas/metric-settings.ts';
import { callsOf, observationsOf, scenario } from '../../../simulation/traffic.ts';

const config = ConfigFile.parse({});
const goOn = () => Promise.resolve(true);
/** Two hours with a real version that breaks things, an outage, and sessions whose calls are alike. */
const traffic = scenario({
  minutes: 120, callsPerMinute: 20, versions: [[0, { v1: 1 }], [50, { v1: 0.5, v2: 0.5 }]], sessions: { meanCalls: 6, gapS: 15, deviation: 0.15 },
  changes: [{ version: 'v2', error: 0.2 }, { error: 0.5, fromMinute: 70, toMinute: 85 }],
});
const request = (change: Partial<AuditRequest> = {}): AuditRequest => ({
  key: { project: 'p', environment: 'e', prompt_name: 'refund-agent' }, ...observationsOf(callsOf(traffic, 3)), alpha: 0.05, sessionWindowS: config.session_window_s,
  policy: (name, kind) => metricSettingsFor(config, 'refund-agent', name, kind === 'boolean' ? 'rate' : 'score'), runs: 30, seed: 1, ...change,
});

describe('audit', { timeout: 60_000 }, () => {
  it('finds the promise kept on traffic in which real things happened, the same for a seed (seed 1)', async () => {
    const one = await audit(request(), goOn);
    expect(one).toMatchObject({ schema: 'culprit.audit/1', prompt: 'refund-agent', runs: 30, asked: 30, alpha: 0.05, is_kept: true });
    expect(one.told.found).toBeLessThanOrEqual(6);
    expect(one.strata).toBeGreaterThan(50);
    expect(one.units).toBeLessThan(one.calls / 3);
    expect(one.told).toMatchObject({ share: one.told.found / 30, low: expect.any(Number), high: expect.any(Number) });
    expect(one.metrics.map(({ name }) => name)).toEqual(expect.arrayContaining(['error_rate', 'latency', 'quality']));
    expect(await audit(request(), goOn)).toEqual(one);
    const other = await audit(request({ seed: 2 }), goOn);
    expect(other.metrics).not.toEqual(one.metrics);
  });

  it('ends when it is told to, with the runs that it has', async () => {
    let asked = 0;
    const some = await audit(request(), () => Promise.resolve((asked += 1) < 5));
    expect(some).toMatchObject({ runs: 5, asked: 30 });
  });

  it('refuses a history that is too short', async () => {
    const { calls, scores } = request();
    await expect(audit(request({ calls: calls.slice(0, 100), scores }), goOn)).rejects.toThrow(/refund-agent has 100 calls in its history; an audit needs 200/);
  });
});
