import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { promptLayerPrompt } from '../../analyzer/dialects/promptlayer.ts';
import { attributeBag, expectNothingMadeUp } from './attribute-bags.ts';
import { expectTheCallsThatWereMade, expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { callOf, relativeOf } from './spans.ts';

describe('the capture promptlayer', () => {
  const capture = normaliseCapture('promptlayer', ['019-traces.bin']);

  it('has exactly the calls that were made: neither their runs nor the fetches of their templates', () => {
    expectTheCallsThatWereMade(capture);
    expect(new Set([...capture.calls.values()].map(({ dialect }) => dialect))).toEqual(new Set(['promptlayer']));
    expect(capture.relatives.every(({ candidate }) => candidate === null)).toBe(true);
  });

  it.each(capture.expected)('reads $span_name $span_id', (wire) => {
    const call = capture.calls.get(wire.span_id);
    expectWhatIsOnTheWire(call, wire);
    expect(call?.prompt_name).toBe(wire.prompt_name);
    if (wire.session_id_on === 'ancestor') {
      expect(capture.relatives.find(({ relative }) => relative.span_id === wire.parent_span_id)?.relative.session_id).toBe(wire.session_id);
    }
  });
});

it('is told what was resolved, not what was asked for', () => {
  const requested: [string, string][] = [['promptlayer.prompt.requested.name', 'a'], ['promptlayer.prompt.requested.label', 'prod']];
  expect(promptLayerPrompt(new Map(requested), new Set())).toBeNull();
  const resolved = new Map<string, string | number>([...requested, ['promptlayer.prompt.name', 'a'], ['promptlayer.prompt.version', 12], ['promptlayer.prompt.label', 'stable']]);
  expect(promptLayerPrompt(resolved, new Set())).toMatchObject({ prompt_name: 'a', prompt_version: '12', prompt_version_source: 'explicit', prompt_label: 'stable' });
});

it("reads what it makes of OpenAI's agents", () => {
  const call = callOf({ node_type: 'LLM_CALL', 'promptlayer.telemetry.source': 'openai-agents-python', 'gen_ai.provider.name': 'openai.responses', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 7 }, { name: 'LLM call' });
  expect(call).toMatchObject({ dialect: 'promptlayer', operation: 'chat', provider: 'openai', input_tokens: 7 });
  // A call that failed early has nothing but its type.
  expect(callOf({ node_type: 'LLM_CALL', 'promptlayer.provider.type': 'openai' }, { status_code: 2 })).toMatchObject({ is_error: true, request_model: null });
  const source = { 'promptlayer.telemetry.source': 'openai-agents-python' };
  expect(relativeOf({ ...source, node_type: 'LLM_SESSION', 'gen_ai.request.model': 'gpt-4o' })).toMatchObject({ reason: 'wrapper', candidate: { request_model: 'gpt-4o' } });
  expect(relativeOf({ ...source, node_type: 'CODE_EXECUTION', tool_name: 'f' })).toMatchObject({ reason: 'tool' });
});

it('reads hostile spans without a throw, and makes nothing up', () => {
  const keys = ['node_type', 'tool_name', 'promptlayer.prompt.name', 'promptlayer.prompt.version', 'promptlayer.prompt.label', 'gen_ai.request.model', 'gen_ai.provider.name', 'gen_ai.operation.name', 'gen_ai.usage.input_tokens', 'gen_ai.output.messages', 'promptlayer.metadata.session_id'];
  fc.assert(fc.property(attributeBag(keys), fc.constantFrom('LLM_CALL', 'PROMPT_TEMPLATE', 'WORKFLOW', ''), (bag, type) => expectNothingMadeUp({ 'promptlayer.provider.type': 'openai', node_type: type, ...bag })));
});
