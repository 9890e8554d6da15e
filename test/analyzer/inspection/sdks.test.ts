import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sdkOf, SDKS } from '../../../analyzer/inspection/sdks.ts';
import { span } from '../spans.ts';

const sectionOf = (heading: string): string => heading.toLowerCase().replace(/[^\w\s-]/g, '').trim().replace(/\s/g, '-');
const sections = [...readFileSync('docs/TAGGING.md', 'utf8').matchAll(/^## (.+)$/gm)].map(([, heading = '']) => sectionOf(heading));

it('sends everybody to a section that is there', () => {
  expect(sections).toEqual(expect.arrayContaining([...SDKS.map(({ section }) => section), 'opentelemetry', 'scores']));
  expect(sections.length).toBeGreaterThan(20);
});

it.each([
  ['langfuse-sdk', {}, 'Langfuse'],
  ['ai', { 'ai.operationId': 'ai.generateText', 'gen_ai.system': 'openai' }, 'Vercel AI SDK'],
  ['gen_ai', {}, 'Vercel AI SDK'],
  ['opentelemetry.instrumentation.openai.v1', { 'gen_ai.system': 'openai' }, 'Traceloop'],
  ['opentelemetry.instrumentation.openai_v2', { 'gen_ai.system': 'openai' }, 'OpenTelemetry'],
  ['opentelemetry.instrumentation.genai.openai', { 'gen_ai.provider.name': 'openai' }, 'OpenTelemetry'],
  ['my-code', { 'openinference.span.kind': 'LLM', 'gen_ai.system': 'openai' }, 'OpenInference'],
  ['genkit-tracer', {}, 'Genkit'],
  ['@voltagent/core', {}, 'VoltAgent'],
  ['codex_exec', {}, 'Codex'],
  ['llamaindex.opentelemetry.tracer', {}, 'LlamaIndex'],
  ['my-code', { 'haystack.component.type': 'OpenAIChatGenerator' }, 'Haystack'],
  ['langtrace_python_sdk.instrumentation.openai.instrumentation', { 'gen_ai.system': 'openai' }, 'Langtrace'],
  ['airline-booking', { 'http.route': '/' }, undefined],
])('knows who wrote a span of scope %s', (name, attributes, expected) => {
  expect(sdkOf({ resource: new Map(), scope: { name, version: '', attributes: new Map() }, span: span(attributes) })?.name).toBe(expected);
});

it('knows OpenLIT by its resource', () => {
  expect(sdkOf({ resource: new Map([['telemetry.sdk.name', 'openlit']]), scope: { name: '', version: '', attributes: new Map() }, span: span({}) })?.name).toBe('OpenLIT');
});
