import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCardinality, DEFAULT_LIMITS } from '../../../analyzer/ingest/cardinality.ts';
import { withTextVersions } from '../../../analyzer/ingest/text-versions.ts';
import type { LlmCall } from '../../../schemas/call.ts';
import { callOf } from '../spans.ts';
import { ARRIVED_MS, id, inference, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';

const bare = callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });
const call = (prompt_fingerprint: string | null, changed: Partial<LlmCall> = {}): LlmCall => ({ ...bare, prompt_fingerprint, service_name: 'shop', ...changed });
const MINUTE_MS = 60_000;

function admitting(settings?: { mostRemembered: number }) {
  const cardinality = withTextVersions(createCardinality(DEFAULT_LIMITS), settings);
  return (input: LlmCall, minute = 0) => {
    const { prompt_name, prompt_version, prompt_version_source, prompt_attribution } = cardinality.admit(input, ARRIVED_MS + minute * MINUTE_MS);
    return { prompt_name, prompt_version, prompt_version_source, prompt_attribution };
  };
}

describe('a call without a version', () => {
  it.each<[string, Partial<LlmCall>, string | null]>([
    ['the name that it has', { prompt_name: 'refund', prompt_attribution: 'direct', asker: 'support' }, 'refund'],
    ['what asked', { asker: 'support' }, 'support'],
    ['its service', {}, 'shop'],
    ['nothing, where an SDK made the service up', { service_name: 'unknown_service:node' }, null],
  ])('takes its text for one, under %s', (_case, changed, prompt_name) => {
    const { prompt_attribution } = call(null, changed);
    expect(admitting()(call('s:1', changed))).toEqual({ prompt_name, prompt_version: 's:1', prompt_version_source: 'system_fp', prompt_attribution });
    expect(admitting()(call('t:1', changed))).toEqual({ prompt_name, prompt_version: 't:1', prompt_version_source: 'template_fp', prompt_attribution });
  });

  it('keeps what it has where the text is not on the wire, or the tags contradict each other', () => {
    expect(admitting()(call(null, { asker: 'support' }))).toMatchObject({ prompt_name: null, prompt_version: null });
    expect(admitting()(call('s:1', { prompt_name: 'a', prompt_attribution: 'ambiguous' }))).toMatchObject({ prompt_name: 'a', prompt_version: null });
  });

  it('takes it instead of a label, never instead of a version', () => {
    const tagged = { prompt_name: 'refund', prompt_attribution: 'direct' } as const;
    expect(admitting()(call('s:1', { ...tagged, prompt_version: 'label:prod', prompt_version_source: 'label' }))).toMatchObject({ prompt_version: 's:1', prompt_version_source: 'system_fp' });
    expect(admitting()(call('t:1', { ...tagged, prompt_version: 'v2', prompt_version_source: 'explicit' }))).toMatchObject({ prompt_version: 'v2', prompt_version_source: 'explicit' });
  });
});

describe.each<[string, Partial<LlmCall>]>([
  ["an agent's name", { asker: 'support' }],
  ["a service's name", {}],
  ['a name that is tagged without a version', { prompt_name: 'refund', prompt_attribution: 'direct' }],
])('under %s', (_case, under) => {
  const isVersion = (admit: ReturnType<typeof admitting>, text: string, minute = 0, changed: Partial<LlmCall> = under) => admit(call(text, changed), minute).prompt_version !== null;

  it('an edit is a version: its predecessor was alone before', () => {
    const admit = admitting();
    for (let calls = 0; calls < 120; calls += 1) expect(admit(call('s:1', under), calls / 10).prompt_version).toBe('s:1');
    expect(admit(call('s:2', under), 12).prompt_version).toBe('s:2');
    expect(admit(call('s:1', under), 12).prompt_version).toBe('s:1');
    // A third is one too many, until the hour has passed.
    expect(isVersion(admit, 's:3', 13)).toBe(false);
    expect(isVersion(admit, 's:2', 13)).toBe(false);
    expect(admit(call('s:2', under), 74).prompt_version).toBe('s:2');
  });

  it('texts that live beside each other are none: several prompts, or one in several languages', () => {
    const admit = admitting();
    expect(isVersion(admit, 's:english')).toBe(true);
    for (let minute = 1; minute < 300; minute += 1) {
      expect(isVersion(admit, 's:french', minute)).toBe(false);
      expect(isVersion(admit, 's:english', minute)).toBe(false);
    }
  });

  it('a text that is another for every call is none, and takes no more memory for it', () => {
    const admit = admitting();
    for (let calls = 0; calls < 1_000; calls += 1) expect(isVersion(admit, `s:${calls}`, calls / 100)).toBe(calls === 0);
    expect(isVersion(admit, 's:1', 11)).toBe(false);
    // Alone for an hour, it is one again.
    expect(isVersion(admit, 's:1', 72)).toBe(true);
  });

  it('texts that counted before a restart count after it', () => {
    const [one, two, three] = ['s:0000000000000001', 's:0000000000000002', 's:0000000000000003'];
    const cardinality = withTextVersions(createCardinality(DEFAULT_LIMITS));
    const prompt_name = under.prompt_name ?? under.asker ?? 'shop';
    cardinality.restore([one, two].map((prompt_version) => ({ project: bare.project, prompt_name, prompt_version })), ARRIVED_MS);
    const versions = [one, two, one, three].map((text) => cardinality.admit(call(text, under), ARRIVED_MS).prompt_version);
    expect(versions).toEqual([one, two, one, null]);
  });
});

