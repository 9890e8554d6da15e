import { PermanentError } from '../schemas/errors.ts';
import { ANALYST_TABLES, QUERY_FORMATS, type AnalystStore } from '../schemas/store.ts';
import { typed, type Setting } from './clickhouse.ts';
import { createLimiter } from './limiter.ts';

/**
 * SQL that people write. Each statement has settings of its own: the limits and the filter of its project; `readonly = 1`, set last, keeps
 * them from being changed.
 *
 * One thread each, so that a heavy question leaves the other cores to what comes in.
 */
const LIMITS: readonly Setting[] = [
  ['max_execution_time', 20],
  ['max_memory_usage', 1_000_000_000],
  ['max_threads', 1],
  ['max_result_rows', 1_000_000],
  ['max_result_bytes', 268_435_456],
  ['result_overflow_mode', 'throw'],
  ['max_ast_depth', 200],
  ['max_query_size', 131_072],
  ['output_format_json_quote_64bit_integers', 0],
  ['output_format_arrow_compression_method', 'none'],
];

export type AnalystStatement = { readonly query: string; readonly parameters: Readonly<Record<string, unknown>>; readonly settings: readonly Setting[] };

/** @param run answers with the bytes of the statement's format. The settings hold for this statement alone. */
export function createAnalyst(run: (statement: AnalystStatement) => Promise<Uint8Array>): AnalystStore {
  const limiter = createLimiter({ atOnce: 2, maxWaiting: 16 });
  return {
    query: (sql, { project, format, parameters }) =>
      limiter.take(() =>
        typed('the query', async () => {
          // The engine takes several statements at once and answers them one behind the other.
          // And a subquery may bring settings of its own, whatever `readonly` says: another filter, too (seen with chdb 3.4.0).
          if (sql.includes(';') || /\b(?:outfile|settings)\b/i.test(sql)) throw new PermanentError('one SELECT at a time, without SETTINGS, and not into a file');
          const settings: readonly Setting[] = [...LIMITS, ['additional_table_filters', filtersOf(project)], ['readonly', 1]];
          return run({ query: `${sql}\nFORMAT ${QUERY_FORMATS[format]}`, parameters, settings });
        }),
      ),
  };
}

/** The whole of an answer. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** A map of SQL texts within an SQL text: what stands in quotes is quoted twice. */
function filtersOf(project: string): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, String.raw`\$&`)}'`;
  return `{${ANALYST_TABLES.map((table) => `${quoted(table)}: ${quoted(`project = ${quoted(project)}`)}`).join(', ')}}`;
}
