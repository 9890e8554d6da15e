/** Seeded units and strata for the tests of the statistics. */
import { binOf } from '../../analyzer/statistics/badness.ts';
import { seeded } from '../../analyzer/statistics/random.ts';
import type { MetricBet, Reference, Scale, Settings, Stratum } from '../../analyzer/statistics/types.ts';

export { seeded };

/** Standard normal by Box and Muller. */
export const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

export type Unit = { readonly arm: 'a' | 'b'; readonly value: number };

export const stratumOf = (name: string, scale: Scale, slot: number, units: readonly Unit[], model = 'm'): Stratum => {
  const cells = new Map<number, { a: number; b: number }>();
  for (const { arm, value } of units) {
    const bin = binOf(scale, value);
    const cell = cells.get(bin) ?? { a: 0, b: 0 };
    cell[arm]++;
    cells.set(bin, cell);
  }
  const sorted = [...cells].sort(([left], [right]) => left - right);
  return {
    metric: name,
    slot,
    begin_slot: slot,
    start_window_ms: 0,
    model,
    operation: 'chat',
    route: '',
    use: 'bet',
    control: '',
    bins: sorted.map(([bin]) => bin),
    a: sorted.map(([, cell]) => cell.a),
    b: sorted.map(([, cell]) => cell.b),
  };
};

export const rate: MetricBet = { kind: 'rate', direction: 'up', weight: 1, from_slot: 0, reference: null };
export const score = (reference: Reference): MetricBet => ({ kind: 'score', direction: 'down', weight: 1, from_slot: 0, reference });
export const distribution = (reference: Reference): MetricBet => ({ kind: 'distribution', direction: 'up', weight: 1, from_slot: 0, reference, tail: true });

export const settingsOf = (metrics: Record<string, MetricBet>, rest: Partial<Settings> = {}): Settings => ({
  stake: 1,
  slot_seconds: 30,
  models: [],
  reserve: 0,
  before_after: null,
  drift: null,
  metrics,
  ...rest,
});
