import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hubPrompt, openLit } from '../../analyzer/dialects/openlit.ts';
import { createNormaliser } from '../../analyzer/normalise.ts';
import { readRecords } from '../golden/captures.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { normalise, span, STARTED_MS } from './spans.ts';

const scope = { name: 'openlit.instrumentation.langchain', version: '', attributes: new Map() };
const read = (attributes: Parameters<typeof span>[0], changed: Parameters<typeof span>[1] = {}) => openLit.read({ resource: new Map(), scope, span: span(attributes, changed), flags: new Set() });

describe('the capture openlit', () => {
  const capture = normaliseCapture('openlit', ['002-traces.bin']);

  it('has exactly the calls that were made', () => {
    expectTheCallsThatWereMade(capture);
    expect(new Set([...capture.calls.values()].map(({ dialect }) => dialect))).toEqual(new Set(['openlit']));
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    const call = capture.calls.get(wire.span_id);
    expectWhatIsOnTheWire(call, wire);
    expect(call?.prompt_name).toBe(wire.prompt_name);
    if (!wire.is_error) expect(call?.is_empty).toBe(false);
  });

  it('sends one score as an event and as a log record, and both are the same score', () => {
    const events = capture.relatives.flatMap(({ scores }) => scores);
    const normaliser = createNormaliser({ stratumAttributes: [] });
    const records = ['001-logs.bin', '003-logs.bin']
      .flatMap((file) => readRecords('openlit', file))
      .flatMap(({ resource, scope, record }) => {
        const reading = normaliser.record({ project: 'p', received_ms: STARTED_MS }, resource, scope, record);
        return reading.kind === 'score' ? [reading.score] : [];
      });
    expect(events).toHaveLength(4);
    expect(records).toHaveLength(5);
    const logged = new Set(records.map(({ score_id }) => score_id));
    expect(logged.size).toBe(5);
    for (const { score_id } of events) expect(logged).toContain(score_id);
  });
});

it('knows what frameworks do around a call', () => {
  const said = { 'gen_ai.provider.name': 'langchain', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 5 };
  expect(read({ ...said, 'gen_ai.operation.name': 'framework' })).toMatchObject({ reason: 'wrapper', aggregate: { request_model: 'gpt-4o' } });
  expect(read({ ...said, 'gen_ai.operation.name': 'model_request' })).toMatchObject({ reason: 'wrapper' });
  expect(read({ ...said, 'gen_ai.operation.name': 'vectordb' })).toEqual({ kind: 'relative', reason: 'retrieval' });
  expect(read({ 'gen_ai.operation.name': 'invoke_workflow' })).toEqual({ kind: 'relative', reason: 'wrapper' });
});

it('reads older spans, by their scope or by what the SDK says of itself', () => {
  const old = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4', 'gen_ai.request.is_stream': true, 'gen_ai.usage.prompt_tokens': 5, 'gen_ai.usage.cost': '0.25', 'gen_ai.server.ttft': 0.25 };
  const event = { name: 'gen_ai.content.completion', time_ns: 0n, attributes: new Map([['gen_ai.completion', '']]) };
  expect(read(old, { name: 'openai.chat.completions', events: [event] })).toMatchObject({ inference: { operation: 'chat', is_stream: true, cost_usd: 0.25, ttft: { value: 0.25, unit: 's' }, output: '' } });
  const matches = (name: string, attributes = {}) => openLit.matches({ resource: new Map(), scope: { ...scope, name }, span: span(attributes), flags: new Set() });
  expect(['openlit', 'openlit.otel.tracing', '@openlit/openai'].map((name) => matches(name))).toEqual([true, true, true]);
  expect(matches('__main__', { 'telemetry.sdk.name': 'openlit' })).toBe(true);
  expect(matches('__main__')).toBe(false);
});

it('reads a failed call of an older version, which has nothing but its name', () => {
  expect(read({}, { name: 'openai.chat.completions', status_code: 2, status_message: 'RateLimitError: 429' })).toMatchObject({ inference: { operation: 'chat', provider: 'openai', error: { message: 'RateLimitError: 429' } } });
  expect(read({}, { name: 'openai.embeddings', status_code: 2 })).toMatchObject({ inference: { operation: 'embeddings' } });
  expect(read({}, { name: 'langchain.task', status_code: 2 })).toMatchObject({ kind: 'relative' });
});

it('reads the prompt that the application names, or the repository that it was pulled from', () => {
  // What is passed to `using_attributes`; the keys are those that applications choose themselves.
  expect(normalise(span({ 'telemetry.sdk.name': 'openlit', 'prompt.name': 'a', 'prompt.version': 2 }))).toMatchObject({ relative: { prompt_name: 'a', prompt_version: '2', prompt_version_source: 'explicit' } });
  expect(hubPrompt(new Map([['gen_ai.hub.owner', 'rlm'], ['gen_ai.hub.repo', 'rag-prompt']]), new Set())).toMatchObject({ prompt_name: 'rlm/rag-prompt', prompt_version: null, prompt_version_source: 'none' });
});

it('reads hostile spans without a throw, and makes nothing up', () => {
  const keys = ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', 'prompt.name', 'prompt.version', 'gen_ai.hub.repo', 'gen_ai.usage.cost', 'gen_ai.server.time_to_first_token', 'gen_ai.usage.output_tokens', 'gen_ai.response.finish_reasons', 'gen_ai.output.messages'];
  fc.assert(fc.property(attributeBag(keys), fc.constantFrom('chat', 'framework', 'vectordb'), (bag, operation) => expectNothingMadeUp({ 'telemetry.sdk.name': 'openlit', 'gen_ai.operation.name': operation, ...bag })));
});

it('counts nobody who only creates an agent, whose model it names', () => {
  const created = span({ 'gen_ai.operation.name': 'create_agent', 'gen_ai.provider.name': 'openai', 'gen_ai.agent.name': 'helper', 'gen_ai.request.model': 'gpt-4o-mini' });
  expect(openLit.read({ resource: new Map(), scope: { ...scope, name: 'openlit.instrumentation.openai_agents' }, span: created, flags: new Set() })).toEqual({ kind: 'relative', reason: 'agent' });
});
