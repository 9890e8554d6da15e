/** A process for sdk.test.ts: an application with the OpenTelemetry SDK as its users set it up. Sends two calls of each version and what a judge says of them. */
import { context, SpanKind, trace } from '@opentelemetry/api';
import { logs as logsApi } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { logs, NodeSDK } from '@opentelemetry/sdk-node';

const [url = ''] = process.argv.slice(2);
const sdk = new NodeSDK({
  serviceName: 'shop',
  traceExporter: new OTLPTraceExporter({ url: `${url}/v1/traces` }),
  logRecordProcessors: [new logs.BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${url}/v1/logs` }) })],
  instrumentations: [],
});
sdk.start();
const tracer = trace.getTracer('shop');
const judge = logsApi.getLogger('judge');

for (const [index, version] of ['v1', 'v1', 'v2', 'v2'].entries()) {
  tracer.startActiveSpan('POST /refund', { kind: SpanKind.SERVER, attributes: { 'session.id': `session-${index}`, 'gen_ai.prompt.name': 'refund agent', 'gen_ai.prompt.version': version } }, (request) => {
    const call = tracer.startSpan('chat gpt-4o', { kind: SpanKind.CLIENT, attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'gpt-4o' } });
    call.setAttributes({ 'gen_ai.response.model': 'gpt-4o-2024-08-06', 'gen_ai.usage.input_tokens': 640, 'gen_ai.usage.output_tokens': 180, 'gen_ai.response.finish_reasons': ['stop'] });
    judge.emit({
      eventName: 'gen_ai.evaluation.result',
      attributes: { 'gen_ai.evaluation.name': 'refund_accuracy', 'gen_ai.evaluation.score.value': index / 4 },
      context: trace.setSpan(context.active(), call),
    });
    call.end();
    request.end();
  });
}
await sdk.shutdown();
