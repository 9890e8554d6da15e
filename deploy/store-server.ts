import { Readable } from 'node:stream';
import { ClickHouseLogLevel, createClient, type ClickHouseClient, type ResultSet } from '@clickhouse/client';
import type { ClickHouseSettings } from '../schemas/clickhouse-settings.ts';
import { PermanentError, RetryableError } from '../schemas/errors.ts';
import type { AnalystStore } from '../schemas/store.ts';
import { bytesOf, createAnalyst } from './analyst.ts';
import { bodyOf, readerSettings, refuseFiles, typed, writerSettings, type Setting } from './clickhouse.ts';
import type { JsonStore } from './json-rows.ts';
import { readSecretFile } from './secret-file.ts';
import { checkParameters } from './parameters.ts';

/**
 * ClickHouse as a server or a cluster, over HTTP. An insert that has resolved is on the server's disk, or, with asynchronous inserts, in the part that
 * the server made of it and of others that came within the same moment: it answers after that, not before.
 */
export type ServerStoreLimits = {
  /** Statements that run at the same time; the others wait. */
  readonly connections: number;
  /** SELECTs that may wait; the next one is refused with RetryableError. */
  readonly maxWaiting: number;
  readonly maxSeconds: number;
  readonly maxBytes: number;
};

const DEFAULT_LIMITS: ServerStoreLimits = { connections: 16, maxWaiting: 256, maxSeconds: 30, maxBytes: 4_000_000_000 };
const INSERT_TIMEOUT_MS = 60_000;
/** A statement ON CLUSTER waits for every replica. */
const COMMAND_TIMEOUT_MS = 300_000;
/** Beyond the server's own limit, for its answer to arrive. */
const GRACE_MS = 5_000;

export interface ServerStore extends JsonStore {
  /** The same data with limits of its own, for queries that people write. Its `close` closes what it opened. */
  lane(limits: Partial<ServerStoreLimits>): JsonStore;
  readonly analyst: AnalystStore;
}

/** Throws PermanentError where the settings cannot be used; whether the server is there, the first statement shows. */
export function openServerStore(settings: ClickHouseSettings, limits: Partial<ServerStoreLimits> = {}): ServerStore {
  const connect = (timeoutMs: number, maxOpen: number, engine: readonly Setting[]): ClickHouseClient => createClient({ ...addressOf(settings), request_timeout: timeoutMs, max_open_connections: maxOpen, clickhouse_settings: Object.fromEntries(engine) });
  const gathered: readonly Setting[] = settings.async_inserts ? [['async_insert', 1], ['wait_for_async_insert', 1]] : [];
  const inserts = connect(INSERT_TIMEOUT_MS, 32, [...writerSettings, ...gathered]);
  const administrator = connect(COMMAND_TIMEOUT_MS, 4, []);

  const storeReading = (given: Partial<ServerStoreLimits>, close: (reader: ClickHouseClient) => Promise<void>): JsonStore => {
    const { connections, maxWaiting, maxSeconds, maxBytes } = { ...DEFAULT_LIMITS, ...given };
    const reader = connect(maxSeconds * 1000 + GRACE_MS, connections, [['max_execution_time', maxSeconds], ['max_memory_usage', maxBytes], ...readerSettings]);
    let asked = 0;
    const ask = async <Result>(sql: string, parameters: Readonly<Record<string, unknown>>, read: (answer: Answer) => Promise<Result>): Promise<Result> => {
      refuseFiles(sql);
      checkParameters(sql, parameters);
      if (asked >= connections + maxWaiting) throw new RetryableError(`${maxWaiting} queries wait for the store already`);
      asked += 1;
      try {
        return await typed('the SELECT', async () => read(await reader.query({ query: sql, format: 'JSONEachRow', query_params: { ...parameters }, use_multipart_params_auto: true })));
      } finally {
        asked -= 1;
      }
    };
    return {
      async insert(table, rows) {
        if (rows.length === 0) return;
        const body = bodyOf(rows);
        const columns = body.format === 'JSONCompactEachRow' ? ` (${body.columns.map((column) => `\`${column.replaceAll('`', '')}\``).join(', ')})` : '';
        await typed(`inserting ${rows.length} rows into ${table}`, async () => {
          const { stream } = await inserts.exec({ query: `INSERT INTO ${table}${columns} FORMAT ${body.format}`, values: Readable.from([body.values], { objectMode: false }) });
          // Read to its end, so that the connection can be used again.
          stream.resume();
        });
      },
      select: <Row>(sql: string, parameters: Readonly<Record<string, unknown>> = {}) => ask(sql, parameters, (answer) => answer.json<Row>()),
      selectJson: (sql, parameters = {}) => ask(sql, parameters, jsonOf),
      async command(sql, parameters = {}) {
        checkParameters(sql, parameters);
        await typed('the command', () => administrator.command({ query: sql, query_params: { ...parameters } }));
      },
      close: () => close(reader),
    };
  };

  return {
    ...storeReading(limits, async (reader) => {
      await Promise.all([inserts, administrator, reader].map((client) => client.close()));
    }),
    analyst: createAnalyst(async ({ query, parameters, settings: own }) => {
      const { stream } = await administrator.exec({ query, query_params: { ...parameters }, clickhouse_settings: Object.fromEntries(own) });
      return bytesOf(stream);
    }),
    lane: (laneLimits) => storeReading(laneLimits, (reader) => reader.close()),
  };
}

type Answer = ResultSet<'JSONEachRow'>;

/** By the rows of the client, which sees where the server breaks off an answer with an error. */
async function jsonOf(answer: Answer): Promise<Uint8Array> {
  const rows: string[] = [];
  for await (const chunk of answer.stream()) for (const { text } of chunk) rows.push(text);
  return Buffer.from(`[${rows.join(',')}]`);
}

function addressOf(settings: ClickHouseSettings) {
  if (settings.url === undefined) throw new PermanentError('clickhouse.url is missing: the roles analyzer and api need a ClickHouse server, like http://clickhouse:8123; for the embedded store, start culprit without a role');
  const { ca_file, cert_file, key_file, password_file } = settings;
  if (ca_file === undefined && cert_file !== undefined) throw new PermanentError('clickhouse.cert_file needs clickhouse.ca_file beside it');
  const ca_cert = ca_file === undefined ? null : Buffer.from(readSecretFile('clickhouse.ca_file', ca_file));
  const tls =
    ca_cert === null
      ? {}
      : cert_file === undefined || key_file === undefined
        ? { tls: { ca_cert } }
        : { tls: { ca_cert, cert: Buffer.from(readSecretFile('clickhouse.cert_file', cert_file)), key: Buffer.from(readSecretFile('clickhouse.key_file', key_file)) } };
  return {
    url: settings.url,
    database: settings.database,
    username: settings.username,
    password: password_file === undefined ? settings.password : readSecretFile('clickhouse.password_file', password_file).trim(),
    application: 'culprit',
    // What fails is thrown, and told where something is done about it.
    log: { level: ClickHouseLogLevel.OFF },
    ...tls,
  };
}
