import { describe, expect, it } from 'vitest';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, relativeIn, STARTED_MS } from './spans.ts';

describe.each(['vercel-ai-json', 'vercel-ai-proto'])('the capture %s', (client) => {
  describeCapture({ client, dialect: 'ai_sdk_legacy', promptIn: () => 'metadata' });

  it('lets each outer span stand for its requests, with their model and the sum of their tokens', () => {
    const wrappers = normalisedCapture(client).flatMap((result) => (result.kind === 'relative' && result.reason === 'wrapper' ? [result.candidate] : []));
    expect(wrappers.length).toBe(11);
    expect(wrappers.map((wrapper) => wrapper?.request_model)).not.toContain(undefined);
    expect(wrappers.map((wrapper) => wrapper?.input_tokens)).toContain(60 + 133);
  });

  it('counts a tool call as an answer', () => {
    const calls = normalisedCapture(client).flatMap((result) => (result.kind === 'call' && result.call.operation === 'chat' && !result.call.is_error ? [result.call] : []));
    expect(calls.filter((call) => call.finish_reason === 'tool_call').map((call) => call.is_empty)).toEqual([false]);
    // One call was made with its outputs not to be recorded.
    expect(calls.filter((call) => call.is_empty === null).length).toBe(1);
    expect(calls.some((call) => call.is_empty === true)).toBe(false);
  });
});

const request = { 'ai.operationId': 'ai.generateText.doGenerate', 'ai.model.id': 'gpt-4o', 'ai.model.provider': 'openai.chat' };

describe('the older generations', () => {
  it('of version 3 and 4', () => {
    const call = callIn('ai', { ...request, 'ai.usage.promptTokens': 100, 'ai.usage.completionTokens': 20, 'ai.finishReason': 'content-filter', 'ai.result.text': '' });
    expect(call).toMatchObject({ dialect: 'ai_sdk_legacy', operation: 'chat', provider: 'openai', input_tokens: 100, output_tokens: 20, finish_reason: 'content_filter', is_empty: true, is_stream: false });
  });

  it('say cached and reasoning tokens only in the provider\'s metadata', () => {
    const openai = { 'ai.usage.inputTokens': 100, 'ai.usage.outputTokens': 20, 'ai.response.providerMetadata': '{"openai":{"cachedPromptTokens":64,"reasoningTokens":8}}' };
    expect(callIn('ai', { ...request, ...openai })).toMatchObject({ input_tokens: 100, cache_read_tokens: 64, reasoning_tokens: 8, flags: [] });
    const anthropic = {
      ...request,
      'ai.model.provider': 'anthropic.messages',
      'ai.usage.inputTokens': 10,
      'ai.usage.outputTokens': 5,
      'ai.response.providerMetadata': '{"anthropic":{"usage":{"input_tokens":10,"cache_read_input_tokens":80,"cache_creation_input_tokens":5}}}',
    };
    expect(callIn('ai', anthropic)).toMatchObject({ input_tokens: 95, cache_read_tokens: 80, cache_write_tokens: 5, flags: ['tokens_adjusted'] });
    const six = { ...anthropic, 'ai.usage.inputTokens': 95, 'ai.usage.inputTokenDetails.noCacheTokens': 10, 'ai.usage.inputTokenDetails.cacheReadTokens': 80, 'ai.usage.inputTokenDetails.cacheWriteTokens': 5 };
    expect(callIn('ai', six)).toMatchObject({ input_tokens: 95, cache_read_tokens: 80, cache_write_tokens: 5, flags: [] });
  });

  it('tell the first chunk in milliseconds, on the span, on its event, or by the event\'s time', () => {
    const stream = { ...request, 'ai.operationId': 'ai.streamText.doStream' };
    const event = (attributes: Record<string, number>) => ({ name: 'ai.stream.firstChunk', time_ns: BigInt(STARTED_MS + 250) * 1_000_000n, attributes: new Map(Object.entries(attributes)) });
    expect(callIn('ai', { ...stream, 'ai.stream.msToFirstChunk': 130.5 })).toMatchObject({ ttft_ms: 130.5, is_stream: true });
    expect(callIn('ai', stream, { events: [event({ 'ai.response.msToFirstChunk': 140 })] })).toMatchObject({ ttft_ms: 140 });
    expect(callIn('ai', stream, { events: [event({})] })).toMatchObject({ ttft_ms: 250 });
  });

  it('of objects: JSON was asked for', () => {
    const object = { ...request, 'ai.operationId': 'ai.generateObject.doGenerate' };
    expect(callIn('ai', { ...object, 'ai.response.object': '{"a":1}' })).toMatchObject({ is_format_valid: true, is_empty: false });
    expect(callIn('ai', { ...object, 'ai.response.object': '{"a":' })).toMatchObject({ is_format_valid: false });
    expect(callIn('ai', object)).toMatchObject({ is_format_valid: null, is_empty: null });
  });

  it('hand a prompt of Langfuse over as metadata (golden case 4)', () => {
    const prompt = (value: object) => ({ ...request, 'ai.telemetry.metadata.langfusePrompt': JSON.stringify(value) });
    expect(callIn('ai', prompt({ name: 'checkout', version: 7, prompt: 'You are…' }))).toMatchObject({ prompt_name: 'checkout', prompt_version: '7', prompt_version_source: 'explicit' });
    expect(callIn('ai', prompt({ name: 'checkout', version: 0, isFallback: true }))).toMatchObject({ prompt_name: null, prompt_version: null });
    expect(callIn('ai', { ...request, 'ai.telemetry.metadata.langfusePrompt': 'checkout' })).toMatchObject({ prompt_version: null, flags: ['attribute_unreadable'] });
  });

  it.each([
    ['ai.toolCall', 'tool'],
    ['ai.rerank.doRerank', 'retrieval'],
    ['ai.generateText', 'wrapper'],
    ['ai.embedMany', 'wrapper'],
    ['something', 'not_an_llm_call'],
  ])('do not count %s', (id, reason) => {
    expect(relativeIn('ai', { 'ai.operationId': id })).toMatchObject({ reason, candidate: null });
  });
});

