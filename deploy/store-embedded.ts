import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClickHouseError, createClient, type ClickHouseClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { drainPending, Session } from 'chdb';
import { createChdbConnection, type ChdbConnection } from 'chdb/connection';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { AnalystStore, Store } from '../schemas/store.ts';
import { createAnalyst } from './analyst.ts';
import { bindParameters } from './parameters.ts';
import { createTurns } from './turns.ts';

/**
 * ClickHouse in this process (chDB): no server to install, and an insert that has resolved survives kill -9.
 *
 * The native engine serves one data directory for each process, on the main thread only (in a worker it crashes at exit).
 * Its statements run on libuv's thread pool. That has 4 threads unless UV_THREADPOOL_SIZE says otherwise before the process
 * first uses it, and file reads and gunzip wait for the same threads (measured: a file read waited 2.2 s behind 5 slow SELECTs
 * on 4 threads, 0.03 s on 16). So start the process with 16 or more.
 *
 * One connection runs one statement at a time. Inserts, commands and each reader have their own, so that a slow SELECT
 * or an OPTIMIZE never stands before an insert.
 */

export type EmbeddedStoreSettings = {
  /** Its parent must be there. The caller holds the claim on it (data-directory.ts). */
  readonly directory: string;
  /**
   * `to_kernel`: an insert that has resolved survives the end of this process in any way. `to_disk`: also that of the machine (power,
   * kernel), and takes about twice as long.
   */
  readonly flush?: 'to_kernel' | 'to_disk';
  /** What the engine as a whole may hold; beyond it a statement fails with RetryableError. */
  readonly maxEngineBytes?: number;
  readonly limits?: Partial<SelectLimits>;
};

export type SelectLimits = {
  /** SELECTs that run at the same time; the others wait. */
  readonly connections: number;
  /** SELECTs that may wait; the next one is refused with RetryableError. */
  readonly maxWaiting: number;
  readonly maxSeconds: number;
  readonly maxBytes: number;
};

const defaultLimits: SelectLimits = { connections: 2, maxWaiting: 256, maxSeconds: 30, maxBytes: 1_000_000_000 };

export interface EmbeddedStore extends Store {
  /**
   * The same data with SELECT connections and limits of its own, for queries that people write: their slow ones must not
   * stand before those of ingest. Its `close` is a no-op; the store's own closes all.
   */
  lane(limits: Partial<SelectLimits>): Store;
  readonly analyst: AnalystStore;
}

/** Throws PermanentError when another process holds the directory or the engine cannot use it. */
export async function openEmbeddedStore({ directory, flush = 'to_kernel', maxEngineBytes = 4_000_000_000, limits = {} }: EmbeddedStoreSettings): Promise<EmbeddedStore> {
  const connect = async (settings: readonly string[]): Promise<ClickHouseClient> => clientOf(createChdbConnection({ path: directory }), settings);
  const readersWith = (given: Partial<SelectLimits>): Readers => {
    const { connections, maxWaiting, maxSeconds, maxBytes } = { ...defaultLimits, ...given };
    const open = (): Promise<ClickHouseClient> => connect([`max_execution_time = ${maxSeconds}`, `max_memory_usage = ${maxBytes}`, ...readerSettings]);
    return createReaders(open, { connections, maxWaiting });
  };

  const { engine, inserts, writer, administrator } = await typed(`opening the store in ${directory}`, async () => {
    // Settings of the engine count only at its first connection, so this one is first and stays to the end.
    const engine = openEngine(directory, { flush, maxEngineBytes });
    const connection = createChdbConnection({ path: directory });
    return { engine, inserts: connection.chdb, writer: await clientOf(connection, writerSettings), administrator: await connect([]) };
  });
  const allReaders: Readers[] = [];

  const storeReadingBy = (readers: Readers, close: () => Promise<void>): Store => {
    allReaders.push(readers);
    return {
      async insert(table, rows) {
        if (rows.length === 0) return;
        await typed(`inserting ${rows.length} rows into ${table}`, () => inserts.rawInsert({ table, ...bodyOf(rows) }));
      },
      async select<Row>(sql: string, parameters: Readonly<Record<string, unknown>> = {}) {
        // readonly = 1 stops writes, other servers and files, but not this, which writes a file wherever it is told to.
        if (/\boutfile\b/i.test(sql)) throw new PermanentError('INTO OUTFILE is not allowed in a SELECT');
        const query = bindParameters(sql, parameters) + sql;
        return readers.use((reader) =>
          typed('the SELECT', async () => {
            const result = await reader.query({ query, format: 'JSONEachRow' });
            return result.json<Row>();
          }),
        );
      },
      async command(sql, parameters = {}) {
        const query = bindParameters(sql, parameters) + sql;
        await typed('the command', () => administrator.command({ query }));
      },
      close,
    };
  };

  return {
    ...storeReadingBy(readersWith(limits), async () => {
      await Promise.all([writer.close(), administrator.close(), ...allReaders.map((readers) => readers.close())]);
      engine.close();
      // Closing returns while statements still run; only now is the directory free.
      await drainPending();
    }),
    analyst: createAnalyst(connect, typed),
    lane(laneLimits) {
      return storeReadingBy(readersWith(laneLimits), async () => undefined);
    },
  };
}

