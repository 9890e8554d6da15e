import type { AttributeValue } from '../../schemas/otlp.ts';

/**
 * A reader of what Python's `str()` makes of dicts, lists and the objects in them: `{'a': None, "b": (1, 2.5), 'c': Usage(x=1)}`.
 *
 * Total and linear: it goes over the text once, without recursion deeper than `MAX_DEPTH`, and never throws. Tolerant where
 * something is no literal: `<object at 0x…>` is null, `Name(key=value)` a map of its keywords, `Enum.MEMBER` its text, and
 * anything else is left out up to the next comma. It never makes up a value: one that the end of the text cuts is left out.
 */
const MAX_DEPTH = 64;

/** `value`: a map, a list or a scalar; undefined where the text does not begin like a Python literal. `isWhole`: it was understood to its end. */
export function pythonLiteral(text: string): { readonly value: AttributeValue | undefined; readonly isWhole: boolean } {
  const reader = new Reader(text);
  const value = reader.value(0);
  return { value, isWhole: value !== undefined && reader.isWhole };
}

const WORDS: ReadonlyMap<string, AttributeValue> = new Map<string, AttributeValue>([
  ['None', null],
  ['null', null],
  ['True', true],
  ['true', true],
  ['False', false],
  ['false', false],
  ['nan', null],
  ['inf', null],
]);
const CLOSERS: ReadonlySet<string> = new Set(['}', ']', ')']);
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', '\n': '' };
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

