import { median } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { planned } from '../../analyzer/statistics/plan.ts';
import { callsOf, scenario } from '../simulation/traffic.ts';
import { rollout } from './rollout.ts';

/**
 * Two calls a minute, errors twice as often: strata are as long as they get (eight minutes), and the rollout goes on for days. It is found, about when
 * `culprit plan` said it would be.
 */
const SHARE = 0.5;
const SEEDS = [101, 102, 103, 104, 105];
const DAYS = 2;

describe('two calls a minute', () => {
  it('are enough to find twice as many errors, and it is known before how long that takes (seeds 101–105)', { timeout: 120_000 }, async () => {
    const baseline = 0.05;
    const traffic = scenario({
      minutes: DAYS * 1_440, callsPerMinute: 2, versions: [[0, { v1: 1 }], [120, { v1: 1 - SHARE, v2: SHARE }]],
      normally: { ...scenario().normally, error: baseline }, changes: [{ version: 'v2', error: 2 * baseline }],
    });
    const results = SEEDS.map((seed) => rollout(callsOf(traffic, seed), { alpha: 0.01 }));
    const weight = results[0]?.settings.metrics['error_rate']?.weight ?? 0;
    const said = await planned(
      {
        metric: { kind: 'rate', direction: 'up', reference: null }, tolerance: 0.005, baseline: { bins: [0, 50], counts: [95, 5] }, change: { kind: 'odds_ratio', size: 0.1 / 0.9 / (0.05 / 0.95) }, units_per_hour: [120], share: SHARE,
        budget: { alpha: 0.01, stake: 1, weight, models: 1 }, start_hour: 0, seed: 1, runs: 200,
      },
      () => Promise.resolve(),
    );
    const hours = results.map(({ told }) => (told?.slots ?? Number.POSITIVE_INFINITY) / 120);
    console.log(`2 calls a minute, errors .05 to .10 in half of them: told after ${hours.map((each) => each.toFixed(1)).join(', ')} h; planned: half ${said.half_hours?.toFixed(1)} h, nine of ten ${said.ninety_hours?.toFixed(1)} h; weight ${weight.toFixed(3)}`);
    expect(results.map(({ told }) => told?.metric)).toEqual(SEEDS.map(() => 'error_rate'));
    expect(median(hours)).toBeGreaterThan((said.half_hours ?? 0) / 2.5);
    expect(median(hours)).toBeLessThan(2 * (said.half_hours ?? 0));
    expect(said.stratum_seconds).toBe(480);
  });
});
