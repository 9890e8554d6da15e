import { describe, expect, it } from 'vitest';
import { many } from '../long.ts';
import { callsOf, scenario } from '../simulation/traffic.ts';
import { HARMLESS } from './harmless.ts';
import { rollout, tooMany } from './rollout.ts';

/**
 * The promise: for a rollout that changes nothing, the chance that its evidence is ever past 1/α is at most α, however often one
 * looks. Held here against α = 5 %, where there is more to see than at the default of 1 %.
 */
const ALPHA = 0.05;
const RUNS = many(24, 4);
const shapes = Object.entries(HARMLESS);

describe('a harmless rollout', () => {
  it(`is past 1/α = ${1 / ALPHA} in no more of ${RUNS * shapes.length} runs than chance allows, looked at after every slot`, { timeout: 180_000 }, () => {
    let total = 0;
    const lines = shapes.map(([name, traffic], shape) => {
      const seeds = Array.from({ length: RUNS }, (_, run) => 1_000 * (shape + 1) + run);
      const results = seeds.map((seed) => rollout(callsOf(traffic, seed), { alpha: ALPHA }));
      const crossed = results.filter((result) => result.crossed).length;
      total += crossed;
      const strata = Math.round(results.reduce((sum, result) => sum + result.strata, 0) / RUNS);
      expect(strata, `${name}: bets are made`).toBeGreaterThan(100);
      expect(crossed, name).toBeLessThan(tooMany(RUNS, ALPHA));
      return `${crossed} of ${RUNS}: ${name} (seeds ${seeds[0]}–${seeds.at(-1)}, ${strata} strata a run)`;
    });
    console.log([...lines, `${total} of ${RUNS * shapes.length} in all; fewer than ${tooMany(RUNS * shapes.length, ALPHA)} are within chance`].join('\n'));
    expect(total).toBeLessThan(tooMany(RUNS * shapes.length, ALPHA));
  });

  it('would be paged far too often if the calls of a session were counted one by one', { timeout: 60_000 }, () => {
    const traffic = scenario({ minutes: 180, callsPerMinute: 60, versions: [[0, { v1: 1 }], [20, { v1: 0.5, v2: 0.5 }]], sessions: { meanCalls: 12, gapS: 15, deviation: 0.15 } });
    const runs = many(16, 8);
    const crossed = (apart: boolean): number =>
      Array.from({ length: runs }, (_, run) => callsOf(traffic, 90_000 + run))
        .map((calls) => rollout(apart ? calls.map((call) => ({ ...call, session: call.trace_id })) : calls, { alpha: ALPHA }))
        .filter((result) => result.crossed).length;
    const [byCall, bySession] = [crossed(true), crossed(false)];
    console.log(`sessions of 12 calls: counted by call ${byCall} of ${runs} past 1/α, by session ${bySession}; seeds 90000–${90_000 + runs - 1}`);
    expect(byCall).toBeGreaterThanOrEqual(tooMany(runs, ALPHA));
    expect(bySession).toBeLessThan(tooMany(runs, ALPHA));
  });
});
