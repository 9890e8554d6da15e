/**
 * What a SELECT that a person wrote may name: the documented views, and functions that look at nothing but their arguments.
 *
 * It is judged twice, both times by the engine's own reading and not by ours. First as it is written (EXPLAIN AST): nothing is
 * evaluated yet, and nothing must be, because the engine evaluates scalar subqueries while it only explains, and an error in one would tell
 * of the row that caused it. Then as it is understood (EXPLAIN QUERY TREE): every name is resolved, so nothing hides in an alias.
 * In both each node is one line; text in a literal has its line ends escaped, so it can only make a statement look worse than it is.
 */
export const VIEWS = ['llm_calls', 'llm_scores', 'llm_comparisons', 'llm_evidence', 'llm_alerts', 'llm_versions', 'llm_hours'] as const;

/** Rows out of nothing. */
const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(['numbers', 'numbers_mt', 'zeros', 'generate_series', 'generateseries', 'values']);

/** `FROM` left out. */
const NOTHING = 'system.one';

/** Kinds of functions that ask nothing of the server, the network, dictionaries or other tables (`categories` of system.functions). */
export const FUNCTION_CATEGORIES = [
  'Arithmetic', 'Arrays', 'Bit', 'Bitmap', 'Comparison', 'Conditional', 'Dates and Times', 'Distance', 'Encoding', 'Hash', 'IP Address', 'JSON', 'Logical', 'Map', 'Mathematical', 'Null', 'Random Number',
  'Rounding', 'String', 'String Replacement', 'String Search', 'String Splitting', 'Time Series', 'Time Window', 'Tuple', 'Type Conversion', 'URL', 'UUID',
] as const;

/** Of other kinds, or made by the engine itself while it reads a statement. */
const MORE_FUNCTIONS: ReadonlySet<string> = new Set([
  '_cast', '__scalarsubqueryresult', 'materialize', 'identity', 'transform', 'totypename', 'bar', 'ignore', 'grouping', 'formatreadablesize', 'formatreadablequantity', 'formatreadabletimedelta', 'runningdifference', 'exists', 'nested', 'lambda', 'arrayjoin',
]);

/** sumIf, uniqArray, avgOrNull, …: an aggregate function and what is done around it. */
const COMBINATORS = /(?:if|array|map|distinct|ordefault|ornull|resample|foreach|argmin|argmax|state|merge|simplestate)+$/;

export type Engine = {
  readonly database: string;
  /** Names that may be used, in lower case, aggregate functions among them. */
  readonly functions: ReadonlySet<string>;
  /** Tables and views of the database. */
  readonly tables: ReadonlySet<string>;
};

/** Why the statement is refused, in words for its author; null: the engine may go on reading. @param lines of EXPLAIN AST. */
export function faultAsWritten(lines: readonly string[], { functions, tables }: Engine): string | null {
  /** The nodes above the current one, and how many children of each were met. */
  const above: { node: string; children: number }[] = [];
  for (const line of lines) {
    const node = line.trimStart();
    above.length = line.length - node.length;
    const parent = above.at(-1);
    if (parent !== undefined) parent.children += 1;
    const [kind = '', name = ''] = node.split(' ');
    // Its subqueries may set what they like, whatever `readonly` says.
    if (kind === 'Set') return 'SETTINGS cannot be given';
    // Behind IN a table needs no SELECT.
    const isMember = kind === 'Identifier' && parent?.children === 2 && /^Function \w*in\b/i.test(above.at(-2)?.node ?? '');
    if ((kind === 'TableIdentifier' || isMember) && !isView(name) && (name.includes('.') || tables.has(name))) return unreadable(name);
    if (kind === 'Function') {
      const lower = name.toLowerCase();
      const isTable = parent?.node.startsWith('TableExpression ') === true;
      if (isTable && !TABLE_FUNCTIONS.has(lower)) return unreadable(`${name}()`);
      if (!isTable && !functions.has(lower) && !functions.has(lower.replace(COMBINATORS, '')) && !MORE_FUNCTIONS.has(lower)) return `the function ${name} cannot be used here`;
    }
    above.push({ node, children: 0 });
  }
  return null;
}

/** The same of the statement as the engine understands it. @param lines of EXPLAIN QUERY TREE. */
export function faultAsUnderstood(lines: readonly string[], { database, functions }: Engine): string | null {
  for (const line of lines) {
    const [kind] = line.trimStart().split(' ');
    if (kind === 'SETTINGS') return 'SETTINGS cannot be given';
    if (kind === 'TABLE') {
      if (/^\s*TABLE EXPRESSION\b/.test(line)) continue;
      const name = /, table_name: (.*)$/.exec(line)?.[1] ?? 'a table without a name';
      if (name !== NOTHING && !VIEWS.some((view) => name === `${database}.${view}`)) return unreadable(name);
    }
    if (kind === 'TABLE_FUNCTION') {
      const name = /, table_function_name: (\w+)/.exec(line)?.[1] ?? 'a function';
      if (!TABLE_FUNCTIONS.has(name.toLowerCase())) return unreadable(`${name}()`);
    }
    if (kind === 'FUNCTION') {
      const [, name = 'without a name', type = ''] = /, function_name: ([^,]+), function_type: (\w+)/.exec(line) ?? [];
      if (type !== 'aggregate' && type !== 'window' && !functions.has(name.toLowerCase()) && !MORE_FUNCTIONS.has(name.toLowerCase())) return `the function ${name} cannot be used here`;
    }
  }
  return null;
}

function isView(name: string): boolean {
  return VIEWS.some((view) => view === name);
}

function unreadable(name: string): string {
  return `${name} cannot be read here; there are ${VIEWS.join(', ')}`;
}
