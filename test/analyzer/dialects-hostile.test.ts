import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNormaliser, type NormalisedSpan } from '../../analyzer/normalise.ts';
import type { AttributeValue, OtlpEvent, OtlpSpan } from '../../schemas/otlp.ts';
import { context, span } from './spans.ts';

/** Bags of attributes that no library would write: keys of all dialects at once, with values of the wrong kind. Whatever they are, a span is read, in bounded time, and no version is made up. */

const dialectFiles = fileURLToPath(new URL('../../analyzer/dialects/', import.meta.url));

/** Every key that a dialect names in its source, so that a new one is in here by itself. */
const KEYS = [
  ...new Set(
    readdirSync(dialectFiles).flatMap((file) => [...readFileSync(`${dialectFiles}${file}`, 'utf8').matchAll(/'([a-z_][\w-]*(?:[.:][\w-]+)+)'/g)].map((match) => match[1] ?? '').filter((key) => !key.endsWith('.ts'))),
  ),
  ...['prompt_name', 'promptName', 'prompt.version', 'promptLabel', 'prompt', 'opik_prompts'].flatMap((key) => [`metadata.${key}`, `langsmith.metadata.${key}`, `ai.telemetry.metadata.${key}`]),
  // Put together in their dialect.
  ...['application.slug', 'application.id', 'variant.version', 'environment.slug'].map((key) => `ag.refs.${key}`),
  ...['span.type', 'input', 'output', 'timestamps', 'params', 'metrics', 'prompt.handle', 'prompt.version.number'].map((key) => `langwatch.${key}`),
  ...['span.kind', 'request.parameters', 'prompt.template.version', 'event.start_time'].map((key) => `gen_ai.${key}`),
  ...['type', 'input', 'output'].map((key) => `haystack.component.${key}`),
  'span.type',
  'llm.messages',
  'output.value',
  'mirascope.response.usage',
  'mirascope.version.hash',
  'ag2.span.type',
  'metrics.ttfb',
  'success',
  'genkit:output',
  'genkit:metadata:promptVersion',
  'metadata',
  'prompt.name',
  'prompt_version',
];
const SCOPES = ['', 'gcp.vertex.agent', 'strands.telemetry.tracer', 'genkit-tracer', '@voltagent/core', 'llamaindex.opentelemetry.tracer', 'mirascope.llm', 'traceai_openai', 'com.anthropic.claude_code.tracing', 'pipecat', 'livekit-agents', 'semantic_kernel.x', 'org.springframework.boot', 'langfuse-sdk', 'ai', 'gen_ai', 'openlit.x', 'litellm', 'pydantic-ai', 'langsmith'];
const NAMES = ['', 'chat gpt-4o', 'claude_code.llm_request', 'haystack.component.run', 'call_llm', 'llm_request', 'litellm_request', 'raw_gen_ai_request', 'ai.generateText.doGenerate', 'invoke_agent x'];

/** What people put into names and versions, and what dialects look for in other keys. */
const words = fc.constantFrom('support', 'v1', 'v2', '3', 'prod', 'Latest', '5BB3F938A1C2', 'chat', 'llm', 'score', 'model', 'LLM', 'generation', 'stop', 'openai', 'gpt-4o', 'true', 'False', 'null', 'None', '-', ' ', '<code_default>', 'experiment_id:7');
const members = fc.constantFrom('prompt_name', 'prompt_version', 'promptLabel', 'name', 'version', 'id', 'label', 'commit', 'prompt', 'type', 'role', 'content', 'parts', 'text', 'messages', 'usage', 'model', 'prompt_tokens', '__proto__', 'constructor');
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
const jsonValues: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, words, fc.integer({ min: 0, max: 2000 }), fc.boolean(), fc.constant(null), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(members, tie('value'), { maxKeys: 4 })),
})).value;
const pythonOf = (json: string): string => json.replaceAll('"', "'").replaceAll('null', 'None').replaceAll('true', 'True');
const jsonTexts = fc.oneof(
  jsonValues.map((value) => JSON.stringify(value)),
  jsonValues.map((value) => JSON.stringify(JSON.stringify(value))),
  jsonValues.map((value) => pythonOf(JSON.stringify(value))),
  fc.tuple(jsonValues, fc.nat(40)).map(([value, cut]) => JSON.stringify({ prompt_name: value }).slice(0, cut)),
  fc.tuple(jsonValues, fc.nat(40)).map(([value, cut]) => JSON.stringify({ metadata: JSON.stringify({ prompt_version: value }).slice(0, cut) })),
);
const values: fc.Arbitrary<AttributeValue> = fc.letrec<{ value: AttributeValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    { weight: 4, arbitrary: words },
    { weight: 4, arbitrary: jsonTexts },
    { weight: 1, arbitrary: fc.oneof(fc.integer({ min: -5, max: 5000 }), fc.double(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }), fc.boolean(), fc.constant(null), fc.uint8Array({ maxLength: 4 })) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.array(fc.tuple(members, tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)) },
  ),
})).value;

