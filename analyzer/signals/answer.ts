import type { AttributeValue } from '../../schemas/otlp.ts';
import { beginsAsMessages } from '../dialects/structured.ts';
import { finishReason as finishReasonOf } from '../dialects/vocabulary.ts';

/**
 * The answer of a call as signals need it. Content goes no further than this folder: signals are made from it, then it is dropped.
 */
export type Answer = {
  /** The text of each choice that has any text part, parts joined. */
  readonly texts: readonly string[];
  /** A tool call, an image, a reasoning part: anything that came back and is not text. */
  readonly hasOtherPart: boolean;
  /** A text part without its text: the emitter was told not to capture content, so nothing can be said of it. */
  readonly isRedacted: boolean;
  /** The finish reason inside the first message, where the emitter puts it there (1.37 and later). */
  readonly finishReason: string | null;
};

/** A value from JSON or from an OTLP kvlist, whose parts are looked at one by one. */
type Value = unknown;

/**
 * Reads output messages: structured or as JSON text, `[{role, parts: [{type, content}], finish_reason}]` (1.37 and later) or
 * `[{role, content, tool_calls}]` (`gen_ai.completion`, up to 1.36; OpenAI's message), or items of OpenAI's Responses
 * (`[{type: 'message' | 'function_call' | …}]`). Text that is no JSON is the answer itself.
 * `over_limit` where the text is longer than `maxTextBytes`, `unreadable` where it begins as messages and is no JSON (cut, mostly): nothing can be
 * said of such an answer, and nothing of it be held against the model. Null where nothing of this shape is on the wire.
 */
export function readAnswer(output: AttributeValue | undefined, maxTextBytes: number): Answer | 'over_limit' | 'unreadable' | null {
  if (output === undefined || output === null) return null;
  if (typeof output !== 'string') return answerOf(output, maxTextBytes);
  if (output.length > maxTextBytes || Buffer.byteLength(output) > maxTextBytes) return 'over_limit';
  // Twice: some exporters write JSON text of JSON text.
  let value: Value = output;
  for (let depth = 0; depth < 2 && typeof value === 'string'; depth++) {
    const parsed = parseMessages(value);
    if (parsed === undefined) break;
    value = parsed;
  }
  if (typeof value === 'string' && beginsAsMessages(value)) return 'unreadable';
  if (typeof value === 'string') return { texts: [value], hasOtherPart: false, isRedacted: false, finishReason: null };
  return answerOf(value, maxTextBytes);
}

/** Undefined where the text is no JSON. */
function parseMessages(json: string): Value {
  // Cheaper than a failed parse, and keeps a plain answer such as "42" text.
  const first = json.trimStart()[0];
  if (first !== '[' && first !== '{' && first !== '"') return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function answerOf(value: Value, maxTextBytes: number): Answer | 'over_limit' | null {
  const messages = Array.isArray(value) ? value : [value];
  const texts: string[] = [];
  let characters = 0;
  let hasOtherPart = false;
  let isRedacted = false;
  let isMessages = messages.length === 0;
  let finishReason: string | null = null;
  for (const message of messages) {
    if (!isRecord(message)) continue;
    isMessages = true;
    const reason = field(message, 'finish_reason');
    if (typeof reason === 'string' && reason !== '') {
      finishReason ??= reason;
      // LiteLLM leaves the tool call itself out of the message.
      if (finishReasonOf(reason) === 'tool_call') hasOtherPart = true;
    }
    const calls = field(message, 'tool_calls');
    if (Array.isArray(calls) && calls.length > 0) hasOtherPart = true;
    const parts = firstField(message, ['parts', 'content']);
    if (parts === undefined && isOtherItem(message)) hasOtherPart = true;
    else if (parts === undefined && !hasOtherPart) isRedacted = true;
    let text: string | null = null;
    for (const part of Array.isArray(parts) ? parts : [parts]) {
      const read = readPart(part);
      if (read === 'other') hasOtherPart = true;
      else if (read === 'redacted') isRedacted = true;
      else if (read !== null) text = (text ?? '') + read.text;
    }
    if (text === null) continue;
    characters += text.length;
    if (characters > maxTextBytes) return 'over_limit';
    texts.push(text);
  }
  return isMessages ? { texts, hasOtherPart, isRedacted, finishReason } : null;
}

/** OpenAI's Responses put reasoning and tool calls beside messages, not into them. */
function isOtherItem(item: object): boolean {
  const type = field(item, 'type');
  return typeof type === 'string' && type !== 'message';
}

export function readPart(part: Value): { text: string } | 'other' | 'redacted' | null {
  if (typeof part === 'string') return { text: part };
  if (!isRecord(part)) return null;
  const type = field(part, 'type');
  if (type !== undefined && type !== 'text' && type !== 'output_text' && type !== 'refusal') return 'other';
  const content = firstField(part, ['content', 'text', 'refusal']);
  if (typeof content === 'string') return { text: content };
  return content === null ? { text: '' } : 'redacted';
}

export function isRecord(value: Value): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** An own field of a JSON object or an entry of a kvlist. */
export function field(record: object, key: string): Value {
  if (record instanceof Map) return record.get(key);
  // What JSON.parse made: anything may stand under any key.
  return Object.hasOwn(record, key) ? (record as Readonly<Record<string, Value>>)[key] : undefined;
}

/** The first that is there, be it null: an answer may be null, and one that is absent was not captured. */
export function firstField(record: object, keys: readonly string[]): Value {
  for (const key of keys) {
    const value = field(record, key);
    if (value !== undefined) return value;
  }
  return undefined;
}
