import { readdirSync } from 'node:fs';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import { readSpans } from '../golden/captures.ts';

/**
 * Spans from OTLP to `LlmCall` on one core: `tsx test/bench/normalise.ts` prints one JSON line. Each is a chat call of 25
 * attributes; `with_content` has output messages of about 1 KB beside them. `captures` has the same for the spans of each real
 * capture, wrappers and all, with whatever content they have.
 */
const STARTED_MS = Date.UTC(2026, 5, 1, 8, 30);
const MODELS = ['gpt-4o-2024-08-06', 'gpt-4o-mini-2024-07-18', 'gpt-4.1-2025-04-14'];
const MESSAGES = JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content: 'Your order left the warehouse on Monday. '.repeat(24) }], finish_reason: 'stop' }]);

function span(index: number, content: readonly [string, AttributeValue][]): OtlpSpan {
  const start_ns = BigInt(STARTED_MS + index) * 1_000_000n;
  return {
    trace_id: index.toString(16).padStart(32, 'a'),
    span_id: index.toString(16).padStart(16, 'b'),
    parent_span_id: index.toString(16).padStart(16, 'c'),
    name: 'chat gpt-4o',
    kind: 3,
    start_ns,
    end_ns: start_ns + 900_000_000n,
    attributes: new Map<string, AttributeValue>([
      ['gen_ai.operation.name', 'chat'],
      ['gen_ai.provider.name', 'openai'],
      ['gen_ai.request.model', 'gpt-4o'],
      ['server.address', 'api.openai.com'],
      ['server.port', 443],
      ['gen_ai.prompt.name', 'refund-agent'],
      ['gen_ai.prompt.version', index % 10 === 0 ? 'v2' : 'v1'],
      ['gen_ai.request.temperature', 0.2],
      ['gen_ai.request.max_tokens', 200],
      ['gen_ai.request.top_p', 1],
      ['gen_ai.request.stream', true],
      ['gen_ai.response.time_to_first_chunk', 0.2],
      ['gen_ai.response.finish_reasons', ['stop']],
      ['gen_ai.response.model', MODELS[index % MODELS.length] ?? ''],
      ['gen_ai.response.id', `chatcmpl-${index}`],
      ['gen_ai.usage.input_tokens', 500 + (index % 1000)],
      ['gen_ai.usage.output_tokens', 100],
      ['gen_ai.usage.cache_read.input_tokens', 64],
      ['gen_ai.conversation.id', `session-${index >> 3}`],
      ['user.id', `user-${index % 5000}`],
      ['app.route', '/refund'],
      ['gen_ai.agent.name', 'support'],
      ['openai.response.service_tier', 'default'],
      ['openai.response.system_fingerprint', 'fp_07871e2ad8'],
      ['thread.name', 'MainThread'],
      ...content,
    ]),
    events: [],
    links: [],
    status_code: 0,
    status_message: '',
  };
}

function spansPerSecond(content: readonly [string, AttributeValue][]): number {
  const normaliser = createNormaliser({ stratumAttributes: ['app.route', 'http.route', 'gen_ai.agent.name'] });
  const resource = new Map([['service.name', 'bot'], ['service.version', '1'], ['deployment.environment.name', 'production']]);
  const scope = { name: 'opentelemetry.instrumentation.genai.openai', version: '1', attributes: new Map() };
  const spans = Array.from({ length: 20_000 }, (_, index) => span(index, content));
  const context = { project: 'default', received_ms: STARTED_MS + 60_000 };
  const once = (): number => {
    const begin = performance.now();
    let calls = 0;
    for (const input of spans) if (normaliser.span(context, resource, scope, input).kind === 'call') calls++;
    if (calls !== spans.length) throw new Error(`${calls} of ${spans.length} spans were calls`);
    return performance.now() - begin;
  };
  once(); // The engine compiles what is hot.
  const times = [once(), once(), once(), once(), once()].sort((a, b) => a - b);
  return Math.round(spans.length / ((times[2] ?? Number.NaN) / 1000));
}

const golden = (name: string): URL => new URL(`../golden/${name}`, import.meta.url);
const tracesOf = (client: string): string[] => readdirSync(golden(`${client}/`)).filter((file) => file.endsWith('traces.bin'));

/** The median of five rounds over the capture's spans, each long enough to be measured. */
function capturedSpansPerSecond(client: string): number {
  const files = tracesOf(client);
  const spans = files.flatMap((file) => readSpans(client, file));
  const normaliser = createNormaliser({ stratumAttributes: ['app.route', 'http.route', 'gen_ai.agent.name'] });
  const repetitions = Math.ceil(10_000 / spans.length);
  const once = (): number => {
    const begin = performance.now();
    for (let repetition = 0; repetition < repetitions; repetition++) {
      for (const { resource, scope, span: input } of spans) normaliser.span({ project: 'default', received_ms: STARTED_MS }, resource, scope, input);
    }
    return performance.now() - begin;
  };
  once(); // The engine compiles what is hot.
  const times = [once(), once(), once(), once(), once()].sort((a, b) => a - b);
  return Math.round((spans.length * repetitions) / ((times[2] ?? Number.NaN) / 1000));
}

// One folder is of recordings of another kind.
const clients = readdirSync(golden(''), { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() && tracesOf(entry.name).length > 0 ? [entry.name] : []));
console.log(
  JSON.stringify({
    bench: 'normalise',
    spans_per_second: spansPerSecond([]),
    spans_per_second_with_content: spansPerSecond([['gen_ai.output.messages', MESSAGES]]),
    captures: Object.fromEntries(clients.map((client) => [client, capturedSpansPerSecond(client)])),
  }),
);
