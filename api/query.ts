import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { PermanentError } from '../schemas/errors.ts';
import type { QueryFormat, Store } from '../schemas/store.ts';
import type { ApiDeps } from './app.ts';
import { problemResponses, ProblemError } from './problem.ts';
import { faultAsUnderstood, faultAsWritten, FUNCTION_CATEGORIES, VIEWS, type Engine } from './query-guard.ts';

/** Questions in SQL, for analysts. The views and their columns: docs/QUERY.md. */

const Format = z.enum(['json', 'csv', 'parquet', 'arrow']);
const Parameter = z.union([z.string().max(10_000), z.number(), z.boolean(), z.null(), z.array(z.union([z.string().max(10_000), z.number(), z.boolean()])).max(10_000)]);

const Query = z
  .strictObject({
    sql: z.string().trim().min(1).max(64 * 1024).openapi({ description: 'one SELECT over llm_calls, llm_scores, llm_comparisons, llm_evidence, llm_alerts, llm_versions, llm_hours, in the SQL of ClickHouse' }),
    parameters: z.record(z.string().regex(/^[A-Za-z]\w{0,63}$/, 'a name has letters, digits and _'), Parameter).default({}).openapi({ description: 'values for {name:Type} in the SQL' }),
    format: Format.default('json'),
  })
  .openapi('Query', { example: { sql: 'SELECT prompt_version, count() AS calls, avg(is_error) AS error_rate FROM llm_calls WHERE prompt_name = {prompt:String} GROUP BY prompt_version', parameters: { prompt: 'refund-agent' }, format: 'json' } });

const QueryResult = z
  .object({
    meta: z.array(z.object({ name: z.string(), type: z.string() })).openapi({ description: 'the columns, with their ClickHouse types' }),
    data: z.array(z.array(z.unknown())).openapi({ description: 'the rows' }),
    rows: z.number().int(),
  })
  .openapi('QueryResult');

const CONTENT_TYPES: Readonly<Record<QueryFormat, string>> = { json: 'application/json', csv: 'text/csv; charset=utf-8', parquet: 'application/vnd.apache.parquet', arrow: 'application/vnd.apache.arrow.stream' };
const FILE_NAMES: Readonly<Record<QueryFormat, string>> = { json: 'query.json', csv: 'query.csv', parquet: 'query.parquet', arrow: 'query.arrow' };
const binary = { schema: z.string().openapi({ format: 'binary' }) };

const route = createRoute({
  method: 'post',
  path: '/v1/query',
  summary: 'A read-only SELECT over the documented views: at most 20 s, 1 GB and a million rows',
  request: { body: { required: true, content: { 'application/json': { schema: Query } } } },
  responses: {
    200: {
      description: 'The whole answer.',
      content: { 'application/json': { schema: QueryResult }, 'text/csv': binary, 'application/vnd.apache.parquet': binary, 'application/vnd.apache.arrow.stream': binary },
    },
    ...problemResponses,
  },
});

export function registerQuery(app: OpenAPIHono, { store, analyst, settings }: ApiDeps): void {
  let engine: Promise<Engine> | null = null;
  /** The engine says once what it has. */
  const described = (): Promise<Engine> => {
    engine ??= describeEngine(store);
    engine.catch(() => (engine = null));
    return engine;
  };

  app.openapi(route, async (context) => {
    const { sql: text, parameters, format } = context.req.valid('json');
    const { project } = settings;
    const sql = text.replace(/;\s*$/, '');
    // The engine takes several statements at once, and would answer all of them.
    if (sql.includes(';')) throw new ProblemError(400, 'Send one SELECT; a semicolon within it is written char(59).');
    // The engine would name all the words that it takes in the place of one of these.
    const [, verb] = /^[\s(]*([a-z]+)/i.exec(sql) ?? [];
    if (verb !== undefined && !/^(?:select|with|from)$/i.test(verb)) throw new ProblemError(400, `${verb.toUpperCase()} cannot be run here: send one SELECT over ${VIEWS.join(', ')}.`);
    const run = async (statement: string, as: QueryFormat): Promise<Uint8Array> => {
      try {
        return await analyst.query(statement, { project, format: as, parameters });
      } catch (error) {
        if (error instanceof PermanentError) throw new ProblemError(400, saidOf(error));
        throw error;
      }
    };
    // In parentheses it is a SELECT or nothing: no other statement, no FORMAT, no INTO OUTFILE. Both runs have the same text.
    const enclosed = `SELECT * FROM (\n${sql}\n)`;
    const known = await described();
    const fault = faultAsWritten(linesOf(await run(`EXPLAIN AST ${enclosed}`, 'csv')), known) ?? faultAsUnderstood(linesOf(await run(`EXPLAIN QUERY TREE ${enclosed}`, 'csv')), known);
    if (fault !== null) throw new ProblemError(400, `It was not run: ${fault}.`);
    const answer = await run(enclosed, format);
    return context.body(format === 'csv' ? withoutFormulas(answer) : new Uint8Array(answer), 200, {
      'content-type': CONTENT_TYPES[format],
      'cache-control': 'no-store',
      'content-disposition': `${format === 'json' ? 'inline' : 'attachment'}; filename="${FILE_NAMES[format]}"`,
    });
  });
}

/**
 * One node of an explanation a line. Of a syntax tree FORMAT becomes a part, and the connection's own format puts each line in quotes or
 * does not; CSV does. What is quoted within stays so: it is in a literal.
 */
function linesOf(explained: Uint8Array): string[] {
  return Buffer.from(explained).toString().split('\n').map((line) => (line.startsWith('"') && line.endsWith('"') ? line.slice(1, -1) : line)).filter((line) => line !== '');
}

async function describeEngine(store: Store): Promise<Engine> {
  const [functions, tables, [current]] = await Promise.all([
    store.select<{ name: string }>(
      `SELECT lower(name) AS name FROM system.functions WHERE is_aggregate OR categories IN {categories:Array(String)}
         OR alias_to IN (SELECT name FROM system.functions WHERE is_aggregate OR categories IN {categories:Array(String)})`,
      { categories: FUNCTION_CATEGORIES },
    ),
    store.select<{ name: string }>('SELECT name FROM system.tables WHERE database = currentDatabase()'),
    store.select<{ database: string }>('SELECT currentDatabase() AS database'),
  ]);
  const names = (rows: readonly { readonly name: string }[]): ReadonlySet<string> => new Set(rows.map(({ name }) => name));
  return { functions: names(functions), tables: names(tables), database: current?.database ?? '' };
}

/**
 * A text that a spreadsheet would take for a formula begins with an apostrophe. The engine quotes every text, doubles quotes within
 * it, and quotes nothing else, so a quote before one of these characters begins a text.
 */
function withoutFormulas(csv: Uint8Array): string {
  return Buffer.from(csv).toString().replace(/(^|,|\n)"(?=[=+\-@\t\r])/g, `$1"'`);
}

/** The engine's own sentence, without the statement that we put around it and its version. */
function saidOf({ message }: PermanentError): string {
  return message
    .replace(/^the query failed: (?:Code: \d+\. DB::Exception: )*/, '')
    .replace(/ ?\(version [^)]*\)/g, '')
    .replace(/\s+/g, ' ')
    .slice(0, 400);
}
