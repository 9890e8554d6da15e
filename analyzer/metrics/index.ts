import type { MetricKind } from '../../schemas/evidence.ts';

/**
 * The metrics that a call has by itself: one entry a metric. A null reading means that the call says nothing about it.
 * Everything but errors is measured on successful calls only. Scores are metrics too, each under its own name.
 */
export type CallReading = {
  readonly is_error: boolean;
  readonly duration_ms: number | null;
  readonly ttft_ms: number | null;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cost_usd: number | null;
  readonly finish_reason: string | null;
  readonly is_empty: boolean | null;
  readonly is_format_valid: boolean | null;
};

export type SignalMetric = {
  readonly name: string;
  readonly kind: MetricKind;
  /** `errors`: all calls, kept apart by request model, since a failed call often names no other. `successes`: by response model. */
  readonly among: 'errors' | 'successes';
  readonly read: (call: CallReading) => number | null;
};

const flag = (value: boolean | null): number | null => (value === null ? null : value ? 1 : 0);

export const SIGNAL_METRICS: readonly SignalMetric[] = [
  { name: 'error_rate', kind: 'rate', among: 'errors', read: (call) => flag(call.is_error) },
  { name: 'latency', kind: 'distribution', among: 'successes', read: (call) => call.duration_ms },
  { name: 'ttft', kind: 'distribution', among: 'successes', read: (call) => call.ttft_ms },
  { name: 'input_tokens', kind: 'distribution', among: 'successes', read: (call) => call.input_tokens },
  { name: 'output_tokens', kind: 'distribution', among: 'successes', read: (call) => call.output_tokens },
  { name: 'cost', kind: 'distribution', among: 'successes', read: (call) => call.cost_usd },
  { name: 'truncated', kind: 'rate', among: 'successes', read: (call) => (call.finish_reason === null ? null : flag(call.finish_reason === 'length')) },
  { name: 'content_filter', kind: 'rate', among: 'successes', read: (call) => (call.finish_reason === null ? null : flag(call.finish_reason === 'content_filter')) },
  { name: 'empty', kind: 'rate', among: 'successes', read: (call) => flag(call.is_empty) },
  { name: 'format', kind: 'rate', among: 'successes', read: (call) => (call.is_format_valid === null ? null : flag(!call.is_format_valid)) },
];

/** What a call says of each of the above, in their order. */
export type Readings = readonly (number | null)[];

export const readingsOf = (call: CallReading): Readings => SIGNAL_METRICS.map(({ read }) => read(call));

const ERROR_RATE = SIGNAL_METRICS.findIndex(({ name }) => name === 'error_rate');
export const isFailed = (readings: Readings): boolean => readings[ERROR_RATE] === 1;

/** Whether a name is one of the above, so that a score of the same name does not mix with it. */
export function isSignalMetric(name: string): boolean {
  return SIGNAL_METRICS.some((metric) => metric.name === name);
}
