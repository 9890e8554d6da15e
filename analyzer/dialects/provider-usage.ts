import type { WireUsage } from './index.ts';
import type { Fields } from './structured.ts';
import { fieldsAt } from './structured.ts';
import { count, firstCount } from './values.ts';

/**
 * The usage object of a provider's API, which many libraries copy into one attribute as it is: OpenAI Chat Completions
 * (`prompt_tokens`, `prompt_tokens_details`), OpenAI Responses (`input_tokens`, `input_tokens_details`), Anthropic
 * (`input_tokens` beside `cache_read_input_tokens`: exclusive) and LangChain (`input_token_details`).
 */
export const NO_USAGE: WireUsage = { input: null, output: null, cache_read: null, cache_write: null, reasoning: null, total: null, cache_counting: 'unstated' };

const INPUT = ['prompt_tokens', 'input_tokens', 'promptTokens', 'inputTokens'];
const OUTPUT = ['completion_tokens', 'output_tokens', 'completionTokens', 'outputTokens'];
const TOTAL = ['total_tokens', 'totalTokens'];
const INPUT_DETAILS = ['prompt_tokens_details', 'input_tokens_details', 'input_token_details'];
const OUTPUT_DETAILS = ['completion_tokens_details', 'output_tokens_details', 'output_token_details'];
const CACHE_READ = ['cached_tokens', 'cache_read', 'cache_read_input_tokens'];
const CACHE_WRITE = ['cache_creation', 'cache_write_tokens', 'cache_creation_tokens', 'cache_creation_input_tokens'];
const REASONING = ['reasoning_tokens', 'reasoning'];
/** LangChain's Anthropic integration says 0 in `cache_creation` when it splits the count by lifetime. */
const CACHE_WRITE_BY_LIFETIME = ['ephemeral_5m_input_tokens', 'ephemeral_1h_input_tokens'];

export function providerUsage(usage: Fields): WireUsage {
  const inputDetails = firstFields(usage, INPUT_DETAILS);
  const outputDetails = firstFields(usage, OUTPUT_DETAILS);
  const details = tokenDetails(inputDetails, outputDetails);
  const isAnthropic = inputDetails === null && usage.has('input_tokens') && (usage.has('cache_read_input_tokens') || usage.has('cache_creation_input_tokens'));
  return {
    input: firstCount(usage, INPUT),
    output: firstCount(usage, OUTPUT),
    cache_read: details.cache_read ?? count(usage.get('cache_read_input_tokens')),
    cache_write: details.cache_write ?? count(usage.get('cache_creation_input_tokens')),
    reasoning: details.reasoning,
    total: firstCount(usage, TOTAL),
    cache_counting: isAnthropic ? 'exclusive' : 'unstated',
  };
}

/** The parts of input and output that have a count of their own. */
export function tokenDetails(input: Fields | null, output: Fields | null): Pick<WireUsage, 'cache_read' | 'cache_write' | 'reasoning'> {
  const plainWrite = input === null ? null : firstCount(input, CACHE_WRITE);
  const splitWrite = input === null ? 0 : CACHE_WRITE_BY_LIFETIME.reduce((sum, key) => sum + (count(input.get(key)) ?? 0), 0);
  return {
    cache_read: input === null ? null : firstCount(input, CACHE_READ),
    cache_write: splitWrite > 0 && (plainWrite ?? 0) === 0 ? splitWrite : plainWrite,
    reasoning: output === null ? null : firstCount(output, REASONING),
  };
}

function firstFields(fields: Fields, keys: readonly string[]): Fields | null {
  for (const key of keys) {
    const found = fieldsAt(fields, key);
    if (found !== null) return found;
  }
  return null;
}
