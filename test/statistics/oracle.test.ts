import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../analyzer/statistics/effect.ts';
import { advance, createEvidence, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { notWorseCurve, wealthOf } from '../../analyzer/statistics/not-worse.ts';
import { oddsRatioOf } from '../../analyzer/statistics/odds-ratio.ts';
import type { Stratum } from '../../analyzer/statistics/types.ts';
import { asymptoticConfidenceSequence } from '../../api/intervals.ts';
import { rate, settingsOf, stratumOf } from './traffic.ts';

/** Values that other people's libraries computed (confseq, expectation, scipy): test/statistics/oracle has the scripts, run once. */
const oracle = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, 'oracle', name), 'utf8'));
type Sequences = {
  mean: [n: number, variance: number, half: number][];
  difference: { values: number[]; strata: [number[], number[]][]; estimate: number; low: number; high: number; candidates: number }[];
};
type Evidence = { cases: { strata: [slot: number, na: number, ka: number, nb: number, kb: number][]; e: number[]; not_worse: number; low: number | null; high: number | null; informative: boolean }[] };
const sequences = oracle('confidence_sequences.json') as Sequences;
const evidence = oracle('evidence.json') as Evidence;

const closely = (found: number | null | undefined, expected: number): void => expect(Math.abs((found ?? Number.NaN) / expected - 1), `${found} against ${expected}`).toBeLessThan(1e-6);

describe('confidence sequences, against confseq', () => {
  it.each(sequences.mean)('of a mean of %i', (n, variance, half) => {
    expect((asymptoticConfidenceSequence(n, 0, variance)?.high ?? 0) / half).toBeCloseTo(1, 6);
  });

  it(`of a stratified difference of means, ${sequences.difference.length} times`, () => {
    const score = { kind: 'score', direction: 'up' } as const;
    let shown = 0;
    for (const { values, strata, estimate, low, high } of sequences.difference) {
      const cells = strata.map(([a, b]) => ({ bins: values.map((value) => Math.round(50 * value)), a, b }));
      const found = differenceOf(score, cells);
      closely(found?.estimate, estimate);
      if (typeof found?.low !== 'number') continue;
      shown += 1;
      closely(found.low, low);
      closely(found.high, high);
    }
    expect(shown).toBeGreaterThan(20);
  });
});

const strataOf = (one: Evidence['cases'][number]): Stratum[] =>
  one.strata.map(([slot, na, ka, nb, kb]) => ({ ...stratumOf('error_rate', rate, slot, []), bins: [0, 50], a: [na - ka, ka], b: [nb - kb, kb] }));

describe('e-processes of rates, against scipy and expectation', () => {
  it(`after every stratum of ${evidence.cases.length} rollouts, with starts at the opening and every half hour`, () => {
    const settings = settingsOf({ error_rate: { ...rate, weight: 0.3 } }, { reserve: 0.7 });
    let largest = 0;
    for (const one of evidence.cases) {
      let state = createEvidence();
      for (const [index, stratum] of strataOf(one).entries()) {
        state = advance(state, settings, stratum.slot, [stratum]);
        closely(evidenceOf(state, settings).e_value, one.e[index] ?? Number.NaN);
        largest = Math.max(largest, one.e[index] ?? 0);
      }
      const proofs = strataOf(one).map(notWorseCurve(rate));
      closely(wealthOf(proofs.reduce((sums, increments) => increments.map((increment, alternative) => (sums[alternative] ?? 0) + increment), [])), one.not_worse);
    }
    expect(largest).toBeGreaterThan(100);
  });

  it('the interval of the odds ratio is theirs, rounded outwards by a hundredth in logs at most', () => {
    let bounded = 0;
    for (const one of evidence.cases.filter(({ informative }) => informative)) {
      const found = oddsRatioOf(rate, strataOf(one));
      for (const [bound, theirs, outwards] of [[found?.low ?? null, one.low, -1], [found?.high ?? null, one.high, 1]] as const) {
        if (bound === null || theirs === null) continue;
        bounded += 1;
        const beyond = outwards * (Math.log(bound) - theirs);
        expect(beyond).toBeGreaterThan(-1e-9);
        expect(beyond).toBeLessThan(0.0101);
      }
    }
    expect(bounded).toBeGreaterThan(20);
  });
});
