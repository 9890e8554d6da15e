import type { OtlpSpan } from '../../schemas/otlp.ts';
import type { Inference } from './index.ts';

/** What libraries call the event that they put on a span when the first chunk of a stream arrives (some put one for each). */
const FIRST_TOKEN_EVENTS: ReadonlySet<string> = new Set([
  'First Token Stream Event', // OpenInference
  'gen_ai.content.completion.chunk', // OpenLLMetry
  'llm.content.completion.chunk', // OpenLLMetry before 2025
  'mlflow.chunk.item.0',
  'new_token', // LangChain's callback, as LangSmith and MLflow note it
]);

/** The earliest of them, by the sender's clock. Null where the span has none. */
export function firstToken(span: OtlpSpan): Inference['ttft'] {
  let at_ns: bigint | null = null;
  for (const event of span.events) {
    if (FIRST_TOKEN_EVENTS.has(event.name) && (at_ns === null || event.time_ns < at_ns)) at_ns = event.time_ns;
  }
  return at_ns === null ? null : { at_ns };
}
