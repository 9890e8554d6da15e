import { randomFillSync } from 'node:crypto';
import { encode } from '../../collector/otlp/oracle.ts';

/**
 * Request bodies of 100 GenAI spans of 25 attributes and about 1.5 KB each, as an instrumented support desk sends them: four prompts on
 * two models, v2 of each on 16 % of the calls, sessions of two calls, no parents, an error in a hundred.
 *
 * A body is encoded once and then only patched: fresh ids and current times in every request cost the sender 0.1 ms or so, and
 * the server, which shares the machine with it, sees what it would see of real traffic.
 */
export const SPANS_IN_BODY = 100;

export type SpanBody = {
  readonly bytes: Buffer;
  /** Fresh trace, span, session and response ids; calls that ended in the second before `nowMs`. */
  refresh(nowMs: number): void;
  /** Trace id of the first span, as hex. */
  firstTraceId(): string;
};

const PROMPTS = ['refund-agent', 'order-status', 'summarise-ticket', 'route-question'] as const;
const MODELS = [
  { provider: 'openai', request: 'gpt-4o', response: 'gpt-4o-2024-08-06' },
  { provider: 'anthropic', request: 'claude-sonnet-4-5', response: 'claude-sonnet-4-5-20250929' },
] as const;
const QUESTION = 'Where is my order? I was told that it would be here on Monday, and the tracking page has not moved since it left the warehouse. If it is lost I want my money back, please, and not another voucher. My order number is the one below, and my address has not changed since I placed it. Thank you very much for looking into it.';
const ANSWER = 'I am sorry for the delay. Your parcel left the warehouse on Monday and is with the carrier; it should reach you in two working days. If it has not come by then, you can have your money back without sending anything.';

/** Bytes of each span that change: found again in the encoded body by what the template puts there. */
type Places = { readonly trace: number; readonly span: number; readonly start: number; readonly end: number; readonly response: number; readonly session: number };

export function createSpanBody(random: () => number): SpanBody {
  const marks = Buffer.alloc(SPANS_IN_BODY * 24);
  randomFillSync(marks);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const spans = Array.from({ length: SPANS_IN_BODY }, (_, index) => spanOf(index, marks.subarray(index * 24, index * 24 + 24), normal));
  const request = {
    resourceSpans: [
      {
        resource: { attributes: attributesOf({ 'service.name': 'support-desk', 'service.version': '2026.11.2', 'deployment.environment.name': 'production', 'telemetry.sdk.language': 'nodejs' }) },
        scopeSpans: [{ scope: { name: 'opentelemetry.instrumentation.genai.openai', version: '1.2.0' }, spans: spans.map(({ json }) => json) }],
      },
    ],
  };
  const bytes = Buffer.from(encode('ExportTraceServiceRequest', request));
  const places = spans.map(({ durationMs }, index) => ({ durationMs, ...placesOf(bytes, marks.subarray(index * 24, index * 24 + 24)) }));
  const fresh = Buffer.alloc(SPANS_IN_BODY * 44);
  return {
    bytes,
    refresh(nowMs) {
      randomFillSync(fresh);
      let session = '';
      for (const [index, place] of places.entries()) {
        const from = index * 44;
        fresh.copy(bytes, place.trace, from, from + 16);
        fresh.copy(bytes, place.span, from + 16, from + 24);
        bytes.write(fresh.toString('hex', from + 24, from + 36), place.response, 'latin1');
        if (index % 2 === 0) session = fresh.toString('hex', from + 36, from + 44);
        bytes.write(session, place.session, 'latin1');
        const endNs = BigInt(Math.round(nowMs - index * 10)) * 1_000_000n + BigInt(fresh.readUInt32LE(from) % 1_000_000);
        bytes.writeBigUInt64LE(endNs - BigInt(Math.round(place.durationMs * 1e6)), place.start);
        bytes.writeBigUInt64LE(endNs, place.end);
      }
    },
    firstTraceId: () => bytes.toString('hex', places[0]?.trace ?? 0, (places[0]?.trace ?? 0) + 16),
  };
}

function spanOf(index: number, mark: Buffer, normal: () => number): { json: object; durationMs: number } {
  // Two calls that follow each other are one session, and a session has one prompt, model and version.
  const pair = index >> 1;
  const prompt = PROMPTS[pair % PROMPTS.length] ?? '';
  const model = MODELS[(pair >> 2) % MODELS.length] ?? MODELS[0];
  const isError = index === 57;
  const durationMs = 900 * Math.exp(0.5 * normal());
  const content = (role: string, text: string): string => JSON.stringify([{ role, parts: [{ type: 'text', content: text }] }]);
  const json = {
    traceId: mark.subarray(0, 16).toString('base64'),
    spanId: mark.subarray(16).toString('base64'),
    name: `chat ${model.request}`,
    kind: 3,
    startTimeUnixNano: mark.readBigUInt64LE(0).toString(),
    endTimeUnixNano: mark.readBigUInt64LE(8).toString(),
    attributes: attributesOf({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': model.provider,
      'gen_ai.request.model': model.request,
      'gen_ai.response.model': model.response,
      'gen_ai.response.id': `chatcmpl-${mark.toString('hex', 0, 12)}`,
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.conversation.id': mark.toString('hex', 16, 24),
      'gen_ai.prompt.name': prompt,
      'gen_ai.prompt.version': pair >= 40 && pair < 48 ? 'v2' : 'v1',
      'gen_ai.request.temperature': 0.2,
      'gen_ai.request.max_tokens': 1024,
      'gen_ai.request.top_p': 0.95,
      'gen_ai.request.stream': true,
      'gen_ai.response.time_to_first_chunk': (durationMs / 1000) * 0.25,
      'gen_ai.usage.input_tokens': Math.max(1, Math.round(800 + 200 * normal())),
      'gen_ai.usage.output_tokens': Math.max(1, Math.round(220 + 60 * normal())),
      'gen_ai.usage.cache_read.input_tokens': 64 * (index % 5),
      'gen_ai.output.type': 'text',
      'gen_ai.agent.name': 'support',
      'server.address': 'llm-gateway.internal',
      'server.port': 443,
      'user.id': `user-${1000 + index}`,
      'app.route': `/chat/${prompt}`,
      'gen_ai.input.messages': content('user', QUESTION),
      'gen_ai.output.messages': content('assistant', ANSWER),
    }),
    status: isError ? { code: 2, message: 'upstream timed out' } : {},
  };
  return { json, durationMs };
}

type Value = string | number | boolean | readonly string[];

function attributesOf(values: Readonly<Record<string, Value>>): object[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: anyValueOf(value) }));
}

function anyValueOf(value: Value): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: value } : { doubleValue: value };
  return { arrayValue: { values: value.map(anyValueOf) } };
}

/** Where a span's ids and times stand. The times of the template are the bytes of the mark, so they are found like the ids. */
function placesOf(bytes: Buffer, mark: Buffer): Places {
  const find = (part: Buffer | string, from: number): number => {
    const at = bytes.indexOf(part, from);
    if (at < 0) throw new Error('the template of a span is not in its encoding');
    return at;
  };
  const trace = find(mark.subarray(0, 16), 0);
  const span = find(mark.subarray(16), trace);
  const start = find(mark.subarray(0, 8), span);
  const end = find(mark.subarray(8, 16), start);
  return { trace, span, start, end, response: find(mark.toString('hex', 0, 12), end), session: find(mark.toString('hex', 16, 24), end) };
}
