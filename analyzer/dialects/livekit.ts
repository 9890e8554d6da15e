import type { Dialect, Reading, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { fieldsAt, fieldsOf } from './structured.ts';
import { firstAmount, firstCount, firstTruth, text } from './values.ts';

/** LiveKit Agents (`lk.*`): `llm_request` is the call, with its figures as JSON in `lk.llm_metrics`; nodes, turns and single attempts are around and below it. */
export const liveKit: Dialect = { name: 'livekit', matches: ({ scope, span }) => scope.name.startsWith('livekit') || span.attributes.has('lk.llm_metrics'), read };

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  if (span.name !== 'llm_request') return { kind: 'relative', reason: span.name === 'function_tool' ? 'tool' : span.name.startsWith('llm_') || span.name === 'agent_turn' ? 'wrapper' : 'not_an_llm_call' };
  const said = inferenceOf(source, 'chat');
  const metrics = fieldsOf(span.attributes.get('lk.llm_metrics'), flags) ?? new Map();
  const metadata = fieldsAt(metrics, 'metadata');
  const ttft_s = firstAmount(metrics, ['ttft']);
  const isStreaming = firstTruth(span.attributes, ['lk.llm.streaming']);
  return {
    kind: 'inference',
    inference: {
      ...said,
      provider: said.provider ?? text(metadata?.get('model_provider'), flags),
      request_model: said.request_model ?? text(metadata?.get('model_name'), flags),
      response_id: said.response_id ?? text(metrics.get('request_id'), flags),
      is_stream: said.is_stream ?? isStreaming,
      ttft: said.ttft ?? (ttft_s === null || ttft_s < 0 ? null : { value: ttft_s, unit: 's' }),
      usage: {
        ...said.usage,
        input: said.usage.input ?? firstCount(metrics, ['prompt_tokens']),
        output: said.usage.output ?? firstCount(metrics, ['completion_tokens']),
        cache_read: said.usage.cache_read ?? firstCount(metrics, ['prompt_cached_tokens']),
        total: said.usage.total ?? firstCount(metrics, ['total_tokens']),
      },
    },
  };
}
