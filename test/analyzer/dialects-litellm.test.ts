import { describe, expect, it } from 'vitest';
import type { LlmCall } from '../../schemas/call.ts';
import { readRecording } from '../golden/recorded.ts';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, normalise, normaliseIn, relativeIn } from './spans.ts';

const scope = 'litellm';
describe('the capture litellm', () => {
  describeCapture({ client: 'litellm', dialect: 'litellm' });

  const calls = normalisedCapture('litellm').flatMap((result) => (result.kind === 'call' && !result.call.is_error ? [result.call] : []));
  const requests = calls.filter((call) => call.request_model !== null);
  const raw = calls.filter((call) => call.request_model === null);

  it('takes cost and cached tokens as reported, and a tool call that is left out of the message for an answer', () => {
    expect(new Set(requests.map((call) => call.cost_source))).toEqual(new Set(['reported']));
    expect(new Set(requests.map((call) => call.is_empty))).toEqual(new Set([false]));
    expect(requests.map((call) => call.cache_read_tokens)).toContain(31);
  });

  it('reads the raw request in the words of its provider: all but that of the stream, which is empty', () => {
    expect([requests.length, raw.length]).toEqual([10 - 1, 10 - 1]);
    expect(raw.filter((call) => call.provider === 'anthropic')).toMatchObject([{ response_id: null, input_tokens: 41, output_tokens: 33, finish_reason: 'stop' }]);
    expect(new Set(raw.map((call) => call.is_empty))).toEqual(new Set([false]));
    expect(raw.map((call) => call.cache_read_tokens)).toContain(31);
  });

  it('says the same in both where both say it', () => {
    const told = ({ response_model, input_tokens, output_tokens, finish_reason }: LlmCall) => ({ response_model, input_tokens, output_tokens, finish_reason });
    const pairs = raw.flatMap((call) => requests.filter(({ span_id }) => span_id === call.parent_span_id).map((of) => [told(call), told(of)] as const));
    expect(pairs.map(([call]) => call)).toEqual(pairs.map(([, of]) => of));
    expect(pairs.length).toBe(8);
  });
});

const request = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.operation.name': 'chat' };

describe('the first generation', () => {
  it.each([
    ['acompletion', 'chat'],
    ['aembedding', 'embeddings'],
    ['atext_completion', 'text_completion'],
  ])('calls %s %s, where no operation is named', (type, operation) => {
    expect(callIn(scope, { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'm', 'llm.request.type': type }, { name: 'litellm_request' })).toMatchObject({ operation });
  });

  it('has the call on the proxy\'s span too, or there alone', () => {
    const name = 'Received Proxy Server Request';
    expect(callIn(scope, { ...request, 'gen_ai.usage.input_tokens': 10, 'gen_ai.response.id': 'r-1' }, { name })).toMatchObject({ input_tokens: 10, response_id: 'r-1' });
    expect(relativeIn(scope, { 'metadata.user_api_key_hash': '' }, { name })).toMatchObject({ reason: 'not_an_llm_call', candidate: null });
  });

  it('has prompts in the metadata of the caller, else in prompt management', () => {
    const managed = { 'metadata.prompt_management_metadata': "{'prompt_id': 'checkout', 'prompt_variables': {'q': \"it's\"}, 'prompt_integration': 'dotprompt'}" };
    expect(callIn(scope, { ...request, ...managed })).toMatchObject({ prompt_name: 'checkout', prompt_version: null, prompt_version_source: 'none' });
    const own = { 'metadata.spend_logs_metadata': '', 'metadata.requester_metadata': "{'prompt_name': 'checkout', 'prompt_version': 3}" };
    expect(callIn(scope, { ...request, ...managed, ...own })).toMatchObject({ prompt_name: 'checkout', prompt_version: '3', prompt_version_source: 'explicit' });
    expect(callIn(scope, { ...request, 'metadata.spend_logs_metadata': "{'prompt_name': 'checkout', 'prompt_version': '1" })).toMatchObject({ prompt_name: 'checkout', prompt_version: null });
  });
});

describe('the second generation', () => {
  it('is one span for each call', () => {
    const call = callIn(scope, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'azure.ai.openai',
      'gen_ai.request.model': 'gpt-4o',
      'gen_ai.response.model': 'gpt-4o-2024-08-06',
      'gen_ai.response.id': 'r-1',
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.response.time_to_first_chunk': 0.12,
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 20,
      'gen_ai.usage.cache_read.input_tokens': 40,
      'gen_ai.conversation.id': 'c-1',
      'litellm.call_id': 'x',
      'litellm.call_type': 'acompletion',
      'litellm.request.streaming': true,
      'litellm.cost.total': 0.002,
      'litellm.end_user.id': 'u-1',
      'langfuse.observation.type': 'generation',
      'langfuse.observation.usage_details': '{"input":100,"output":20,"total":120}',
    });
    expect(call).toMatchObject({
      dialect: 'litellm', provider: 'azure.ai.openai', finish_reason: 'length', ttft_ms: 120, is_stream: true, cost_usd: 0.002, cost_source: 'reported', input_tokens: 100, cache_read_tokens: 40, session_id: 'c-1',
    });
    expect(call.user_id).not.toBeNull();
  });

  it.each([
    [{ 'litellm.guardrail.name': 'pii' }],
    [{ 'gen_ai.operation.name': 'litellm.moderation', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'omni-moderation', 'gen_ai.response.id': 'modr-1' }],
    [{ 'litellm.service.name': 'redis' }],
  ])('does not count %j', (attributes) => {
    expect(normaliseIn(scope, attributes)).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  });

  it('counts no tool of MCP', () => {
    expect(relativeIn(scope, { 'mcp.method.name': 'tools/call', 'gen_ai.operation.name': 'execute_tool' })).toMatchObject({ reason: 'tool' });
  });
});

