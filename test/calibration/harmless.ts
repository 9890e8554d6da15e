import { scenario, type Change, type Scenario } from '../simulation/traffic.ts';

/** Rollouts of a v2 that differs from v1 in nothing, each with something that has fooled a test before. */

const from20 = (share: number): Scenario['versions'] => [[0, { v1: 1 }], [20, { v1: 1 - share, v2: share }]];
const ramp: Scenario['versions'] = [[0, { v1: 1 }], [20, { v1: 0.98, v2: 0.02 }], [50, { v1: 0.9, v2: 0.1 }], [80, { v1: 0.6, v2: 0.4 }], [110, { v1: 0.1, v2: 0.9 }]];
const normally = scenario().normally;
const outage = (fromMinute: number, toMinute: number): Change => ({ error: 0.4, medianMs: 2500, quality: 0.7, fromMinute, toMinute });

export const HARMLESS: Readonly<Record<string, Scenario>> = {
  'canary of 10 %, traffic that swells and ebbs': scenario({ minutes: 150, callsPerMinute: 40, rhythm: 0.9, versions: from20(0.1) }),
  'half and half': scenario({ minutes: 120, callsPerMinute: 30, versions: from20(0.5) }),
  'ramp with an outage in it, and another that begins with the rollout': scenario({ minutes: 150, callsPerMinute: 30, rhythm: 0.9, versions: ramp, changes: [outage(20, 30), outage(75, 95)] }),
  'an outage of one model during a ramp': scenario({
    minutes: 150, callsPerMinute: 30, versions: ramp, models: { 'gpt-4o-2024-08-06': 0.5, 'claude-sonnet-4-5': 0.5 }, changes: [{ ...outage(70, 100), model: 'claude-sonnet-4-5' }],
  }),
  'outages every half hour, canary of 2 %': scenario({ minutes: 240, callsPerMinute: 20, versions: from20(0.02), changes: [30, 60, 90, 120, 150, 180, 210].map((minute) => outage(minute, minute + 8)) }),
  'long sessions, alike within': scenario({ minutes: 180, callsPerMinute: 60, versions: from20(0.5), sessions: { meanCalls: 12, gapS: 15, deviation: 0.15 } }),
  'short sessions through a ramp': scenario({ minutes: 150, callsPerMinute: 40, versions: ramp, sessions: { meanCalls: 3, gapS: 60, deviation: 0.15 } }),
  'each call of a session routed anew, longer sessions judged better': scenario({
    minutes: 150, callsPerMinute: 50, routing: 'call', versions: from20(0.1), sessions: { meanCalls: 2, gapS: 20, deviation: 0.05, longerIsBetter: 0.04 }, normally: { ...normally, quality: 0.78 },
  }),
  'two calls a minute for a day': scenario({ minutes: 1440, callsPerMinute: 2, rhythm: 0.9, versions: from20(0.2) }),
  'scores that are nearly all perfect': scenario({ minutes: 120, callsPerMinute: 40, versions: from20(0.2), normally: { ...normally, quality: 1.2, error: 0.001 } }),
  'latency with a heavy tail': scenario({ minutes: 120, callsPerMinute: 40, versions: from20(0.1), normally: { ...normally, sigma: 1.3, tail: 0.03 } }),
  'calls of minutes, a ramp and a rollback': scenario({
    minutes: 150, callsPerMinute: 40, versions: [...ramp.slice(0, 4), [110, { v1: 1 }], [125, { v1: 0.5, v2: 0.5 }], [140, { v1: 1 }]], normally: { ...normally, medianMs: 40_000, sigma: 1 },
  }),
  'everything drifts': scenario({
    minutes: 150, callsPerMinute: 40, versions: ramp, changes: Array.from({ length: 30 }, (_, step) => ({ fromMinute: 5 * step, quality: 0.9 - 0.006 * step, medianMs: 700 + 40 * step, error: 0.005 + 0.004 * step })),
  }),
};
