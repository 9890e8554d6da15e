import { describe, expect, it } from 'vitest';
import { many } from '../long.ts';
import { callsOf, scenario, type Change, type Scenario } from '../simulation/traffic.ts';
import { cutover, type CutoverResult } from './cutover.ts';
import { tooMany } from './rollout.ts';

/**
 * The promise for full cutovers: a version that changes nothing is paged with chance α at most, though only earlier times are there to compare
 * it with, and everything around it moves. Three prompts beside it have other rates of errors, other scores and other traffic.
 */
const ALPHA = 0.05;
const RUNS = many(10, 3);
const normally = scenario().normally;
const shape = (change: Partial<Scenario> = {}): Scenario => scenario({ minutes: 130, callsPerMinute: 25, versions: [[0, { v1: 1 }], [80, { v2: 1 }]], ...change });
const BESIDE = [
  { prompt: 'triage', callsPerMinute: 20, normally: { ...normally, error: 0.002, quality: 0.8 } },
  { prompt: 'search', callsPerMinute: 25, normally: { ...normally, medianMs: 500 } },
  { prompt: 'summary', callsPerMinute: 15, normally: { ...normally, error: 0.05, medianMs: 2500 } },
];

/** `everybody`: what happens to all prompts. */
function run(seed: number, { own = [], everybody = [], rhythm = 0, beside = BESIDE }: { own?: readonly Change[]; everybody?: readonly Change[]; rhythm?: number; beside?: typeof BESIDE }): CutoverResult {
  const others = beside.map((each, index) => [each.prompt, callsOf(shape({ ...each, rhythm, versions: [[0, { v1: 1 }]], changes: everybody }), 1_000 * seed + index)] as const);
  return cutover(callsOf(shape({ rhythm, changes: [...everybody, ...own] }), seed), Object.fromEntries(others), { alpha: ALPHA });
}

const outage = (fromMinute: number, toMinute: number): Change => ({ error: 0.35, medianMs: 2200, quality: 0.7, fromMinute, toMinute });
const HARMLESS: Readonly<Record<string, Parameters<typeof run>[1]>> = {
  'nothing else happens': {},
  'an outage of everybody that begins with it': { everybody: [outage(80, 100)] },
  'an outage of everybody that ends with it': { everybody: [outage(65, 80)] },
  'everybody gets slower and worse from then on': { everybody: [{ quality: 0.83, medianMs: 1150, fromMinute: 80 }] },
};

describe('a cutover that changes nothing', () => {
  it(`is paged in no more of ${RUNS * Object.keys(HARMLESS).length} runs than chance allows, looked at after every slot`, { timeout: 300_000 }, () => {
    let total = 0;
    const lines = Object.entries(HARMLESS).map(([name, traffic], index) => {
      const seeds = Array.from({ length: RUNS }, (_, at) => 100 * (index + 1) + at);
      const results = seeds.map((seed) => run(seed, traffic));
      const paged = results.filter(({ finding }) => finding !== null).length;
      total += paged;
      expect(results.every(({ plan, pairs }) => plan !== null && plan.controls === BESIDE.length && pairs > 100), `${name}: bets are made, with controls`).toBe(true);
      expect(paged, name).toBeLessThan(tooMany(RUNS, ALPHA));
      return `${paged} of ${RUNS}: ${name} (seeds ${seeds[0]}–${seeds.at(-1)}; past 1/α before adjudication: ${results.filter(({ crossed }) => crossed).length})`;
    });
    console.log(lines.join('\n'));
    expect(total).toBeLessThan(tooMany(RUNS * Object.keys(HARMLESS).length, ALPHA));
  });

  it('would be accused of an outage without controls: so that is never a page (seeds 501–503)', { timeout: 60_000 }, () => {
    const findings = [501, 502, 503].map((seed) => run(seed, { everybody: [outage(80, 100)], beside: [] }).finding);
    expect(findings.map((finding) => finding?.grade)).toEqual(['alone', 'alone', 'alone']);
  });
});

describe('a cutover that breaks something', () => {
  it.each([
    { fault: 'errors', metric: 'error_rate', own: [{ version: 'v2', error: 0.12 }], everybody: [] },
    { fault: 'worse answers', metric: 'quality', own: [{ version: 'v2', quality: 0.76 }], everybody: [] },
    { fault: 'slow answers', metric: 'latency', own: [{ version: 'v2', medianMs: 1500 }], everybody: [] },
    { fault: 'worse answers, while everybody gets slower', metric: 'quality', own: [{ version: 'v2', quality: 0.74 }], everybody: [{ medianMs: 1150, fromMinute: 80 }] },
  ])('is found: $fault (seeds 601–602)', { timeout: 60_000 }, ({ own, everybody, metric }) => {
    for (const seed of [601, 602]) expect(run(seed, { own, everybody }).finding, `seed ${seed}`).toMatchObject({ grade: 'before_after', metric });
  });
});
