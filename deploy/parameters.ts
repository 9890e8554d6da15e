import { PermanentError } from '../schemas/errors.ts';

/**
 * Query parameters as `SET param_name = '…'` statements, which the engine binds to `{name:Type}` itself: a value is parsed as
 * its declared type and never read as SQL.
 *
 * The engine's own entry for parameters (`queryBindAsync`) runs one parameterised query at a time in the whole process, so
 * that a slow SELECT of one user would stand before every lookup of the ingest path (measured: a lookup of 1 ms waited 457 ms
 * behind one of 457 ms; two such SELECTs on two connections took 1,058 ms, with SET 515 ms).
 */

/** Throws PermanentError where the SQL names a parameter that has no value. */
export function checkParameters(sql: string, parameters: Readonly<Record<string, unknown>>): void {
  for (const [, name] of sql.matchAll(/\{\s*(\w+)\s*:/g)) {
    if (name !== undefined && !Object.hasOwn(parameters, name)) throw new PermanentError(`the query parameter {${name}} has no value`);
  }
}

/** Throws PermanentError where the SQL names a parameter that has no value, or a value has no text form. */
export function bindParameters(sql: string, parameters: Readonly<Record<string, unknown>>): string {
  // A value set earlier stays with its connection, so a forgotten one would silently be another query's.
  checkParameters(sql, parameters);
  return Object.entries(parameters)
    .map(([name, value]) => {
      if (!/^\w+$/.test(name)) throw new PermanentError(`"${name}" is not the name of a query parameter`);
      return `SET param_${name} = '${inQuotes(textOf(value, name))}'; `;
    })
    .join('');
}

/** The value in the form TabSeparated, which is how the engine reads the text of a parameter. */
function textOf(value: unknown, name: string): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value === 'string') return value.replace(/[\\\t\n\r\0\b\f]/g, (character) => tabSeparatedEscapes[character] ?? character);
  if (typeof value === 'object' && !Array.isArray(value)) throw new PermanentError(`the query parameter {${name}} is an object`);
  return elementOf(value, name);
}

function elementOf(value: unknown, name: string): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') return `'${inQuotes(value)}'`;
  if (typeof value === 'number') return Number.isNaN(value) ? 'nan' : value === Infinity ? 'inf' : value === -Infinity ? '-inf' : String(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (Array.isArray(value)) return `[${value.map((element: unknown) => elementOf(element, name)).join(',')}]`;
  throw new PermanentError(`the query parameter {${name}} has a value of type ${typeof value}`);
}

const tabSeparatedEscapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\0': '\\0', '\b': '\\b', '\f': '\\f' };

function inQuotes(text: string): string {
  return text.replace(/[\\'\0]/g, (character) => (character === '\0' ? '\\0' : `\\${character}`));
}
