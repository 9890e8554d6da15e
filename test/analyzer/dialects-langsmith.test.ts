import { describe, expect, it } from 'vitest';
import { normalisedCapture } from './capture.ts';
import { describeCapture } from './capture-suite.ts';
import { anySpanOf, callIn, relativeIn } from './spans.ts';

const scope = 'langsmith';

describe('the capture langsmith', () => {
  // One call has no prompt of the hub, only the application's own metadata.
  describeCapture({ client: 'langsmith', dialect: 'langsmith', promptIn: ({ span_name }) => (span_name === 'custom-llm' ? 'metadata' : 'own_keys') });

  it('sees in the response what came back', () => {
    const calls = normalisedCapture('langsmith').flatMap((result) => (result.kind === 'call' && !result.call.is_error ? [result.call.is_empty] : []));
    expect(new Set(calls)).toEqual(new Set([false]));
  });
});

const llm = { 'langsmith.span.kind': 'llm', 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' };

describe('a run of kind llm', () => {
  it('as Python writes it (golden case 10)', () => {
    const commit = 'AB'.repeat(32);
    const call = callIn(scope, {
      ...llm,
      'gen_ai.response.finish_reasons': 'stop, length',
      'gen_ai.usage.input_tokens': 62,
      'gen_ai.usage.output_tokens': 33,
      'gen_ai.usage.input_token_details': "{'audio': 0, 'cache_read': 31, 'cache_creation': None}",
      'gen_ai.usage.output_token_details': "{'reasoning': 8}",
      'langsmith.metadata.lc_hub_owner': '-',
      'langsmith.metadata.lc_hub_repo': 'support-answer',
      'langsmith.metadata.lc_hub_commit_hash': commit,
    });
    expect(call).toMatchObject({
      finish_reason: 'stop',
      input_tokens: 62,
      cache_read_tokens: 31,
      cache_write_tokens: null,
      reasoning_tokens: 8,
      prompt_name: 'support-answer',
      prompt_version: commit.toLowerCase(),
      prompt_version_source: 'commit',
      flags: [],
    });
  });

  it('as JS writes it: JSON details, usage in metadata, a conversation', () => {
    const call = callIn(scope, {
      ...llm,
      'langsmith.usage_metadata': '{"input_tokens":10,"output_tokens":5,"input_token_details":{"cache_read":4,"cache_creation":0,"ephemeral_5m_input_tokens":3}}',
      'langsmith.metadata.lc_hub_owner': 'acme',
      'langsmith.metadata.lc_hub_repo': 'support',
      'langsmith.metadata.lc_hub_commit_hash': 'abc1234',
      'langsmith.metadata.thread_id': 't-1',
      'langsmith.metadata.session_id': 's-1',
      'langsmith.request.streaming': true,
    });
    expect(call).toMatchObject({ input_tokens: 10, output_tokens: 5, cache_read_tokens: 4, cache_write_tokens: 3, prompt_name: 'acme/support', session_id: 't-1', is_stream: true });
    expect(callIn(scope, { ...llm, 'gen_ai.usage.input_tokens': 9, 'gen_ai.usage.input_token_details': '{"cache_read":4}' })).toMatchObject({ cache_read_tokens: 4 });
  });

  it('means a version of the application\'s own where it names one beside the commit', () => {
    const own = { 'langsmith.metadata.lc_hub_repo': 'r', 'langsmith.metadata.lc_hub_commit_hash': 'abc1234', 'langsmith.metadata.prompt_name': 'p', 'langsmith.metadata.prompt_version': 2 };
    expect(callIn(scope, { ...llm, ...own })).toMatchObject({ prompt_name: 'p', prompt_version: '2', prompt_version_source: 'explicit' });
  });

  it('takes the provider from LangChain where it is only said to be LangChain', () => {
    expect(callIn(scope, { ...llm, 'gen_ai.system': 'langchain', 'langsmith.metadata.ls_provider': 'anthropic' })).toMatchObject({ provider: 'anthropic' });
    expect(callIn(scope, { 'langsmith.span.kind': 'llm', 'gen_ai.system': 'langchain', 'langsmith.metadata.ls_model_name': 'claude-sonnet-4-5' })).toMatchObject({
      provider: 'anthropic',
      request_model: 'claude-sonnet-4-5',
    });
  });

  it('has failed where it has an exception, though its status is OK and part of an answer came', () => {
    const exception = { name: 'exception', time_ns: 0n, attributes: new Map([['exception.type', 'Exception'], ['exception.message', 'RateLimitError(429)']]) };
    const failed = callIn(scope, { ...llm, 'gen_ai.usage.output_tokens': 3 }, { status_code: 1, events: [exception] });
    expect(failed).toMatchObject({ is_error: true, error_type: 'Exception', status_message: 'RateLimitError(429)' });
  });

  it.each([
    ['{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"length"}]}', { is_empty: true, finish_reason: 'length' }],
    ['{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]}}]}', { is_empty: false }],
    ['{"output":null}', { is_empty: null }],
    ['{"role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}', { is_empty: false, finish_reason: 'stop' }],
    [
      '{"generations":[[{"text":"","generationInfo":{"finish_reason":"tool_calls"},"message":{"lc":1,"kwargs":{"content":"","tool_calls":[{"name":"f"}],"response_metadata":{"model_name":"gpt-4o-2024-08-06"}}}}]]}',
      { is_empty: false, finish_reason: 'tool_call', response_model: 'gpt-4o-2024-08-06' },
    ],
    ['{"output":[{"type":"message","content":[{"type":"output_text","text":" "}]}],"incomplete_details":{"reason":"max_output_tokens"}}', { is_empty: true, finish_reason: 'length' }],
    ['plain text', { is_empty: false }],
  ])('that answered %s', (completion, expected) => {
    expect(callIn(scope, { ...llm, 'gen_ai.completion': completion })).toMatchObject(expected);
  });

  it('knows that JSON was asked for, and not that a message speaks of it', () => {
    const answer = { 'gen_ai.completion': '{"choices":[{"message":{"content":"no json"}}]}' };
    const asked = { 'gen_ai.prompt': '{"messages":[],"response_format":{"type":"json_object"}}' };
    const told = { 'gen_ai.prompt': JSON.stringify({ messages: [{ content: '"response_format":{"type":"json_object"}' }] }) };
    expect(callIn(scope, { ...llm, ...answer, ...asked })).toMatchObject({ is_format_valid: false });
    expect(callIn(scope, { ...llm, ...answer, ...told })).toMatchObject({ is_format_valid: null });
  });

  it('is an experiment where it ran on an example of a dataset', () => {
    expect(callIn(scope, { ...llm, 'langsmith.reference_example_id': 'e' })).toMatchObject({ is_experiment: true });
  });
});

describe('what is no llm run, whatever gen_ai.operation.name says', () => {
  it.each([
    ['chain', 'chain', 'wrapper'],
    ['prompt', 'chat', 'wrapper'],
    ['parser', 'parser', 'wrapper'],
    ['tool', 'execute_tool', 'tool'],
    ['retriever', 'embeddings', 'retrieval'],
  ])('%s', (kind, operation, reason) => {
    const run = { 'langsmith.span.kind': kind, 'gen_ai.operation.name': operation, 'gen_ai.system': 'langchain', 'gen_ai.response.id': 'r-1', 'gen_ai.response.finish_reasons': 'stop' };
    expect(relativeIn(scope, run)).toMatchObject({ reason, candidate: null });
  });

  it('an embedding is a call', () => {
    expect(callIn(scope, { 'langsmith.span.kind': 'embedding', 'gen_ai.request.model': 'text-embedding-3-small' })).toMatchObject({ operation: 'embeddings' });
  });

  it('a chain that repeats the usage may stand for its runs where it names their model', () => {
    const chain = { 'langsmith.span.kind': 'chain', 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.output_tokens': 2 };
    expect(relativeIn(scope, { ...chain, 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({ candidate: { input_tokens: 10 } });
    // LangChain's _check_refusal: the message passes through it beside the model's own span.
    expect(relativeIn(scope, chain)).toMatchObject({ candidate: null });
  });
});

anySpanOf('langsmith', {
  keys: [
    'langsmith.span.kind', 'langsmith.usage_metadata', 'langsmith.metadata.usage_metadata', 'gen_ai.usage.input_tokens', 'gen_ai.usage.input_token_details', 'gen_ai.usage.output_token_details',
    'gen_ai.completion', 'gen_ai.prompt', 'gen_ai.response.finish_reasons', 'gen_ai.system', 'gen_ai.request.model', 'langsmith.metadata.ls_provider', 'langsmith.metadata.lc_hub_repo',
  ],
  versions: ['langsmith.metadata.lc_hub_commit_hash', 'langsmith.metadata.prompt_version'],
});
