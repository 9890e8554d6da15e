import type { AttributeValue } from '../../schemas/otlp.ts';
import { pythonLiteral } from './python-literal.ts';

/**
 * Attributes whose value is a structure. Most SDKs write it as JSON text, some as JSON text of JSON text, Python libraries
 * as `str(dict)`, few as an OTLP kvlist; all of them become the same maps and lists here, so that a dialect reads one form.
 */
export type Fields = ReadonlyMap<string, AttributeValue>;

/** Longer text is not parsed: no name, usage or metadata is that long, and content of that length gives no signals either. */
const MAX_CHARACTERS = 256 * 1024;
const MAX_DEPTH = 64;

/** What JSON text holds (quoted twice at most), or a value that is structured already. Undefined: no structure. */
export function structured(value: AttributeValue | undefined): AttributeValue | undefined {
  let read: AttributeValue | undefined = value;
  for (let quoted = 0; quoted < 2 && typeof read === 'string'; quoted++) read = parsed(read);
  return typeof read === 'object' && read !== null && !(read instanceof Uint8Array) ? read : undefined;
}

/** A key holds a structure, or text that begins as one, and what is in it was not understood, or not all of it: broken, cut, or longer than what is parsed. */
export const UNREADABLE = 'attribute_unreadable';

/**
 * The map that an attribute must be, in JSON or as a Python literal. Null where it is absent or empty text (how LiteLLM
 * writes None), and where it is no map, which is flagged `attribute_unreadable`; of one that is cut, what is whole.
 */
export function fieldsOf(value: AttributeValue | undefined, flags: Set<string>): Fields | null {
  if (value === undefined || value === null || value === '') return null;
  const read = typeof value === 'string' ? jsonOrPython(value, flags) : structured(value);
  if (isFields(read)) return read;
  flags.add(UNREADABLE);
  return null;
}

/** The map or list that an attribute is where it is no scalar, in JSON or as a Python literal. Text that opens as one and cannot be read is flagged. */
export function structureOf(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  if (typeof value !== 'string') return structured(value);
  return OPENS.test(value) ? jsonOrPython(value, flags) : undefined;
}

/**
 * The structure that an attribute may be which may as well be an answer in words: flagged only where it begins as what libraries write. An
 * answer may begin with a bracket, and one that is broken JSON is the model's fault, not the sender's.
 */
export function structureIn(value: AttributeValue | undefined, flags: Set<string>): AttributeValue | undefined {
  const read = structured(value);
  if (read === undefined && typeof value === 'string' && beginsAsMessages(value)) flags.add(UNREADABLE);
  return read;
}

/** Flags a structure that nobody needs to parse, where it does not end as it begins: what would have been looked for may have stood in what is missing. */
export function noteCut(value: AttributeValue | undefined, flags: Set<string>): void {
  if (typeof value !== 'string') return;
  const opened = OPENS.exec(value)?.[1];
  if (opened === undefined) return;
  if (CLOSES.exec(value.slice(-64))?.[1] !== (opened === '{' ? '}' : ']')) flags.add(UNREADABLE);
}

/** Text that begins as messages or a provider's response do, whatever comes of it. */
export function beginsAsMessages(text: string): boolean {
  return MESSAGES.test(text);
}

const OPENS = /^\s*(?:"\s*)?([{[])/;
const CLOSES = /([\]}])\s*(?:"\s*)?$/;
const MESSAGES = /^\s*(?:"\s*)?(?:\[\s*)?\{\s*\\?"(?:(?:role|parts|choices|candidates|generations|finish_reason)\\?"\s*:|(?:content|output)\\?"\s*:\s*\[|id\\?"\s*:\s*\\?"(?:chatcmpl|resp|msg)[-_])|^\s*(?:"\s*)?\[\s*\{\s*\\?"(?:type|content)\\?"\s*:/;

function jsonOrPython(text: string, flags: Set<string>): AttributeValue | undefined {
  const json = structured(text);
  if (json !== undefined) return json;
  const { value, isWhole } = text.length <= MAX_CHARACTERS ? pythonLiteral(text) : { value: undefined, isWhole: false };
  if (!isWhole) flags.add(UNREADABLE);
  return typeof value === 'object' && value !== null ? value : undefined;
}

export function isFields(value: AttributeValue | undefined): value is Fields {
  return value instanceof Map;
}

/** Empty for what is no list. */
export function listOf(value: AttributeValue | undefined): readonly AttributeValue[] {
  // Array.isArray does not narrow readonly arrays: the members are AttributeValues by the type of `value`.
  return Array.isArray(value) ? (value as readonly AttributeValue[]) : [];
}

/** The map at a path of keys. Null where there is none. */
export function fieldsAt(fields: Fields | null, ...path: readonly string[]): Fields | null {
  let at: AttributeValue | undefined = fields;
  for (const key of path) at = isFields(at) ? at.get(key) : undefined;
  return isFields(at) ? at : null;
}

const JSON_START = /^\s*(?:"|[{[](?![\s{[]*'))/;

function parsed(text: string): AttributeValue | undefined {
  if (text.length > MAX_CHARACTERS) return undefined;
  // Cheaper than a failed parse, which is what plain text and Python's quotes would be.
  if (!JSON_START.test(text)) return undefined;
  try {
    return valueOf(JSON.parse(text), 0);
  } catch {
    return undefined;
  }
}

function valueOf(json: unknown, depth: number): AttributeValue {
  if (typeof json === 'string' || typeof json === 'number' || typeof json === 'boolean') return json;
  if (typeof json !== 'object' || json === null || depth > MAX_DEPTH) return null;
  if (Array.isArray(json)) return json.map((member) => valueOf(member, depth + 1));
  const fields = new Map<string, AttributeValue>();
  for (const [key, member] of Object.entries(json)) fields.set(key, valueOf(member, depth + 1));
  return fields;
}