describe('what was seen of one name', () => {
  it('says nothing of another name, service or project, nor of a template', () => {
    const admit = admitting();
    const under = { asker: 'support' };
    const isVersion = (text: string, changed: Partial<LlmCall> = under) => admit(call(text, changed)).prompt_version !== null;
    for (let text = 0; text < 50; text += 1) admit(call(`s:${text}`, under));
    expect(isVersion('s:1')).toBe(false);
    expect(isVersion('t:1')).toBe(true);
    for (const other of [{ asker: 'other' }, { ...under, service_name: 'x' }, { ...under, project: 'y' }]) expect(isVersion('s:1', other)).toBe(true);
  });

  it('is forgotten where there are too many names', () => {
    const admit = admitting({ mostRemembered: 100 });
    for (let text = 0; text < 10; text += 1) admit(call(`s:${text}`, { asker: 'support' }));
    expect(admit(call('s:1', { asker: 'support' })).prompt_version).toBeNull();
    for (let name = 0; name < 100; name += 1) admit(call('s:1', { asker: `name ${name}` }));
    expect(admit(call('s:1', { asker: 'support' })).prompt_version).toBe('s:1');
  });
});

describe('in the ingest loop', () => {
  let on: Ingesting;
  beforeAll(async () => void (on = await openIngesting()));
  afterAll(() => on.close());
  const system = { 'gen_ai.system_instructions': '[{"type":"text","content":"You are terse."}]', 'gen_ai.agent.name': 'support', 'session.id': 's' };

  it('a call that nobody tagged has a prompt by its text (golden case 2)', async () => {
    const ingest = await on.fresh();
    const summary = await ingest.write([traces([inference(1, { 'gen_ai.prompt.0.role': 'system', 'gen_ai.prompt.0.content': 'You are terse.', 'agent.name': 'support' })])]);
    expect(summary.projects).toMatchObject([{ calls: 1, prompts: ['support'] }]);
    expect(await on.store.select('SELECT prompt_name, prompt_version, prompt_version_source, prompt_fingerprint, prompt_attribution FROM calls FINAL', {})).toEqual([
      { prompt_name: 'support', prompt_version: 's:06920731084121f6', prompt_version_source: 'system_fp', prompt_fingerprint: 's:06920731084121f6', prompt_attribution: 'none' },
    ]);
  });

  it('the tags of an ancestor come first, however late they are', async () => {
    const ingest = await on.fresh();
    const child = inference(2, system, { parent_span_id: id(1) });
    await ingest.write([traces([child])]);
    expect(await on.calls()).toMatchObject([{ slot: 0, prompt_name: 'support', prompt_attribution: 'none' }]);
    await ingest.write([traces([wrapper(1, TAGS)], ARRIVED_MS + 5_000)]);
    expect(await on.calls()).toMatchObject([{ prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'inherited' }]);

    const again = await on.fresh();
    await again.write([traces([child])]);
    await again.advance(ARRIVED_MS + RESOLVE_WAIT_MS + 1);
    expect(await on.calls()).toMatchObject([{ prompt_name: 'support', prompt_attribution: 'none' }]);
    await again.write([traces([wrapper(1, TAGS)], ARRIVED_MS + 60_000)]);
    expect(await on.calls()).toMatchObject([{ prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'inherited', flags: ['attributed_late'] }]);
  });

  it('also after a restart, and a call above hands its own text to none below', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(2, system, { parent_span_id: id(1) })])]);
    const restarted = await on.start({}, ARRIVED_MS + 1_000);
    await restarted.write([traces([wrapper(1, TAGS), inference(3, {}, { parent_span_id: id(2) })], ARRIVED_MS + 5_000)]);
    expect((await on.calls()).map(({ prompt_name }) => prompt_name)).toEqual(['refund-agent', 'refund-agent']);
  });
});