const SPACES: ReadonlySet<string> = new Set([' ', '\n', '\t', '\r']);
const STRING_PREFIX = /(?:[bBuUfF][rR]?|[rR][bBfF]?)(?=['"])/y;
const NUMBER = /[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const UNTIL_SINGLE = /[^'\\]*/y;
const UNTIL_DOUBLE = /[^"\\]*/y;
const NAME = /[A-Za-z_][\w.]*/y;

/** The place in the text is the state that all productions share. */
class Reader {
  /** Nothing was passed over, and the text did not end within. */
  isWhole = true;
  private at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): AttributeValue | undefined {
    this.skipSpaces();
    const first = this.text[this.at];
    if (first === undefined || depth > MAX_DEPTH) return undefined;
    if (first === '{') return this.braces(depth);
    if (first === '[' || first === '(') return this.sequence(first === '[' ? ']' : ')', depth);
    if (first === "'" || first === '"' || this.match(STRING_PREFIX) !== null) return this.string();
    const number = this.match(NUMBER);
    // A number at the very end of a container's text may have lost digits.
    if (number !== null) return depth > 0 && this.at >= this.text.length ? undefined : Number(number.replaceAll('_', ''));
    if (first === '<') return this.opaque();
    const sign = first === '-' || first === '+' ? 1 : 0;
    this.at += sign;
    const name = this.match(NAME);
    if (name === null) return undefined;
    if (this.text[this.at] === '(') return this.call(depth);
    return WORDS.get(name) ?? (WORDS.has(name) ? null : name.includes('.') && this.at < this.text.length ? name : undefined);
  }

  /** A dict, or a set as a list. */
  private braces(depth: number): AttributeValue {
    const fields = new Map<string, AttributeValue>();
    const members: AttributeValue[] = [];
    this.entries('}', () => {
      const key = this.value(depth + 1);
      this.skipSpaces();
      if (this.text[this.at] !== ':') {
        if (key !== undefined) members.push(key);
        return;
      }
      this.at++;
      const value = this.value(depth + 1);
      if (value !== undefined && (typeof key === 'string' || typeof key === 'number')) fields.set(String(key), value);
    });
    return members.length > 0 && fields.size === 0 ? members : fields;
  }

  private sequence(closer: string, depth: number): AttributeValue {
    const members: AttributeValue[] = [];
    this.entries(closer, () => {
      const member = this.value(depth + 1);
      if (member !== undefined) members.push(member);
    });
    return members;
  }

  /** `Name(key=value, …)` is a map, `UUID('…')` its only argument, anything else (`datetime(2026, 1, 1)`) null. */
  private call(depth: number): AttributeValue {
    const fields = new Map<string, AttributeValue>();
    const positional: AttributeValue[] = [];
    this.entries(')', () => {
      const start = this.at;
      const keyword = this.match(NAME);
      if (keyword !== null && this.text[this.at] === '=') {
        this.at++;
        const value = this.value(depth + 1);
        if (value !== undefined) fields.set(keyword, value);
        return;
      }
      this.at = start;
      positional.push(this.value(depth + 1) ?? null);
    });
    if (fields.size > 0) return fields;
    return positional.length === 1 ? (positional[0] ?? null) : null;
  }

  /** Reads entries between commas up to the closer; after each, what was not understood is passed over. */
  private entries(closer: string, readEntry: () => void): void {
    this.at++;
    for (;;) {
      this.skipSpaces();
      const next = this.text[this.at];
      if (next === undefined) {
        this.isWhole = false;
        return;
      }
      if (next === closer) {
        this.at++;
        return;
      }
      const start = this.at;
      readEntry();
      this.skipSpaces();
      const read = this.at;
      this.skipToSeparator();
      if (this.at > read) this.isWhole = false;
      if (this.text[this.at] === ',') this.at++;
      // A closer of another kind belongs to nobody: pass it over, or the loop would stand still.
      else if (this.at === start || (this.text[this.at] !== closer && this.at < this.text.length)) this.at++;
    }
  }

  /** To the next comma or closer outside of brackets and strings. */
  private skipToSeparator(): void {
    let open = 0;
    for (; this.at < this.text.length; this.at++) {
      const character = this.text[this.at] ?? '';
      if (character === "'" || character === '"') {
        this.string();
        this.at--;
      } else if (character === '{' || character === '[' || character === '(') open++;
      else if (open === 0 && (character === ',' || CLOSERS.has(character))) return;
      else if (CLOSERS.has(character)) open--;
    }
  }

  /** From its quote on. Undefined where the text ends before the string does. */
  private string(): string | undefined {
    const quote = this.text[this.at++];
    const plain = quote === "'" ? UNTIL_SINGLE : UNTIL_DOUBLE;
    let read = '';
    for (;;) {
      read += this.match(plain) ?? '';
      const next = this.text[this.at];
      if (next === undefined) return undefined;
      if (next !== '\\') {
        this.at++;
        return read;
      }
      read += this.escape();
      this.at++;
    }
  }

  /** Leaves `at` on the last character of the escape. */
  private escape(): string {
    const kind = this.text[++this.at] ?? '';
    const digits = HEX_DIGITS[kind];
    if (digits === undefined) return ESCAPES[kind] ?? kind;
    const hex = this.text.slice(this.at + 1, this.at + 1 + digits);
    const point = /^[0-9a-fA-F]+$/.test(hex) && hex.length === digits ? Number.parseInt(hex, 16) : -1;
    if (point < 0 || point > 0x10ffff) return kind;
    this.at += digits;
    return String.fromCodePoint(point);
  }

  /** `<module.Class object at 0x7f…>`, `<function f.<locals>.<lambda> at 0x7f…>` */
  private opaque(): null {
    let open = 0;
    do {
      const character = this.text[this.at++];
      if (character === '<') open++;
      else if (character === '>') open--;
    } while (open > 0 && this.at < this.text.length);
    return null;
  }

  private match(pattern: RegExp): string | null {
    const from = this.at;
    pattern.lastIndex = from;
    if (!pattern.test(this.text)) return null;
    this.at = pattern.lastIndex;
    return this.text.slice(from, this.at);
  }

  private skipSpaces(): void {
    while (SPACES.has(this.text[this.at] ?? '')) this.at++;
  }
}