describe('version 7', () => {
  const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };

  it('counts the chat (golden case 5)', () => {
    const call = callIn('gen_ai', {
      ...chat,
      'gen_ai.response.finish_reasons': ['tool-calls'],
      'gen_ai.response.id': 'r-1',
      'gen_ai.response.model': 'gpt-4o-2024-08-06',
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 20,
      'gen_ai.usage.cache_read.input_tokens': 40,
      'gen_ai.usage.cache_creation.input_tokens': 10,
      'ai.usage.outputTokenDetails.reasoningTokens': 4,
      'gen_ai.client.operation.duration': 0.9,
      'gen_ai.client.operation.time_to_first_chunk': 0.42,
      'gen_ai.output.messages': '[{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f"}],"finish_reason":"tool-calls"}]',
    });
    expect(call).toMatchObject({
      dialect: 'ai_sdk_v7', operation: 'chat', provider: 'openai', response_model: 'gpt-4o-2024-08-06', response_id: 'r-1', finish_reason: 'tool_call', ttft_ms: 420, is_stream: true,
      input_tokens: 100, output_tokens: 20, cache_read_tokens: 40, cache_write_tokens: 10, reasoning_tokens: 4, is_empty: false, flags: [],
    });
  });

  it('lets the agent stand for its chats, and keeps what the application handed over on step and agent', () => {
    const context = { 'ai.settings.context.sessionId': 's-1', 'ai.settings.context.userId': 'u-1' };
    const agent = relativeIn('gen_ai', { ...chat, ...context, 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.usage.input_tokens': 300 });
    expect(agent).toMatchObject({ candidate: { dialect: 'ai_sdk_v7', input_tokens: 300 }, relative: { session_id: 's-1' } });
    const step = relativeIn('gen_ai', { ...context, 'gen_ai.operation.name': 'agent_step' });
    expect(step).toMatchObject({ reason: 'wrapper', candidate: null, relative: { session_id: 's-1' } });
    expect(step.relative.user_id).not.toBeNull();
  });

  it('counts an embedding, no tool and no rerank', () => {
    const embeddings = { 'gen_ai.operation.name': 'embeddings', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'text-embedding-3-small' };
    expect(callIn('gen_ai', { ...embeddings, 'gen_ai.usage.input_tokens': 31 })).toMatchObject({ dialect: 'ai_sdk_v7', operation: 'embeddings', input_tokens: 31, is_empty: null });
    expect(relativeIn('gen_ai', { ...embeddings, 'gen_ai.operation.name': 'rerank' })).toMatchObject({ reason: 'retrieval' });
    expect(relativeIn('gen_ai', { 'gen_ai.operation.name': 'execute_tool' })).toMatchObject({ reason: 'tool' });
  });

  it('takes a failure from its status and exception', () => {
    const exception = { name: 'exception', time_ns: 0n, attributes: new Map([['exception.type', 'AI_APICallError']]) };
    expect(callIn('gen_ai', chat, { status_code: 2, status_message: 'too many', events: [exception] })).toMatchObject({ is_error: true, error_type: 'AI_APICallError', status_message: 'too many' });
  });
});

describe.each(['ai', 'gen_ai'])('in the scope %s', (scope) => {
  anySpanOf(scope, {
    keys: [
      'ai.operationId', 'ai.model.id', 'ai.model.provider', 'ai.response.text', 'ai.response.object', 'ai.response.toolCalls', 'ai.response.finishReason', 'ai.response.msToFirstChunk',
      'ai.usage.inputTokens', 'ai.usage.cachedInputTokens', 'ai.usage.inputTokenDetails.noCacheTokens', 'ai.response.providerMetadata', 'ai.prompt.messages', 'gen_ai.operation.name',
      'gen_ai.provider.name', 'gen_ai.request.model', 'gen_ai.client.operation.time_to_first_chunk',
    ],
    versions: ['ai.telemetry.metadata.langfusePrompt', 'ai.settings.context.langfusePrompt'],
  });
});