/** A setting stays with its connection, so nothing has to be sent with each statement. */
async function clientOf(chdb: ChdbConnection, settings: readonly string[]): Promise<ClickHouseClient> {
  // chdb declares the contract of @clickhouse/client-common 1.23.0, of which @clickhouse/client 1.23.1 carries its own copy;
  // they differ by a private field only (`SettingsMap.record`).
  const connection = chdb as unknown as NonNullable<ClickHouseClientConfigOptions['connection']>;
  const client = createClient({ connection });
  for (const setting of settings) await client.command({ query: `SET ${setting}` });
  return client;
}

/**
 * Rows of one shape go without their column names: the body is half as long, and the engine takes 10 µs less for a row of 45
 * columns (measured: 25 instead of 35). Rows that differ in their keys keep them, so that none is dropped.
 *
 * One JSON text for all of them, handed over as bytes: 3 µs of this thread for such a row, where the client's way, which encodes
 * row by row and copies the whole statement, takes 6 to 7.
 */
function bodyOf(rows: readonly object[]): { format: 'JSONCompactEachRow'; columns: string[]; values: Buffer } | { format: 'JSONEachRow'; values: Buffer } {
  const columns = Object.keys(rows[0] ?? {});
  const values: unknown[][] = [];
  for (const row of rows) {
    const keys = Object.keys(row);
    if (keys.length !== columns.length || keys.some((key, index) => key !== columns[index])) return { format: 'JSONEachRow', values: listOf(rows) };
    values.push(Object.values(row));
  }
  return { format: 'JSONCompactEachRow', columns, values: listOf(values) };
}

/** The elements of a JSON array without its brackets: rows may be set apart by commas as well as by line ends. */
function listOf(rows: readonly object[]): Buffer {
  return Buffer.from(wellFormedJson(rows).slice(1, -1));
}

function openEngine(directory: string, { flush, maxEngineBytes }: { flush: 'to_kernel' | 'to_disk'; maxEngineBytes: number }): Session {
  const toDisk = flush === 'to_disk' ? 1 : 0;
  const settings = {
    max_server_memory_usage: maxEngineBytes,
    // Caches are sized for a server by default (5 GB for marks alone); here they share a process with everything else.
    mark_cache_size: 64 * 2 ** 20,
    primary_index_cache_size: 64 * 2 ** 20,
    index_mark_cache_size: 32 * 2 ** 20,
    compiled_expression_cache_size: 32 * 2 ** 20,
    query_condition_cache_size: 16 * 2 ** 20,
    vector_similarity_index_cache_size: 2 ** 20,
    iceberg_metadata_files_cache_size: 2 ** 20,
    mmap_cache_size: 64,
    merge_tree: {
      // Parts that a merge has replaced are deleted after 30 to 300 s by default: at 20 inserts/s that was 8 times the data itself.
      cleanup_delay_period: 2,
      cleanup_delay_period_random_add: 0,
      max_cleanup_delay_period: 10,
      // Parts ten to one, not five to one: each row is merged less often. At inserts of 1,200 rows a merge took 26 µs of processor
      // time a row with 5, 16 with 10 and 7 with 30, for 6, 8 and 10 parts after 180,000 rows.
      merge_selector_base: 10,
      fsync_after_insert: toDisk,
      fsync_part_directory: toDisk,
      min_rows_to_fsync_after_merge: toDisk,
    },
  };
  const file = join(directory, 'engine.xml');
  try {
    if (!existsSync(directory)) mkdirSync(directory);
    writeFileSync(file, `<clickhouse>${xmlOf(settings)}</clickhouse>\n`);
    return new Session(directory, { connectionArgs: [`--config-file=${file}`] });
  } catch (error) {
    // The engine says the reason on stderr only ("Cannot lock file … Another server instance in same directory is already running").
    const message = error instanceof Error ? error.message : String(error);
    throw new PermanentError(`the store in ${directory} cannot be opened; does another process have it open? (${message})`, { cause: error });
  }
}

