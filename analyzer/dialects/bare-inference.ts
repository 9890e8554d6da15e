import type { Inference } from './index.ts';

/** An inference of which nothing is said: for dialects that say little. */
export const BARE_INFERENCE: Inference = {
  operation: 'chat',
  provider: null,
  request_model: null,
  response_model: null,
  response_id: null,
  finish_reason: null,
  is_stream: null,
  error: null,
  ttft: null,
  usage: { input: null, output: null, cache_read: null, cache_write: null, reasoning: null, total: null, cache_counting: 'unstated' },
  cost_usd: null,
  output: undefined,
  asks_json: false,
  prompt_text: { template: undefined, system: undefined },
  is_cache_hit: false,
  is_experiment: false,
};
