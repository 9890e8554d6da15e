import type { Attributes } from '../../schemas/otlp.ts';
import { BARE_INFERENCE } from './bare-inference.ts';
import type { Inference, WireUsage } from './index.ts';
import type { LogDialect } from './log-events.ts';
import { firstAmount, firstCount, firstOf, firstText } from './values.ts';

/**
 * Gemini CLI: `gemini_cli.api_response` and `gemini_cli.api_error`, one for each call. Beside them it logs the conventions' event with the messages of the same call, which is passed over.
 * Its count of output is without the thoughts.
 */
export const geminiCliEvents: LogDialect = {
  name: 'gemini_cli_events',
  scope: 'gemini-cli',
  matches: ({ event_name }) => event_name === RESPONSE || event_name === ERROR,
  read({ record: { attributes, event_name }, flags }) {
    const said = { ...BARE_INFERENCE, request_model: firstText(attributes, ['model', 'model_name'], flags) };
    return {
      kind: 'call',
      took_ms: firstAmount(attributes, ['duration_ms', 'duration']),
      turn: firstText(attributes, ['prompt_id'], flags),
      inference: event_name === ERROR ? { ...said, error: errorIn(attributes, flags) } : { ...said, response_model: said.request_model, finish_reason: firstOf(attributes.get('finish_reasons'), flags), usage: usageIn(attributes) },
    };
  },
};

function errorIn(attributes: Attributes, flags: Set<string>): Inference['error'] {
  return { type: firstText(attributes, ['error.type', 'error_type', 'status_code'], flags), message: firstText(attributes, ['error.message', 'error'], flags) };
}

function usageIn(attributes: Attributes): WireUsage {
  const answered = firstCount(attributes, ['output_token_count']);
  const thoughts = firstCount(attributes, ['thoughts_token_count']);
  return {
    input: firstCount(attributes, ['input_token_count']),
    output: answered === null ? null : answered + (thoughts ?? 0),
    cache_read: firstCount(attributes, ['cached_content_token_count']),
    cache_write: null,
    reasoning: thoughts,
    total: firstCount(attributes, ['total_token_count']),
    cache_counting: 'inclusive',
  };
}

const RESPONSE = 'gemini_cli.api_response';
const ERROR = 'gemini_cli.api_error';
