import type { MetricKind } from './evidence.ts';

/** How each built-in metric reads from a row of `calls`. NULL: the call says nothing of it. All but errors are of successful calls. */
export type CallMetric = { readonly name: string; readonly kind: MetricKind; readonly direction: 'up' | 'down'; readonly unit: 'share' | 'ms' | 'tokens' | 'usd'; readonly expression: string };

/** SQL: how long a call took, ms; as the look has it, answers from a cache and calls of unknown length say nothing of it. */
export const LATENCY_MS = 'if(is_error OR is_cache_hit OR end_ns <= start_ns, NULL, toFloat64(end_ns - start_ns) / 1e6)';

export const callMetrics: readonly CallMetric[] = [
  { name: 'error_rate', kind: 'rate', direction: 'up', unit: 'share', expression: 'toFloat64(is_error)' },
  { name: 'latency', kind: 'distribution', direction: 'up', unit: 'ms', expression: LATENCY_MS },
  { name: 'ttft', kind: 'distribution', direction: 'up', unit: 'ms', expression: 'if(is_error OR is_cache_hit, NULL, toFloat64(ttft_ms))' },
  { name: 'cost', kind: 'distribution', direction: 'up', unit: 'usd', expression: 'if(is_error, NULL, toFloat64(cost_usd))' },
  { name: 'format', kind: 'rate', direction: 'up', unit: 'share', expression: 'if(is_error, NULL, toFloat64(NOT is_format_valid))' },
  { name: 'truncated', kind: 'rate', direction: 'up', unit: 'share', expression: "if(is_error, NULL, toFloat64(finish_reason = 'length'))" },
  { name: 'content_filter', kind: 'rate', direction: 'up', unit: 'share', expression: "if(is_error, NULL, toFloat64(finish_reason = 'content_filter'))" },
  { name: 'empty', kind: 'rate', direction: 'up', unit: 'share', expression: 'if(is_error, NULL, toFloat64(is_empty))' },
  { name: 'input_tokens', kind: 'distribution', direction: 'up', unit: 'tokens', expression: 'if(is_error, NULL, toFloat64(input_tokens))' },
  { name: 'output_tokens', kind: 'distribution', direction: 'up', unit: 'tokens', expression: 'if(is_error, NULL, toFloat64(output_tokens))' },
];

/** SQL, of rows of `scores`: what judges stand by, of the type that its name has. */
export const COUNTED_SCORE = `join_state = 'joined' AND error_type IS NULL AND deleted_slot = 0 AND empty(flags)`;

/** The one metric that every call has a value of, so that it says how many calls there are. */
export const OF_ALL_CALLS = 'error_rate';

/**
 * SQL: the model of a row, for one metric. A failed call often does not say who answered, so errors stand under the model that was asked
 * for: under the one that answered, hardly any would be seen.
 */
export const modelOf = (metric: string): string => (metric === OF_ALL_CALLS ? "coalesce(request_model, response_model, '')" : "coalesce(response_model, request_model, '')");
