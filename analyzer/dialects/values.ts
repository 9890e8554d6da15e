import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';

/**
 * Attribute values as people write them: the same fact comes as text, integer, double or JSON text, depending on the
 * library's language. Each function takes any value and answers null for one that does not carry the fact.
 */

/** Names, versions, models, ids: what becomes a key or a LowCardinality column is kept this short. */
const MAX_NAME_CHARACTERS = 256;

const MAX_COUNT = 2 ** 31;
const PLACEHOLDERS: ReadonlySet<string> = new Set(['', 'null', 'undefined', 'None', '-', '__REDACTED__']);
/** What Logfire leaves of a value whose key sounds secret, `session.id` among them: taken as an id, it would make all sessions one. */
const SCRUBBED = "[Scrubbed due to '";
const ANY_SURROGATE = /[\ud800-\udfff]/;
const LONE_SURROGATE = /\p{Surrogate}/gu;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/**
 * A name: trimmed, never empty or a spelled-out nothing ("null", "None", …) or what hides it, unpaired surrogates replaced (they have no
 * UTF-8 form, and ClickHouse would refuse the whole insert). Numbers become decimal text; booleans, lists and maps are no names.
 */
export function text(value: AttributeValue | undefined, flags: Set<string>, maxCharacters = MAX_NAME_CHARACTERS): string | null {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : null;
  if (typeof value !== 'string') return null;
  // The trim is bounded first: a value may be megabytes long.
  const head = value.length > maxCharacters * 2 ? value.trimStart().slice(0, maxCharacters + 1) : value;
  const trimmed = head.trim();
  if (PLACEHOLDERS.has(trimmed) || trimmed.startsWith(SCRUBBED)) return null;
  const cut = trimmed.length > maxCharacters ? withoutHalfCharacter(trimmed.slice(0, maxCharacters)) : trimmed;
  if (cut.length < trimmed.length) flags.add('attribute_truncated');
  return ANY_SURROGATE.test(cut) ? cut.replace(LONE_SURROGATE, '\ufffd') : cut;
}

/** The end of a cut must not be the first half of a surrogate pair. */
function withoutHalfCharacter(cut: string): string {
  const last = cut.charCodeAt(cut.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? cut.slice(0, -1) : cut;
}

/** A whole number of tokens in [0, 2^31]; text of digits and doubles without a fraction count too. */
export function count(value: AttributeValue | undefined): number | null {
  const number = amount(value);
  return number !== null && Number.isInteger(number) && number >= 0 && number <= MAX_COUNT ? number : null;
}

/** A finite number, from a number or its decimal text. */
export function amount(value: AttributeValue | undefined): number | null {
  const number = typeof value === 'string' ? decimal(value) : typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

function decimal(value: string): number | null {
  if (value.length > 64) return null;
  const trimmed = value.trim();
  return DECIMAL.test(trimmed) ? Number(trimmed) : null;
}

/** true or false, also as text in any case (Python writes "True"). */
export function truth(value: AttributeValue | undefined): boolean | null {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string' || value.length > 8) return null;
  const lower = value.trim().toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : null;
}

/**
 * The first member of a list that is written as an array, as JSON or Python text (`["stop"]`, `('stop',)`), joined by commas,
 * or is a lone value.
 */
export function firstOf(value: AttributeValue | undefined, flags: Set<string>): string | null {
  if (Array.isArray(value)) {
    // Array.isArray does not narrow readonly arrays: the members are AttributeValues by the type of `value`.
    for (const member of value as readonly AttributeValue[]) {
      const found = text(member, flags);
      if (found !== null) return found;
    }
    return null;
  }
  const whole = text(value, flags);
  if (whole === null) return null;
  for (const part of whole.replace(/^[[(]/, '').replace(/[\])]$/, '').split(',')) {
    const found = text(part.trim().replace(/^(["'])(.*)\1$/, '$2'), flags);
    if (found !== null) return found;
  }
  return null;
}

/** The first of several keys that has a usable value. */
export function firstText(attributes: Attributes, keys: readonly string[], flags: Set<string>): string | null {
  for (const key of keys) {
    const value = attributes.get(key);
    if (value === undefined) continue;
    const found = text(value, flags);
    if (found !== null) return found;
  }
  return null;
}

export function firstCount(attributes: Attributes, keys: readonly string[]): number | null {
  for (const key of keys) {
    const value = attributes.get(key);
    if (value === undefined) continue;
    const found = count(value);
    if (found !== null) return found;
  }
  return null;
}

export function firstAmount(attributes: Attributes, keys: readonly string[]): number | null {
  for (const key of keys) {
    const value = attributes.get(key);
    if (value === undefined) continue;
    const found = amount(value);
    if (found !== null) return found;
  }
  return null;
}

export function firstTruth(attributes: Attributes, keys: readonly string[]): boolean | null {
  for (const key of keys) {
    const found = truth(attributes.get(key));
    if (found !== null) return found;
  }
  return null;
}
