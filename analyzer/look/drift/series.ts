import type { MetricSettings } from '../../../schemas/evidence.ts';
import type { Pulse } from './pulse.ts';
import type { MetricPolicy } from '../references.ts';
import { addCounts } from '../../statistics/add-counts.ts';
import { driftMetricOf, driftRatio, type Counts } from '../../statistics/drift.ts';

/** One metric of one prompt on one route, with the hour that it is held against. */
export type Series = {
  readonly metric: string;
  readonly prompt_name: string;
  readonly request_model: string;
  readonly reference: Counts;
  /** x(λ) of a slot, against what is tolerated. */
  readonly ratio: (slot: Counts) => number[];
  /** The same against the reference itself. */
  readonly exactRatio: (slot: Counts) => number[];
};

/** How a metric of the pulse is read: its name for people, how it is shown, and bins that ascend with badness (of a rate, as everywhere, 0 and 50). */
export type DriftReading = {
  readonly name: string;
  readonly shown: Pick<MetricSettings, 'kind' | 'direction' | 'minimum' | 'maximum'>;
  readonly bin: (bin: number) => number;
};

const FEWEST_UNITS = 100;
const STEPS = 50;

/** @param policy of any prompt that has the metric: which way of a score is worse. */
export function readingOf(metric: string, policy: MetricPolicy): DriftReading {
  const [, source, scoreName] = /^(score|pass):(.*)$/s.exec(metric) ?? [];
  if (metric === 'latency') return { name: metric, shown: { kind: 'distribution', direction: 'up' }, bin: (bin) => bin };
  if (source === 'score' && scoreName !== undefined) {
    const { direction } = policy(scoreName, 'numeric');
    return {
      name: scoreName, shown: { kind: 'score', direction, minimum: 0, maximum: 1 }, bin: (bin) => (direction === 'up' ? bin : STEPS - bin),
    };
  }
  const direction = scoreName === undefined ? 'up' : policy(scoreName, 'boolean').direction;
  return { name: scoreName ?? metric, shown: { kind: 'rate', direction }, bin: (bin) => bin * STEPS };
}

export function countsOf(pulse: Pick<Pulse, 'bins' | 'counts'>, { bin }: DriftReading): Counts {
  const cells = pulse.bins.map((each, cell): [number, number] => [bin(each), pulse.counts[cell] ?? 0]).sort(([left], [right]) => left - right);
  return { bins: cells.map(([each]) => each), counts: cells.map(([, count]) => count) };
}

export const seriesName = ({ metric, prompt_name, request_model, route }: Pick<Pulse, 'metric' | 'prompt_name' | 'request_model' | 'route'>): string => `${metric}\0${prompt_name}\0${request_model}\0${route}`;

/** From the pulse of an hour: the series that have units enough, and that the configuration alerts on. */
export function seriesOf(earlier: readonly Pulse[], policyFor: (prompt: string) => MetricPolicy, nameOf: (pulse: Pulse) => string = seriesName): Map<string, Series> {
  const sums = new Map<string, { readonly pulse: Pulse; readonly counts: Map<number, number> }>();
  for (const pulse of earlier) {
    const name = nameOf(pulse);
    let sum = sums.get(name);
    if (sum === undefined) sums.set(name, (sum = { pulse, counts: new Map() }));
    addCounts(sum.counts, pulse.bins, pulse.counts);
  }
  const series = new Map<string, Series>();
  for (const [name, { pulse, counts }] of [...sums].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const { metric, prompt_name, request_model } = pulse;
    const policy = policyFor(prompt_name);
    const reading = readingOf(metric, policy);
    const reference = countsOf({ bins: [...counts.keys()], counts: [...counts.values()] }, reading);
    if (reference.counts.reduce((sum, count) => sum + count, 0) < FEWEST_UNITS) continue;
    if (policy(reading.name, metric.startsWith('score:') ? 'numeric' : metric.startsWith('pass:') ? 'boolean' : 'signal').severity !== 'page') continue;
    const ratio = driftRatio(driftMetricOf(reading.shown), reference);
    const exact = driftRatio(driftMetricOf(reading.shown), reference, false);
    const read = (of: (slot: Counts) => number[]) => (slot: Counts) => of(countsOf(slot, reading));
    series.set(name, { metric, prompt_name, request_model, reference, ratio: read(ratio), exactRatio: read(exact) });
  }
  return series;
}