/** Half of the bags are about prompts: else two of their keys would hardly ever meet. */
const promptKeys = KEYS.filter((key) => key.toLowerCase().includes('prompt') || key.includes('metadata') || key.includes('ag.refs'));
const bag = fc.oneof(
  fc.array(fc.tuple(fc.constantFrom(...KEYS), values), { maxLength: 24 }),
  fc.array(fc.tuple(fc.constantFrom(...promptKeys), fc.oneof(words, jsonTexts)), { maxLength: 8 }),
  fc.array(fc.tuple(fc.constantFrom('gen_ai.system_instructions', 'gen_ai.input.messages', 'gen_ai.prompt', 'gen_ai.prompt.0.content', 'gen_ai.prompt.0.role', 'gen_ai.prompt.version'), fc.oneof(words, fc.constant('system'), jsonTexts)), { maxLength: 3 }),
);
const events: fc.Arbitrary<OtlpEvent[]> = fc.array(
  fc.record({ name: fc.constantFrom('exception', 'gen_ai.choice', 'feature_flag.evaluation', 'gen_ai.evaluation.result', 'gen_ai.content.prompt', 'First Token Stream Event'), time_ns: fc.constant(1n), attributes: bag.map((entries) => new Map(entries)) }),
  { maxLength: 2 },
);
const spans: fc.Arbitrary<{ scopeName: string; input: OtlpSpan }> = fc
  .record({ attributes: bag, base: fc.boolean(), name: fc.constantFrom(...NAMES), scopeName: fc.constantFrom(...SCOPES), events, status_code: fc.nat(3) })
  .map(({ attributes, base, name, scopeName, events: own, status_code }) => ({
    scopeName,
    input: span({ ...(base && { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o' }), ...Object.fromEntries(attributes) }, { name, events: own, status_code }),
  }));

const normaliser = createNormaliser({ stratumAttributes: [], featureFlags: { support: 'support' }, maxTextBytes: 4096 });
const read = (input: OtlpSpan, scopeName = ''): NormalisedSpan => normaliser.span(context, new Map(), { name: scopeName, version: '', attributes: new Map() }, input);

/** All that the span says, as one text in lower case; the texts in JSON stand in it as they are, since none has a character that JSON would escape. */
function saidBy({ attributes, events: own }: OtlpSpan): string {
  const leaves = (value: AttributeValue): string => {
    if (value instanceof Map) return [...value].map(([key, member]) => `${key} ${leaves(member)}`).join('\n');
    if (Array.isArray(value)) return value.map(leaves).join('\n');
    return typeof value === 'object' ? '' : String(value);
  };
  return [attributes, ...own.map((event) => event.attributes)].map((map) => leaves(map)).join('\n').toLowerCase();
}

describe('any bag of keys', () => {
  it('is drawn from many dialects', () => {
    expect(KEYS.length).toBeGreaterThan(150);
    expect(promptKeys.length).toBeGreaterThan(20);
  });

  it('is read without a throw, and no version comes of it that it does not say', () => {
    const seen = { calls: 0, versions: 0, labels: 0, ambiguous: 0, fingerprints: 0 };
    fc.assert(
      fc.property(spans, ({ scopeName, input }) => {
        const result = read(input, scopeName);
        const tags = result.kind === 'call' ? result.call : result.relative;
        const said = saidBy(input);
        if (tags.prompt_version !== null) {
          seen.versions += 1;
          expect(said).toContain(tags.prompt_version.replace(/^label:/, '').toLowerCase());
        }
        for (const text of [tags.prompt_name, tags.prompt_label]) {
          // An owner and a repository make one name.
          for (const part of text?.split('/') ?? []) expect(said).toContain(part.toLowerCase());
        }
        // A label is no version, wherever it came from.
        if (tags.prompt_version_source === 'label') seen.labels += 1;
        expect(tags.prompt_version_source === 'label').toBe(tags.prompt_version?.startsWith('label:') === true);
        expect(['prod', 'Latest', '<code_default>']).not.toContain(tags.prompt_version);
        if (tags.prompt_attribution === 'ambiguous') seen.ambiguous += 1;
        expect(tags.prompt_attribution === 'none').toBe(tags.prompt_name === null && tags.prompt_version === null && tags.prompt_label === null);
        if (result.kind !== 'call') return;
        seen.calls += 1;
        const { prompt_fingerprint } = result.call;
        if (prompt_fingerprint !== null) seen.fingerprints += 1;
        expect(prompt_fingerprint ?? 's:0123456789abcdef').toMatch(/^[ts]:[0-9a-f]{16}$/);
      }),
      { numRuns: 6000 },
    );
    // Otherwise the property would have looked at nothing.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(30);
  });
});

describe('huge and crooked values', () => {
  const cycle = new Map<string, AttributeValue>();
  cycle.set('prompt', cycle);
  cycle.set('messages', [cycle]);
  const hostile: readonly (readonly [string, AttributeValue])[] = [
    ['ten megabytes of metadata', JSON.stringify({ prompt_name: 'support', x: 'x'.repeat(10_000_000) })],
    ['ten megabytes of a Python dictionary', `{'prompt_name': '${'x'.repeat(10_000_000)}'}`],
    ['ten megabytes of quotes', '"'.repeat(10_000_000)],
    ['an array in an array in an array', '['.repeat(250_000)],
    ['one that ends', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['a map in a map', `${'{"prompt":'.repeat(20_000)}1${'}'.repeat(20_000)}`],
    ['a Python tuple in a tuple', '('.repeat(200_000)],
    ['a hundred thousand members', JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`prompt${index}`, index])))],
    ['a map that holds itself', cycle],
    ['a long list', Array.from({ length: 100_000 }, () => 'prompt')],
    ['JSON in JSON in JSON', JSON.stringify(JSON.stringify(JSON.stringify({ prompt_name: 'support' })))],
  ];

  it.each(hostile)('%s, under any key, takes no time', (_case, value) => {
    const begin = performance.now();
    for (const scopeName of ['', 'gcp.vertex.agent', 'strands.telemetry.tracer', 'genkit-tracer']) {
      for (const key of ['metadata', 'braintrust.metadata', 'langsmith.metadata.prompt', '_dd.ml_obs.prompt_tracking', 'gen_ai.input.messages', 'gen_ai.output.messages', 'gcp.vertex.agent.llm_response', 'gcp.vertex.agent.llm_request', 'genkit:output', 'genkit:input', 'ag.data.inputs', 'lk.llm_metrics', 'braintrust.scores']) {
        read(span({ 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'genkit:metadata:subtype': 'model', [key]: value }), scopeName);
      }
    }
    // 52 spans: far from quadratic, also on a busy machine.
    expect(performance.now() - begin).toBeLessThan(15_000);
  });

  it('all of them at once, under every key', () => {
    for (const [, value] of hostile.slice(3)) {
      const result = read(span(Object.fromEntries(KEYS.map((key) => [key, value]))));
      const { prompt_name, prompt_version, session_id } = result.kind === 'call' ? result.call : result.relative;
      for (const text of [prompt_name, prompt_version, session_id]) expect(text === null || text.length <= 256).toBe(true);
    }
  });
});
