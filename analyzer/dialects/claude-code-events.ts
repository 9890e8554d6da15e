import { BARE_INFERENCE } from './bare-inference.ts';
import type { LogDialect } from './log-events.ts';
import { firstAmount, firstCount, firstText, text } from './values.ts';

/**
 * Claude Code, without its spans: `api_request` is a call that was answered, with its cost, `api_error` one that failed for good: what it repeats by itself is not told.
 * The model of the first is the one that answered; tokens are as Anthropic counts them, without the cached ones.
 */
export const claudeCodeEvents: LogDialect = {
  name: 'claude_code_events',
  scope: 'com.anthropic.claude_code',
  matches: ({ event_name }) => EVENTS.has(event_name.replace(PREFIX, '')),
  read({ record: { attributes, event_name }, flags }) {
    const took_ms = firstAmount(attributes, ['duration_ms']);
    const turn = text(attributes.get('prompt.id'), flags);
    const model = text(attributes.get('model'), flags);
    const said = { ...BARE_INFERENCE, provider: 'anthropic', request_model: model };
    if (event_name.replace(PREFIX, '') === 'api_error') {
      const error = { type: firstText(attributes, ['status_code'], flags), message: text(attributes.get('error'), flags, MAX_MESSAGE_CHARACTERS) };
      return { kind: 'call', took_ms, turn, inference: { ...said, error } };
    }
    return {
      kind: 'call',
      took_ms,
      turn,
      inference: {
        ...said,
        response_model: model,
        cost_usd: firstAmount(attributes, ['cost_usd']),
        usage: {
          input: firstCount(attributes, ['input_tokens']),
          output: firstCount(attributes, ['output_tokens']),
          cache_read: firstCount(attributes, ['cache_read_tokens']),
          cache_write: firstCount(attributes, ['cache_creation_tokens']),
          reasoning: null,
          total: null,
          cache_counting: 'exclusive',
        },
      },
    };
  },
};

/** In the name of the event since `event_name` is a field of its own, in its body before. */
const PREFIX = /^claude_code\./;
const EVENTS: ReadonlySet<string> = new Set(['api_request', 'api_error']);
const MAX_MESSAGE_CHARACTERS = 1024;
