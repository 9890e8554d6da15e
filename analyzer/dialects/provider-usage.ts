import type { WireUsage } from './index.ts';
import type { Fields } from './structured.ts';
import { fieldsAt } from './structured.ts';
import { count, firstCount } from './values.ts';

/**
 * The usage object of a provider's API, which many libraries copy into one attribute as it is: OpenAI Chat Completions
 * (`prompt_tokens`, `prompt_tokens_details`), OpenAI Responses (`input_tokens`, `input_tokens_details`), Anthropic
 * (`input_tokens` beside `cache_read_input_tokens`: exclusive), Bedrock Converse, Gemini and LangChain (`input_token_details`).
 */
export const NO_USAGE: WireUsage = { input: null, output: null, cache_read: null, cache_write: null, reasoning: null, total: null, cache_counting: 'unstated' };

const INPUT = ['prompt_tokens', 'input_tokens', 'promptTokens', 'inputTokens', 'prompt_token_count', 'promptTokenCount'];
const OUTPUT = ['completion_tokens', 'output_tokens', 'completionTokens', 'outputTokens', 'candidates_token_count', 'candidatesTokenCount'];
const TOTAL = ['total_tokens', 'totalTokens', 'total_token_count', 'totalTokenCount'];
const INPUT_DETAILS = ['prompt_tokens_details', 'input_tokens_details', 'input_token_details'];
const OUTPUT_DETAILS = ['completion_tokens_details', 'output_tokens_details', 'output_token_details'];
const CACHE_READ = ['cached_tokens', 'cache_read', 'cache_read_input_tokens'];
const CACHE_WRITE = ['cache_creation', 'cache_write_tokens', 'cache_creation_tokens', 'cache_creation_input_tokens'];
const REASONING = ['reasoning_tokens', 'reasoning', 'thinking_tokens'];
/** Where no object of details has them: Anthropic, Bedrock Converse, Gemini. */
const OWN_CACHE_READ = ['cache_read_input_tokens', 'cacheReadInputTokens', 'cached_content_token_count', 'cachedContentTokenCount'];
const OWN_CACHE_WRITE = ['cache_creation_input_tokens', 'cacheWriteInputTokens'];
/** Gemini counts thoughts beside the answer. */
const THOUGHTS = ['thoughts_token_count', 'thoughtsTokenCount'];
/** Anthropic and Bedrock count cached tokens beside the input. */
const EXCLUSIVE = ['cache_read_input_tokens', 'cache_creation_input_tokens', 'cacheReadInputTokens', 'cacheWriteInputTokens'];
/** LangChain's Anthropic integration says 0 in `cache_creation` when it splits the count by lifetime. */
const CACHE_WRITE_BY_LIFETIME = ['ephemeral_5m_input_tokens', 'ephemeral_1h_input_tokens'];

export function providerUsage(usage: Fields): WireUsage {
  const inputDetails = firstFields(usage, INPUT_DETAILS);
  const outputDetails = firstFields(usage, OUTPUT_DETAILS);
  const details = tokenDetails(inputDetails, outputDetails);
  const output = firstCount(usage, OUTPUT);
  const thoughts = firstCount(usage, THOUGHTS);
  return {
    input: firstCount(usage, INPUT),
    output: output !== null && thoughts !== null ? output + thoughts : output,
    cache_read: details.cache_read ?? firstCount(usage, OWN_CACHE_READ),
    cache_write: details.cache_write ?? firstCount(usage, OWN_CACHE_WRITE),
    reasoning: thoughts ?? details.reasoning,
    total: firstCount(usage, TOTAL),
    cache_counting: inputDetails === null && EXCLUSIVE.some((key) => usage.has(key)) ? 'exclusive' : 'unstated',
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
