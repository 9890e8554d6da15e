import type { Dialect, Reading, RelativeReason, SpanSource } from './index.ts';
import { classify } from './operations.ts';
import { inferenceOf } from './otel-genai.ts';
import { promptAt } from './prompt-pair.ts';
import type { PromptReader } from './tags.ts';
import { text } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * PromptLayer wraps each call in spans of its own (the run, the fetch of the template) and stamps all of them, and the call that an
 * OpenTelemetry instrumentation made, with the prompt. `node_type` tells them apart.
 */
export const promptLayer: Dialect = {
  name: 'promptlayer',
  matches: ({ scope, span: { attributes } }) => scope.name.startsWith('promptlayer') || MARKERS.some((key) => attributes.has(key)),
  read,
};

const MARKERS = ['promptlayer.request_log.managed', 'promptlayer.provider.type', 'promptlayer.telemetry.source', 'promptlayer.prompt.name', 'promptlayer.prompt.id'];

const NODE_TYPES: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['PROMPT_TEMPLATE', 'not_an_llm_call'],
  ['CODE_EXECUTION', 'wrapper'],
  ['LLM_SESSION', 'wrapper'],
  ['WORKFLOW', 'wrapper'],
  ['EVAL', 'wrapper'],
]);

function read(source: SpanSource): Reading {
  const { span, flags } = source;
  const type = text(span.attributes.get('node_type'), flags)?.toUpperCase() ?? '';
  if (span.attributes.has('tool_name')) return { kind: 'relative', reason: 'tool' };
  const stated = NODE_TYPES.get(type);
  const operation = classify(span, flags);
  const reason = stated ?? (operation.kind === 'relative' ? operation.reason : undefined);
  if (reason !== undefined && isWrapper(reason)) return wrapper(reason, inferenceOf(source, 'invoke_agent'));
  if (stated !== undefined) return { kind: 'relative', reason: stated };
  if (operation.kind === 'call') return { kind: 'inference', inference: inferenceOf(source, operation.name) };
  return type === 'LLM_CALL' ? { kind: 'inference', inference: inferenceOf(source, 'chat') } : operation;
}

/** What was resolved; `promptlayer.prompt.requested.*` is only what was asked for. */
export const promptLayerPrompt: PromptReader = (attributes, flags) => {
  const pair = promptAt(attributes, { name: 'promptlayer.prompt.name', version: 'promptlayer.prompt.version' }, flags);
  return pair === null ? null : { ...pair, prompt_label: text(attributes.get('promptlayer.prompt.label'), flags) };
};
