import { hash } from 'node:crypto';
import type { PromptText } from '../dialects/index.ts';
import { beginsAsMessages, noteCut, UNREADABLE } from '../dialects/structured.ts';
import { field, firstField, isRecord, readPart } from './answer.ts';

/**
 * The prompt's text as 16 hex digits: enough to see that it changed, and by which versions, without keeping it.
 *
 * SHA-256 over canonical JSON, `[{"role":…,"content":…}, …]`: content in Unicode NFC, lines ended by LF alone and without blanks at
 * their ends, outer blank lines cut, placeholders as they are; `developer` is the newer word for `system`. So the same text has one fingerprint however
 * a library writes it: as text, as messages, as parts, as JSON of those.
 */

/** A value from JSON or from an OTLP kvlist, whose parts are looked at one by one. */
type Value = unknown;
/** All messages, or only that of the system. */
type Wanted = 'all' | 'system';
type How = { readonly maxTextBytes: number; readonly wanted: Wanted; readonly flags: Set<string> };
type Message = { readonly role: string; readonly content: string };

/** Messages that are looked at; a template has a few, and a system message stands first. */
const MAX_MESSAGES = 64;

/**
 * `t:` and 16 hex digits of the template, else `s:` and those of the system prompt; null where neither is on the wire. Text longer
 * than `maxTextBytes` is flagged `content_over_limit` and has none, nor have messages that cannot be read, which are flagged `attribute_unreadable`: the text is
 * not known, and where it was cut may differ from call to call. Never throws.
 */
export function fingerprintOf(prompt: PromptText, maxTextBytes: number, flags: Set<string>): string | null {
  const template = canonical(prompt.template === undefined ? [] : templateOf(prompt.template, maxTextBytes, flags), maxTextBytes, flags);
  const found = template ?? canonical(prompt.system === undefined ? [] : systemOf(prompt.system, maxTextBytes, flags), maxTextBytes, flags);
  return found === null ? null : `${template === null ? 's' : 't'}:${hash('sha256', found, 'hex').slice(0, 16)}`;
}

/** Null where there is no text, or too much. */
function canonical(messages: readonly Message[], maxTextBytes: number, flags: Set<string>): string | null {
  if (messages.reduce((sum, { content }) => sum + content.length, 0) > maxTextBytes) {
    flags.add('content_over_limit');
    return null;
  }
  const texts = messages.map(({ role, content }) => ({ role, content: canonicalText(content) }));
  return texts.some(({ content }) => content !== '') ? JSON.stringify(texts) : null;
}

/** Line by line, since a pattern for blanks at line ends would take the square of a long run of blanks. */
function canonicalText(text: string): string {
  const lines = text.normalize('NFC').replaceAll('\r\n', '\n').split('\n').map((line) => line.trimEnd());
  const first = lines.findIndex((line) => line !== '');
  const last = lines.findLastIndex((line) => line !== '');
  return lines.slice(Math.max(0, first), last + 1).join('\n');
}

/** A text is a template of one message; so are messages without a role. */
function templateOf(value: Value, maxTextBytes: number, flags: Set<string>): Message[] {
  const messages = messagesOf(value, { maxTextBytes, wanted: 'all', flags });
  if (typeof messages === 'string') return [{ role: '', content: messages }];
  return messages.flatMap((message) => {
    const content = contentOf(message);
    return content === null ? [] : [{ role: roleOf(message) ?? '', content }];
  });
}

/** The first message of the system; a text and parts that stand without roles are its own. */
function systemOf(value: Value, maxTextBytes: number, flags: Set<string>): Message[] {
  const messages = messagesOf(value, { maxTextBytes, wanted: 'system', flags });
  if (typeof messages === 'string') return [{ role: 'system', content: messages }];
  const hasRoles = messages.some((message) => roleOf(message) !== null);
  const own = hasRoles ? messages.filter((message) => roleOf(message) === 'system').slice(0, 1) : messages;
  const content = own.map(contentOf).filter((part) => part !== null);
  return content.length === 0 ? [] : [{ role: 'system', content: content.join('\n') }];
}