type EngineSettings = { readonly [name: string]: number | EngineSettings };

function xmlOf(settings: EngineSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `<${name}>${typeof value === 'number' ? value : xmlOf(value)}</${name}>`)
    .join('');
}

/** By default the engine drops unknown columns and turns null into a default: then a mistake would be a loss that nobody sees. */
const writerSettings = [
  'input_format_skip_unknown_fields = 0',
  'input_format_null_as_default = 0',
  // A replayed file may span more days than the 100 partitions allowed by default.
  'max_partitions_per_insert_block = 1000',
  // Rows of one key are told apart when they are read (FINAL, or the highest revision) and collapsed by merges. Looking for them in
  // every insert as well costs a fifth of it.
  'optimize_on_insert = 0',
] as const;

/** `readonly` comes last: after it no setting can change, not by a second statement and not by a SETTINGS clause. */
const readerSettings = ['output_format_json_quote_64bit_integers = 0', 'output_format_json_quote_denormals = 0', 'max_query_size = 8388608', 'readonly = 1'] as const;

/**
 * An unpaired surrogate, which JavaScript's strings may hold and UTF-8 cannot, becomes U+FFFD. JSON.stringify writes it as an
 * escape (and paired ones never), at which the engine refuses the whole insert.
 */
function wellFormedJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (!json.includes('\\ud')) return json;
  // Every escape is matched, so that the second half of an escaped backslash never counts as the beginning of one.
  return json.replace(/\\(?:u(d[89a-f][0-9a-f]{2})|.)/g, (escape: string, surrogate: string | undefined) => (surrogate === undefined ? escape : '\uFFFD'));
}

type Readers = {
  use<T>(run: (reader: ClickHouseClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/**
 * A few connections for SELECTs: each runs one at a time, first come, first served.
 *
 * A connection whose statement failed is closed and the next one opened in its place (0.5 ms). The engine keeps the rows that
 * a SELECT had given before it failed, and puts them in front of the answer to the connection's next one, whoever asks it (seen with
 * chdb 3.4.0: `throwIf` after 300,000 rows, then `SELECT 1` gave 300,001).
 */
function createReaders(open: () => Promise<ClickHouseClient>, { connections, maxWaiting }: { connections: number; maxWaiting: number }): Readers {
  const free: ClickHouseClient[] = [];
  const turns = createTurns({ atOnce: connections, maxWaiting });
  let isClosed = false;
  return {
    async use(run) {
      if (isClosed) throw new RetryableError('the store is closed');
      return turns.take(async () => {
        let reader: ClickHouseClient | undefined;
        try {
          reader = free.pop() ?? (await typed('opening a connection to the store', open));
          const result = await run(reader);
          if (isClosed) await reader.close();
          else free.push(reader);
          return result;
        } catch (error) {
          await reader?.close();
          throw error;
        }
      });
    },
    async close() {
      isClosed = true;
      await Promise.all(free.splice(0).map((reader) => reader.close()));
    },
  };
}

/** After these the same statement may succeed later. Source: ClickHouse, src/Common/ErrorCodes.cpp. */
const retryableCodes: Readonly<Record<string, string>> = {
  75: 'CANNOT_WRITE_TO_FILE_DESCRIPTOR',
  76: 'CANNOT_OPEN_FILE',
  159: 'TIMEOUT_EXCEEDED',
  173: 'CANNOT_ALLOCATE_MEMORY',
  202: 'TOO_MANY_SIMULTANEOUS_QUERIES',
  236: 'ABORTED',
  241: 'MEMORY_LIMIT_EXCEEDED',
  243: 'NOT_ENOUGH_SPACE',
  252: 'TOO_MANY_PARTS',
  439: 'CANNOT_SCHEDULE_TASK',
};

async function typed<T>(attempt: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof PermanentError || error instanceof RetryableError) throw error;
    // The client's own message is cut at the first parenthesis; the engine's is its cause.
    const said = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    const message = `${attempt} failed: ${said.slice(0, 500)}`;
    const code = error instanceof ClickHouseError ? error.code : /Code: (\d+)\. DB::Exception/.exec(said)?.[1];
    const isPermanent = error instanceof TypeError || (code !== undefined && !Object.hasOwn(retryableCodes, code) && !said.includes('No space left on device'));
    throw isPermanent ? new PermanentError(message, { cause: error }) : new RetryableError(message, { cause: error });
  }
}
