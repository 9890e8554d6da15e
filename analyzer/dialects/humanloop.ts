import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf, readGenAi } from './otel-genai.ts';
import { promptOf } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { firstCount, firstText, text } from './values.ts';

/**
 * Humanloop's Python SDK (discontinued; payloads live on). A provider's span carries the conventions' words, all of them as
 * text, beside the file that it belongs to. The span of a decorated function (`humanloop.prompt`, `.flow`, `.tool`) wraps it.
 * There is no status: a failure is only `error.type`.
 */
export const humanloop: Dialect = {
  name: 'humanloop',
  matches: ({ scope, span: { attributes } }) => scope.name.startsWith('humanloop') || attributes.has('humanloop.file.path') || attributes.has('humanloop.file.type'),
  read,
};

const TEMPLATE = ['humanloop.file.template', 'humanloop.file.prompt.template'];
const MODEL = ['humanloop.file.model', 'humanloop.file.prompt.model'];

/** The path of a prompt; its version is made by the server from the whole file, so the wire has only the template. */
export const humanloopPrompt: PromptReader = (attributes, flags) => {
  const type = text(attributes.get('humanloop.file.type'), flags) ?? 'prompt';
  return type === 'prompt' ? promptOf(attributes.get('humanloop.file.path'), undefined, flags) : null;
};

const REASONS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['prompt', 'wrapper'],
  ['flow', 'wrapper'],
  ['agent', 'agent'],
  ['tool', 'tool'],
  ['evaluator', 'evaluator'],
]);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const { attributes } = span;
  const type = text(attributes.get('humanloop.file.type'), flags)?.toLowerCase() ?? '';
  if (attributes.has('gen_ai.provider.name') || attributes.has('gen_ai.system') || attributes.has('gen_ai.request.model')) {
    const reading = readGenAi(source);
    return reading.kind === 'relative' ? reading : { kind: 'inference', inference: detailed(source, reading.inference) };
  }
  const reason = REASONS.get(type) ?? 'not_an_llm_call';
  const model = firstText(attributes, MODEL, flags);
  if (type !== 'prompt' || model === null) return { kind: 'relative', reason };
  return { kind: 'relative', reason, aggregate: logged(source, model) };
}

function detailed({ span: { attributes } }: SpanSource, standard: Inference): Inference {
  return {
    ...standard,
    prompt_text: { template: TEMPLATE.map((key) => attributes.get(key)).find((value) => value !== undefined), system: standard.prompt_text.system },
    is_experiment: attributes.has('humanloop.log.source_datapoint_id') || attributes.has('humanloop.log.run_id'),
  };
}

/** A decorated prompt as it was logged. */
function logged(source: SpanSource, model: string): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const standard = detailed(source, inferenceOf(source, 'chat'));
  return {
    ...standard,
    provider: standard.provider ?? firstText(attributes, ['humanloop.file.provider', 'humanloop.file.prompt.provider'], flags),
    request_model: model,
    finish_reason: standard.finish_reason ?? text(attributes.get('humanloop.log.finish_reason'), flags),
    usage: {
      ...standard.usage,
      input: standard.usage.input ?? firstCount(attributes, ['humanloop.log.prompt_tokens']),
      output: standard.usage.output ?? firstCount(attributes, ['humanloop.log.output_tokens']),
    },
    output: standard.output ?? attributes.get('humanloop.log.output'),
  };
}
