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
