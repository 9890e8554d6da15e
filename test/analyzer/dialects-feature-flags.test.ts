import { describe, expect, it } from 'vitest';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import { context, event, normalise, record, scope, span } from './spans.ts';

const featureFlags = { 'refund-prompt': 'refund-agent', 'greeting-prompt': 'greeting' };
const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' };
const evaluation = (key: string, variant: AttributeValue) => event('feature_flag.evaluation', { 'feature_flag.key': key, 'feature_flag.result.variant': variant });
const tagsOf = (input: OtlpSpan, settings: { featureFlags: Record<string, string> } = { featureFlags }) => {
  const read = normalise(input, settings);
  const { prompt_name, prompt_version, prompt_version_source, prompt_attribution } = read.kind === 'call' ? read.call : read.relative;
  return { prompt_name, prompt_version, prompt_version_source, prompt_attribution };
};
const REFUND_V2 = { prompt_name: 'refund-agent', prompt_version: 'v2', prompt_version_source: 'explicit', prompt_attribution: 'direct' };
const NONE = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_attribution: 'none' };

describe('an evaluation on a span', () => {
  it('says the version, on a call and on a span above it', () => {
    expect(tagsOf(span(chat, { events: [evaluation('refund-prompt', 'v2')] }))).toEqual(REFUND_V2);
    expect(tagsOf(span({}, { events: [evaluation('other', 'x'), evaluation('refund-prompt', 'v2'), evaluation('refund-prompt', 'v2')] }))).toEqual(REFUND_V2);
  });

  it('in the older words', () => {
    expect(tagsOf(span({}, { events: [event('feature_flag', { 'feature_flag.key': 'refund-prompt', 'feature_flag.variant': 'v2' })] }))).toEqual(REFUND_V2);
  });

  it('of a flag that is not configured, or without a variant, says nothing', () => {
    expect(tagsOf(span({}, { events: [evaluation('refund-prompt', 'v2')] }), { featureFlags: { 'refund-prompt-2': 'x', 'greeting-prompt': 'y' } })).toEqual(NONE);
    expect(tagsOf(span({}, { events: [evaluation('refund-prompt', true), evaluation('constructor', 'v1')] }))).toEqual(NONE);
  });

  it('is ambiguous beside one of another prompt or another variant', () => {
    expect(tagsOf(span({}, { events: [evaluation('refund-prompt', 'v2'), evaluation('greeting-prompt', 'v1')] }))).toEqual({ ...REFUND_V2, prompt_attribution: 'ambiguous' });
    expect(tagsOf(span({}, { events: [evaluation('refund-prompt', 'v2'), evaluation('refund-prompt', 'v3')] }))).toMatchObject({ prompt_attribution: 'ambiguous' });
  });

  it('gives way to tags, and completes a name that has no version', () => {
    const events = [evaluation('refund-prompt', 'v2')];
    expect(tagsOf(span({ ...chat, 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.prompt.version': '7' }, { events }))).toMatchObject({ prompt_version: '7', prompt_attribution: 'direct' });
    expect(tagsOf(span({ ...chat, 'gen_ai.prompt.name': 'triage' }, { events }))).toMatchObject({ prompt_name: 'triage', prompt_version: null });
    expect(tagsOf(span({ ...chat, 'gen_ai.prompt.name': 'refund-agent' }, { events }))).toEqual(REFUND_V2);
  });
});

describe('an evaluation that was logged', () => {
  const logged = { 'feature_flag.key': 'refund-prompt', 'feature_flag.result.variant': 'v2' };
  const open = () => {
    const normaliser = createNormaliser({ stratumAttributes: [], featureFlags });
    return {
      log: (attributes: Readonly<Record<string, AttributeValue>>, changed = {}) => normaliser.record(context, new Map(), scope, record(attributes, { event_name: 'feature_flag.evaluation', ...changed })),
      read(project = context.project) {
        const read = normaliser.span({ ...context, project }, new Map(), scope, span({}));
        return read.kind === 'relative' ? { name: read.relative.prompt_name, version: read.relative.prompt_version, attribution: read.relative.prompt_attribution } : expect.fail('a call');
      },
    };
  };

  it('counts for the span that it names, which comes later, and for no other', () => {
    const { log, read } = open();
    expect(log(logged)).toMatchObject({ kind: 'ignored', reason: 'feature_flag', assignment: { prompt: REFUND_V2 } });
    expect(read()).toEqual({ name: 'refund-agent', version: 'v2', attribution: 'direct' });
    expect(read('another project')).toMatchObject({ name: null });
    // A second delivery of the span reads the same.
    expect(read()).toMatchObject({ version: 'v2' });
  });

  it('may have everything in its body, and a second one may contradict it', () => {
    const { log, read } = open();
    log({}, { body: new Map(Object.entries(logged)) });
    expect(read()).toMatchObject({ version: 'v2' });
    log({ ...logged, 'feature_flag.result.variant': 'v3' });
    expect(read()).toMatchObject({ version: 'v2', attribution: 'ambiguous' });
  });

  it.each([
    ['without a span', logged, { span_id: null }],
    ['without a trace', logged, { trace_id: null }],
    ['of another flag', { ...logged, 'feature_flag.key': 'x' }, {}],
  ])('%s says nothing', (_case, attributes, changed) => {
    const { log, read } = open();
    expect(log(attributes, changed)).toEqual({ kind: 'ignored', reason: 'feature_flag' });
    expect(read()).toMatchObject({ name: null });
  });
});