anySpanOf('litellm', {
  keys: [
    'gen_ai.system', 'gen_ai.request.model', 'gen_ai.operation.name', 'gen_ai.response.finish_reasons', 'llm.request.type', 'llm.is_streaming', 'metadata.usage_object', 'litellm.cost.total',
    'llm.openai.id', 'llm.openai.choices', 'llm.openai.usage', 'llm.anthropic.content', 'llm.openai.messages', 'litellm.request.streaming',
  ],
  versions: ['metadata.spend_logs_metadata', 'metadata.requester_metadata', 'metadata.prompt_management_metadata', 'litellm.metadata.requester_metadata'],
});

describe('the callbacks that write in the words of OpenInference', () => {
  const metadata = '{"user_api_key_hash": null, "spend_logs_metadata": {"prompt_name": "checkout", "prompt_version": 3}, "requester_metadata": null, "prompt_management_metadata": null}';
  const said = { 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o', 'llm.provider': 'openai', 'llm.is_streaming': 'False', metadata };

  it('have whole requests, with the prompt inside of all the metadata', () => {
    const answered = { 'llm.response.id': 'r-1', 'llm.response.model': 'gpt-4o-2024-08-06', 'llm.token_count.prompt': 100, 'llm.token_count.prompt_details.cache_read': 40, 'llm.token_count.completion': 7, 'llm.cost.total': 0.5 };
    expect(callIn(scope, { ...said, ...answered }, { name: 'litellm_request' })).toMatchObject({
      prompt_name: 'checkout',
      prompt_version: '3',
      prompt_version_source: 'explicit',
      request_model: 'gpt-4o',
      response_model: 'gpt-4o-2024-08-06',
      response_id: 'r-1',
      input_tokens: 100,
      cache_read_tokens: 40,
      output_tokens: 7,
      cost_usd: 0.5,
      cost_source: 'reported',
      is_stream: false,
      flags: [],
    });
    expect(callIn(scope, { ...said, 'error.type': 'BadRequestError' }, { name: 'litellm_request', status_code: 2 })).toMatchObject({ is_error: true, request_model: 'gpt-4o', response_model: null });
    expect(callIn(scope, { ...said, metadata: metadata.replace('{"prompt_name"', '[{"prompt_name"') }, { name: 'litellm_request' })).toMatchObject({ prompt_name: null, prompt_version: null });
  });

  it('say in them what the raw requests say', () => {
    const calls = readRecording('litellm-phoenix').groups.flatMap((group) => group.spans.map((span) => normalise(span, {}, {}, group.scope.name))).flatMap((result) => (result.kind === 'call' ? [result.call] : []));
    const told = ({ provider, response_model, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens }: LlmCall) => ({ provider, response_model, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens });
    const pairs = calls.flatMap((call) => calls.filter(({ span_id, provider }) => span_id === call.parent_span_id && provider === 'openai').map((of) => [told(call), told(of)] as const));
    expect(pairs.map(([call]) => call)).toEqual(pairs.map(([, of]) => of));
    expect(pairs.length).toBe(5);
    expect(calls.filter(({ request_model }) => request_model !== null).length).toBe(9);
  });
});

describe('a raw request', () => {
  const name = 'raw_gen_ai_request';

  it('is no call where it holds only what was sent', () => {
    expect(relativeIn(scope, { 'llm.None.model': 'text-embedding-3-small', 'llm.None.input': "['x']" }, { name })).toMatchObject({ reason: 'wrapper', candidate: null });
  });

  it('has no provider by the name of None', () => {
    expect(callIn(scope, { 'llm.None.model': 'claude-x', 'llm.None.output': "[{'type': 'message'}]", 'llm.None.usage': "{'input_tokens': 5}" }, { name })).toMatchObject({ provider: 'anthropic', input_tokens: 5 });
  });
});

describe('the proxy', () => {
  const name = 'litellm_request';
  const served = (model: string) => ({ ...request, 'gen_ai.operation.name': 'acompletion', 'litellm.model_group': 'smart', 'gen_ai.response.model': model });

  it('tells its callers the name of the group, which is no model', () => {
    expect(callIn(scope, served('smart'), { name })).toMatchObject({ operation: 'chat', request_model: 'gpt-4o', response_model: null });
    expect(callIn(scope, served('gpt-4o-2024-08-06'), { name })).toMatchObject({ response_model: 'gpt-4o-2024-08-06' });
    expect(callIn(scope, { ...served('gpt-4o'), 'litellm.model_group': 'gpt-4o' }, { name })).toMatchObject({ response_model: 'gpt-4o' });
  });

  it('has session and prompt of a request where its caller put them', () => {
    const metadata = "{'spend_logs_metadata': {'prompt_name': 'checkout', 'prompt_version': 'v2'}, 'session_id': 's-1', 'headers': {'host': 'gateway'}}";
    expect(callIn(scope, { ...request, 'metadata.spend_logs_metadata': '', 'metadata.requester_metadata': metadata }, { name })).toMatchObject({ prompt_name: 'checkout', prompt_version: 'v2', session_id: 's-1', flags: [] });
    expect(callIn(scope, { ...request, 'metadata.requester_metadata': "{'session_id': '" }, { name })).toMatchObject({ session_id: null });
  });
});
