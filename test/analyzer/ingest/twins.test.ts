import { expect, it } from 'vitest';
import type { SeenInference } from '../../../analyzer/ingest/nesting.ts';
import { couldBeOne } from '../../../analyzer/ingest/twins.ts';

const SEEN: SeenInference = {
  project: 'p',
  trace_id: '0af7651916cd43dd8448eb211c80319c',
  span_id: 'b7ad6b7169203331',
  prompt_name: null,
  prompt_version: null,
  prompt_version_source: 'none',
  prompt_label: null,
  prompt_attribution: 'none',
  session_id: null,
  user_id: null,
  kind: 'own',
  scope_name: 'a-library',
  service_name: 'shop',
  start_ms: 0,
  end_ms: 1,
  embeds: false,
  request_model: null,
  response_model: null,
  response_id: null,
  input_tokens: 100,
  output_tokens: 7,
  cache_read_tokens: null,
  is_cache_hit: false,
  is_error: false,
  is_stream: null,
};

/** LiteLLM's proxy: the request names only the model that was asked for, the provider's exchange only the one that answered. */
it.each([
  ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929', true],
  ['gpt-4o', 'gpt-4o-2024-08-06', true],
  ['gpt-4o', 'gpt-4o', true],
  ['gpt-4o', 'gpt-4o-mini', false],
  ['gpt-4o', 'gpt-4o-mini-2024-07-18', false],
  ['gpt-4o-2024-05-13', 'gpt-4o-2024-08-06', false],
])('what was asked of %s may have been answered by %s: %s', (request_model, response_model, expected) => {
  const [asked, answered] = [{ ...SEEN, request_model }, { ...SEEN, response_model }];
  expect(couldBeOne(asked, answered)).toBe(expected);
  expect(couldBeOne(answered, asked)).toBe(expected);
});