/** Messages or parts of any shape; text that is none of those stays text. */
function messagesOf(value: Value, how: How): readonly Value[] | string {
  let parsed = value;
  // Twice: some exporters write JSON text of JSON text.
  for (let depth = 0; depth < 2 && typeof parsed === 'string'; depth += 1) {
    const json = how.wanted === 'all' ? parseBounded(parsed, how.maxTextBytes) : parseAhead(parsed, how);
    if (json === undefined && parsed.length <= how.maxTextBytes && beginsAsMessages(parsed)) {
      how.flags.add(UNREADABLE);
      return [];
    }
    if (json === undefined) return parsed;
    parsed = json;
  }
  if (Array.isArray(parsed)) return parsed.slice(0, MAX_MESSAGES);
  if (!isRecord(parsed)) return typeof parsed === 'string' ? parsed : [];
  const system = firstField(parsed, ['system', 'system_instruction', 'instructions']);
  if (system !== undefined && system !== null) return [new Map([['role', 'system'], ['content', system]])];
  const conversation = field(parsed, 'messages');
  if (conversation !== undefined) return turnsOf(conversation, how);
  if (roleOf(parsed) !== null || firstField(parsed, ['parts', 'content', 'text']) !== undefined) return [parsed];
  // JSON of another shape, such as an example of the answer that is wanted, is a text.
  return typeof value === 'string' ? value : [];
}

/** A conversation has only messages that say whose they are: text in its place is what a user asked. */
function turnsOf(conversation: Value, how: How): readonly Value[] {
  const messages = typeof conversation === 'string' ? messagesOf(conversation, how) : conversation;
  return Array.isArray(messages) ? messages.filter((message) => roleOf(message) !== null).slice(0, MAX_MESSAGES) : [];
}

/** Of a long conversation only the first message is parsed, if that is the system's: the rest is what grows. */
function parseAhead(text: string, { maxTextBytes, flags }: How): Value {
  const first = text.slice(0, 64).trimStart().startsWith('[') ? firstMessage(text, maxTextBytes) : null;
  const message = first === null ? undefined : parse(first);
  if (roleOf(message) !== null) noteCut(text, flags);
  if (roleOf(message) === 'system') return [message];
  // A conversation without the word has no message of the system's.
  if (roleOf(message) !== null && !text.includes('"system"') && !text.includes('"developer"')) return [];
  return parseBounded(text, maxTextBytes);
}

/** Undefined where the text is no JSON, or too long. */
function parseBounded(text: string, maxTextBytes: number): Value {
  const first = text.slice(0, 64).trimStart()[0];
  return text.length <= maxTextBytes && (first === '[' || first === '{' || first === '"') ? parse(text) : undefined;
}

function parse(json: string): Value {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

const [QUOTE, BACKSLASH, OPEN, CLOSE] = ['"', '\\', '{', '}'].map((character) => character.charCodeAt(0));

/** The text of the first object of a JSON array; null where there is none, or it is longer than the limit. */
function firstMessage(json: string, maxCharacters: number): string | null {
  const begin = json.indexOf('{');
  const end = Math.min(json.length, begin + maxCharacters);
  let depth = 0;
  for (let at = begin; at >= 0 && at < end; at += 1) {
    const character = json.charCodeAt(at);
    if (character === QUOTE) {
      at = endOfString(json, at, end);
    } else if (character === OPEN) {
      depth += 1;
    } else if (character === CLOSE && (depth -= 1) === 0) {
      return json.slice(begin, at + 1);
    }
  }
  return null;
}

/** Where the string that begins at `at` ends. */
function endOfString(json: string, at: number, end: number): number {
  let next = json.indexOf('"', at + 1);
  while (next >= 0 && next < end && isEscaped(json, next)) next = json.indexOf('"', next + 1);
  return next < 0 ? end : next;
}

function isEscaped(json: string, at: number): boolean {
  let slashes = 0;
  while (json.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes += 1;
  return slashes % 2 === 1;
}

/** Lower case; `developer` counts as `system`. */
function roleOf(message: Value): string | null {
  const role = isRecord(message) ? field(message, 'role') : undefined;
  if (typeof role !== 'string') return null;
  const word = role.slice(0, 64).toLowerCase();
  return word === 'developer' ? 'system' : word;
}

/** The text of a message or a part; null where it has none (an image, content that was not captured). */
function contentOf(message: Value): string | null {
  const parts = isRecord(message) ? (firstField(message, ['parts']) ?? (Array.isArray(field(message, 'content')) ? field(message, 'content') : message)) : message;
  const texts = (Array.isArray(parts) ? parts.slice(0, MAX_MESSAGES) : [parts]).flatMap((part) => {
    const read = readPart(part);
    return read === null || typeof read === 'string' ? [] : [read.text];
  });
  return texts.length === 0 ? null : texts.join('\n');
}
