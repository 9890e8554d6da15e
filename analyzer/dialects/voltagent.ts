import { conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, RelativeReason, SpanSource } from './index.ts';
import { inferenceOf } from './otel-genai.ts';
import { structureOf } from './structured.ts';
import { firstCount, firstText, firstTruth, text } from './values.ts';
import { wrapper } from './wrapper.ts';

/**
 * VoltAgent (scope `@voltagent/core`): its own keys. `llm:generateText` has the call, its agent above the sum of all of them and the
 * answer. What the AI SDK asks of the model in several steps is one span, with the usage of the last.
 */
export const voltAgent: Dialect = { name: 'voltagent', matches: ({ scope }) => scope.name.startsWith('@voltagent/'), read };

const OTHERS: ReadonlyMap<string, RelativeReason> = new Map<string, RelativeReason>([
  ['tool', 'tool'],
  ['memory', 'memory'],
  ['retriever', 'retrieval'],
  ['scorer', 'evaluator'],
  ['guardrail', 'not_an_llm_call'],
]);
const EMBEDS = /embed/i;

function read(source: SpanSource): Reading {
  const { attributes } = source.span;
  const type = text(attributes.get('span.type'), source.flags);
  if (type === 'llm') return { kind: 'inference', inference: inferenceIn(source, 'llm.') };
  const other = OTHERS.get(type ?? '');
  if (other !== undefined) return { kind: 'relative', reason: other };
  return wrapper(type === null || type === 'agent' ? 'agent' : 'wrapper', inferenceIn(source, ''));
}

/** @param prefix what stands before `usage.`. */
function inferenceIn(source: SpanSource, prefix: 'llm.' | ''): Inference {
  const { span, flags } = source;
  const { attributes } = span;
  const operation = text(attributes.get('llm.operation'), flags) ?? '';
  const said = inferenceOf(source, EMBEDS.test(operation) ? 'embeddings' : 'chat');
  const model = firstText(attributes, ['llm.model', 'ai.model.name'], flags);
  const counted = (name: string) => firstCount(attributes, [`${prefix}usage.${name}`]);
  return {
    ...said,
    request_model: said.request_model ?? model,
    finish_reason: said.finish_reason ?? firstText(attributes, ['llm.finish_reason', 'ai.response.finish_reason'], flags),
    is_stream: said.is_stream ?? firstTruth(attributes, ['llm.stream']),
    usage: {
      ...said.usage,
      input: said.usage.input ?? counted('prompt_tokens'),
      output: said.usage.output ?? counted('completion_tokens'),
      cache_read: said.usage.cache_read ?? counted('cached_tokens'),
      reasoning: said.usage.reasoning ?? counted('reasoning_tokens'),
      total: said.usage.total ?? counted('total_tokens'),
    },
    output: said.output ?? attributes.get('output'),
    prompt_text: { template: undefined, system: said.prompt_text.system ?? attributes.get('agent.instructions') ?? conversation(structureOf(attributes.get('llm.messages'), flags)) },
  };
}
