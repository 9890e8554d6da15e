import { expect, it } from 'vitest';
import { createNormaliser } from '../../analyzer/normalise.ts';
import { readAgent } from '../golden/agents.ts';
import { readerOf } from './spans.ts';

const codex = readerOf('codex_exec');

it('reads the end of each answer, and each refusal, as an inference of what the model server says', () => {
  const normaliser = createNormaliser({ stratumAttributes: [] });
  const { spans, calls: expected, prompt } = readAgent('codex');
  const read = spans.flatMap(({ resource, scope, spans: group }) => group.map((one) => ({ name: one.name, read: normaliser.span({ project: 'p', received_ms: Number(one.end_ns / 1_000_000n) + 1_000 }, resource, scope, one) })));
  const calls = read.flatMap(({ name, read: found }) => (found.kind === 'call' ? [{ name, call: found.call }] : []));
  const ended = calls.filter(({ name }) => name !== 'try_run_sampling_request').map(({ call }) => call).toSorted((one, other) => (one.input_tokens ?? 0) - (other.input_tokens ?? 0));
  // The model is on the span above, which completes these (ingest/agents.test.ts).
  const said = expected.map(({ request_model: _model, ...rest }) => rest).toSorted((one, other) => (one.input_tokens ?? 0) - (other.input_tokens ?? 0));
  expect(ended).toMatchObject(said);
  expect(ended).toHaveLength(said.length);
  for (const call of ended) expect(call).toMatchObject({ ...prompt, dialect: 'codex', is_stream: true, duration_ms: call.is_error ? expect.any(Number) : null });
  expect(calls.filter(({ name }) => name === 'try_run_sampling_request').map(({ call }) => [call.request_model, call.input_tokens, call.is_error])).toEqual(expected.map(() => ['gpt-5', null, false]));
});

it.each([
  ['session_task.turn', { 'codex.turn.token_usage.input_tokens': 100, model: 'gpt-5' }, 'agent'],
  ['dispatch_tool_call_with_state', {}, 'tool'],
  ['handle_responses', { from: 'output_item_added' }, 'not_an_llm_call'],
  ['run_sampling_request', { model: 'gpt-5' }, 'not_an_llm_call'],
])('%s is no call', (name, attributes, reason) => {
  expect(codex.relative(attributes, { name })).toMatchObject({ reason, candidate: null });
});

it('a request that was taken at the last attempt was not refused', () => {
  const attempt = (status: number) => ({ name: 'event', time_ns: 0n, attributes: new Map<string, string | number>([['event.name', 'codex.api_request'], ['model', 'gpt-5'], ['http.response.status_code', status]]) });
  expect(codex.relative({}, { name: 'endpoint_session.stream_encoded_json_with', events: [attempt(503), attempt(200)] })).toMatchObject({ reason: 'not_an_llm_call' });
  expect(codex.call({}, { name: 'endpoint_session.stream_encoded_json_with', events: [attempt(200), attempt(503)] })).toMatchObject({ is_error: true, error_type: '503', request_model: 'gpt-5' });
});
