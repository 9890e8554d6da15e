import type { MetricKind, MetricSettings } from '../../schemas/evidence.ts';
import { binOf } from '../statistics/badness.ts';
import { referenceOf } from '../statistics/reference.ts';

/** How a metric is to be tested on a prompt; what the configuration says. */
export type MetricChoice = {
  readonly kind: MetricKind;
  readonly direction: 'up' | 'down';
  readonly weight: number;
  readonly weight_for: 'metric' | 'all_scores';
  readonly tolerance: number;
  readonly severity: 'page' | 'ticket' | 'none';
  readonly minimum?: number;
  readonly maximum?: number;
};

export type MetricPolicy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => MetricChoice;

/**
 * A metric's settings, frozen from earlier values: the scale of a score, and the histogram that ranks, medians and the
 * grid of bets are read from. Rates need neither.
 */
export function learnMetric(choice: MetricChoice, values: readonly number[], stake: { readonly weight: number; readonly fromSlot: number }): MetricSettings {
  const scale = choice.kind === 'score' ? scaleOf(choice, values) : {};
  const { kind, direction, tolerance, severity } = choice;
  const metric = { kind, direction, tolerance, severity, weight: stake.weight, from_slot: stake.fromSlot, ...scale };
  if (kind === 'rate') return { ...metric, reference: null };
  const { bins, counts } = referenceOf(values.map((value) => binOf(metric, value)));
  return { ...metric, reference: { bins: [...bins], counts: [...counts] }, ...(kind === 'distribution' ? { tail: true } : {}) };
}

/** The scales that judges use. A score between them and outside of all gets the range that was seen. */
const USUAL_MAXIMA = [1, 5, 10, 100];

function scaleOf(choice: MetricChoice, values: readonly number[]): { minimum: number; maximum: number } {
  const smallest = values.reduce((least, value) => Math.min(least, value), 0);
  const largest = values.reduce((most, value) => Math.max(most, value), 0);
  const minimum = choice.minimum ?? (smallest >= 0 ? 0 : smallest >= -1 ? -1 : smallest);
  const maximum = choice.maximum ?? USUAL_MAXIMA.find((usual) => largest <= usual) ?? largest;
  return maximum > minimum ? { minimum, maximum } : { minimum, maximum: minimum + 1 };
}
