/**
 * The store: ClickHouse, in process (chDB) or a server. SQL lives beside the code that asks; the port only carries it.
 * Values travel as parameters (`{name:Type}` in the SQL), never inside the SQL text.
 */
export interface Store {
  /**
   * Inserts rows (one object a row, keys are column names; Date columns as `YYYY-MM-DD hh:mm:ss.fff` or epoch digits as text).
   * Resolves when they are durable. No rows is a no-op.
   * Throws RetryableError (disk full, store away) or PermanentError (the rows do not fit the table).
   */
  insert(table: string, rows: readonly object[]): Promise<void>;
  /** Runs one SELECT and returns its rows. 64-bit integers come as numbers (cast to String in SQL where they pass 2^53). */
  select<Row>(sql: string, parameters?: Readonly<Record<string, unknown>>): Promise<Row[]>;
  /** Runs one statement without a result (DDL, ALTER, OPTIMIZE). */
  command(sql: string, parameters?: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

export const QUERY_FORMATS = { json: 'JSONCompact', csv: 'CSVWithNames', parquet: 'Parquet', arrow: 'ArrowStream' } as const;
export type QueryFormat = keyof typeof QUERY_FORMATS;

/** Where SQL that people write runs: beside everything else, read-only, limited in time, memory and rows, and with the rows of one project. */
export interface AnalystStore {
  /**
   * The whole answer of one SELECT, in a format. What may be named in it is for the caller to check (api/query-guard.ts): this
   * only sees to it that no statement writes, and that none reads rows of another project.
   * Throws PermanentError with the engine's words where the statement is wrong or past a limit, RetryableError where too many wait.
   */
  query(sql: string, request: { readonly project: string; readonly format: QueryFormat; readonly parameters: Readonly<Record<string, unknown>> }): Promise<Uint8Array>;
}

/** Tables of which an analyst has rows, each with a column `project`. */
export const ANALYST_TABLES = ['calls', 'scores', 'comparisons', 'alert_transitions', 'versions', 'cells'] as const;
