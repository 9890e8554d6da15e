import { refusalIn } from './codex-events.ts';
import type { Dialect, Inference, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { firstCount, text } from './values.ts';

/**
 * Codex, which writes a span for every function. One inference is told of by three of them: `try_run_sampling_request` asks, and knows the model; `handle_responses` with token counts is the end
 * of the answer, without the time before; a request that was refused says so in an event. The first counts only where it leads to none of the others, and completes the one that it leads to.
 * Turns and tasks sum up.
 */
export const codex: Dialect = {
  name: 'codex',
  matches: ({ scope }) => scope.name.startsWith('codex'),
  read(source) {
    const { name, attributes } = source.span;
    if (name === 'try_run_sampling_request') return { kind: 'inference', inference: { ...inferenceOf(source, 'chat'), request_model: text(attributes.get('model'), source.flags), is_stream: true } };
    if (name === 'handle_responses' && attributes.has('gen_ai.usage.input_tokens')) return { kind: 'inference', inference: answered(source) };
    const refused = refusalOf(source);
    if (refused !== null) return { kind: 'inference', inference: refused };
    return { kind: 'relative', reason: name === 'dispatch_tool_call_with_state' ? 'tool' : name === 'session_task.turn' ? 'agent' : 'not_an_llm_call' };
  },
};

function answered(source: SpanSource): Inference {
  const said = inferenceOf(source, 'chat');
  const { attributes } = source.span;
  return { ...said, is_stream: true, took_ms: null, usage: { ...said.usage, reasoning: firstCount(attributes, ['codex.usage.reasoning_output_tokens']), cache_counting: 'inclusive' } };
}

/** Of the attempts at one request the last says how it ended. */
function refusalOf(source: SpanSource): Inference | null {
  const { span, flags } = source;
  if (span.events.length === 0) return null;
  const attempt = span.events.findLast((event) => event.attributes.get('event.name') === 'codex.api_request');
  const error = attempt === undefined ? null : refusalIn(attempt.attributes, flags);
  return attempt === undefined || error === null ? null : { ...inferenceOf(source, 'chat'), request_model: text(attempt.attributes.get('model'), flags), is_stream: true, error };
}
