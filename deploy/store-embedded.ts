import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient, type ClickHouseClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { drainPending, Session } from 'chdb';
import { createChdbConnection, type ChdbConnection } from 'chdb/connection';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { AnalystStore } from '../schemas/store.ts';
import { bytesOf, createAnalyst } from './analyst.ts';
import { bodyOf, readerSettings, refuseFiles, typed, writerSettings, type Setting } from './clickhouse.ts';
import { parsedRows, type JsonStore } from './json-rows.ts';
import { bindParameters } from './parameters.ts';
import { createLimiter } from './limiter.ts';

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

export interface EmbeddedStore extends JsonStore {
  /**
   * The same data with SELECT connections and limits of its own, for queries that people write: their slow ones must not
   * stand before those of ingest. Its `close` is a no-op; the store's own closes all.
   */
  lane(limits: Partial<SelectLimits>): JsonStore;
  readonly analyst: AnalystStore;
}

/** Throws PermanentError when another process holds the directory or the engine cannot use it. */
export async function openEmbeddedStore({ directory, flush = 'to_kernel', maxEngineBytes = 4_000_000_000, limits = {} }: EmbeddedStoreSettings): Promise<EmbeddedStore> {
  const connect = async (settings: readonly Setting[]): Promise<ClickHouseClient> => clientOf(createChdbConnection({ path: directory }), settings);
  const readersWith = (given: Partial<SelectLimits>): Readers => {
    const { connections, maxWaiting, maxSeconds, maxBytes } = { ...defaultLimits, ...given };
    const open = async (): Promise<Reader> => {
      const connection = createChdbConnection({ path: directory });
      const client = await clientOf(connection, [['max_execution_time', maxSeconds], ['max_memory_usage', maxBytes], ['output_format_json_array_of_rows', 1], ...readerSettings]);
      return { rows: async (query) => (await connection.chdb.queryAsync(query, { format: 'JSONEachRow' })).bytes(), close: () => client.close() };
    };
    return createReaders(open, { connections, maxWaiting });
  };

  const { engine, inserts, writer, administrator } = await typed(`opening the store in ${directory}`, async () => {
    // Settings of the engine count only at its first connection, so this one is first and stays to the end.
    const engine = openEngine(directory, { flush, maxEngineBytes });
    const connection = createChdbConnection({ path: directory });
    return { engine, inserts: connection.chdb, writer: await clientOf(connection, writerSettings), administrator: await connect([]) };
  });
  const allReaders: Readers[] = [];
  const spares = createSpares();

  const storeReadingBy = (readers: Readers, close: () => Promise<void>): JsonStore => {
    allReaders.push(readers);
    const selectJson: JsonStore['selectJson'] = async (sql, parameters = {}) => {
      refuseFiles(sql);
      const query = bindParameters(sql, parameters) + sql;
      return readers.use((reader) => typed('the SELECT', () => reader.rows(query)));
    };
    return {
      selectJson,
      async insert(table, rows) {
        if (rows.length === 0) return;
        const body = bodyOf(rows, spares.take(table));
        try {
          await typed(`inserting ${rows.length} rows into ${table}`, () => inserts.rawInsert({ table, ...body }));
        } finally {
          // The engine reads it where it lies, and has settled.
          spares.give(table, body.values);
        }
      },
      select: async <Row>(sql: string, parameters?: Readonly<Record<string, unknown>>) => parsedRows<Row>(await selectJson(sql, parameters)),
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
    analyst: createAnalyst(async ({ query, parameters, settings }) => {
      // A connection of its own for each statement: 0.5 ms.
      const client = await connect(settings);
      try {
        const { stream } = await client.exec({ query: bindParameters(query, parameters) + query });
        return await bytesOf(stream);
      } finally {
        await client.close();
      }
    }),
    lane(laneLimits) {
      return storeReadingBy(readersWith(laneLimits), async () => undefined);
    },
  };
}

/**
 * The memory of one insert, for the next one of its table. A body is megabytes that live as long as a statement: made anew each time, they have V8 mark all that is in
 * use whenever 64 MiB of them are gone, once a second in a replay.
 */
function createSpares(): { take(table: string): Buffer | undefined; give(table: string, body: Buffer): void } {
  const byTable = new Map<string, Buffer[]>();
  return {
    take: (table) => byTable.get(table)?.pop(),
    give(table, { buffer }) {
      const spares = byTable.get(table) ?? [];
      byTable.set(table, spares);
      if (spares.length < MOST_SPARES && buffer.byteLength <= LARGEST_SPARE_BYTES) spares.push(Buffer.from(buffer));
    },
  };
}

/** One is written while the next is put together. */
const MOST_SPARES = 2;
const LARGEST_SPARE_BYTES = 16 * 1024 * 1024;

/** A setting stays with its connection, so nothing has to be sent with each statement. */
async function clientOf(chdb: ChdbConnection, settings: readonly Setting[]): Promise<ClickHouseClient> {
  // chdb declares the contract of @clickhouse/client-common 1.23.0, of which @clickhouse/client 1.23.1 carries its own copy;
  // they differ by a private field only (`SettingsMap.record`).
  const connection = chdb as unknown as NonNullable<ClickHouseClientConfigOptions['connection']>;
  const client = createClient({ connection });
  for (const [name, value] of settings) await client.command({ query: `SET ${name} = ${typeof value === 'number' ? value : `'${value.replace(/[\\']/g, String.raw`\$&`)}'`}` });
  return client;
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

type Reader = { rows(query: string): Promise<Uint8Array>; close(): Promise<void> };
type Readers = {
  use<T>(run: (reader: Reader) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/**
 * A few connections for SELECTs: each runs one at a time, first come, first served.
 *
 * A connection whose statement failed is closed and the next one opened in its place (0.5 ms). The engine keeps the rows that
 * a SELECT had given before it failed, and puts them in front of the answer to the connection's next one, whoever asks it (seen with
 * chdb 3.4.0: `throwIf` after 300,000 rows, then `SELECT 1` gave 300,001).
 */
function createReaders(open: () => Promise<Reader>, { connections, maxWaiting }: { connections: number; maxWaiting: number }): Readers {
  const free: Reader[] = [];
  const limiter = createLimiter({ atOnce: connections, maxWaiting });
  let isClosed = false;
  return {
    async use(run) {
      if (isClosed) throw new RetryableError('the store is closed');
      return limiter.take(async () => {
        let reader: Reader | undefined;
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
