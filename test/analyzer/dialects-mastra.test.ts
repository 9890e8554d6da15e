import { expect, it } from 'vitest';
import { readerOf, STARTED_MS } from './spans.ts';

/** As @mastra/otel-exporter 1.4.0 writes them; what a whole run looks like is in `golden/recorded/mastra`. */
const { call, relative } = readerOf('@mastra/otel-exporter');
const chat = { 'mastra.span.type': 'model_inference', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai.responses', 'gen_ai.request.model': 'gpt-4o' };

it('reads the inference, its metadata and the moment of the first token', () => {
  const metadata = { 'mastra.metadata.promptName': 'support', 'mastra.metadata.promptVersion': 'v2', 'mastra.metadata.threadId': 't', 'mastra.metadata.userId': 'u' };
  const first = new Date(STARTED_MS + 250).toISOString();
  const said = call({ ...chat, ...metadata, 'mastra.completion_start_time': first, 'gen_ai.response.finish_reasons': '["stop"]', 'gen_ai.usage.output_tokens': 3 });
  expect(said).toMatchObject({ dialect: 'mastra', provider: 'openai', prompt_name: 'support', prompt_version: 'v2', session_id: 't', ttft_ms: 250, finish_reason: 'stop', is_error: false });
});

it('sees a failure that has only a finish reason', () => {
  expect(call({ ...chat, 'gen_ai.response.finish_reasons': '["error"]' }, { status_code: 1 })).toMatchObject({ is_error: true, error_type: null });
  expect(call({ ...chat, 'gen_ai.response.finish_reasons': '["error"]', 'gen_ai.usage.output_tokens': 3 }, { status_code: 1 })).toMatchObject({ is_error: false });
});

it.each(['agent_run', 'model_generation', 'model_step', 'model_chunk'])('counts no %s', (type) => {
  const operation = type === 'agent_run' ? 'invoke_agent' : type === 'model_step' ? 'agent_step' : type;
  expect(relative({ 'mastra.span.type': type, 'gen_ai.operation.name': operation })).toMatchObject({ candidate: null });
});
