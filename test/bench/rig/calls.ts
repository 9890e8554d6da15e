/** Calls and judgements as OTLP/JSON, the way the OTLP File Exporter writes them. */
export type MadeUpCall = {
  readonly prompt: string;
  readonly version: string;
  readonly model: 'gpt-4o' | 'gpt-4o-mini';
  readonly startMs: number;
  readonly durationMs: number;
  readonly isError: boolean;
  readonly sessionId: string | null;
};

const RESOURCE = { attributes: [text('service.name', 'shop-assistant'), text('service.version', '2026.11.0'), text('deployment.environment.name', 'production')] };
const RESPONSE_MODELS = { 'gpt-4o': 'gpt-4o-2024-08-06', 'gpt-4o-mini': 'gpt-4o-mini-2024-07-18' } as const;
const ANSWER = JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content: JSON.stringify({ eligible: true, reason: 'within 30 days' }) }], finish_reason: 'stop' }]);

export type MadeUpSpan = { readonly traceId: string; readonly spanId: string; readonly json: object };

export function spanOf(call: MadeUpCall, random: () => number): MadeUpSpan {
  const traceId = hexOf(random, 32);
  const spanId = hexOf(random, 16);
  const common = [
    text('gen_ai.operation.name', 'chat'),
    text('gen_ai.provider.name', 'openai'),
    text('gen_ai.request.model', call.model),
    text('gen_ai.prompt.name', call.prompt),
    text('gen_ai.prompt.version', call.version),
    text('app.route', `/chat/${call.prompt}`),
    text('gen_ai.output.type', 'json'),
    ...(call.sessionId === null ? [] : [text('session.id', call.sessionId)]),
  ];
  const answered = [
    text('gen_ai.response.model', RESPONSE_MODELS[call.model]),
    text('gen_ai.response.id', `chatcmpl-${hexOf(random, 24)}`),
    { key: 'gen_ai.usage.input_tokens', value: { intValue: String(400 + Math.floor(600 * random())) } },
    { key: 'gen_ai.usage.output_tokens', value: { intValue: String(60 + Math.floor(200 * random())) } },
    { key: 'gen_ai.response.finish_reasons', value: { arrayValue: { values: [{ stringValue: 'stop' }] } } },
    { key: 'gen_ai.response.time_to_first_chunk', value: { doubleValue: (call.durationMs / 1000) * 0.25 } },
    text('gen_ai.output.messages', ANSWER),
  ];
  const json = {
    traceId,
    spanId,
    name: `chat ${call.model}`,
    kind: 3,
    startTimeUnixNano: nanoseconds(call.startMs),
    endTimeUnixNano: nanoseconds(call.startMs + call.durationMs),
    attributes: call.isError ? [...common, text('error.type', '500')] : [...common, ...answered],
    status: call.isError ? { code: 2, message: 'upstream failed' } : {},
  };
  return { traceId, spanId, json };
}

/** A span, told from all others. */
export function nameOf({ traceId, spanId }: Pick<MadeUpSpan, 'traceId' | 'spanId'>): string {
  return `${traceId}/${spanId}`;
}

export function tracesOf(spans: readonly MadeUpSpan[]): object {
  return { resourceSpans: [{ resource: RESOURCE, scopeSpans: [{ scope: { name: 'shop' }, spans: spans.map(({ json }) => json) }] }] };
}

export type Judgement = { readonly span: MadeUpSpan; readonly atMs: number; readonly quality: number };

export function judgementsOf(judgements: readonly Judgement[]): object {
  const logRecords = judgements.map(({ span, atMs, quality }) => ({
    timeUnixNano: nanoseconds(atMs),
    observedTimeUnixNano: nanoseconds(atMs),
    eventName: 'gen_ai.evaluation.result',
    traceId: span.traceId,
    spanId: span.spanId,
    attributes: [text('gen_ai.evaluation.name', 'quality'), { key: 'gen_ai.evaluation.score.value', value: { doubleValue: quality } }],
  }));
  return { resourceLogs: [{ resource: RESOURCE, scopeLogs: [{ scope: { name: 'judge' }, logRecords }] }] };
}

function text(key: string, stringValue: string): object {
  return { key, value: { stringValue } };
}

function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n);
}

export function hexOf(random: () => number, digits: number): string {
  let hex = '';
  while (hex.length < digits) hex += Math.floor(random() * 65_536).toString(16).padStart(4, '0');
  return hex.slice(0, digits);
}

export function lognormal(random: () => number, median: number, sigma: number): number {
  return median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}
