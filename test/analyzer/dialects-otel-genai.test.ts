import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import { readCapture, readRecords, readSpans } from '../golden/captures.ts';
import { callOf, relativeOf, span, STARTED_MS } from './spans.ts';

const clients = [
  { client: 'otel-openai-v2', dialect: ['otel_1_36'] },
  { client: 'otel-openai-v2-latest', dialect: ['otel_genai'] },
  { client: 'otel-genai-openai', dialect: ['otel_genai'] },
  { client: 'otel-openai-node', dialect: ['otel_1_36', 'otel_genai'] },
];

const FINISH: Readonly<Record<string, string>> = { stop: 'stop', length: 'length', tool_calls: 'tool_call', content_filter: 'content_filter' };

describe.each(clients)('the capture $client', ({ client, dialect }) => {
  const { calls: expected, traps } = readCapture(client);
  const normaliser = createNormaliser({ stratumAttributes: ['http.route'] });
  const spans = readSpans(client, '003-traces.bin');
  const normalised = spans.map(({ resource, scope, span }) =>
    normaliser.span({ project: 'p', received_ms: Number(span.end_ns / 1_000_000n) + 1000 }, resource, scope, span),
  );
  const calls = new Map<string, LlmCall>(normalised.flatMap((result) => (result.kind === 'call' ? [[result.call.span_id, result.call]] : [])));
  const relatives = normalised.flatMap((result) => (result.kind === 'relative' ? [result] : []));

  it('has exactly the calls that were made', () => {
    expect([...calls.keys()].sort()).toEqual(expected.map((call) => call.span_id).sort());
    expect(new Set([...calls.values()].map((call) => call.dialect))).toEqual(new Set(dialect));
  });

  it('counts no wrapper, and keeps its tags, session and user for the calls below it', () => {
    expect(relatives.map(({ relative }) => relative.span_id).sort()).toEqual(traps.map((trap) => trap.span_id).sort());
    for (const call of expected) {
      const parent = relatives.find(({ relative }) => relative.span_id === call.parent_span_id);
      expect(parent?.reason).toBe('not_an_llm_call');
      expect(parent?.relative).toMatchObject({
        trace_id: call.trace_id,
        prompt_name: call.prompt_name,
        prompt_version: call.prompt_version,
        session_id: call.session_id,
        user_id: call.user_id === null ? null : createHash('sha256').update(call.user_id).digest('hex').slice(0, 16),
      });
    }
  });

  it.each(expected)('reads $span_name $span_id', (wire) => {
    const call = calls.get(wire.span_id);
    expect(call).toMatchObject({
      trace_id: wire.trace_id,
      parent_span_id: wire.parent_span_id,
      prompt_name: wire.prompt_name,
      prompt_version: wire.prompt_version,
      prompt_version_source: 'explicit',
      prompt_attribution: 'direct',
      request_model: wire.request_model,
      response_model: wire.response_model,
      provider: wire.provider,
      operation: wire.operation,
      response_id: wire.response_id,
      input_tokens: wire.input_tokens,
      output_tokens: wire.output_tokens,
      cache_read_tokens: wire.cached_input_tokens,
      is_error: wire.is_error,
      error_type: wire.error_type,
      is_stream: wire.is_streaming,
      session_id: wire.session_id_on === 'self' ? wire.session_id : null,
      environment: wire.environment ?? 'default',
      flags: [],
    });
    expect(call?.duration_ms).toBeCloseTo(wire.duration_ms, 1);
    if (wire.ttft_ms_if_emitted === null) expect(call?.ttft_ms).toBeNull();
    else expect(call?.ttft_ms).toBeCloseTo(wire.ttft_ms_if_emitted, 2);
    // The messages of streams in otel-openai-v2-latest have a finish reason where the attribute is absent.
    if (wire.finish_reasons !== null) expect(call?.finish_reason).toBe(FINISH[wire.finish_reasons[0] ?? '']);
    const isPriced = !wire.is_error && wire.input_tokens !== null;
    expect(call?.cost_source).toBe(isPriced ? 'computed' : null);
    if (isPriced) expect(call?.cost_usd).toBeGreaterThan(0);
    else expect(call?.cost_usd).toBeNull();
  });

  it('takes no message log for a score', () => {
    for (const file of ['001-logs.bin', '002-logs.bin']) {
      const records = readRecords(client, file);
      expect(records.length).toBeGreaterThan(0);
      for (const { resource, scope, record } of records) {
        expect(normaliser.record({ project: 'p', received_ms: STARTED_MS }, resource, scope, record)).toEqual({ kind: 'ignored', reason: 'gen_ai_event' });
      }
    }
  });
});

