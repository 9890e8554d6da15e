/// <reference lib="es2024.string" />
// isWellFormed and toWellFormed: Node has them since 20.0, the ES2023 library of tsconfig does not.
import { PermanentError } from '../../schemas/errors.ts';
import { narrowInt64 } from './wire.ts';

/**
 * The fields of proto3 JSON, one reader for each type. An absent field or null is the type's default; anything of
 * another type is a PermanentError that names the field by its JSON path.
 */
export type Json = Readonly<Record<string, unknown>>;

/** Where an object stands, from the inside out; spelled out only when something is wrong with it. */
export type Path = { readonly parent: Path | null; readonly name: string; readonly index: number };

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

const DECIMAL = /^-?\d{1,20}$/;
const HEX = /^(?:[0-9a-fA-F]{2})*$/;
/** 16 or 8 bytes in base64, standard or URL alphabet. The padding is what hex never has. */
const BASE64_ID = /^(?:[A-Za-z0-9+/_-]{22}==|[A-Za-z0-9+/_-]{11}=)$/;
const NUMBER = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

function mistyped(path: Path, field: string, expected: string): PermanentError {
  return new PermanentError(`malformed JSON: ${spell(path, field)}: not ${expected}`);
}

function spell(path: Path, field: string): string {
  const parts: string[] = [field];
  for (let at: Path | null = path; at !== null; at = at.parent) {
    if (at.name !== '') parts.push(at.index < 0 ? at.name : `${at.name}[${at.index}]`);
  }
  return parts.filter((part) => part !== '').reverse().join('.');
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function requireObject(holder: Json, field: string, path: Path): Json {
  const value = holder[field];
  if (!isJson(value)) throw mistyped(path, field, 'an object');
  return value;
}

export function readObject(holder: Json, field: string, path: Path): Json | null {
  return isAbsent(holder[field]) ? null : requireObject(holder, field, path);
}

export function readList<Entry>(holder: Json, field: string, path: Path, read: (entry: Json, path: Path) => Entry): Entry[] {
  const entries: Entry[] = [];
  eachOf(holder, field, path, (entry, at) => entries.push(read(entry, at)));
  return entries;
}

/** Calls `take` with each object of an array. */
export function eachOf(holder: Json, field: string, path: Path, take: (entry: Json, path: Path) => void): void {
  const value = holder[field];
  if (isAbsent(value)) return;
  if (!Array.isArray(value)) throw mistyped(path, field, 'an array');
  for (let index = 0; index < value.length; index++) {
    const entry: unknown = value[index];
    const at = { parent: path, name: field, index };
    if (!isJson(entry)) throw mistyped(at, '', 'an object');
    take(entry, at);
  }
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** Well-formed: JSON can spell an unpaired surrogate (\ud800), which no UTF-8 store can hold; it becomes U+FFFD. */
export function readText(holder: Json, field: string, path: Path): string {
  const value = holder[field];
  if (isAbsent(value)) return '';
  if (typeof value !== 'string') throw mistyped(path, field, 'a string');
  return value.isWellFormed() ? value : value.toWellFormed();
}

/** An id as lower-case hex. Text that is neither hex nor base64 of an id's length gives "?", an id of no valid length. */
export function readHex(holder: Json, field: string, path: Path): string {
  const value = holder[field];
  if (isAbsent(value)) return '';
  if (typeof value !== 'string') throw mistyped(path, field, 'a string');
  if (BASE64_ID.test(value)) return Buffer.from(value, 'base64').toString('hex');
  // An id has at most 32 digits; there is no need to keep more of a longer one to know that it is wrong.
  return HEX.test(value) ? value.slice(0, 34).toLowerCase() : '?';
}

/** A number where that is exact, else a bigint. */
export function readInt64(holder: Json, field: string, path: Path): number | bigint {
  const plain = holder[field];
  if (typeof plain === 'number' && Number.isSafeInteger(plain)) return plain;
  const value = readInteger(holder, field, path);
  if (value < INT64_MIN || value > INT64_MAX) throw mistyped(path, field, 'a 64-bit integer');
  return narrowInt64(value);
}

/** Nanoseconds since the epoch: fixed64, so never negative. */
export function readTime(holder: Json, field: string, path: Path): bigint {
  const value = readInteger(holder, field, path);
  if (value < 0n || value > UINT64_MAX) throw mistyped(path, field, 'nanoseconds since the epoch');
  return value;
}

function readInteger(holder: Json, field: string, path: Path): bigint {
  const value = holder[field];
  if (isAbsent(value)) return 0n;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (typeof value === 'string' && DECIMAL.test(value)) return BigInt(value);
  throw mistyped(path, field, 'an integer, or one in a string');
}

export function readDouble(holder: Json, field: string, path: Path): number {
  const value = holder[field];
  if (isAbsent(value)) return 0;
  if (typeof value === 'number') return value;
  if (value === 'NaN') return Number.NaN;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  if (value === '-Infinity') return Number.NEGATIVE_INFINITY;
  if (typeof value === 'string' && NUMBER.test(value)) return Number(value);
  throw mistyped(path, field, 'a number');
}

export function readBoolean(holder: Json, field: string, path: Path): boolean {
  const value = holder[field];
  if (isAbsent(value)) return false;
  if (typeof value !== 'boolean') throw mistyped(path, field, 'a boolean');
  return value;
}

/** An enum by number, which may be one that this version does not know, or by one of `names`. */
export function readEnum(holder: Json, field: string, path: Path, names: readonly string[]): number {
  const value = holder[field];
  if (isAbsent(value)) return 0;
  if (typeof value === 'number' && Number.isInteger(value)) return value | 0;
  if (typeof value === 'string') {
    const number = names.indexOf(value);
    if (number >= 0) return number;
  }
  throw mistyped(path, field, 'a value of its enum');
}

export function readBase64(holder: Json, field: string, path: Path): Uint8Array {
  const value = holder[field];
  if (typeof value !== 'string') throw mistyped(path, field, 'base64');
  return new Uint8Array(Buffer.from(value, 'base64'));
}
