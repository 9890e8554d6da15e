import type { AttributeValue } from '../../schemas/otlp.ts';
import { isFields, listOf, structured } from './structured.ts';

/**
 * An answer whose parts are told apart by their keys (Bedrock's `{text}`, `{toolUse}`; Gemini's `{text}`, `{functionCall}`,
 * `{text, thought}`; Genkit's `{text}`, `{toolRequest}`) as the message of typed parts that signals are read from.
 * Plain text is its own answer. Undefined where there is none.
 */
export function answerOfBlocks(blocks: AttributeValue | undefined): AttributeValue | undefined {
  if (blocks === undefined || blocks === null) return undefined;
  const list = structured(blocks);
  if (list === undefined) return blocks;
  const parts = listOf(list).map((block): AttributeValue => {
    const text = isFields(block) && block.get('thought') !== true ? block.get('text') : undefined;
    return new Map<string, AttributeValue>(text === undefined ? [['type', 'other']] : [['type', 'text'], ['content', text]]);
  });
  return [new Map<string, AttributeValue>([['role', 'assistant'], ['parts', parts]])];
}

/** A whole conversation, of which only the system's message is the prompt (`PromptText`). */
export function conversation(messages: AttributeValue | undefined): AttributeValue | undefined {
  return messages === undefined ? undefined : new Map([['messages', messages]]);
}
