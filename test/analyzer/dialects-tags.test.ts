import { describe, expect, it } from 'vitest';
import { agreed } from '../../analyzer/dialects/agreement.ts';
import type { PromptTags } from '../../analyzer/dialects/tags.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { callOf, normalise, relativeOf, span } from './spans.ts';

const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };

describe('the metadata scan', () => {
  it.each<[string, Record<string, AttributeValue>]>([
    ['flattened, snake case', { 'langsmith.metadata.prompt_name': 'support', 'langsmith.metadata.prompt_version': '3' }],
    ['flattened, camel case', { 'ai.telemetry.metadata.promptName': 'support', 'ai.telemetry.metadata.promptVersion': 3 }],
    ['with dots', { 'ai.settings.context.prompt.name': 'support', 'ai.settings.context.prompt.version': 3n }],
    ['JSON text', { metadata: '{"prompt_name":"support","prompt_version":3,"prompt":"You are terse."}' }],
    ['JSON text of JSON text', { 'braintrust.metadata': JSON.stringify(JSON.stringify({ PROMPT_NAME: 'support', 'prompt-version': '3' })) }],
    ['a structured value', { metadata: new Map<string, AttributeValue>([['promptName', 'support'], ['promptVersion', '3']]) }],
    ['a header', { 'helicone-property-prompt-name': 'support', 'helicone-property-promptversion': '3' }],
    ['no container', { 'prompt.name': 'support', 'prompt.version': '3' }],
    ['agentweave', { 'prov.prompt.name': 'support', 'prov.prompt.version': '3' }],
    ['a name and its id', { 'promptlayer.metadata.prompt_id': '811', 'promptlayer.metadata.prompt_name': 'support', 'promptlayer.metadata.prompt_version': '3' }],
    ['two prompts, of which one is the system prompt', { 'langsmith.metadata.user_prompt_name': 'greeting', 'langsmith.metadata.user_prompt_version': '9', 'langsmith.metadata.system_prompt_name': 'support', 'langsmith.metadata.system_prompt_version': '3' }],
    ['the right one beside one that only ends so', { 'litellm.metadata.old_prompt_version': '2', 'litellm.metadata.prompt_version': '3', 'litellm.metadata.prompt_name': 'support' }],
    ['an object of its own', { 'langsmith.metadata.prompt': '{"name":"support","version":"3"}' }],
    ['an object inside JSON', { metadata: '{"prompt":{"id":"support","version":3}}' }],
  ])('reads %s', (_case, attributes) => {
    const expected = { prompt_name: 'support', prompt_version: '3', prompt_version_source: 'explicit', prompt_attribution: 'direct', flags: [] };
    expect(callOf({ ...chat, ...attributes })).toMatchObject(expected);
    expect(relativeOf(attributes).relative).toMatchObject({ prompt_name: 'support', prompt_version: '3' });
  });

  it('takes name and version from one container: the first that says either', () => {
    const attributes = { 'traceloop.association.properties.prompt_version': '7', 'ai.telemetry.metadata.promptName': 'support' };
    expect(callOf({ ...chat, ...attributes })).toMatchObject({ prompt_name: 'support', prompt_version: null, prompt_version_source: 'none' });
  });

  it('takes a commit or a hash for what it is, in lower case', () => {
    expect(callOf({ ...chat, 'langsmith.metadata.opik_prompts': '[{"name":"support","commit":"5BB3F938","id":"0190"},{"name":"x"}]' })).toMatchObject({ prompt_name: 'support', prompt_version: '5bb3f938', prompt_version_source: 'commit' });
    expect(callOf({ ...chat, 'ai.settings.context.promptHash': 'AB12', 'ai.settings.context.promptKey': 'support' })).toMatchObject({ prompt_name: 'support', prompt_version: 'ab12', prompt_version_source: 'hash' });
  });

  it.each<[string, AttributeValue, string[]]>([
    ['a Python dictionary that is cut', "{'prompt_name': 'supp", ['attribute_unreadable']],
    ['broken JSON', '{"prompt_name":"support"', ['attribute_unreadable']],
    ['a text that speaks of prompts', 'our best prompt', []],
    ['JSON that ends before it comes to a prompt', '{"route":"/refund"', ['attribute_unreadable']],
    ['JSON without a prompt', '{"route":"/refund"}', []],
    ['ten megabytes', `{"prompt_name":"support","x":"${'x'.repeat(10_000_000)}"}`, ['metadata_over_limit']],
    ['a list', ['prompt_name', 'support'], []],
    ['a nested prompt that is text', '{"prompt":"You are a prompt."}', []],
  ])('finds nothing in %s', (_case, metadata, flags) => {
    expect(callOf({ ...chat, metadata })).toMatchObject({ prompt_name: null, prompt_version: null, prompt_attribution: 'none', flags });
  });

  it('is not fooled by keys that only begin like a container', () => {
    expect(callOf({ ...chat, 'metadataprompt_name': 'x', 'provider.prompt_name': 'x', 'prompt.template.version': 'x', 'langfuse.prompt_nameless': 'x' })).toMatchObject({ prompt_name: null, prompt_version: null });
  });
});

