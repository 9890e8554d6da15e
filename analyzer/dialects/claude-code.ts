import type { Dialect, Inference, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { firstAmount, firstCount, firstText, truth } from './values.ts';

/**
 * Claude Code, and what is built on its SDK: `claude_code.llm_request` is the call, in words without a prefix; interactions, tools and hooks
 * are around it. Tokens are as Anthropic counts them, without the cached ones. What `OTEL_RESOURCE_ATTRIBUTES` says stands on every span.
 */
export const claudeCode: Dialect = {
  name: 'claude_code',
  matches: ({ scope }) => scope.name.startsWith('com.anthropic.claude_code'),
  read(source) {
    const { name } = source.span;
    if (name === 'claude_code.llm_request') return { kind: 'inference', inference: inferenceIn(source) };
    return { kind: 'relative', reason: name.startsWith('claude_code.tool') ? 'tool' : name === 'claude_code.interaction' ? 'agent' : 'not_an_llm_call' };
  },
};

function inferenceIn(source: SpanSource): Inference {
  const { attributes } = source.span;
  const { flags } = source;
  const said = inferenceOf(source, 'chat');
  const ttft_ms = firstAmount(attributes, ['ttft_ms']);
  const failed = truth(attributes.get('success')) === false;
  return {
    ...said,
    provider: said.provider ?? 'anthropic',
    request_model: said.request_model ?? firstText(attributes, ['model'], flags),
    finish_reason: said.finish_reason ?? firstText(attributes, ['stop_reason'], flags),
    is_stream: said.is_stream ?? (ttft_ms === null ? null : true),
    error: failed || said.error !== null ? { type: said.error?.type ?? firstText(attributes, ['status_code'], flags), message: said.error?.message ?? firstText(attributes, ['error'], flags) } : null,
    ttft: ttft_ms === null ? said.ttft : { value: ttft_ms, unit: 'ms' },
    usage: {
      ...said.usage,
      input: firstCount(attributes, ['input_tokens']) ?? said.usage.input,
      output: firstCount(attributes, ['output_tokens']) ?? said.usage.output,
      cache_read: firstCount(attributes, ['cache_read_tokens']) ?? said.usage.cache_read,
      cache_write: firstCount(attributes, ['cache_creation_tokens']) ?? said.usage.cache_write,
      cache_counting: 'exclusive',
    },
  };
}
