import { expect, it } from 'vitest';
import { anthropicSdk } from '../../analyzer/dialects/anthropic-sdk.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { expectWhatIsOnTheWire, normaliseCapture } from './capture.ts';
import { span } from './spans.ts';

const read = (attributes: Record<string, AttributeValue>, name: string) =>
  anthropicSdk.read({ resource: new Map(), scope: { name: 'com.anthropic.sdk.typescript', version: '2', attributes: new Map() }, span: span(attributes, { name }), flags: new Set() });
const http = { 'gen_ai.provider.name': 'anthropic', 'http.request.method': 'POST', 'gen_ai.request.model': 'claude-sonnet-4-5' };

it('is read in every capture of a library that instruments the SDK', () => {
  const captures = [normaliseCapture('openinference-anthropic-python', ['001-traces.bin']), normaliseCapture('traceloop-python', ['006-traces.bin']), normaliseCapture('pydantic-ai-logfire', ['001-traces.bin', '002-traces.bin'])];
  const own = captures.flatMap(({ expected, calls }) => expected.flatMap((wire) => (calls.get(wire.span_id)?.dialect === 'anthropic_sdk' ? [{ wire, call: calls.get(wire.span_id) }] : [])));
  expect(own).toHaveLength(10);
  for (const { wire, call } of own) expectWhatIsOnTheWire(call, wire);
});

it('counts a call for its messages only', () => {
  expect(read({ ...http, 'gen_ai.operation.name': 'chat', 'anthropic.message.stop_reason': 'refusal' }, 'anthropic.messages.create')).toMatchObject({ kind: 'inference', inference: { finish_reason: 'refusal' } });
  expect(read({ ...http, 'anthropic.message.count_tokens.input_tokens': 17 }, 'anthropic.messages.count_tokens')).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  expect(read({ ...http, 'gen_ai.agent.name': 'a' }, 'anthropic.sessions.create')).toMatchObject({ kind: 'relative', reason: 'not_an_llm_call' });
  expect(read({ ...http, 'gen_ai.operation.name': 'invoke_agent' }, 'anthropic.messages.tool_runner')).toMatchObject({ kind: 'relative', reason: 'agent' });
  expect(read({ ...http, 'gen_ai.operation.name': 'execute_tool' }, 'anthropic.tool_use f')).toMatchObject({ kind: 'relative', reason: 'tool' });
});