it('sees in the captures whether an answer was empty, where messages are on the wire', () => {
  const empty = (client: string) => {
    const normaliser = createNormaliser({ stratumAttributes: [] });
    return readSpans(client, '003-traces.bin').flatMap(({ resource, scope, span }) => {
      const result = normaliser.span({ project: 'p', received_ms: STARTED_MS }, resource, scope, span);
      return result.kind === 'call' && result.call.operation === 'chat' && !result.call.is_error ? [result.call.is_empty] : [];
    });
  };
  expect(new Set(empty('otel-openai-v2'))).toEqual(new Set([null]));
  expect(new Set(empty('otel-genai-openai'))).toEqual(new Set([false]));
});

describe('generations', () => {
  it('reads the newest names (golden case 1)', () => {
    const call = callOf({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-4o',
      'gen_ai.prompt.name': 'checkout',
      'gen_ai.prompt.version': 'v2',
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 20,
      'gen_ai.usage.cache_read.input_tokens': 40,
      'gen_ai.usage.cache_write.input_tokens': 10,
    });
    expect(call).toMatchObject({
      dialect: 'otel_genai',
      prompt_name: 'checkout',
      prompt_version: 'v2',
      prompt_version_source: 'explicit',
      input_tokens: 100,
      output_tokens: 20,
      cache_read_tokens: 40,
      cache_write_tokens: 10,
      flags: [],
    });
  });

  it('reads the oldest names (golden case 2)', () => {
    const call = callOf(
      {
        'gen_ai.system': 'az.ai.openai',
        'gen_ai.request.model': 'gpt-4o',
        'gen_ai.usage.prompt_tokens': 100,
        'gen_ai.usage.completion_tokens': 20,
        'gen_ai.prompt.0.role': 'system',
        'gen_ai.prompt.0.content': 'You are terse.',
      },
      { name: 'openai.chat' },
    );
    expect(call).toMatchObject({
      dialect: 'otel_1_36',
      operation: 'chat',
      provider: 'azure.ai.openai',
      input_tokens: 100,
      output_tokens: 20,
      prompt_name: null,
      prompt_version: null,
      prompt_version_source: 'none',
      prompt_attribution: 'none',
    });
  });

  it('reads 1.37 to 1.41, with the old name of cache_write', () => {
    const call = callOf({
      'gen_ai.operation.name': 'generate_content',
      'gen_ai.provider.name': 'gcp.gemini',
      'gen_ai.request.model': 'gemini-2.5-pro',
      'gen_ai.prompt.name': 'checkout',
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 30,
      'gen_ai.usage.cache_creation.input_tokens': 10,
      'gen_ai.usage.reasoning.output_tokens': 25,
      'gen_ai.conversation.id': 'c-1',
      'session.id': 's-1',
    });
    expect(call).toMatchObject({
      dialect: 'otel_1_37',
      operation: 'generate_content',
      cache_write_tokens: 10,
      reasoning_tokens: 25,
      session_id: 'c-1',
      prompt_name: 'checkout',
      prompt_version: null,
      prompt_version_source: 'none',
      prompt_attribution: 'direct',
    });
  });

  it.each([
    ['text_completion gpt-3.5-turbo-instruct', { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-3.5-turbo-instruct' }, 'text_completion'],
    ['embeddings x', { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'x' }, 'embeddings'],
    ['openai', { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'text-embedding-3-small' }, 'embeddings'],
    ['ChatCompletion', { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4' }, 'chat'],
  ])('infers the operation of "%s" where no attribute states it', (name, attributes, operation) => {
    expect(callOf(attributes, { name })).toMatchObject({ operation });
  });

  it('marks a version that is a label', () => {
    const base = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.prompt.name': 'checkout' };
    expect(callOf({ ...base, 'gen_ai.prompt.version': 'prod' })).toMatchObject({ prompt_version: 'label:prod', prompt_version_source: 'label', prompt_label: 'prod' });
    expect(callOf({ ...base, 'gen_ai.prompt.version': '2025-05-01' })).toMatchObject({ prompt_version: '2025-05-01', prompt_version_source: 'explicit' });
  });
});

describe('what is no call', () => {
  const model = { 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 20 };
  const tags = { 'gen_ai.prompt.name': 'checkout', 'gen_ai.prompt.version': 'v2' };

  it.each([
    ['invoke_agent', 'agent'],
    ['create_agent', 'agent'],
    ['invoke_workflow', 'wrapper'],
    ['plan', 'wrapper'],
    ['execute_tool', 'tool'],
    ['retrieval', 'retrieval'],
    ['fetch_response', 'fetch_response'],
    ['search_memory', 'memory'],
    ['delete_memory_store', 'memory'],
  ])('%s', (operation, reason) => {
    expect(relativeOf({ ...model, ...tags, 'gen_ai.operation.name': operation })).toMatchObject({ reason, relative: { prompt_name: 'checkout', prompt_version: 'v2' } });
    expect(relativeOf({ 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' }, { name: `${operation} Helper` })).toMatchObject({ reason });
  });

  it('a wrapper, which may stand for the call where it says which model answered', () => {
    const wrapped = { ...model, ...tags, 'gen_ai.response.id': 'r1' };
    for (const operation of ['invoke_agent', 'invoke_workflow', 'create_agent']) {
      expect(relativeOf({ ...wrapped, 'gen_ai.operation.name': operation }).candidate).toMatchObject({ operation: 'chat', request_model: 'gpt-4o', input_tokens: 100, response_id: 'r1', prompt_version: 'v2' });
      expect(relativeOf({ ...tags, 'gen_ai.provider.name': 'openai', 'gen_ai.operation.name': operation }).candidate).toBeNull();
    }
    const named = { 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
    expect(relativeOf({ ...named, 'gen_ai.operation.name': 'invoke_agent' }).candidate).toMatchObject({ request_model: 'gpt-4o' });
    expect(relativeOf({ ...named, 'gen_ai.operation.name': 'create_agent' }).candidate).toBeNull();
    expect(relativeOf({ ...wrapped, 'gen_ai.operation.name': 'execute_tool' }).candidate).toBeNull();
  });

  it('a prompt that an MCP client fetches, which is not even its prompt (golden case 3)', () => {
    const fetched = relativeOf({ 'mcp.method.name': 'prompts/get', 'gen_ai.prompt.name': 'x', 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });
    expect(fetched).toMatchObject({ reason: 'mcp_prompt_fetch', relative: { prompt_name: null, prompt_version: null, prompt_version_source: 'none' } });
    expect(relativeOf({ 'mcp.method.name': 'tools/call', 'gen_ai.operation.name': 'execute_tool' })).toMatchObject({ reason: 'tool' });
    expect(relativeOf({ 'mcp.method.name': 'initialize' })).toMatchObject({ reason: 'mcp' });
  });

  it('an application span, an HTTP span, an evaluator', () => {
    expect(relativeOf(tags)).toMatchObject({ reason: 'not_an_llm_call', relative: { prompt_name: 'checkout', prompt_version: 'v2' } });
    expect(relativeOf({ ...tags, 'http.request.method': 'POST', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({ reason: 'not_an_llm_call' });
    expect(relativeOf({ 'gen_ai.operation.name': 'chat' })).toMatchObject({ reason: 'not_an_llm_call' });
    expect(relativeOf({ ...model, 'gen_ai.operation.name': 'chat', 'gen_ai.evaluation.name': 'tone' })).toMatchObject({ reason: 'evaluator' });
  });

  it('an operation that nobody knows, unless a model answered', () => {
    const own = { 'gen_ai.operation.name': 'image_generation', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-image-1' };
    expect(relativeOf(own)).toMatchObject({ reason: 'not_an_llm_call' });
    expect(callOf({ ...own, 'gen_ai.usage.output_tokens': 10 })).toMatchObject({ operation: 'image_generation' });
  });
});

describe('errors', () => {
  const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
  const exception = { name: 'exception', time_ns: 0n, attributes: new Map([['exception.type', 'TimeoutError'], ['exception.message', 'too late']]) };

  it.each([
    ['the status', span(chat, { status_code: 2, status_message: 'boom' }), { error_type: null, status_message: 'boom' }],
    ['error.type', span({ ...chat, 'error.type': '429' }), { error_type: '429', status_message: null }],
    ['an exception event', span(chat, { events: [exception] }), { error_type: 'TimeoutError', status_message: 'too late' }],
    ['the response status', span({ ...chat, 'gen_ai.response.status': 'failed' }), { error_type: null }],
  ])('by %s', (_by, failed, expected) => {
    expect(callOf(failed)).toMatchObject({ is_error: true, cost_usd: null, ...expected });
  });

  it('are not seen in an exception that was handled: an answer came', () => {
    expect(callOf({ ...chat, 'gen_ai.response.id': 'r-1' }, { events: [exception] })).toMatchObject({ is_error: false, error_type: null, status_message: null });
  });
});

it('takes the number of a turn for no name of a prompt (Gemini CLI)', () => {
  const session = '6a5a9a2b-a616-44e3-abae-55eb99ef58f6';
  const call = { 'gen_ai.operation.name': 'llm_call', 'gen_ai.request.model': 'gemini-2.5-flash', 'gen_ai.conversation.id': session };
  expect(callOf({ ...call, 'gen_ai.prompt.name': `${session}########3` })).toMatchObject({ prompt_name: null, session_id: session });
  expect(callOf({ ...call, 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.conversation.id': 'refund' })).toMatchObject({ prompt_name: 'refund-agent' });
});
