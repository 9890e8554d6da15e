import type { ClickHouseClient } from '@clickhouse/client';
import { PermanentError } from '../schemas/errors.ts';
import { ANALYST_TABLES, QUERY_FORMATS, type AnalystStore } from '../schemas/store.ts';
import { bindParameters } from './parameters.ts';
import { createTurns } from './turns.ts';

/**
 * SQL that people write, over the embedded engine. Each statement has a connection of its own (0.5 ms), whose settings are the
 * limits and the filter of its project; `readonly = 1`, set last, keeps them from being changed.
 *
 * One thread each, so that a heavy question leaves the other cores to what comes in.
 */
const LIMITS = ['max_execution_time = 20', 'max_memory_usage = 1000000000', 'max_threads = 1', 'max_result_rows = 1000000', 'max_result_bytes = 268435456', "result_overflow_mode = 'throw'", 'max_ast_depth = 200', 'max_query_size = 131072', 'output_format_json_quote_64bit_integers = 0', "output_format_arrow_compression_method = 'none'"] as const;

export function createAnalyst(connect: (settings: readonly string[]) => Promise<ClickHouseClient>, typed: <T>(attempt: string, run: () => Promise<T>) => Promise<T>): AnalystStore {
  const turns = createTurns({ atOnce: 2, maxWaiting: 16 });
  return {
    query: (sql, { project, format, parameters }) =>
      turns.take(() =>
        typed('the query', async () => {
          // The engine takes several statements at once and answers them one behind the other.
          // And a subquery may bring settings of its own, whatever `readonly` says: another filter, too (seen with chdb 3.4.0).
          if (sql.includes(';') || /\b(?:outfile|settings)\b/i.test(sql)) throw new PermanentError('one SELECT at a time, without SETTINGS, and not into a file');
          const client = await connect([...LIMITS, `additional_table_filters = ${filtersOf(project)}`, 'readonly = 1']);
          try {
            const { stream } = await client.exec({ query: `${bindParameters(sql, parameters)}${sql}\nFORMAT ${QUERY_FORMATS[format]}` });
            const parts: Uint8Array[] = [];
            for await (const part of stream) parts.push(Buffer.from(part));
            return Buffer.concat(parts);
          } finally {
            await client.close();
          }
        }),
      ),
  };
}

/** A map of SQL texts within an SQL text: what stands in quotes is quoted twice. */
function filtersOf(project: string): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, String.raw`\$&`)}'`;
  return `{${ANALYST_TABLES.map((table) => `${quoted(table)}: ${quoted(`project = ${quoted(project)}`)}`).join(', ')}}`;
}
