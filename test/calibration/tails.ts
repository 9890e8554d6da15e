/**
 * `node --import tsx test/calibration/tails.ts [--seeds 101-140]`: how soon latency that gets worse in several shapes is told, without the bet on the tail and with it, as the
 * table of docs/STATISTICS.md. Latency alone, with its usual stake; strata of half a minute; at most eight hours.
 */
import { parseArgs } from 'node:util';
import { binOf } from '../../analyzer/statistics/badness.ts';
import { advance, createEvidence, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { poisson, seeded } from '../../analyzer/statistics/random.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import { distribution, normal, settingsOf, stratumOf, type Unit } from '../statistics/traffic.ts';

type Shape = {
  /** Log-normal. */
  readonly sigma: number;
  /** Share of calls that take so many times as long: of the candidate's … */
  readonly worse: readonly [number, number];
  /** … and of all calls, before and after. */
  readonly usual?: readonly [number, number];
  readonly candidateShare?: number;
  readonly referenceUnits?: number;
};

const CHANGES: readonly Shape['worse'][] = [[0.025, 4], [0.01, 8], [0.05, 2], [0.1, 1.5], [1, 1.2]];
const FEWER = CHANGES.filter(([share]) => share < 0.05 || share === 1);
const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  ...Object.fromEntries([0.3, 0.45, 0.8, 1.2].map((sigma) => [`log-normal, σ ${sigma}`, CHANGES.map((worse): Shape => ({ sigma, worse }))])),
  'σ .45, and 3 % of all calls take 4 times as long': [...FEWER, CHANGES[2] ?? [0, 1]].map((worse) => ({ sigma: 0.45, worse, usual: [0.03, 4] })),
  'σ .45, a canary of 10 %': FEWER.map((worse) => ({ sigma: 0.45, worse, candidateShare: 0.1 })),
  'σ .45, a reference of 60 units': FEWER.map((worse) => ({ sigma: 0.45, worse, referenceUnits: 60 })),
};

const UNITS_A_SLOT = 39.4;
const SLOTS = 960;
const WEIGHT = (4 / 22) * 0.8;
const RESERVE = 0.2;

/** Minutes until it is told. */
function minutes({ sigma, worse, usual = [0, 1], candidateShare = 0.5, referenceUnits = 4_700 }: Shape, seed: number, isOnTail: boolean): number {
  const random = seeded(seed * 7_919 + 3);
  const slowed = ([share, times]: Shape['worse']): number => (random() < share ? times : 1);
  const call = (): number => 900 * Math.exp(sigma * normal(random)) * slowed(usual);
  const reference = referenceOf(Array.from({ length: referenceUnits }, () => binOf({ kind: 'distribution', direction: 'up' }, call())));
  const latency = { ...distribution(reference), weight: WEIGHT, tail: isOnTail };
  const settings = settingsOf({ latency }, { reserve: RESERVE });
  let state = createEvidence();
  for (let slot = 1; slot <= SLOTS; slot += 1) {
    const units = [
      ...Array.from({ length: poisson(random, UNITS_A_SLOT * (1 - candidateShare)) }, (): Unit => ({ arm: 'a', value: call() })),
      ...Array.from({ length: poisson(random, UNITS_A_SLOT * candidateShare) }, (): Unit => ({ arm: 'b', value: call() * slowed(worse) })),
    ];
    state = advance(state, settings, slot, [stratumOf('latency', latency, slot, units)]);
    if (evidenceOf(state, settings).e_value >= 100) return slot / 2;
  }
  return SLOTS / 2;
}

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '101-140' } } });
const [first = 101, last = first] = values.seeds.split('-').map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_, index) => first + index);
const mean = (of: readonly number[]): number => of.reduce((sum, value) => sum + value, 0) / of.length;
const told = (found: readonly number[]): string => {
  const never = found.filter((value) => value >= SLOTS / 2).length;
  return `${mean(found).toFixed(1)}${never === 0 ? '' : ` (${never} never)`}`;
};

console.log(`Mean minutes over seeds ${values.seeds}, at most ${SLOTS / 2}; the difference seed by seed, with its standard error.\n`);
console.log('| latency | candidate | without | with the tail | difference |\n|---|---|---|---|---|');
for (const [name, shapes] of Object.entries(SHAPES)) {
  for (const shape of shapes) {
    const [without, withTail] = [false, true].map((isOnTail) => seeds.map((seed) => minutes(shape, seed, isOnTail)));
    const differences = seeds.map((_, index) => (withTail?.[index] ?? 0) - (without?.[index] ?? 0));
    const average = mean(differences);
    const error = Math.sqrt(mean(differences.map((difference) => (difference - average) ** 2)) / seeds.length);
    const [share, times] = shape.worse;
    console.log(`| ${name} | ${share === 1 ? 'all' : `${100 * share} %`} × ${times} | ${told(without ?? [])} | ${told(withTail ?? [])} | ${average.toFixed(1)} ± ${error.toFixed(1)} |`);
  }
}
