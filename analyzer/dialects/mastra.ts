import { momentOf } from './langfuse.ts';
import type { Dialect, Inference } from './index.ts';
import { readGenAi } from './otel-genai.ts';

/**
 * Mastra's exporter (`mastra.span.type`) follows the conventions on the span of an inference, `model_inference`; the generation and its steps
 * are around it. Metadata of the application stands under `mastra.metadata.`. When the first token came is a moment.
 */
export const mastra: Dialect = {
  name: 'mastra',
  matches: ({ scope, span }) => span.attributes.has('mastra.span.type') || scope.name.startsWith('@mastra/'),
  read(source) {
    const reading = readGenAi(source);
    const began = momentOf(source.span.attributes.get('mastra.completion_start_time'));
    const timed = (said: Inference): Inference => ({ ...said, ttft: began === null ? said.ttft : { at_ns: began } });
    if (reading.kind === 'inference') return { kind: 'inference', inference: timed(reading.inference) };
    return reading.aggregate === undefined ? reading : { ...reading, aggregate: timed(reading.aggregate) };
  },
};
