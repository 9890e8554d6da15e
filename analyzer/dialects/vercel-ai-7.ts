import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { firstCount } from './values.ts';

/**
 * Vercel AI SDK 7 (`@ai-sdk/otel`, scope `gen_ai`): the conventions' own words, with `invoke_agent` around `agent_step`
 * around `chat`. The agent repeats the usage of its steps; tags that the application hands over as runtime context
 * (`ai.settings.context.*`) stand on agent, step and tool, never on the call. An embedding is two spans, one in the other, with the same
 * words: which of them counts is a matter of the trace, not of the span.
 */
export const vercelAi7: Dialect = {
  name: 'ai_sdk_v7',
  matches: ({ scope, span }) => scope.name === 'gen_ai' && span.attributes.has('gen_ai.operation.name'),
  read,
};

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  if (reading.kind === 'inference') return { kind: 'inference', inference: detailed(source, reading.inference) };
  const sum = reading.aggregate ?? (reading.reason === 'wrapper' && source.span.attributes.has('gen_ai.request.model') ? inferenceOf(source, 'chat') : undefined);
  return sum === undefined ? reading : { ...reading, aggregate: detailed(source, sum) };
}

/** Metrics' names as attributes: the time to the first chunk (seconds) is measured for streams only. */
function detailed({ span }: SpanSource, standard: Inference): Inference {
  const reasoning = standard.usage.reasoning ?? firstCount(span.attributes, ['ai.usage.outputTokenDetails.reasoningTokens']);
  return { ...standard, is_stream: standard.is_stream ?? (standard.ttft === null ? null : true), usage: { ...standard.usage, reasoning } };
}
