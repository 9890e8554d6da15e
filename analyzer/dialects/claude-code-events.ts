import type { Attributes } from '../../schemas/otlp.ts';
import { BARE_INFERENCE } from './bare-inference.ts';
import type { Inference, WireUsage } from './index.ts';
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
    const isError = event_name.replace(PREFIX, '') === 'api_error';
    const said = { ...BARE_INFERENCE, provider: 'anthropic', request_model: text(attributes.get('model'), flags) };
    return {
      kind: 'call',
      took_ms: firstAmount(attributes, ['duration_ms']),
      turn: text(attributes.get('prompt.id'), flags),
      inference: isError ? { ...said, error: errorIn(attributes, flags) } : { ...said, response_model: said.request_model, cost_usd: firstAmount(attributes, ['cost_usd']), usage: usageIn(attributes) },
    };
  },
};

function errorIn(attributes: Attributes, flags: Set<string>): Inference['error'] {
  return { type: firstText(attributes, ['status_code'], flags), message: text(attributes.get('error'), flags, MAX_MESSAGE_CHARACTERS) };
}

function usageIn(attributes: Attributes): WireUsage {
  return {
    input: firstCount(attributes, ['input_tokens']),
    output: firstCount(attributes, ['output_tokens']),
    cache_read: firstCount(attributes, ['cache_read_tokens']),
    cache_write: firstCount(attributes, ['cache_creation_tokens']),
    reasoning: null,
    total: null,
    cache_counting: 'exclusive',
  };
}

/** In the name of the event since `event_name` is a field of its own, in its body before. */
const PREFIX = /^claude_code\./;
const EVENTS: ReadonlySet<string> = new Set(['api_request', 'api_error']);
const MAX_MESSAGE_CHARACTERS = 1024;
