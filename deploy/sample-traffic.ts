import { context, SpanKind, SpanStatusCode, trace, TraceFlags, type Span } from '@opentelemetry/api';
import { logs as logsApi } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { logs, NodeSDK, resources, tracing } from '@opentelemetry/sdk-node';
import type { Clock, RandomSource } from '../schemas/clock.ts';

/**
 * A shop assistant, instrumented as an application would be: the OpenTelemetry SDK, GenAI attributes, a judge that sends
 * `gen_ai.evaluation.result`. Version v2 of its prompt, "make the tone friendlier", gets 10 % of the traffic and gets
 * refund eligibility wrong more often.
 */
export type SampleTraffic = { close(): Promise<void> };

type Version = { readonly version: string; readonly answersRight: number; readonly outputTokens: number };
const V1: Version = { version: 'v1', answersRight: 0.96, outputTokens: 180 };
const V2: Version = { version: 'v2', answersRight: 0.6, outputTokens: 184 };
const V2_SHARE = 0.1;

const HISTORY_MS = 2 * 3_600_000;
const HISTORY_CALLS = 2_400;
const CALLS_PER_SECOND = 40;
const SCORED_SHARE = 0.8;
const QUESTIONS = [
  { prompt: 'refund-eligibility', share: 0.7, route: '/chat/refunds' },
  { prompt: 'order-status', share: 0.3, route: '/chat/orders' },
] as const;

export async function sendSampleTraffic(
  url: string,
  deps: { readonly clock: Clock; readonly random: RandomSource; readonly say: (line: string) => void; readonly key?: string },
): Promise<SampleTraffic> {
  const headers = deps.key === undefined ? {} : { authorization: `Bearer ${deps.key}` };
  const spans = new tracing.BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces`, headers }), { maxQueueSize: 8_192, maxExportBatchSize: 512, scheduledDelayMillis: 500 });
  const records = new logs.BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${url}/v1/logs`, headers }), maxQueueSize: 8_192, maxExportBatchSize: 512, scheduledDelayMillis: 500 });
  const sdk = new NodeSDK({
    autoDetectResources: false,
    resource: resources.resourceFromAttributes({ 'service.name': 'shop-assistant', 'service.version': '2026.11.0', 'deployment.environment.name': 'production' }),
    spanProcessors: [spans],
    logRecordProcessors: [records],
    instrumentations: [],
  });
  sdk.start();
  const call = createCaller(deps.random);

  // 1. What the shop assistant did in the last two hours: v1 only.
  const now = deps.clock();
  deps.say(`sending two hours of history: ${HISTORY_CALLS} calls of v1`);
  for (let sent = 0; sent < HISTORY_CALLS; sent += 1) {
    call(now - HISTORY_MS + (sent / HISTORY_CALLS) * (HISTORY_MS - 60_000), V1);
    if (sent % 400 === 399) await Promise.all([spans.forceFlush(), records.forceFlush()]);
  }
  await Promise.all([spans.forceFlush(), records.forceFlush()]);

  // 2. Live: v2 takes its share.
  deps.say(`live now: ${CALLS_PER_SECOND} calls a second, v2 ("make the tone friendlier") answers ${V2_SHARE * 100} % of them`);
  deps.say('the page raises the alert within two minutes');
  const timer = setInterval(() => {
    for (let sent = 0; sent < CALLS_PER_SECOND / 2; sent += 1) call(deps.clock() - 2_000 + deps.random() * 500, deps.random() < V2_SHARE ? V2 : V1);
  }, 500);
  return {
    async close() {
      clearInterval(timer);
      await sdk.shutdown();
    },
  };
}

/** One question of a customer: a server span with the session, below it the inference, and for most of them a judgement. */
function createCaller(random: RandomSource): (startMs: number, version: Version) => void {
  const tracer = trace.getTracer('shop-assistant');
  const judge = logsApi.getLogger('refund-judge');
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const hex = (digits: number): string => Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');

  return (startMs, version) => {
    const question = random() < QUESTIONS[0].share ? QUESTIONS[0] : QUESTIONS[1];
    // Only the refund prompt has a second version.
    const { version: tag, answersRight, outputTokens } = question.prompt === 'refund-eligibility' ? version : V1;
    const durationMs = 700 * Math.exp(0.35 * normal()) + outputTokens;
    const isError = random() < 0.008;
    const request = tracer.startSpan(`POST ${question.route}`, {
      kind: SpanKind.SERVER,
      startTime: startMs,
      attributes: { 'http.route': question.route, 'session.id': `sess-${hex(12)}`, 'user.id': `customer-${Math.floor(random() * 400)}` },
    });
    const inference = tracer.startSpan(
      'chat gpt-4o',
      {
        kind: SpanKind.CLIENT,
        startTime: startMs + 3,
        attributes: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': 'openai',
          'gen_ai.request.model': 'gpt-4o',
          'gen_ai.prompt.name': question.prompt,
          'gen_ai.prompt.version': tag,
          'http.route': question.route,
        },
      },
      trace.setSpan(context.active(), request),
    );
    if (isError) {
      inference.setAttribute('error.type', '503');
      inference.setStatus({ code: SpanStatusCode.ERROR, message: 'upstream overloaded' });
    } else {
      inference.setAttributes({
        'gen_ai.response.model': 'gpt-4o-2024-08-06',
        'gen_ai.response.id': `chatcmpl-${hex(29)}`,
        'gen_ai.response.finish_reasons': ['stop'],
        'gen_ai.response.time_to_first_chunk': (durationMs * 0.3) / 1000,
        'gen_ai.usage.input_tokens': Math.max(50, Math.round(640 + 90 * normal())),
        'gen_ai.usage.output_tokens': Math.max(10, Math.round(outputTokens + 40 * normal())),
      });
      if (random() < SCORED_SHARE) evaluate(inference, random() < answersRight ? 0.9 + 0.1 * random() : 0.1 + 0.3 * random(), startMs + durationMs);
    }
    inference.end(startMs + durationMs);
    request.end(startMs + durationMs + 4);
  };

  function evaluate(inference: Span, score: number, timestamp: number): void {
    const { traceId, spanId } = inference.spanContext();
    judge.emit({
      eventName: 'gen_ai.evaluation.result',
      timestamp,
      attributes: { 'gen_ai.evaluation.name': 'refund_accuracy', 'gen_ai.evaluation.score.value': Number(score.toFixed(3)) },
      context: trace.setSpanContext(context.active(), { traceId, spanId, traceFlags: TraceFlags.SAMPLED }),
    });
  }
}