describe('what stands twice on one span', () => {
  const otel = (name: string | null, version: string | null) => ({ ...(name !== null && { 'gen_ai.prompt.name': name }), ...(version !== null && { 'gen_ai.prompt.version': version }) });
  const own = (name: string | null, version: string | null) => ({ ...(name !== null && { 'prompt.name': name }), ...(version !== null && { 'prompt.version': version }) });

  it.each([
    ['the same', otel('a', '1'), own('a', '1'), 'a', '1', 'direct'],
    ['another name', otel('a', '1'), own('b', '1'), 'a', '1', 'ambiguous'],
    ['another version', otel('a', '1'), own('a', '2'), 'a', '1', 'ambiguous'],
    ['a name for a version', otel(null, '1'), own('a', null), 'a', '1', 'direct'],
    ['a version for a name', otel('a', null), own('a', '1'), 'a', '1', 'direct'],
    ['a version that may be of another prompt', otel('a', null), own(null, '1'), 'a', null, 'direct'],
    ['an owner', otel('acme/a', '1'), own('a', '1'), 'acme/a', '1', 'direct'],
    ['an id', otel('a', '1'), { 'prompt.id': 'pmpt_68', 'prompt.version': '1' }, 'a', '1', 'direct'],
  ])('%s', (_case, first, second, prompt_name, prompt_version, prompt_attribution) => {
    expect(callOf({ ...chat, ...first, ...second })).toMatchObject({ prompt_name, prompt_version, prompt_attribution });
  });

  it('a label takes nothing away from the version that it points at', () => {
    expect(callOf({ ...chat, ...otel('a', '1'), 'metadata.prompt_label': 'production' })).toMatchObject({ prompt_version: '1', prompt_version_source: 'explicit', prompt_label: 'production', prompt_attribution: 'direct' });
  });

  it('a commit beside a number is another word for the same version', () => {
    const commit: PromptTags = { prompt_name: 'acme/a', prompt_version: '5bb3f938a1c2', prompt_version_source: 'commit', prompt_label: null, prompt_attribution: 'direct' };
    const number: PromptTags = { ...commit, prompt_name: 'a', prompt_version: '1', prompt_version_source: 'explicit' };
    const expected = { prompt_version: '1', prompt_version_source: 'explicit', prompt_attribution: 'direct' };
    expect(agreed(null, [() => commit, () => number], new Map(), new Set())).toEqual({ ...commit, ...expected });
    expect(agreed(null, [() => number, () => commit], new Map(), new Set())).toEqual({ ...number, ...expected });
  });
});

describe('labels', () => {
  const labelled = (tags: Partial<PromptTags>) => agreed({ prompt_name: 'a', prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'direct', ...tags }, [], new Map(), new Set());

  it('never become a version: the version says that it is only a label', () => {
    expect(labelled({ prompt_version: 'Prod', prompt_version_source: 'explicit' })).toMatchObject({ prompt_version: 'label:Prod', prompt_version_source: 'label', prompt_label: 'Prod' });
    expect(labelled({ prompt_version: 'blue', prompt_label: 'blue', prompt_version_source: 'explicit' })).toMatchObject({ prompt_version: 'label:blue', prompt_version_source: 'label', prompt_label: 'blue' });
    expect(labelled({ prompt_label: 'blue' })).toMatchObject({ prompt_version: 'label:blue', prompt_version_source: 'label', prompt_label: 'blue' });
    expect(labelled({ prompt_version: '3', prompt_version_source: 'explicit', prompt_label: 'blue' })).toMatchObject({ prompt_version: '3', prompt_version_source: 'explicit', prompt_label: 'blue' });
  });

  it('that point at nothing make none (golden case 12)', () => {
    expect(labelled({ prompt_label: '<code_default>' })).toMatchObject({ prompt_version: null, prompt_version_source: 'none', prompt_label: '<code_default>' });
  });
});

describe("a project's own keys", () => {
  const keys = { prompt_name: ['shop.prompt', 'shop.flow'], prompt_version: ['shop.revision', 'service.version'], prompt_label: ['shop.stage'], session: ['shop.cart'], user: ['shop.customer'] };
  const read = (attributes: Record<string, AttributeValue>, resource: Record<string, AttributeValue> = {}) => {
    const result = normalise(span({ ...chat, ...attributes }), { keys }, resource);
    return result.kind === 'call' ? result.call : expect.fail('no call');
  };

  it('win over all others, in their order', () => {
    const known = { 'gen_ai.conversation.id': 'c', 'user.id': 'u' };
    const call = read({ ...known, 'shop.flow': 'refund', 'shop.revision': 12, 'shop.stage': 'canary', 'shop.cart': 'cart-7', 'shop.customer': 'jane' });
    expect(call).toMatchObject({ prompt_name: 'refund', prompt_version: '12', prompt_version_source: 'explicit', prompt_label: 'canary', prompt_attribution: 'direct', session_id: 'cart-7' });
    expect(call.user_id).not.toBe(read(known).user_id);
    expect(read({ 'shop.prompt': 'a', 'shop.flow': 'b' }).prompt_name).toBe('a');
  });

  it('may stand on the resource', () => {
    expect(read({ 'shop.prompt': 'refund' }, { 'service.version': '2026.11.0' })).toMatchObject({ prompt_name: 'refund', prompt_version: '2026.11.0' });
  });

  it('are ambiguous beside another prompt of that span', () => {
    expect(read({ 'shop.prompt': 'refund', 'shop.revision': '1', 'gen_ai.prompt.name': 'greeting', 'gen_ai.prompt.version': '1' })).toMatchObject({ prompt_name: 'refund', prompt_attribution: 'ambiguous' });
  });
});
