import type { AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import { answerOfBlocks, conversation } from './content-blocks.ts';
import type { Dialect, Inference, Reading, SpanSource } from './index.ts';
import { readGenAi } from './otel-genai.ts';
import { firstAmount, text } from './values.ts';

/**
 * AWS Strands Agents (src/strands/telemetry/tracer.py), also as it runs in Bedrock AgentCore. It follows the conventions up to 1.36, but
 * measures times in milliseconds, names itself as the provider, and copies Bedrock's count of input tokens, which leaves
 * the cache out. The agent's span repeats what its model spans used. In TypeScript scope and provider are the service's name.
 */
export const strands: Dialect = {
  name: 'strands',
  matches: ({ scope, span }) => scope.name.startsWith('strands') || span.attributes.has('gen_ai.event.start_time') || span.attributes.get('gen_ai.system') === ITSELF || span.attributes.get('gen_ai.provider.name') === ITSELF,
  read,
};

const ITSELF = 'strands-agents';

function read(source: SpanSource): Reading {
  const reading = readGenAi(source);
  if (reading.kind === 'inference') return { kind: 'inference', inference: corrected(source, reading.inference) };
  return reading.aggregate === undefined ? reading : { ...reading, aggregate: corrected(source, reading.aggregate) };
}

function corrected({ resource, scope, span, flags }: SpanSource, said: Inference): Inference {
  const isTypeScript = scope.name === resource.get('service.name');
  const provider = providerOf(said.request_model) ?? (isTypeScript ? null : said.provider);
  const ttft_ms = firstAmount(span.attributes, ['gen_ai.server.time_to_first_token']);
  const choice = eventAttribute(span, 'gen_ai.choice', 'message');
  // Since Python has the conventions' own keys for cached tokens, it adds them to the input as they want it.
  const isInclusive = !isTypeScript && INCLUSIVE.some((key) => span.attributes.has(key));
  const isExclusive = !isInclusive && (provider === BEDROCK || said.request_model?.includes('claude') === true);
  return {
    ...said,
    provider,
    ttft: ttft_ms === null ? said.ttft : { value: ttft_ms, unit: 'ms' },
    finish_reason: said.finish_reason ?? text(eventAttribute(span, 'gen_ai.choice', 'finish_reason'), flags),
    usage: { ...said.usage, cache_counting: isExclusive ? 'exclusive' : isInclusive ? 'inclusive' : said.usage.cache_counting },
    output: said.output ?? answerOfBlocks(choice) ?? eventAttribute(span, DETAILS, 'gen_ai.output.messages'),
    prompt_text: {
      template: undefined,
      system: span.attributes.get('gen_ai.agent.system_prompt') ?? said.prompt_text.system ?? eventAttribute(span, 'gen_ai.system.message', 'content') ?? conversation(eventAttribute(span, DETAILS, 'gen_ai.input.messages')),
    },
  };
}

const DETAILS = 'gen_ai.client.inference.operation.details';
const INCLUSIVE = ['gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_creation.input_tokens'];
const BEDROCK = 'aws.bedrock';
/** `us.anthropic.claude-sonnet-4-20250514-v1:0`, `amazon.nova-pro-v1:0`, an ARN. */
const BEDROCK_MODEL = /^(arn:aws[\w-]*:bedrock:|(\w{2,6}\.)?(anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|stability|writer|openai)\.)/;

function providerOf(model: string | null): string | null {
  return model !== null && BEDROCK_MODEL.test(model) ? BEDROCK : null;
}

/** Of the first event of that name which has it. */
function eventAttribute(span: OtlpSpan, event: string, key: string): AttributeValue | undefined {
  return span.events.find(({ name, attributes }) => name === event && attributes.has(key))?.attributes.get(key);
}
